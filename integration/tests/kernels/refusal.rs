//! The reasons why a kernel refuses the programs.

use integration::kernel::{release, version};
use integration::{
    DataPath, HostAndPeer, Lab, Sharing, Teamr, binary, in_virtual_time, team_config,
};

const DEVICE: &str = "team0";
const PORTS: [&str; 2] = ["eth1", "eth2"];
/// The first kernel with the atomic operations of the programs.
const NEEDED: [u32; 2] = [5, 12];

/// Returns why the kernel refuses the driver and the programs to the runner slb, which needs programs
/// on both, from the state of a team that may use any data path.
pub fn refusals(lab: &Lab) -> [Option<String>; 2] {
    refusals_with(lab, "unlimited")
}

/// As [`refusals`], with this limit of locked memory in bytes.
fn refusals_with(lab: &Lab, limit: &str) -> [Option<String>; 2] {
    let host = HostAndPeer::new(lab, &PORTS).host;
    let mut config = team_config(DEVICE, "slb", DataPath::Kernel, &PORTS);
    config["data_path"] = "auto".into();
    let mut command = host.command("prlimit");
    command.arg(format!("--memlock={limit}")).arg(binary("teamr"));
    let state = Teamr::start_config(&host, &config, command).state_at_socket();
    ["kernel", "programs"]
        .map(|data_path| state["teamr"]["data_path_refused"][data_path].as_str().map(str::to_owned))
}

/// Returns the data paths that work on the kernel.
pub fn data_paths(lab: &Lab) -> Vec<DataPath> {
    let [_, programs] = refusals(lab);
    let mut data_paths = vec![DataPath::Kernel, DataPath::Programs, DataPath::Userspace];
    data_paths.retain(|data_path| *data_path != DataPath::Programs || programs.is_none());
    data_paths
}

#[test]
fn an_old_kernel_says_what_the_programs_need() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let is_old = version(&release()) < NEEDED;
        for (limit, names_limit) in [("unlimited", false), ("65536", is_old)] {
            let refused = refusals_with(&lab, limit);
            println!("  {limit} bytes of locked memory: {refused:?}");
            for reason in &refused {
                let reason = reason.as_deref().unwrap_or_default();
                assert_eq!(reason.contains("Linux 5.12"), is_old, "{reason}");
                assert_eq!(
                    reason.contains("65536 bytes (RLIMIT_MEMLOCK)"),
                    names_limit,
                    "{reason}"
                );
            }
        }
    });
}

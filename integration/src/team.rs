//! Configurations of the teams under test.

use serde_json::{Map, Value, json};

/// The runners without a partner, in the order of the documentation.
pub const RUNNERS: [&str; 5] = ["broadcast", "roundrobin", "random", "activebackup", "loadbalance"];

/// The data path of a team under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPath {
    /// teamr's relay.
    Userspace,
    /// eBPF programs that teamr loads into the kernel.
    Programs,
    /// The kernel's team driver, which every guest has.
    Kernel,
}

impl DataPath {
    /// Returns the data path named on a benchmark's command line; the relay if none is named.
    pub fn from_args() -> DataPath {
        [DataPath::Kernel, DataPath::Programs]
            .into_iter()
            .find(|path| std::env::args().any(|arg| arg == path.name()))
            .unwrap_or(DataPath::Userspace)
    }

    /// Returns the name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            DataPath::Userspace => "relay",
            DataPath::Programs => "programs",
            DataPath::Kernel => "kernel",
        }
    }
}

/// Defines two tests for each name, one for each data path without the kernel's team driver. A test
/// calls the function of its name with the data path, with `TEAMR_KERNEL` in a guest of that kernel.
#[macro_export]
macro_rules! on_own_data_paths {
    ($($case:ident)*) => {
        $crate::on_own_data_paths!(@ userspace, Userspace, $($case)*);
        $crate::on_own_data_paths!(@ programs, Programs, $($case)*);
    };
    (@ $module:ident, $path:ident, $($case:ident)*) => {
        mod $module {
            $(#[test]
            fn $case() {
                $crate::on_chosen_kernel(|| super::$case($crate::DataPath::$path));
            })*
        }
    };
}

/// Returns the configuration of a team of equal ports, watched by their carrier.
pub fn team_config(device: &str, runner: &str, data_path: DataPath, ports: &[&str]) -> Value {
    let mut runner = json!({"name": runner});
    if runner["name"] == "loadbalance" {
        runner["tx_hash"] = json!(["eth", "ipv4", "ipv6", "tcp", "udp"]);
    }
    let ports: Map<String, Value> =
        ports.iter().map(|port| ((*port).to_owned(), json!({}))).collect();
    json!({
        "device": device,
        "data_path": data_path.name(),
        "runner": runner,
        "link_watch": {"name": "ethtool"},
        "ports": ports,
    })
}

//! Traffic through the kernel's team driver, in a guest that has it, and through programs in that
//! older kernel.

use integration::{CableKind, DataPath, Lab, Ping, RUNNERS, Sharing, Teamed, in_guest};

const PACKETS: u32 = 20;

/// Requires an answer to every packet, from each link that `copies` of it came by.
fn ping(teamed: &Teamed, copies: u32, when: &str) {
    let ping = Ping::run(&teamed.site.left, "10.0.0.2", PACKETS, "");
    println!(
        "    {when}: {} of {} answered, {} further answers",
        ping.answered, ping.sent, ping.duplicates
    );
    assert_eq!(ping.answered, PACKETS, "{when}");
    assert_eq!(ping.duplicates > 0, copies > 1, "{when}");
}

#[test]
fn every_runner_carries_traffic_while_a_link_goes_and_returns() {
    in_guest(|_| pull_and_put_back(DataPath::Kernel, "team"));
}

#[test]
fn programs_do_so_in_an_older_kernel() {
    in_guest(|_| pull_and_put_back(DataPath::Programs, "veth"));
}

fn pull_and_put_back(data_path: DataPath, kind: &str) {
    for runner in RUNNERS {
        println!("{runner}");
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let teamed = Teamed::new(&lab, runner, data_path, CableKind::Virtual);
        let (left, right) = (&teamed.site.left, &teamed.site.right);
        assert_eq!(left.link("team0")["linkinfo"]["info_kind"], kind);
        let mover = teamed.team.state()["teamr"]["data_path"].clone();
        assert_eq!(mover, data_path.name());
        left.address("team0", "10.0.0.1/24");
        right.address("eth1", "10.0.0.2/24");
        // The first packet asks for an address and floods the switch.
        Ping::run(left, "10.0.0.2", 1, "");
        let copies = if runner == "broadcast" { 2 } else { 1 };
        ping(&teamed, copies, "both links up");

        let port = teamed.used_port();
        let cable = teamed.site.cable(&port);
        cable.pull();
        teamed.wait_port(&port, false);
        ping(&teamed, 1, &format!("without {port}"));
        cable.put_back();
        teamed.wait_port(&port, true);
        if runner == "activebackup" {
            teamed.site.switch.wait_forwarding(cable);
        }
        ping(&teamed, copies, &format!("with {port} again"));
    }
}

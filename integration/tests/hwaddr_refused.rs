//! A port whose interface refuses the team's hardware address carries no traffic.

use integration::{
    DataPath, HostAndPeer, Lab, Sharing, Teamr, on_own_data_paths, team_config, wait_until,
};
use serde_json::json;

const REFUSED: &str = "02:00:5e:00:53:99";

fn a_refusing_port_carries_nothing_until_it_accepts(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &["eth1", "card"]);
    host.up("card");
    // While an interface of a card is up, the others refuse its address.
    for name in ["eth2", "twin"] {
        host.ip(&format!("link add link card name {name} type macvlan mode bridge"));
    }
    host.ip(&format!("link set dev twin address {REFUSED} up"));
    let mut config = team_config("team0", "activebackup", data_path, &["eth1", "eth2"]);
    config["ports"]["eth2"] = json!({"prio": 10});
    let team = Teamr::start(&host, &config);
    team.wait_active("eth2");
    let is_refused = || team.state()["ports"]["eth2"]["teamr"]["hwaddr_refused"] == true;
    assert!(!is_refused());

    host.ip(&format!("link set dev team0 address {REFUSED}"));
    team.wait_active("eth1");
    wait_until("the refusal in the state", is_refused);
    assert_eq!(host.hwaddr("eth1"), REFUSED);
    assert_eq!(team.state()["ports"]["eth2"]["teamr"]["enabled"], false);
    let log = team.log();
    let errors = log.lines().filter(|line| line.contains("refuses the team's hardware address"));
    let errors: Vec<&str> = errors.collect();
    assert_eq!(errors.len(), 1, "{log}");
    assert!(errors[0].contains("eth2: ") && errors[0].contains("by_active"), "{log}");

    host.ip("link del dev twin");
    peer.down("card");
    team.wait_port("eth2", false);
    peer.up("card");
    team.wait_active("eth2");
    assert_eq!(host.hwaddr("eth2"), REFUSED);
    wait_until("the end of the refusal in the state", || !is_refused());
}

on_own_data_paths! {
    a_refusing_port_carries_nothing_until_it_accepts
}

//! Output of `teamrctl watch` and `teamrctl metrics` about a failover.

use integration::{DataPath, Lab, Process, Sharing, binary, on_own_data_paths, wait_until};
use serde_json::Value;

use crate::site::Site;

fn watch_and_metrics_report_a_failover(path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let site = Site::new(&lab, "slb", path);
    let (answered, _, sent) = site.ping_all(1);
    assert_eq!(answered, sent);
    let mut command = site.host.command(binary("teamrctl"));
    command.args(["team0", "watch", "--json"]);
    let mut watch = Process::start("watch", lab.folder(), command);
    let reported = |watch: &Process, kind: &str, text: &str| {
        let log = watch.log();
        let reports = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut reports = reports.filter(|report| report["kind"] == kind);
        reports.any(|report| report["text"].as_str().is_some_and(|found| found.contains(text)))
    };
    // The first state is a baseline: repeat the change until the watch has reported a later one.
    wait_until("the watch to see a port forbidden and allowed", || {
        for allowed in ["false", "true"] {
            site.team.ask(&format!("state item set ports.eth2.teamr.allowed {allowed}"));
        }
        reported(&watch, "allowed", "eth2 may carry traffic")
    });
    let designated = site.team.ask("state item get runner.designated_port");
    let designated = designated.trim_end();
    let cable = if designated == "eth1" { 0 } else { 1 };
    site.cables[cable].pull();
    wait_until("the watch to report the failover", || {
        reported(&watch, "forwarding", &format!("failover from {designated} decided"))
            && reported(&watch, "moved", "stations moved and were announced")
    });
    watch.kill();

    let other = if designated == "eth1" { "eth2" } else { "eth1" };
    let metrics = site.team.ask("metrics");
    for sample in [
        format!("teamr_info{{team=\"team0\",runner=\"slb\",data_path=\"{}\"}} 1", path.name()),
        format!("teamr_port_up{{team=\"team0\",port=\"{designated}\"}} 0"),
        format!("teamr_port_active{{team=\"team0\",port=\"{other}\"}} 1"),
    ] {
        assert!(metrics.lines().any(|line| line == sample), "{sample}\n{metrics}");
    }
}

on_own_data_paths! {
    watch_and_metrics_report_a_failover
}

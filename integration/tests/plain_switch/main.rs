//! A host with guests on two cables into one switch that knows nothing of a team.
//!
//! What goes wrong there with the runners that need an aggregate is shown first; then slb has to
//! do it right: nothing lost, nothing twice, no address that moves in the switch, both links
//! used. How long a guest is silent when a cable is pulled is judged by the packets lost.

mod balance;
mod doctor;
mod load;
mod news;
mod site;
mod slb;
mod tlb_alb;

use integration::{DataPath, Lab, Sharing, SwitchMoves};

use site::Site;

#[test]
fn runners_for_an_aggregate_fail_on_a_plain_switch() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    for runner in ["roundrobin", "random", "loadbalance", "activebackup"] {
        let site = Site::new(&lab, runner, DataPath::Userspace);
        let moves = SwitchMoves::watch(&site.switch);
        let (answered, twice, sent) = site.ping_all(5);
        let moved: u32 = moves.finish().values().sum();
        println!(
            "{runner}: {answered} of {sent} pings answered, {twice} answers twice, {moved} moves in the switch"
        );
        if runner == "activebackup" {
            assert_eq!((answered, twice, moved), (sent, 0, 0), "{runner}");
        } else {
            assert!(answered < sent || twice > 0 || moved > 0, "{runner}");
        }
    }
}

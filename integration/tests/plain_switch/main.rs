//! A host with guests on two cables into one switch without link aggregation.
//!
//! The runners that need aggregation fail there. slb must lose and duplicate no packet, move no
//! address in the switch, and use both links. The packets lost measure how long a guest is silent
//! when a cable is pulled.

mod balance;
mod doctor;
mod load;
mod reports;
mod site;
mod slb;
mod tlb_alb;

use integration::{DataPath, Lab, Sharing, SwitchMoves};

use site::Site;

#[test]
fn runners_that_need_aggregation_fail_on_a_plain_switch() {
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

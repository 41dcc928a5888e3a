//! slb loses and duplicates no packet, moves no address in the switch, and uses both links; also
//! when a link fails, after a crash and across data paths.
#![allow(clippy::disallowed_methods, reason = "a test lets real streams run")]

use std::collections::BTreeMap;
use std::thread::sleep;

use integration::traffic::{Pace, now};
use integration::{
    DataPath, Lab, Sharing, SwitchMoves, Teamr, in_virtual_time, on_own_data_paths, wait_until,
};

use crate::load::{Load, quiet};
use crate::site::{Site, config, data_path_in_use};

fn carries_guests_on_both_links(site: &Site, pace: Pace) {
    let moves = SwitchMoves::watch(&site.switch);
    let (answered, twice, sent) = site.ping_all(5);
    assert_eq!((answered, twice), (sent, 0));

    let before = site.bytes();
    let load = Load::start(site, pace);
    let until = now() + u64::try_from(quiet().as_nanos()).expect("a short time");
    while now() < until {
        let (answered, twice, sent) = site.ping_all(2);
        assert_eq!((answered, twice), (sent, 0));
        if pace == Pace::Gentle {
            // Pings take no virtual time.
            sleep(quiet() / 4);
        }
    }
    let after = site.bytes();
    for (what, trace) in load.finish() {
        assert!(
            trace.is_exact(),
            "{what}: lost {:?} of {}, {} twice",
            trace.lost(),
            trace.sent.len(),
            trace.duplicated()
        );
    }
    let crossed = [after[0] - before[0], after[1] - before[1]];
    let total: u64 = crossed.iter().sum();
    println!("bytes by link: {crossed:?}");
    for bytes in crossed {
        assert!(bytes * 10 > total * 3, "{crossed:?}");
    }
    assert_eq!(moves.finish(), BTreeMap::new(), "addresses moved in the switch");
}

fn moves_guests_when_a_link_goes_and_comes(site: &Site, pace: Pace) {
    let (answered, twice, sent) = site.ping_all(2);
    assert_eq!((answered, twice), (sent, 0));
    for cable in 0..2 {
        let load = Load::start(site, pace);
        let port = ["eth1", "eth2"][cable];
        let pulled = now();
        site.cables[cable].pull();
        site.team.wait_port(port, false);
        let known = now();
        let other = site.cables[1 - cable].far_interface();
        for guest in &site.guests {
            let hwaddr = guest.hwaddr("eth0");
            wait_until("the switch to find every guest on the other link", || {
                site.switch.has_learned(&hwaddr, other)
            });
        }
        let found = now();
        site.cables[cable].put_back();
        site.team.wait_port(port, true);
        let (answered, _, sent) = site.ping_all(2);
        assert_eq!(answered, sent, "with {port} again");
        for (what, trace) in load.finish() {
            let (packets, silence) = trace.longest_outage();
            println!("{port} pulled, {what}: {packets} lost in a row, {silence:?}");
            // Packets in flight at the pull may be lost, and packets sent until the team knew of
            // the pull; none when the cable is put back.
            let lost = trace.lost_outside(pulled.saturating_sub(100_000_000), known.max(found));
            assert!(lost.is_empty(), "{what}: lost {lost:?} of {}", trace.sent.len());
            assert_eq!(trace.duplicated(), 0, "{what}");
            let most = if pace == Pace::Full { 100 } else { 2 };
            assert!(packets <= most, "{what}: {packets} lost in a row");
        }
    }
    // Both links carry traffic again.
    let cables: Vec<usize> = (0..3).map(|guest| site.cable_of(guest)).collect();
    assert!(cables.contains(&0) && cables.contains(&1), "{cables:?}");
}

/// A crash, another daemon or another data path moves no guest to another link.
fn continues_after_a_crash(mut site: Site, path: DataPath, then: &[&str], pace: Pace) {
    let (answered, twice, sent) = site.ping_all(2);
    assert_eq!((answered, twice), (sent, 0));
    let moves = SwitchMoves::watch(&site.switch);
    let load = Load::start(&site, pace);
    let let_pass = |site: &Site| {
        let enough = if pace == Pace::Full { 3_000_000 } else { 60_000 };
        let until = site.bytes()[0] + enough;
        wait_until("traffic to pass", || site.bytes()[0] > until);
    };
    let_pass(&site);
    site.team.crash();
    site.team = Teamr::start_args(&site.host, &config("slb", path), &["-o"]);
    site.team.take_precedence();
    site.team.wait_ports_up(&["eth1", "eth2"]);
    let_pass(&site);
    for path in then {
        site.team.ask(&format!("state item set teamr.data_path {path}"));
        assert_eq!(data_path_in_use(&site.team), *path);
        let_pass(&site);
    }
    for (what, trace) in load.finish() {
        assert_eq!(trace.lost(), Vec::<u64>::new(), "{what}");
    }
    assert_eq!(moves.finish(), BTreeMap::new(), "addresses moved in the switch");
    // The second daemon removes at its end the rules of the first.
    site.team.stop();
    for port in ["eth1", "eth2"] {
        let left = site.host.run(&format!("tc qdisc show dev {port}"));
        assert!(!left.contains("clsact"), "{port}: {left}");
    }
}

#[test]
fn slb_continues_after_a_crash_and_across_data_paths() {
    on_a_site(DataPath::Programs, |site| {
        continues_after_a_crash(site, DataPath::Programs, &["relay", "programs"], Pace::Full);
    });
}

#[test]
fn slb_receives_each_frame_once_after_a_change_of_the_runner() {
    if let Some(lab) = Lab::open(Sharing::Alone) {
        let site = Site::new(&lab, "activebackup", DataPath::Programs);
        let file = site.host.folder().join("slb.json");
        let text = config("slb", DataPath::Programs).to_string();
        std::fs::write(&file, text).expect("write a configuration");
        site.team.ask(&format!("reload {}", file.display()));
        let (answered, twice, sent) = site.ping_all(5);
        assert_eq!((answered, twice), (sent, 0));
    }
}

/// The rules of the former runner end with the runner, also at a port that carries nothing yet.
#[test]
fn activebackup_fails_over_after_runners_that_balance_by_source() {
    if let Some(lab) = Lab::open(Sharing::Alone) {
        let site = Site::new(&lab, "slb", DataPath::Programs);
        let file = site.host.folder().join("next.json");
        for runner in ["slb", "activebackup", "alb", "activebackup"] {
            let text = config(runner, DataPath::Programs).to_string();
            std::fs::write(&file, text).expect("write a configuration");
            site.team.ask(&format!("reload {}", file.display()));
            if runner == "activebackup" {
                for active in ["eth2", "eth1"] {
                    site.team.ask(&format!("state item set runner.active_port {active}"));
                    let (answered, twice, sent) = site.ping_all(3);
                    assert_eq!((answered, twice), (sent, 0), "on {active}");
                }
            }
        }
    }
}

/// The kernel's driver, with eBPF programs that apply the rules.
#[test]
fn slb_works_on_the_kernel_driver() {
    in_virtual_time(|_| {
        on_a_site(DataPath::Kernel, |site| {
            carries_guests_on_both_links(&site, Pace::Gentle);
            moves_guests_when_a_link_goes_and_comes(&site, Pace::Gentle);
            continues_after_a_crash(site, DataPath::Kernel, &[], Pace::Gentle);
        });
    });
}

fn on_a_site(path: DataPath, case: impl FnOnce(Site)) {
    if let Some(lab) = Lab::open(Sharing::Alone) {
        case(Site::new(&lab, "slb", path));
    }
}

fn slb_carries_guests_on_both_links(path: DataPath) {
    on_a_site(path, |site| carries_guests_on_both_links(&site, Pace::Full));
}

fn slb_moves_guests_when_a_link_goes_and_comes(path: DataPath) {
    on_a_site(path, |site| {
        moves_guests_when_a_link_goes_and_comes(&site, Pace::Full);
    });
}

on_own_data_paths! {
    slb_carries_guests_on_both_links
    slb_moves_guests_when_a_link_goes_and_comes
}

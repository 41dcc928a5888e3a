//! Every `agg_select_policy`: which of two aggregators distributes.

use runners::{AggSelectPolicy, Event, LacpPortSettings, LacpSettings, PortId, PortSettings};

use crate::network::{Pair, fast, link, seconds};

/// A port of both teams: its key, which determines the aggregator, and the values that the policies
/// compare.
#[derive(Clone, Copy)]
struct Member {
    key: u16,
    lacp_prio: u16,
    speed: u32,
    prio: i32,
    sticky: bool,
}

const MEMBER: Member = Member { key: 1, lacp_prio: 255, speed: 1000, prio: 0, sticky: false };

fn pair(policy: AggSelectPolicy) -> Pair {
    let settings = || LacpSettings { agg_select_policy: policy, ..fast() };
    Pair::new([settings(), settings()], 1)
}

fn add(pair: &mut Pair, port: u32, member: Member) {
    for team in 0..2 {
        let lacp = LacpPortSettings {
            key: member.key,
            prio: member.lacp_prio,
            ..LacpPortSettings::default()
        };
        pair.add((team, port), lacp, link(member.speed));
        let known = pair.teams[team].port(PortId(port)).expect("the port");
        let settings =
            PortSettings { prio: member.prio, sticky: member.sticky, ..known.settings().clone() };
        let port = PortId(port);
        pair.handle(team, Event::PortSettingsChanged { port, settings });
    }
}

/// Returns the ports that distribute after all LACPDUs have arrived.
fn distributing(policy: AggSelectPolicy, members: &[Member]) -> Vec<u32> {
    let mut pair = pair(policy);
    for (port, member) in (0..).zip(members) {
        add(&mut pair, port, *member);
    }
    pair.run(seconds(6));
    assert_eq!(pair.distributing(0), pair.distributing(1), "{policy:?}");
    pair.distributing(0)
}

#[test]
fn each_policy_selects_its_best_aggregator() {
    use AggSelectPolicy::{ActorPortPrio, Bandwidth, Count, LacpPrio, LacpPrioStable, PortConfig};
    // Two slow ports, one with a prio, and a fast one with a better LACP priority.
    let slow = Member { lacp_prio: 200, ..MEMBER };
    let members = [
        Member { prio: 10, ..slow },
        slow,
        Member { key: 2, lacp_prio: 100, speed: 10_000, ..MEMBER },
    ];
    for (policy, ports) in [
        (LacpPrio, vec![2]),
        // The aggregator that was first.
        (LacpPrioStable, vec![0, 1]),
        (Bandwidth, vec![2]),
        (Count, vec![0, 1]),
        (PortConfig, vec![0, 1]),
        // 400 against 100: the lower value of a port does not count.
        (ActorPortPrio, vec![0, 1]),
    ] {
        assert_eq!(distributing(policy, &members), ports, "{policy:?}");
    }
    // A sticky port keeps its aggregator selected although another is better.
    for (sticky, ports) in [(true, vec![0, 1]), (false, vec![2])] {
        let mut members = members;
        members[0].sticky = sticky;
        members[2].prio = 20;
        assert_eq!(distributing(PortConfig, &members), ports, "sticky {sticky}");
    }
    // Without known speeds the number of ports decides.
    let unknown = members.map(|member| Member { speed: 0, ..member });
    assert_eq!(distributing(Bandwidth, &unknown), [0, 1]);
    let mut members = members;
    members[0].speed = 0;
    assert_eq!(distributing(Bandwidth, &members), [0, 1]);
    // Two ports against one with a higher sum; then equal sums, of one port and of two.
    for (lacp_prio, ports) in [(401, vec![2]), (400, vec![0, 1]), (399, vec![0, 1])] {
        let mut members = members;
        members[2].lacp_prio = lacp_prio;
        assert_eq!(distributing(ActorPortPrio, &members), ports, "{lacp_prio}");
    }
    // Among equal sums of as many ports, the bandwidth decides, if it is known.
    let equal = [1000, 10_000].map(|speed| Member { key: speed as u16, speed, ..MEMBER });
    assert_eq!(distributing(ActorPortPrio, &equal), [1]);
    assert_eq!(distributing(ActorPortPrio, &[Member { speed: 0, ..equal[0] }, equal[1]]), [0]);
    // Numbers compare as numbers, not low byte first.
    let wide = [200, 0x0100].map(|lacp_prio| Member { key: lacp_prio, lacp_prio, ..MEMBER });
    assert_eq!(distributing(LacpPrio, &wide), [0]);
}

//! What each finding means, for a reader who sees its name in a log or an alert.

/// The explanation of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Stable name of the finding.
    pub id: &'static str,
    /// Meaning and consequence.
    pub meaning: &'static str,
    /// Commands or places that show the cause, and the remedy.
    pub remedy: &'static str,
}

macro_rules! explanations {
    ($($id:literal: $meaning:literal, $remedy:literal;)+) => {
        /// The explanation of every finding, by name.
        pub const EXPLANATIONS: &[Explanation] =
            &[$(Explanation { id: $id, meaning: $meaning, remedy: $remedy },)+];
    };
}

/// Returns the explanation of the finding `id`.
pub fn explain(id: &str) -> Option<&'static Explanation> {
    EXPLANATIONS.iter().find(|explanation| explanation.id == id)
}

explanations! {
    "active-by-hand":
        "Runner activebackup: a port is active although another one with a link has the higher prio: \
         somebody chose the port, or failback_delay has not passed.",
        "teamrctl state item set runner.active_port PORT chooses a port; the choice ends when the \
         chosen port fails.";
    "address-twice":
        "Another interface has an IP address of the team device. The host may answer by that \
         interface, past the team.",
        "ip address shows both; remove one of them.";
    "arp-unvalidated":
        "The link watch arp_ping counts ARP of any host as an answer, so a port stays up while its \
         target is out of reach.",
        "Set validate_active and validate_inactive of the watch to true.";
    "bond-unmonitored":
        "A bond with miimon 0 and arp_interval 0 watches no link and sends on by a dead port.",
        "ip link set dev BOND type bond miimon 100; teamr always watches the links.";
    "bridge-bpdu-guard":
        "The bridge above the team disables its port when a BPDU of the switch arrives; the guests \
         then have no network.",
        "bridge link set dev TEAM guard off, or turn spanning tree off on the switch port.";
    "bridge-hairpin":
        "The bridge sends frames back out on the port that they came in on: hosts outside receive \
         their own broadcasts.",
        "bridge link set dev TEAM hairpin off.";
    "bridge-path-cost":
        "The bridge derives the cost of the team for the spanning tree from a speed that the ports \
         together do not have, so the tree may choose a slower way.",
        "bridge link set dev TEAM cost N, with the cost of the real speed.";
    "bridge-port-blocked":
        "The bridge above the team does not forward on the team device: spanning tree blocks the \
         port, or its forward delay has not passed.",
        "bridge link show dev TEAM; look for a second way into the same network.";
    "bridge-stp-delay":
        "After the team gets its carrier, the bridge waits twice its forward delay before a frame \
         passes, 30 s by default.",
        "Without a second way into the network: ip link set dev BRIDGE type bridge stp_state 0.";
    "broadcast-one-network":
        "Runner broadcast sends each frame on every port. The ports lead into one network, where each \
         frame arrives twice.",
        "Plug the ports into separate networks, or use the runner slb.";
    "config-mistake":
        "The configuration has a key or a value that the daemon does not use.",
        "teamr --check-config -f FILE names each mistake with its line.";
    "device-down":
        "The team device is administratively down, so no frame passes whatever the ports do.",
        "ip link set dev TEAM up; the tool that sets the address should do so at boot.";
    "device-unused":
        "The team device has no address, no VLAN and no bridge: nothing of the host uses the team.",
        "ip address add ADDRESS dev TEAM, or make the team device a bridge port.";
    "events-lost":
        "The kernel reported more changes of links than the daemon's socket holds. The daemon read \
         all links again, so nothing stays wrong, but a failover may have been late.",
        "Set TEAM_EVENT_BUFSIZE in the daemon's environment to a larger number of bytes.";
    "failback-waits":
        "Runner activebackup: a better port has a link, but its switch does not forward yet, as a \
         probe showed. The team stays on the present port until it does.",
        "Make the switch port an edge port of the spanning tree (portfast), or set failback_probe to \
         false.";
    "filters-removed":
        "Another program removed the filters by which the team moves frames. The daemon put them \
         back; frames in between were lost.",
        "The log has the interface and the time; keep that program off the ports.";
    "foreign-filter":
        "A filter of another program runs on a port before the team's, and may take frames away.",
        "tc filter show dev PORT ingress, and egress; bpftool net show dev PORT.";
    "frames-dropped":
        "Frames could not be sent on a port: its queue was full, or its link was lost at that moment.",
        "Watch tx_dropped of the port: a number that grows means a link that is too slow.";
    "frames-missed":
        "Data path relay: frames arrived faster than the daemon took them.",
        "Use the data path kernel or programs, or give the daemon more processor time.";
    "frames-undescribed":
        "Data path relay: the kernel has no virtio-net header for frames that it has merged, such as \
         datagrams before Linux 6.2. The first lost frame makes the daemon switch the merging off on the \
         port. A port that is a veth also receives bursts that the other end has not segmented, which no \
         setting of the port changes.",
        "ethtool -K INTERFACE tx-udp-segmentation off at the other end of the veth, or the data path \
         programs, or Linux 6.2; teamr.rx_drop_errors counts the lost frames as EINVAL.";
    "gate-closed":
        "The gate of a port is closed: a program or a user keeps the port out of forwarding.",
        "teamrctl state item set ports.PORT.gate true, or with lacp ports.PORT.runner.macsec_gate true.";
    "guests-on-plain-switch":
        "The runner needs an aggregate on the switch, and the switch has none. The switch sends each \
         flooded frame back on the other ports, and the bridge above the team takes its own guests \
         for hosts outside: guests lose their network for seconds at a time.",
        "Use the runner slb, which needs nothing of the switch, or configure an aggregate there.";
    "half-duplex":
        "A link is half duplex: one end is fixed and the other negotiates. Frames collide, and lacp \
         leaves the port out.",
        "ethtool PORT; let both ends negotiate, or set both alike.";
    "hash-by-address":
        "tx_hash reads hardware addresses alone. All that goes through one router has the router's \
         address and leaves on one port.",
        "Add l3 and l4 to runner.tx_hash; teamrctl hash shows the port of a flow.";
    "hash-of-nothing":
        "tx_hash is empty, so all frames are of one flow and leave on one port.",
        "Leave runner.tx_hash out, or name fields, such as eth, l3 and l4.";
    "hwaddr-refused":
        "An interface refuses the team's hardware address, as a virtual function or a hypervisor \
         without MAC spoofing does. The port carries nothing.",
        "Let the driver or the hypervisor permit the address, or use runner activebackup with \
         hwaddr_policy by_active.";
    "hwaddr-twice":
        "Another interface has the hardware address of the team device. The switch sees one station \
         at two places.",
        "Set hwaddr of the team, or the address of the other interface.";
    "ingress-qdisc":
        "A port has an ingress qdisc of another program. The filters of the team take the place of \
         clsact, and the host may send by the port.",
        "tc qdisc show dev PORT; use clsact, and police on the team device.";
    "lacp-kept-alive":
        "The daemon was away or late, and the kernel answered the partner's LACPDUs in its place. The \
         aggregate lost nothing; changes of the network had no effect meanwhile.",
        "journalctl -u teamr@TEAM; teamrctl state -v shows the answers of each port; runner.keepalive is \
         their limit.";
    "lacp-keys-unlike":
        "The switch has the ports in one group, and the configuration gives one of them another \
         lacp_key. Only ports with one key form an aggregate, so this port stays out.",
        "Give all ports of the aggregate the same lacp_key, or remove the key from all of them.";
    "lacp-no-partner":
        "A port with a link receives no LACPDU: LACP is off at the other end, or something on the \
         way drops LACPDUs.",
        "Turn LACP on for the switch port, active if the team is passive; tcpdump -i PORT ether proto \
         0x8809.";
    "lacp-not-selected":
        "A port has a partner and is not in the aggregate that carries traffic: its speed, duplex or \
         key differs, or the switch has the port in another group.",
        "teamrctl state -v shows both ends side by side.";
    "lacp-partner-keys-unlike":
        "The switch has the ports of this team in different groups. One group alone carries traffic.",
        "Put the switch ports into one group (port-channel, LAG, ae, bond).";
    "lacp-partner-silent":
        "LACPDUs came in on a port, and have stopped, while its link is up: the path carries frames in \
         one direction alone or in none, or the switch has turned LACP off. The port is out of the \
         aggregate.",
        "Check the cable and the transceivers in both directions, and what is in between; \
         tcpdump -i PORT ether proto 0x8809.";
    "lacp-partner-slow":
        "The team asks for a LACPDU each second, and the partner sends one in 30 s. The port times \
         out and returns again and again.",
        "Set the switch to the fast rate (short timeout), or runner.fast_rate to false.";
    "lacp-partners-unlike":
        "The ports lead to different switches, which are no aggregate together. One of them alone \
         carries traffic.",
        "Plug all ports into one switch, or into switches that act as one (MLAG, vPC, stack).";
    "link-delayed":
        "A link is up, and delay_up of its watch has not passed.",
        "Wait, or lower link_watch.delay_up.";
    "link-flaps":
        "A link went down several times since the daemon started.",
        "Change the cable or the transceiver; damping keeps a bad link out. teamrctl watch shows each \
         change.";
    "min-ports-too-many":
        "min_ports asks for more ports than the configuration has: the team never gets a carrier.",
        "Lower runner.min_ports, or add ports.";
    "min-ports-unmet":
        "Fewer ports than min_ports have a link, so the team has no carrier and nothing passes.",
        "Bring more links up, or lower runner.min_ports.";
    "mtu-below-bridge":
        "The bridge has a larger MTU than the team device and drops larger frames without a word.",
        "ip link set dev TEAM mtu N; the ports follow.";
    "mtu-unlike":
        "A port has another MTU than the team device: long frames are lost on some ports only.",
        "Set the MTU of the team device anew; its ports follow.";
    "network-loop":
        "A frame that a port sends comes back on the same port: the network has a loop.",
        "Find the two cables or switch ports that make a ring, or turn spanning tree on.";
    "no-delay-up":
        "Runner slb moves guests to a port at once when its link comes up, while a switch may need \
         seconds before it forwards.",
        "Set link_watch.delay_up to longer than the switch takes, such as 1000 ms.";
    "no-link":
        "No port has a link, so the team has no carrier.",
        "Check the cables and the switch; ethtool PORT.";
    "no-ports":
        "The team has no port.",
        "Name interfaces under ports, or teamrctl port add INTERFACE.";
    "one-card":
        "All ports are on one network card, and fail with it.",
        "Use ports of two cards.";
    "one-lower":
        "Several ports stand on one interface, and fail together.",
        "Use ports on cables of their own.";
    "one-numa-node":
        "All ports are on one NUMA node; the other nodes reach them through it.",
        "Use cards on different nodes where the load is on all of them.";
    "one-port":
        "The team has one port: nothing takes over when its link goes.",
        "Add a second port.";
    "own-addresses-return":
        "The bridge above the team learned an address of its own guest on the team device: frames of \
         the guest come back from the network.",
        "Use the runner slb, which drops such frames, or look for a loop in the network.";
    "plain-switch":
        "The runner needs an aggregate on the switch, and a probe on one port came in on another: the \
         switch has none. Stations move between its ports, and frames arrive twice.",
        "Configure an aggregate on the switch, or use the runner slb or activebackup.";
    "port-corrupting":
        "Many frames come in damaged on a port, and its link watch errors keeps the port out, unless \
         too few others could carry.",
        "Clean or change the cable and the transceiver, at both ends; ethtool -S PORT counts the \
         frames.";
    "port-drained":
        "A port is drained: it carries nothing until the drain ends.",
        "teamrctl port undrain PORT.";
    "port-forbidden":
        "A user keeps a port out of forwarding.",
        "teamrctl state item set ports.PORT.teamr.allowed true.";
    "port-missing":
        "A configured port is not in the team: its interface does not exist, is up, or has another \
         master.",
        "ip link show PORT; ip link set PORT down; teamrctl port add PORT.";
    "port-qdisc":
        "A port has a queueing discipline with classes. Data paths programs and relay do not pass the \
         priority and the mark of a packet to the port.",
        "Put the discipline on the team device, or classify by DSCP or VLAN priority.";
    "port-suppressed":
        "Damping keeps a port out because its link was lost too often.",
        "Change the cable or the transceiver; a link that stays up lets the port in again.";
    "port-with-address":
        "A port has an IP address itself. The host sends by the port, past the team.",
        "ip address flush dev PORT, and give the address to the team device.";
    "port-without-link":
        "A port has no carrier while another one has: the team has fewer ports left for a failover.",
        "Check the cable and the switch port; ethtool PORT; ethtool --identify PORT makes its LED blink.";
    "ptp-on-port":
        "A program uses PTP on a port itself, and data paths programs and relay keep the host off the \
         ports.",
        "Run the program on the team device, have it use 01:80:C2:00:00:0E, or use the data path \
         kernel.";
    "relay-in-use":
        "Every frame passes through the daemon, because the programs do not work here.",
        "teamrctl status names the cause; remove it, or set data_path to relay to accept the cost. \
         \"Operation not permitted\" in a container: give it CAP_BPF, or let the host run the team.";
    "separate-networks":
        "No probe of a port reached another port. The runner needs all ports in one network; they \
         lead into different networks or VLANs, or into an aggregate.",
        "Plug all ports into one network as plain ports, without an aggregate.";
    "speed-unlike":
        "The ports have different speeds. Under a runner that spreads frames the slowest port limits \
         each flow on it; lacp leaves the slower ports out.",
        "ethtool PORT; use equal links.";
    "virtual-port":
        "A port stands on another interface and may not lose its carrier when the cable is pulled.",
        "Watch it with arp_ping or nsna_ping, or use the interface below it.";
    "watch-no-partner":
        "A port has a link, and its watch lacp finds no partner that collects and distributes.",
        "At the switch, put each port alone into an aggregate of its own, with LACP in active mode. \
         teamrctl state names the reason in teamr.lacp.why of the port.";
    "watch-unanswered":
        "A port has a link, and the target of its link watch does not answer by it.",
        "Check that target_host is alive and in this network or VLAN, and that no firewall, rp_filter \
         or arp_ignore keeps it from answering.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_explanations_are_sorted_sentences() {
        assert!(EXPLANATIONS.is_sorted_by_key(|explanation| explanation.id));
        for Explanation { id, meaning, remedy } in EXPLANATIONS {
            for text in [meaning, remedy] {
                assert!(text.ends_with('.') && !text.contains("  "), "{id}: {text}");
            }
            assert_eq!(explain(id).map(|found| found.id), Some(*id));
        }
        assert_eq!(explain("nothing"), None);
    }
}

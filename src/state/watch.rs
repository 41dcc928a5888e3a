//! The link watches of a port.

use serde_json::Value;

use super::definition::{
    Field, Form, Member, Members, Object, OrEmpty, Part, Unit, object, state_objects,
};

state_objects! {
    pub struct LinkWatches: "The link watches of a port." {
        list: Members<Watch>, "Each watch, by link_watch_ and the watch's number.";
        up: bool [gauge("teamr_port_up")], "Whether the watches together say that the link is up.";
    }

    pub struct Watch: "A link watch." {
        name: String, "Kind of the watch: ethtool, arp_ping, nsna_ping, probe, tipc, errors, bfd or lacp.";
        up: bool, "Whether the watch says that the link is up.";
        down_count: i64 [counter("teamr_port_down_total")], "Times that the watch went down.";
        delay_up: i64 [unit(Unit::Milliseconds)],
            "Watch ethtool: time before a link that came up counts.";
        delay_down: i64 [unit(Unit::Milliseconds)],
            "Watch ethtool: time before a link that was lost counts.";
        interval: i64 [unit(Unit::Milliseconds)],
            "Watches arp_ping, nsna_ping and probe: time between two requests. Watch errors: time between two \
             readings of the counters. Watch bfd: time between two packets that the configuration asks for.";
        init_wait: i64 [unit(Unit::Milliseconds)],
            "Watches arp_ping, nsna_ping and probe: time before the first request.";
        missed_max: i64,
            "Watches arp_ping, nsna_ping and probe: intervals in a row without a reply that are borne.";
        missed: i64,
            "Watches arp_ping, nsna_ping and probe: intervals in a row without a reply until now.";
        target_host: String,
            "Watches arp_ping and nsna_ping: address of the host that is asked; its name as long \
             as the address is unknown.";
        source_host: String, "Watch arp_ping: source address of the requests.";
        validate_active: bool, "Watch arp_ping: whether an active port checks what it receives.";
        validate_inactive: bool,
            "Watch arp_ping: whether an inactive port checks what it receives.";
        send_always: bool, "Watch arp_ping: whether inactive ports send requests.";
        tipc_bearer: String, "Watch tipc: bearer of the link.";
        teamr: WatchItems, "Items that teamd lacks.";
    }

    pub struct WatchItems: "Items of a link watch that teamd lacks." {
        last_probe_ms_ago: u64 [unit(Unit::Milliseconds)],
            "Time since the last request; absent before the first.";
        last_answer_ms_ago: u64 [unit(Unit::Milliseconds)],
            "Time since the last reply that counts; absent before the first.";
        error_ratio: u64 [unit(Unit::Millionths), gauge("teamr_port_corrupted_ratio")],
            "Watch errors: share of corrupted frames among those that were judged last.";
        local_address: String, "Watch bfd: address that packets come from.";
        peer_address: String, "Watch bfd: address of the peer.";
        bfd: Bfd, "Session of the watch bfd.";
        probe: Probe, "Requests of the watch probe.";
        partner_system: String,
            "Watch lacp: System ID of the partner; absent without one. The other items of LACP are in \
             the port's teamr.lacp.";
        partner_key: u64, "Watch lacp: key of the partner's aggregate.";
        partner_port: u64, "Watch lacp: port number of the partner.";
        hold_ends_in: u64 [unit(Unit::Milliseconds)],
            "Watch errors: time until the watch goes up if no more corrupted frames arrive; 0 while it \
             is up.";
        retry_interval: i64 [unit(Unit::Milliseconds)],
            "Watches arp_ping and nsna_ping: time between two requests after one without a reply; \
             absent without retries.";
        vlanid: u64, "VLAN of arp_ping and probe; absent without one.";
        obstacle: String,
            "Why the watch cannot work, such as a name without an address, a missing link-local \
             address or a kernel without TIPC; absent if the watch works.";
    }

    pub struct Probe: "The requests of a watch probe." {
        group: u64, "Group of the ports that answer each other; 0 for the ports of this team.";
        sent: u64 [counter("teamr_port_probe_sent_total")], "Requests sent.";
        answered: u64 [counter("teamr_port_probe_answered_total")], "Requests that were answered.";
        loss_ratio: u64 [unit(Unit::Millionths), gauge("teamr_port_probe_loss_ratio")],
            "Share of the last 128 requests without a reply; absent before the first request had time for \
             a reply.";
        latency: u64 [unit(Unit::Microseconds), gauge("teamr_port_probe_latency_seconds")],
            "Time from the last answered request to its reply, the delays of both daemons included; absent \
             before the first reply.";
        max_latency: u64 [unit(Unit::Microseconds), gauge("teamr_port_probe_max_latency_seconds")],
            "Longest such time of the last 128 requests; absent without a reply to them.";
        replier: String, "Hardware address of the team that replied last; absent before the first reply.";
    }

    pub struct Bfd: "The session of a watch bfd (RFC 5880)." {
        state: String, "State of the session: AdminDown, Down, Init or Up.";
        remote_state: String, "State of the peer's session; Down without one.";
        diagnostic: u64, "Why the session changed last, as RFC 5880 numbers the reasons.";
        transmit_interval: u64 [unit(Unit::Microseconds)],
            "Time between two packets to the peer, before jitter; 0 if the peer wants none.";
        detection_time: u64 [unit(Unit::Microseconds)],
            "Time without a packet after which the peer counts as lost; 0 without a peer.";
        max_delay: u64 [unit(Unit::Microseconds), gauge("teamr_port_bfd_max_delay_seconds")],
            "Greatest delay of a packet behind its time since the session began.";
        sent: u64 [counter("teamr_port_bfd_sent_total")], "Packets sent.";
        received: u64 [counter("teamr_port_bfd_received_total")], "Packets received.";
    }
}

impl Member for Watch {
    const PLACEHOLDER: &'static str = "link_watch_N";
    const OBJECT: &'static Object = &Watch::OBJECT;

    fn kind(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

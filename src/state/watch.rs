//! The link watches of a port.

use serde_json::Value;

use super::definition::{
    Field, Form, Member, Members, Object, OrEmpty, Part, Unit, object, state_objects,
};

state_objects! {
    /// The link watches of a port.
    pub struct LinkWatches {
        /// Each watch, by link_watch_ and the watch's number.
        list: Members<Watch>,
        /// Whether the watches together say that the link is up.
        up: bool [gauge("teamr_port_up")],
    }

    /// A link watch.
    pub struct Watch {
        /// Kind of the watch: ethtool, arp_ping, nsna_ping or tipc.
        name: String,
        /// Whether the watch says that the link is up.
        up: bool,
        /// Times that the watch went down.
        down_count: i64 [counter("teamr_port_down_total")],
        /// Watch ethtool: time before a link that came up counts.
        delay_up: i64 [unit(Unit::Milliseconds)],
        /// Watch ethtool: time before a link that was lost counts.
        delay_down: i64 [unit(Unit::Milliseconds)],
        /// Watches arp_ping and nsna_ping: time between two requests.
        interval: i64 [unit(Unit::Milliseconds)],
        /// Watches arp_ping and nsna_ping: time before the first request.
        init_wait: i64 [unit(Unit::Milliseconds)],
        /// Watches arp_ping and nsna_ping: intervals in a row without a reply that are borne.
        missed_max: i64,
        /// Watches arp_ping and nsna_ping: intervals in a row without a reply until now.
        missed: i64,
        /// Watches arp_ping and nsna_ping: address of the host that is asked; its name as long as
        /// the address is unknown.
        target_host: String,
        /// Watch arp_ping: source address of the requests.
        source_host: String,
        /// Watch arp_ping: whether an active port checks what it receives.
        validate_active: bool,
        /// Watch arp_ping: whether an inactive port checks what it receives.
        validate_inactive: bool,
        /// Watch arp_ping: whether inactive ports send requests.
        send_always: bool,
        /// Watch tipc: bearer of the link.
        tipc_bearer: String,
        /// Items that teamd lacks.
        teamr: WatchItems,
    }

    /// Items of a link watch that teamd lacks.
    pub struct WatchItems {
        /// Time since the last request; absent before the first.
        last_probe_ms_ago: u64 [unit(Unit::Milliseconds)],
        /// Time since the last reply that counts; absent before the first.
        last_answer_ms_ago: u64 [unit(Unit::Milliseconds)],
        /// VLAN of arp_ping; absent without one.
        vlanid: u64,
        /// Why the watch cannot work, such as a name without an address, a missing link-local
        /// address or a kernel without TIPC; absent if the watch works.
        obstacle: String,
    }
}

impl Member for Watch {
    const PLACEHOLDER: &'static str = "link_watch_N";
    const OBJECT: &'static Object = &Watch::OBJECT;
}

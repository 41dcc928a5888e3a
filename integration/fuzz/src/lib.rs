//! Properties that hold for any bytes from outside, one function for each decoder.
//!
//! The fuzz targets call these functions, and an ordinary test passes the corpus and changed copies
//! of the corpus to them.

mod files;

pub use files::{bond, recording, state_files};

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use json_config::{Config, KeyPath};
use runners::wire::bfd;
use runners::wire::lacpdu::{LACP_SUBTYPE, Lacpdu, PortInfo, StateBits};
use runners::wire::marker::{MARKER_SUBTYPE, Marker};
use runners::wire::{Ethernet, SLOW_PROTOCOLS_GROUP, ethertype};
use runners::{
    ArpPingSettings, BfdSession, BfdSettings, Duplex, Event, HashFields, Host, HwAddr, Instant,
    LacpPortSettings, LacpSettings, LacpStatus, Link, LinkWatch, LinkWatchSettings,
    NsnaPingSettings, PortId, PortSettings, ProbeSettings, Probing, RunnerSettings, Selector, Team,
    TeamSettings,
};
use serde_json::{Value, json};
use teamr::client::hash::capture::{self, Frame};
use teamr::control::config_answer::ConfigAnswer;
use teamr::control::dbus::message::{self, Message};
use teamr::control::{Failure, ItemPath, TeamControl, protocol};
use teamr::netlink::address::InterfaceAddress;
use teamr::netlink::link::{LinkEvent, LinkInfo};
use teamr::netlink::message::Messages;
use teamr::netlink::{fdb, sock_diag, tc, team};
use teamr::snmp::lag::Tables;
use teamr::snmp::pdu::{self, Header, Received};
use teamr::state::{Part, State};
use teamr::teamnl::value;

/// Checks a configuration: it is parsed, or refused with a path; a parsed configuration survives
/// its dump.
pub fn config(bytes: &[u8]) {
    let problems = json_config::check(bytes);
    match Config::parse(bytes) {
        Ok(config) => {
            let dump = config.dump();
            let again = Config::parse(dump.as_bytes()).expect("a dump is read again");
            assert_eq!(again.dump(), dump);
            // What runs on defaults, or does not run, must not pass the strict check either.
            let sound = config.warnings().is_empty() && config.team(0).is_ok();
            assert!(sound || !problems.is_empty());
        }
        Err(error) => {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            assert!((1..=lines + 1).contains(&error.line), "{error}");
            assert!(!problems.is_empty());
        }
    }
    let mut config = Config::empty();
    let before = config.dump();
    if config.update_port("eth0", bytes).is_err() {
        assert_eq!(config.dump(), before);
    }
}

/// Checks a frame: the fast selector agrees with its definition, and link watches and BFD sessions
/// accept only valid messages.
pub fn frame(bytes: &[u8]) {
    watched(bytes);
    bfd_sessions(bytes);
    for fields in [
        HashFields::NONE,
        HashFields::ETH | HashFields::IPV4 | HashFields::IPV6,
        HashFields::IPV4 | HashFields::IPV6 | HashFields::TCP | HashFields::UDP,
        HashFields::VLAN | HashFields::SCTP,
    ] {
        let bucket = Selector::new(fields).bucket(bytes);
        assert_eq!(bucket, Selector::defined_bucket(fields, bytes));
    }
}

/// Checks that a frame brings up only a watch of its own message type and VLAN.
fn watched(bytes: &[u8]) {
    let probing = Probing {
        interval: Duration::from_secs(1),
        init_wait: Duration::ZERO,
        missed_max: 3,
        retry_interval: None,
    };
    let arp = |vlanid| {
        LinkWatchSettings::ArpPing(ArpPingSettings {
            probing,
            target_host: host(Ipv4Addr::new(192, 0, 2, 1)),
            source_host: None,
            vlanid,
            validate_active: false,
            validate_inactive: false,
            send_always: false,
        })
    };
    let nsna = LinkWatchSettings::NsnaPing(NsnaPingSettings {
        probing,
        target_host: host(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
    });
    let probe = LinkWatchSettings::Probe(ProbeSettings {
        probing: Probing { init_wait: Duration::from_secs(1), ..probing },
        group: 0,
        vlanid: None,
    });
    let mut team = Team::new(TeamSettings::new(RunnerSettings::Broadcast), HwAddr::default());
    let port = PortId(1);
    let added = Event::PortAdded {
        port,
        name: "eth1".to_owned(),
        hwaddr: HwAddr([2, 0, 0, 0, 0, 1]),
        link: Link { up: true, ..Link::default() },
        settings: PortSettings {
            link_watches: vec![arp(None), arp(Some(5)), nsna, probe],
            ..PortSettings::default()
        },
        adopted: false,
    };
    team.handle(Instant::ZERO, added);
    let frame = bytes.to_vec();
    team.handle(Instant::ZERO, Event::FrameReceived { port, frame });
    let watches = team.port(port).map_or(&[][..], |port| port.watches());
    let up: Vec<bool> = watches.iter().map(LinkWatch::is_up).collect();
    let ethernet = Ethernet::parse(bytes);
    let kind = ethernet.map(|ethernet| (ethernet.ethertype, ethernet.vlan_ids));
    match kind {
        Some((ethertype::ARP, 0)) => assert_eq!(up[1..], [false; 3]),
        Some((ethertype::ARP, vlan)) if vlan == 5 << 48 => {
            assert_eq!((up[0], &up[2..]), (false, &[false; 2][..]));
        }
        Some((ethertype::IPV6, 0)) => assert_eq!((&up[..2], up[3]), (&[false; 2][..], false)),
        // The watch probe has sent no request, so no frame is a reply.
        _ => assert_eq!(up, [false; 4]),
    }
}

/// Checks that only a frame with a packet of its peer changes a session, which goes on to have a
/// deadline in the future.
fn bfd_sessions(bytes: &[u8]) {
    let now = Instant::from_nanos(1_000_000);
    let packet = bfd::parse(bytes);
    for single_hop in [false, true] {
        let settings = BfdSettings {
            single_hop,
            local: Ipv4Addr::new(10, 0, 0, 1).into(),
            peer: Ipv4Addr::new(10, 0, 0, 2).into(),
            interval: Duration::from_millis(10),
            multiplier: 3,
        };
        let mut session = BfdSession::new(settings, (HwAddr([2, 0, 0, 0, 0, 1]), 0), Instant::ZERO);
        session.expire(now, now);
        let before = session.status();
        session.receive(now, bytes);
        let is_peers = packet.is_some_and(|(from, _)| from.ips == (settings.peer, settings.local));
        assert!(is_peers || session.status() == before);
        assert!(session.next_deadline().is_some_and(|due| due > now));
        if let Some((addresses, control)) = packet {
            let again = bfd::frame(&addresses, control).and_then(|frame| bfd::parse(&frame));
            assert_eq!(again, Some((addresses, control)));
        }
    }
}

/// Checks a frame on one of two ports of a working lacp team: an LACPDU or a marker PDU is counted
/// as such; a malformed or foreign frame changes nothing else.
pub fn lacp(bytes: &[u8]) {
    let (mut team, now) = carrying();
    let before = team.lacp_status(now).expect("lacp");
    let port = PortId(1);
    let frame = bytes.to_vec();
    team.handle(now, Event::FrameReceived { port, frame });
    let actions = std::iter::from_fn(|| team.poll_action()).count();
    let after = team.lacp_status(now).expect("lacp");

    let ethernet = Ethernet::parse(bytes).filter(|ethernet| {
        ethernet.ethertype == ethertype::SLOW_PROTOCOLS
            && ethernet.vlan_ids == 0
            && ethernet.addresses.starts_with(&SLOW_PROTOCOLS_GROUP.0)
    });
    let payload = ethernet.map_or(&[][..], |ethernet| ethernet.payload);
    let mut counted = before.clone();
    let counters = &mut counted.ports[0].counters;
    let is_counted = match payload.first() {
        Some(&LACP_SUBTYPE) => match Lacpdu::parse(payload) {
            Some(_) => {
                counters.received += 1;
                true
            }
            None => {
                counters.malformed += 1;
                false
            }
        },
        Some(&MARKER_SUBTYPE) => match Marker::parse(payload) {
            // An unsolicited Marker Response.
            Some(marker) if marker.response => false,
            Some(_) => {
                counters.markers += 1;
                true
            }
            None => {
                counters.malformed += 1;
                false
            }
        },
        Some(_) | None => false,
    };
    if is_counted {
        let of = |status: &LacpStatus| {
            let counters = status.ports[0].counters;
            (counters.received, counters.malformed, counters.markers)
        };
        assert_eq!(of(&after), of(&counted));
        // No panic and no endless loop when the received information expires.
        for _ in 0..100 {
            let Some(next) = team.next_deadline() else {
                break;
            };
            team.handle(next, Event::DeadlineReached);
            assert!(team.next_deadline().is_none_or(|later| later > next));
            while team.poll_action().is_some() {}
        }
    } else {
        assert_eq!((after, actions), (counted, 0));
    }
}

/// Returns a team whose ports 1 and 2 collect and distribute, and a time without due deadlines.
fn carrying() -> (Team, Instant) {
    let settings = TeamSettings::new(RunnerSettings::Lacp(LacpSettings::default()));
    let mut team = Team::new(settings, HwAddr([2, 0, 0, 0, 1, 0]));
    let ports = [1, 2].map(PortId);
    for port in ports {
        let added = Event::PortAdded {
            port,
            name: format!("eth{}", port.0),
            hwaddr: HwAddr([2, 0, 0, 0, 1, 1]),
            link: Link { up: true, speed: 1000, duplex: Duplex::Full },
            settings: PortSettings {
                lacp: LacpPortSettings { number: port.0 as u16, ..LacpPortSettings::default() },
                ..PortSettings::default()
            },
            adopted: true,
        };
        team.handle(Instant::ZERO, added);
    }
    let actors = team.lacp_status(Instant::ZERO).expect("lacp").ports;
    for port in actors {
        let partner =
            PortInfo { system: HwAddr([2, 0, 0, 0, 2, 0]), state: StateBits(0x3d), ..port.actor };
        let frame = Lacpdu::new(partner, port.actor, None).frame(partner.system);
        let port = port.port;
        team.handle(Instant::ZERO, Event::FrameReceived { port, frame });
    }
    let now = Instant::ZERO + Duration::from_millis(500);
    while team.next_deadline().is_some_and(|next| next <= now) {
        team.handle(team.next_deadline().unwrap_or(now), Event::DeadlineReached);
    }
    while team.poll_action().is_some() {}
    let status = team.lacp_status(now).expect("lacp");
    assert!(status.ports.iter().all(|port| port.cause.is_none()), "{status:?}");
    (team, now)
}

fn host<A: ToString>(address: A) -> Host<A> {
    Host { name: address.to_string(), address: Some(address) }
}

/// Checks netlink datagrams, well formed or not.
pub fn netlink(bytes: &[u8]) {
    for message in Messages(bytes) {
        assert!(message.payload.len() <= bytes.len());
        let _ = (message.error(), message.is_done());
        if let (Some(event), Some(info)) = (LinkEvent::parse(&message), LinkInfo::parse(&message)) {
            assert_eq!((event.ifindex, event.name), (info.ifindex, info.name));
        }
        let _ = InterfaceAddress::parse(&message);
        let _ = (tc::Filter::parse(&message), tc::changed(&message));
        let _ = (fdb::parse(&message), sock_diag::user_if_named(&message, b"teamr/team0"));
        // Family and device of the recorded messages.
        let _ = team::parse(28, 4, &message);
    }
}

/// Checks a request on the control socket: the reply has one of the known forms, or there is none.
pub fn control(bytes: &[u8]) {
    if let Some(reply) = protocol::answer(bytes, &mut Canned) {
        assert!(reply.starts_with(b"REPLY_SUCCESS\n") || reply.starts_with(b"REPLY_ERROR\n"));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(path) = ItemPath::parse(text) {
            let _ = path.look_up(&Canned.state());
        }
    }
}

/// Checks a D-Bus message: a decoded message survives its encoding, and its header alone decodes to
/// the same.
pub fn dbus(bytes: &[u8]) {
    let _ = message::size(bytes);
    let Ok(decoded) = Message::decode(bytes) else {
        let _ = Message::decode_header(bytes);
        return;
    };
    let encoded = decoded.encode();
    assert_eq!(Message::decode(&encoded), Ok(decoded.clone()));
    assert_eq!(message::is_signal(&encoded), message::is_signal(bytes));
    let header = Message { body: Vec::new(), ..decoded };
    assert_eq!(Message::decode_header(bytes), Ok(header));
}

/// Checks a PDU of an AgentX master: the answer has a limit, or as many bindings as the request has
/// ranges.
pub fn agentx(bytes: &[u8]) {
    const MOST: usize = 1024;
    let Some((header, payload)) = bytes.split_first_chunk() else {
        return;
    };
    let received = Header::parse(header).and_then(|header| header.read(payload));
    let Some(Received::Request(request)) = received else {
        return;
    };
    let mut tables = Tables::default();
    let end = json!({"system": "02:00:00:00:00:01", "key": 1});
    let port = json!({"ifinfo": {"ifindex": 9}, "runner": {"actor_lacpdu_info": end}});
    let device = json!({"ifinfo": {"ifindex": 4}});
    let state = json!({"team_device": device, "ports": {"eth1": port}});
    let state = State::read(&state).expect("a state");
    tables.update(&[state], 1);
    if let Some(Ok(bindings)) = tables.tree().answer(&request) {
        assert!(bindings.len() <= MOST.max(payload.len() / 8), "{}", bindings.len());
        assert_eq!(pdu::response(0, &bindings).len() % 4, 0);
    }
}

/// Checks a capture file: its frames are parts of the file.
pub fn capture(bytes: &[u8]) {
    if let Ok(capture) = capture::read(bytes) {
        let length: usize = capture
            .frames
            .iter()
            .map(|frame| match frame {
                Frame::Ethernet(bytes) => bytes.len(),
                Frame::Other(_) => 0,
            })
            .sum();
        assert!(length <= bytes.len());
    }
}

/// Checks a value on teamrnl's command line: a parsed value has a text that is parsed as the same
/// value.
pub fn teamnl(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let types = [
        team::Value::U32(0),
        team::Value::S32(0),
        team::Value::Bool(false),
        team::Value::Text(String::new()),
        team::Value::Binary(Vec::new()),
    ];
    for like in &types {
        if let Ok(parsed) = value::parse(text, like) {
            let again = value::parse(&value::show(&parsed), like);
            assert_eq!(again.expect("a shown value is parsed again"), parsed);
        }
    }
}

/// A team that answers every request.
struct Canned;

impl TeamControl for Canned {
    fn config_dump(&self) -> String {
        "{}".to_owned()
    }

    fn config_dump_actual(&self) -> String {
        "{}".to_owned()
    }

    fn port_config_dump(&self, port: &str) -> Result<String, Failure> {
        Ok(format!("{{\"{}\": {{}}}}", port.len()))
    }

    fn port_config_update(&mut self, port: &str, config: &str) -> Result<(), Failure> {
        let updated = Config::empty().update_port(port, config.as_bytes());
        updated.map_err(|_| Failure::ConfigUpdateFail)
    }

    fn port_add(&mut self, _: &str) -> Result<(), Failure> {
        Err(Failure::PortAddFail)
    }

    fn port_remove(&mut self, _: &str) -> Result<(), Failure> {
        Err(Failure::NoSuchDev)
    }

    fn port_drain(&mut self, _: &str, _: bool) -> Result<(), Failure> {
        Err(Failure::NoSuchDev)
    }
    fn port_undrain(&mut self, _: &str) -> Result<(), Failure> {
        Err(Failure::NoSuchDev)
    }
    fn state(&self) -> Value {
        json!({"runner": {"active_port": "eth1"}, "ports": {"eth1.5": {"link": {"up": true}}}})
    }

    fn recording(&self) -> Value {
        json!({})
    }

    fn frame_ports(&self, frames: &[Vec<u8>]) -> Value {
        frames.iter().map(Vec::len).collect()
    }

    fn config_diff(&mut self, _: &str) -> ConfigAnswer {
        ConfigAnswer::default()
    }

    fn config_replace(&mut self, _: &str, _: Option<Duration>) -> ConfigAnswer {
        ConfigAnswer::default()
    }

    fn config_item_set(&mut self, key: &str, value: &str) -> ConfigAnswer {
        let path = KeyPath::parse(key).map_err(|problem| problem.to_string());
        let changed = path.and_then(|path| {
            let changed = Config::empty().with_value(&path, path.read_value(value));
            changed.map_err(|problem| problem.to_string())
        });
        ConfigAnswer::after(Vec::new(), changed.map(drop))
    }

    fn reread_directory(&mut self) -> Result<(), Failure> {
        Err(Failure::OpNotSupp)
    }

    fn reread_outcome(&self) -> String {
        "{}".to_owned()
    }

    fn clear_statistics(&mut self, _: Option<&str>) -> Result<(), Failure> {
        Err(Failure::OpNotSupp)
    }

    fn config_keep(&mut self, _: Option<&str>) -> Result<(), Failure> {
        Err(Failure::OpNotSupp)
    }

    fn set_state_item(&mut self, _: &ItemPath, _: &str) -> Result<(), Failure> {
        Err(Failure::OpNotSupp)
    }
}

//! What a team costs: every path beside the same kind of veth pair without a team.
//!
//! All paths stand all the time. A sample is a pair of runs, one right after the other, the
//! path that goes first changing each time; the ratio is taken within the pair, so that a load
//! from outside meets both. All of it runs with real-time priority (round robin) where that is
//! permitted, daemons included, so that the scheduler's choices are not what is measured. CPU
//! seconds are all that the machine was busy, per 10^9 bytes.
//!
//! `cargo bench --package integration --bench throughput -- [PAIRS] [relay] [programs] [bridge]`;
//! `bridge` is the kernel's bridge with one port in the team's place: what any device of this
//! kind costs at least.

mod measure;
mod silence;

use std::process::{Command, ExitCode};
use std::time::Instant;

use integration::{CableKind, DataPath, Lab, Namespace, Sharing, Teamed, Teamr, team_config};

use measure::{Route, own_seconds};

/// How often a cable is pulled.
const PULLS: usize = 5;

/// What stands where a team would.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Team(DataPath),
    Bridge,
}

const KINDS: [Kind; 3] = [
    Kind::Team(DataPath::Userspace),
    Kind::Team(DataPath::Programs),
    Kind::Bridge,
];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Team(path) => path.name(),
            Kind::Bridge => "bridge",
        }
    }
}

/// One of them between the two hosts.
struct Variant {
    kind: Kind,
    route: Route,
    team: Option<Teamr>,
}

impl Variant {
    /// Builds it with cables and addresses of its own, which `number` tells apart.
    fn new(lab: &Lab, near: &Namespace, far: &Namespace, kind: Kind, number: usize) -> Variant {
        let (device, bridge) = (format!("team{number}"), format!("br{number}"));
        let ports = [format!("p{number}a"), format!("p{number}b")];
        far.ip(&format!("link add name {bridge} type bridge"));
        for port in &ports {
            lab.cable((near, port), (far, port), CableKind::Virtual);
            far.ip(&format!("link set dev {port} master {bridge} up"));
        }
        let team = match kind {
            Kind::Team(path) => {
                let ports = ports.each_ref().map(String::as_str);
                let team = Teamr::start(near, &team_config(&device, "activebackup", path, &ports));
                ports.iter().for_each(|port| team.wait_port(port, true));
                Some(team)
            }
            Kind::Bridge => {
                near.ip(&format!("link add name {device} type bridge"));
                near.ip(&format!("link set dev {} master {device} up", ports[0]));
                None
            }
        };
        let network = 2 + number;
        for (host, interface, end) in [(near, &device, 1), (far, &bridge, 2)] {
            host.up(interface);
            host.address(interface, &format!("10.{network}.0.{end}/24"));
        }
        let port = 5202 + number as u16;
        Variant {
            kind,
            route: Route::new(near, far, &format!("10.{network}.0.2"), port),
            team,
        }
    }
}

/// What is measured in pairs: the names of its figures, and how they are had.
type Measure = fn(&Route) -> Vec<f64>;
const MEASURES: [(&[&str], Measure); 6] = [
    (&["TCP sending, Gbit/s", "its CPU, s/GB"], |route| {
        route.tcp("").to_vec()
    }),
    (&["TCP receiving, Gbit/s", "its CPU, s/GB"], |route| {
        route.tcp("--reverse").to_vec()
    }),
    (&["flood of pings, 1000/s"], |route| {
        vec![route.ping_flood()]
    }),
    (&["round trip, us"], |route| vec![route.round_trip()]),
    (&["small UDP sending, 1000/s"], |route| {
        vec![route.small_udp("")]
    }),
    (&["small UDP receiving, 1000/s"], |route| {
        vec![route.small_udp("--reverse")]
    }),
];
/// Those during which the daemon's own time is looked at.
const BULK: usize = 2;

fn main() -> ExitCode {
    // What is started from here inherits it.
    let own = std::process::id().to_string();
    let real_time = Command::new("chrt")
        .args(["--rr", "--pid", "1", &own])
        .status();
    if !real_time.is_ok_and(|status| status.success()) {
        println!("without real-time priority");
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let pairs = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(5);
    let named = |kind: &Kind| args.iter().any(|arg| arg == kind.name());
    let all = !KINDS.iter().any(named);
    let kinds: Vec<Kind> = KINDS
        .into_iter()
        .filter(|kind| all || named(kind))
        .collect();

    let lab = match Lab::try_open(Sharing::Alone) {
        Ok(lab) => lab,
        Err(reason) => {
            eprintln!("throughput: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    lab.cable((&near, "direct0"), (&far, "direct0"), CableKind::Virtual);
    for (host, end) in [(&near, 1), (&far, 2)] {
        host.up("direct0");
        host.address("direct0", &format!("10.1.0.{end}/24"));
    }
    let direct = Route::new(&near, &far, "10.1.0.2", 5201);
    let variants: Vec<Variant> = kinds
        .iter()
        .enumerate()
        .map(|(number, kind)| Variant::new(&lab, &near, &far, *kind, number))
        .collect();

    println!("{pairs} pairs: the veth alone, with the path, and the median of the ratios");
    print!("{:>28}", "");
    variants
        .iter()
        .for_each(|it| print!(" {:>24}", it.kind.name()));
    println!();
    let mut own = vec![(0.0, 0.0); variants.len()];
    for (place, (names, measure)) in MEASURES.iter().enumerate() {
        let mut columns = Vec::new();
        for (variant, own) in variants.iter().zip(&mut own) {
            let pid = variant.team.as_ref().map(Teamr::pid);
            let (begun, before) = (Instant::now(), pid.map_or(0.0, own_seconds));
            columns.push(in_pairs(pairs, &direct, &variant.route, *measure));
            if place < BULK {
                // Half of the time the path had nothing to do.
                own.0 += pid.map_or(0.0, own_seconds) - before;
                own.1 += begun.elapsed().as_secs_f64() / 2.0;
            }
        }
        for (place, name) in names.iter().enumerate() {
            row(name, columns.iter().map(|samples| cell(samples, place)));
        }
    }
    let of_team = |variant: &Variant, text: String| match variant.kind {
        Kind::Team(_) => text,
        Kind::Bridge => String::new(),
    };
    row(
        "daemon during TCP, % of a core",
        variants
            .iter()
            .zip(&own)
            .map(|(variant, (busy, time))| of_team(variant, format!("{:.2}", busy / time * 100.0))),
    );
    row(
        "choice of a port, ns",
        kinds.iter().map(|kind| match kind {
            Kind::Team(DataPath::Userspace) => format!("{:.1}", measure::selector_cost()),
            Kind::Team(_) => measure::program_cost().map_or("?".into(), |it| format!("{it:.0}")),
            Kind::Bridge => String::new(),
        }),
    );
    // Nothing else shall run beside what follows.
    drop(variants);
    row(
        "silence at a pull, ms",
        kinds.iter().map(|kind| match kind {
            Kind::Team(path) => {
                let mut silences = silences(&lab, *path);
                silences.sort_by(f64::total_cmp);
                let worst = silences.last().copied().unwrap_or(f64::NAN);
                format!("{:.1}, at most {worst:.1}", median(silences))
            }
            Kind::Bridge => String::new(),
        }),
    );
    ExitCode::SUCCESS
}

/// What was measured on both, pair by pair.
fn in_pairs(
    pairs: usize,
    direct: &Route,
    path: &Route,
    measure: Measure,
) -> Vec<(Vec<f64>, Vec<f64>)> {
    let pair = |number: usize| {
        if number % 2 == 0 {
            let alone = measure(direct);
            (alone, measure(path))
        } else {
            let with = measure(path);
            (measure(direct), with)
        }
    };
    (0..pairs).map(pair).collect()
}

/// The medians of one of the figures, and of its ratios.
fn cell(samples: &[(Vec<f64>, Vec<f64>)], place: usize) -> String {
    let of = |value: &dyn Fn(f64, f64) -> f64| {
        let values = samples
            .iter()
            .map(|(alone, with)| value(alone[place], with[place]));
        median(values.collect())
    };
    let (alone, with) = (of(&|alone, _| alone), of(&|_, with| with));
    let ratio = of(&|alone, with| with / alone);
    format!("{alone:.2} {with:.2} {ratio:.2}")
}

fn row(name: &str, cells: impl Iterator<Item = String>) {
    print!("{name:>28}");
    cells.for_each(|cell| print!(" {cell:>24}"));
    println!();
}

/// The longest silences of a stream of a packet a millisecond each way when the active port of
/// a team loses its carrier, whose link events are as late as a network card's.
fn silences(lab: &Lab, path: DataPath) -> Vec<f64> {
    let teamed = Teamed::new(lab, "activebackup", path, CableKind::Nic);
    silence::address(&teamed);
    let pull = |_| {
        let mut pulled = String::new();
        let traces = silence::traces(&teamed, |port| {
            silence::pull(&teamed, port);
            pulled = port.to_owned();
        });
        silence::put_back(&teamed, &pulled);
        let longest = traces.iter().map(|trace| trace.longest_silence()).max();
        silence::millis(longest.unwrap_or_default())
    };
    (0..PULLS).map(pull).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|value| !value.is_nan());
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

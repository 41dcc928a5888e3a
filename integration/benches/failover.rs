//! Measures how long a stream of one packet a millisecond is silent when the active port of an
//! activebackup team loses its carrier.
//!
//! The cables behave like network cards: the kernel reports their links up to a second late, and
//! always so right after other links flapped. All repetitions are printed; `still` is the same
//! window without an event and shows the machine's own silence.
//!
//! `cargo bench --package integration --bench failover -- [REPETITIONS]`

use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use integration::traffic::{Pace, Stream};
use integration::{Cable, CableKind, DataPath, Lab, Ping, Sharing, SiteWithTeam};

/// Time that the streams run before the event, and at least after it.
const WINDOW: Duration = Duration::from_millis(300);

/// The event of a window.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Still,
    Pull,
    PullAfterFlaps,
}

fn main() -> ExitCode {
    let repetitions = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(20);
    let lab = match Lab::try_open(Sharing::Alone) {
        Ok(lab) => lab,
        Err(reason) => {
            eprintln!("failover: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let setup = SiteWithTeam::new(&lab, "activebackup", DataPath::from_args(), CableKind::Nic);
    let spare = lab.host("spare");
    let flapping = lab.cable((&setup.site.left, "spare0"), (&spare, "spare0"), CableKind::Nic);
    setup.site.left.up("spare0");
    setup.site.left.address("team0", "10.0.0.1/24");
    setup.site.right.address("eth1", "10.0.0.2/24");

    let cases =
        [(Case::Still, "still"), (Case::Pull, "pull"), (Case::PullAfterFlaps, "after flaps")];
    let mut worst = [[Duration::ZERO; 2]; 3];
    println!("longest silence in ms (packets lost in a row), sending and receiving");
    println!("{:>4} {:>24} {:>24} {:>24}", "", cases[0].1, cases[1].1, cases[2].1);
    for repetition in 1..=repetitions {
        print!("{repetition:>4}");
        for ((case, _), worst) in cases.iter().zip(&mut worst) {
            let mut cell = String::new();
            for (way, (silence, lost)) in measure(&setup, &flapping, *case).iter().enumerate() {
                cell += &format!("{:8.1} ({lost:>2})", millis(*silence));
                worst[way] = worst[way].max(*silence);
            }
            print!(" {cell:>24}");
        }
        println!();
    }
    print!("{:>4}", "max");
    for [sending, receiving] in worst {
        print!(" {:>24}", format!("{:8.1}     {:8.1}     ", millis(sending), millis(receiving)));
    }
    println!();
    ExitCode::SUCCESS
}

/// Returns the longest silence and packets lost in a row, sending and receiving.
fn measure(setup: &SiteWithTeam, flapping: &Cable, case: Case) -> [(Duration, usize); 2] {
    let site = &setup.site;
    // Resolves the addresses before the stream begins.
    Ping::run(&site.left, "10.0.0.2", 3, "");
    let streams = site.start_streams("team0", Pace::Full);
    sleep(WINDOW);
    let port = setup.used_port();
    if case == Case::PullAfterFlaps {
        flapping.put_back();
        flapping.pull();
    }
    if case != Case::Still {
        site.cable(&port).pull();
        setup.wait_port(&port, false);
    }
    sleep(WINDOW);
    let traces = streams.map(Stream::finish);
    if case != Case::Still {
        site.cable(&port).put_back();
        setup.wait_port(&port, true);
        site.switch.wait_forwarding(site.cable(&port));
    }
    traces.map(|trace| (trace.longest_silence(), trace.longest_outage().0))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

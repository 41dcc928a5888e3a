//! A soak: a long random history of a team, checked against an oracle after each event.
//!
//! `plan` draws the events from a seed, `world` is the oracle, `site` executes the events in a
//! lab, `usage` judges memory and descriptors. A history is divided among the runners; one half
//! replaces the daemon, the other half lets one daemon run to the end.
//!
//! In virtual time a day takes minutes, and a longer history has longer pauses instead of more
//! events. With a real clock a pause ends as soon as the team has settled, so the same plan takes
//! less than its time.

mod clients;
mod plan;
mod site;
mod usage;
mod world;

use std::collections::VecDeque;
use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::lab::Lab;
use crate::team::DataPath;
use crate::uml::Clock;
use crate::wait::comes_true;

use plan::{Daemons, Pauses, Plan, Step};
use site::Site;
use usage::{Samples, Usage};
use world::{Use, World};

/// Runners with the way they use their ports.
const RUNNERS: [(&str, Use); 7] = [
    ("activebackup", Use::Best),
    ("lacp", Use::Aggregate),
    ("loadbalance", Use::All),
    ("slb", Use::All),
    ("roundrobin", Use::All),
    ("random", Use::All),
    ("broadcast", Use::All),
];
/// Events that a failure shows.
const LAST: usize = 12;
/// The longest pause beyond the time to settle, in a plan of [`HOURS_OF_EVENTS`] at most.
const PAUSE: Duration = Duration::from_secs(50);
/// A longer plan has as many events as one of so many hours, and longer pauses: an event takes some
/// 30 ms of a processor, so a year takes about an hour.
const HOURS_OF_EVENTS: f64 = 15.0 * 24.0;
/// Of so many settled pauses one has a ping.
const ONE_PING_IN: usize = 4;
/// Pause between two looks with a real clock.
const LOOK: Duration = Duration::from_millis(50);
/// Time after which a settled team must still be settled, with a real clock.
const STAYS: Duration = Duration::from_millis(200);
/// A real clock runs on a machine that is busy with other programs.
const PATIENCE: u32 = 5;

/// One soak.
#[derive(Clone, Debug, PartialEq)]
pub struct Soak {
    /// The time of the plan in hours.
    pub hours: f64,
    /// The seed of the plan.
    pub seed: u64,
    /// The data path of the teams.
    pub data_path: DataPath,
    /// The only runner whose parts run; `None` for all.
    pub runner: Option<String>,
}

/// Counts of a soak that found no fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Events executed.
    pub events: usize,
    /// Looks that agreed with the oracle.
    pub looks: usize,
    /// Pings that were answered.
    pub pings: usize,
}

/// The part of a soak with one runner.
#[derive(Clone, Debug)]
struct Part {
    runner: &'static str,
    usage: Use,
    daemons: Daemons,
    seed: u64,
    time: Duration,
    /// The longest pause beyond the time to settle.
    pause: Duration,
}

impl Soak {
    /// Reads `hours=N seed=N data_path=NAME runner=NAME`; each is optional.
    ///
    /// # Errors
    /// The word that is wrong.
    pub fn parse(text: &str) -> Result<Soak, String> {
        let mut soak = Soak { hours: 24.0, seed: 1, data_path: DataPath::Kernel, runner: None };
        for word in text.split_whitespace() {
            let wrong = || format!("`{word}` is none of hours=, seed=, data_path=, runner=");
            let (key, value) = word.split_once('=').ok_or_else(wrong)?;
            match key {
                "hours" => soak.hours = value.parse().ok().filter(positive).ok_or_else(wrong)?,
                "seed" => soak.seed = value.parse().map_err(|_| wrong())?,
                "data_path" => {
                    let paths = [DataPath::Kernel, DataPath::Programs, DataPath::Userspace];
                    let found = paths.into_iter().find(|path| path.name() == value);
                    soak.data_path = found.ok_or_else(wrong)?;
                }
                "runner" if RUNNERS.iter().any(|(name, _)| *name == value) => {
                    soak.runner = Some(value.to_owned());
                }
                _ => return Err(wrong()),
            }
        }
        Ok(soak)
    }

    /// Returns the arguments of `integration/soak` that repeat this soak.
    fn arguments(&self, clock: Clock) -> String {
        let runner = self.runner.iter().map(|runner| format!(" --runner {runner}"));
        format!(
            "--hours {} --seed {} --data-path {}{}{}",
            self.hours,
            self.seed,
            self.data_path.name(),
            runner.collect::<String>(),
            if clock == Clock::Real { " --namespaces" } else { "" }
        )
    }

    /// Divides the soak among the runners. The part of a runner is the same when it is the only one.
    fn parts(&self) -> Vec<Part> {
        let kinds = [Daemons::Many, Daemons::One];
        let each = self.hours * 3600.0 / (RUNNERS.len() * kinds.len()) as f64;
        let pause = PAUSE.mul_f64((self.hours / HOURS_OF_EVENTS).max(1.0));
        let parts = RUNNERS
            .into_iter()
            .flat_map(|(runner, usage)| kinds.map(|daemons| (runner, usage, daemons)))
            .zip(0..)
            .map(|((runner, usage, daemons), number)| {
                let seed = self.seed.wrapping_mul(1000).wrapping_add(number);
                let time = Duration::from_secs_f64(each);
                Part { runner, usage, daemons, seed, time, pause }
            });
        let is_wanted =
            |part: &Part| self.runner.as_deref().is_none_or(|wanted| wanted == part.runner);
        parts.filter(is_wanted).collect()
    }

    /// Runs the soak; prints a line for each part and writes a line for each event and each look to
    /// `log`. Panics at the first fault, with the last events and the command that repeats the soak.
    pub fn run(&self, clock: Clock, open: &mut dyn FnMut() -> Lab, log: &mut dyn Write) -> Report {
        let mut total = Report::default();
        for part in self.parts() {
            let lab = open();
            let report = part.run(self, clock, &lab, log);
            total.events += report.events;
            total.looks += report.looks;
            total.pings += report.pings;
        }
        total
    }
}

fn positive(hours: &f64) -> bool {
    hours.is_finite() && *hours > 0.0
}

impl Part {
    fn run(&self, soak: &Soak, clock: Clock, lab: &Lab, log: &mut dyn Write) -> Report {
        let settle = settle_time(self.usage);
        let pauses = Pauses { settle, longest: self.pause, total: self.time };
        let plan = Plan::new(self.seed, self.usage, self.daemons, pauses);
        writeln!(log, "{} with {:?} daemons", self.runner, self.daemons).expect("write the log");
        let mut history = History {
            site: Site::new(lab, self.runner, self.usage, soak.data_path),
            world: World::new(self.usage),
            clock,
            settle,
            log,
            samples: Samples::default(),
            report: Report::default(),
            at: Duration::ZERO,
            last: VecDeque::new(),
        };
        let outcome =
            history.start().and_then(|()| plan.into_iter().try_for_each(|step| history.step(step)));
        let outcome = outcome.and_then(|()| history.samples.check_memory());
        if let Err(fault) = outcome {
            let last: Vec<String> = history.last.into_iter().collect();
            panic!(
                "{} with {:?} daemons on {}: {fault}\nthe last events:\n  {}\nagain: \
                 integration/soak {}",
                self.runner,
                self.daemons,
                soak.data_path.name(),
                last.join("\n  "),
                Soak { runner: Some(self.runner.to_owned()), ..soak.clone() }.arguments(clock)
            );
        }
        let memory = history.samples.growth();
        let memory = memory.map(|(early, late)| format!(", memory {early} kB, later {late} kB"));
        let Report { events, looks, pings } = history.report;
        println!(
            "{}, {:?} daemons, {:.1} h: {events} events, {looks} looks, {pings} pings{}",
            self.runner,
            self.daemons,
            self.time.as_secs_f64() / 3600.0,
            memory.unwrap_or_default()
        );
        history.report
    }
}

/// Returns the time within which a team settles: LACP needs three fast periods until a timeout, and
/// two seconds to attach.
fn settle_time(usage: Use) -> Duration {
    match usage {
        Use::Aggregate => Duration::from_secs(10),
        Use::Best | Use::All => Duration::from_secs(3),
    }
}

/// A part that runs.
struct History<'a> {
    site: Site<'a>,
    world: World,
    clock: Clock,
    settle: Duration,
    log: &'a mut dyn Write,
    samples: Samples,
    report: Report,
    /// The time of the plan.
    at: Duration,
    last: VecDeque<String>,
}

impl History<'_> {
    fn start(&mut self) -> Result<(), String> {
        self.wait_settled(self.settle)
    }

    fn step(&mut self, step: Step) -> Result<(), String> {
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        let line = format!("{:.3} s: {}", self.at.as_secs_f64(), step.event);
        self.write(&line);
        self.last.push_back(line);
        if matches!(step.event, world::Event::Crash | world::Event::Restart) {
            self.samples = Samples::default();
        }
        self.site.execute(step.event);
        self.world.apply(step.event);
        self.report.events += 1;
        match step.settles {
            true => self.wait_settled(step.pause)?,
            false => sleep(step.pause),
        }
        self.at += step.pause;
        Ok(())
    }

    /// Lets the pause pass; the team must settle in time and stay so.
    fn wait_settled(&mut self, pause: Duration) -> Result<(), String> {
        match self.clock {
            Clock::Virtual => {
                sleep(self.settle);
                self.look()?;
                sleep(pause.saturating_sub(self.settle));
            }
            Clock::Real => {
                let deadline = Instant::now() + PATIENCE * self.settle;
                while let Err(fault) = self.look() {
                    if Instant::now() >= deadline {
                        return Err(fault);
                    }
                    sleep(LOOK);
                }
                sleep(STAYS);
            }
        }
        self.look()?;
        self.report.looks += 1;
        self.sample()?;
        if self.world.carries() && self.report.looks % ONE_PING_IN == 0 {
            if !self.site.reaches_partner() {
                return Err("the partner answers no ping".to_owned());
            }
            self.report.pings += 1;
        }
        Ok(())
    }

    fn write(&mut self, line: &str) {
        writeln!(self.log, "{line}").expect("write the log");
    }

    fn look(&mut self) -> Result<(), String> {
        let seen = self.site.look()?;
        self.write(&format!("{seen:?}"));
        self.world.check(&seen)?;
        self.world.settle(&seen);
        Ok(())
    }

    /// Takes a sample of memory and descriptors. The daemon closes the descriptor of a client a
    /// moment after the client has closed its own.
    fn sample(&mut self) -> Result<(), String> {
        if self.world.is_disturbed() {
            return Ok(());
        }
        let (pid, ports) = (self.site.team().pid(), self.world.members().len());
        let mut fault = None;
        let flat = comes_true(|| {
            let usage = Usage::of(pid).map_err(|error| format!("usage of {pid}: {error}"));
            fault = usage.and_then(|usage| self.samples.add(ports, usage)).err();
            fault.is_none()
        });
        match (flat, fault) {
            (false, Some(fault)) => Err(fault),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soak_is_read_and_repeated_by_its_arguments() {
        let soak = Soak::parse("hours=0.5 seed=9 data_path=kernel runner=lacp").expect("a soak");
        let arguments = "--hours 0.5 --seed 9 --data-path kernel --runner lacp";
        assert_eq!(soak.arguments(Clock::Virtual), arguments);
        assert_eq!(soak.arguments(Clock::Real), format!("{arguments} --namespaces"));
        for wrong in ["hours=0", "hours=x", "seed=-1", "data_path=x", "runner=x", "x", "x=1"] {
            let error = Soak::parse(wrong).expect_err(wrong);
            assert!(error.starts_with(&format!("`{wrong}` is none of")), "{error}");
        }
    }

    #[test]
    fn each_runner_gets_an_equal_part_with_many_daemons_and_with_one() {
        let parts = Soak::parse("hours=28 seed=2").expect("a soak").parts();
        assert_eq!(parts.len(), 2 * RUNNERS.len());
        assert!(parts.iter().all(|part| part.time == Duration::from_secs(2 * 3600)));
        assert!(parts.windows(2).all(|pair| pair[0].seed != pair[1].seed));
        let year = Soak::parse("hours=8760 seed=2").expect("a soak").parts();
        let pauses = |parts: &[Part]| parts[0].time.as_secs_f64() / parts[0].pause.as_secs_f64();
        assert_eq!(parts[0].pause, PAUSE);
        assert!(pauses(&year) < 1.01 * HOURS_OF_EVENTS / 28.0 * pauses(&parts));
        let slb = Soak::parse("hours=28 seed=2 runner=slb").expect("a soak").parts();
        let seeds = |parts: &[Part]| parts.iter().map(|part| part.seed).collect::<Vec<_>>();
        let among_all: Vec<Part> = parts.into_iter().filter(|part| part.runner == "slb").collect();
        assert_eq!((slb.len(), seeds(&slb)), (2, seeds(&among_all)));
        assert!(slb.iter().all(|part| part.time == Duration::from_secs(2 * 3600)));
    }
}

//! The corpus of the fuzz targets, and changed copies of the corpus, passed to the same functions.
//!
//! A stable toolchain lacks the instrumentation of cargo-fuzz, so the changes are random. The seed
//! is fixed; `TEAMR_FUZZ_SECONDS` sets the time of each target.
#![allow(clippy::disallowed_methods, reason = "a test measures how long a decoder takes")]

#[path = "../fuzz/src/lib.rs"]
mod decoders;

use std::any::Any;
use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use runners::SplitMix64;
use teamr::sys::clock;

/// Seconds that each target receives changed copies in an ordinary run.
const SECONDS: u64 = 2;
/// Changes of one copy at most.
const CHANGES: usize = 6;
/// Bytes of a changed copy at most.
const LONGEST: usize = 64 << 10;
/// Time that a decoder may take for one input, on a busy machine and in a debug build.
const PATIENCE: Duration = Duration::from_secs(10);
/// Numbers at the ends of their types.
const NUMBERS: [&str; 9] = [
    "0",
    "-1",
    "255",
    "65536",
    "2147483648",
    "4294967295",
    "18446744073709551615",
    "99999999999999999999",
    "1e99",
];

struct Target {
    name: &'static str,
    decode: fn(&[u8]),
    corpus: Vec<(PathBuf, Vec<u8>)>,
}

impl Target {
    fn load(name: &'static str, decode: fn(&[u8])) -> Target {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let entries = fs::read_dir(&folder).expect("a corpus");
        let mut corpus: Vec<(PathBuf, Vec<u8>)> = entries
            .map(|entry| {
                let path = entry.expect("an entry of the corpus").path();
                let bytes = fs::read(&path).expect("a file of the corpus");
                (path, bytes)
            })
            .collect();
        corpus.sort();
        assert!(corpus.len() > 5, "{} is all but empty", folder.display());
        Target { name, decode, corpus }
    }

    /// Passes every file of the corpus to the decoder, and the beginnings of the file.
    fn replay(&self) {
        for (path, bytes) in &self.corpus {
            println!("{}", path.display());
            (self.decode)(bytes);
            // A prefix of any length must be refused without a panic.
            for end in 0..bytes.len().min(512) {
                (self.decode)(&bytes[..end]);
            }
        }
    }

    /// Passes changed copies to the decoder until the time is over. Saves the input of a failure.
    fn fuzz(&self) {
        let seconds = env::var("TEAMR_FUZZ_SECONDS").ok();
        let seconds = seconds.map_or(SECONDS, |text| text.parse().expect("a number of seconds"));
        let end = clock::monotonic() + Duration::from_secs(seconds);
        let mut random = SplitMix64::new(1);
        let mut inputs = 0_u64;
        while clock::monotonic() < end {
            let input = self.change(&mut random);
            let start = clock::monotonic();
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.decode)(&input)));
            if let Err(panic) = outcome {
                self.fail(&input, panic);
            }
            let took = clock::monotonic().saturating_sub(start);
            if took > PATIENCE {
                self.fail(&input, Box::new(format!("took {took:?}")));
            }
            inputs += 1;
        }
        println!("{}: {inputs} inputs in {seconds} s", self.name);
        assert!(inputs > 0);
    }

    fn fail(&self, input: &[u8], panic: Box<dyn Any + Send>) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/artifacts").join(self.name);
        let path = folder.join(format!("input-of-{}-bytes", input.len()));
        fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input)).expect("saved");
        println!("{}: the input is in {}", self.name, path.display());
        resume_unwind(panic);
    }

    /// Returns a copy of a file of the corpus with some changes.
    fn change(&self, random: &mut SplitMix64) -> Vec<u8> {
        let pick = |random: &mut SplitMix64| &self.corpus[random.below(self.corpus.len())].1;
        let mut input = pick(random).clone();
        for _ in 0..=random.below(CHANGES) {
            let other = pick(random);
            change_once(&mut input, other, random);
        }
        input.truncate(LONGEST);
        input
    }
}

/// Changes a few bytes, or replaces a part by a part of `other`.
fn change_once(input: &mut Vec<u8>, other: &[u8], random: &mut SplitMix64) {
    let from = random.below(input.len() + 1);
    let to = from + random.below((input.len() - from).min(64) + 1);
    match random.below(8) {
        0 if from < input.len() => input[from] ^= 1 << random.below(8),
        1 if from < input.len() => input[from] = random.next_u64() as u8,
        2 if from < input.len() => {
            input[from] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'\n', b'='][random.below(8)];
        }
        3 => drop(input.drain(from..to)),
        4 => {
            let again = input[from..to].to_vec();
            input.splice(to..to, again);
        }
        5 => {
            let start = random.below(other.len() + 1);
            let end = start + random.below((other.len() - start).min(256) + 1);
            input.splice(from..to, other[start..end].iter().copied());
        }
        6 => replace_number(input, from, random),
        _ => input.truncate(input.len() - random.below(input.len() / 4 + 1)),
    }
}

/// Replaces the first digits from `from` on.
fn replace_number(input: &mut Vec<u8>, from: usize, random: &mut SplitMix64) {
    let digits = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = input[from..].iter().position(digits).map(|place| from + place) else {
        return;
    };
    let length = input[start..].iter().take_while(|byte| digits(byte)).count();
    let number = NUMBERS[random.below(NUMBERS.len())];
    input.splice(start..start + length, number.bytes());
}

macro_rules! targets {
    ($($target:ident)+) => { $(
        mod $target {
            use super::{Target, decoders};

            fn target() -> Target {
                Target::load(stringify!($target), decoders::$target)
            }

            #[test]
            fn the_corpus_holds() {
                target().replay();
            }

            #[test]
            fn changed_copies_hold() {
                target().fuzz();
            }
        }
    )+ };
}

targets! {
    agentx bond capture config control dbus frame lacp netlink recording state_files teamnl
}

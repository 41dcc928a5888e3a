//! One question and its answer, with values masked that differ between runs.

use std::fmt;
use std::process::Output;

/// The result of one command or request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The command line or the method.
    pub question: String,
    /// Exit status.
    pub status: Option<i32>,
    /// Standard output, or the reply.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Answer {
    pub(super) fn new(question: &str, output: &Output) -> Answer {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Answer {
            question: question.to_owned(),
            status: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Masks values that change with time.
    pub(super) fn timeless(mut self) -> Answer {
        self.stdout = mask_progress(&self.stdout);
        self
    }

    /// Masks values that change with time or differ between two runs of a daemon.
    pub(super) fn masked(mut self, numbers: &RunNumbers) -> Answer {
        self = self.timeless();
        self.stdout = numbers.mask(&self.stdout);
        self.stderr = numbers.mask(&self.stderr);
        self
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "$ {}", self.question)?;
        write!(f, "{}", self.stdout)?;
        if !self.stdout.is_empty() && !self.stdout.ends_with('\n') {
            writeln!(f)?;
        }
        for line in self.stderr.lines() {
            writeln!(f, "! {line}")?;
        }
        match self.status {
            Some(status) => writeln!(f, "-> {status}"),
            None => writeln!(f, "-> killed"),
        }
    }
}

/// Numbers that differ between two runs.
#[derive(Default)]
pub(super) struct RunNumbers {
    pub(super) pid: u32,
    /// Interface index of the team device.
    pub(super) team: u32,
}

/// Prefix of the hardware addresses that the scenarios set; they are not masked.
pub(super) const OURS: &str = "02:00:00:00:01:";

impl RunNumbers {
    fn mask(&self, text: &str) -> String {
        let text = mask_addresses(text);
        let text = mask_number(&text, "\"pid\": ", self.pid, "<pid>");
        let text = mask_number(&text, "PID: ", self.pid, "<pid>");
        let text = mask_number(&text, "on PID ", self.pid, "<pid>");
        mask_number(&text, "\"ifindex\": ", self.team, "<team>")
    }
}

/// What stands before a time that goes on between two questions: ages, running timers, and times that
/// the daemon computes from ages.
const PROGRESS: [&str; 8] = [
    "_ago\": ",
    "_time\": \"",
    "\"current_while\": ",
    "\"periodic\": ",
    "\"wait_while\": ",
    "\"actor_churn\": ",
    "\"partner_churn\": ",
    "\"marker\": ",
];

/// Masks values that change between two questions.
fn mask_progress(text: &str) -> String {
    let text = PROGRESS.iter().fold(text.to_owned(), |text, before| mask_any_time(&text, before));
    // One probe of a link watch may be in flight.
    ["\"missed\": ", "missed packets: "].into_iter().fold(text, |text, before| {
        let text = mask_number(&text, before, 0, "<below 2>");
        mask_number(&text, before, 1, "<below 2>")
    })
}

/// Masks every number, or time of the day, after `before`.
fn mask_any_time(text: &str, before: &str) -> String {
    let mut parts = text.split(before);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked += before;
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || "-:.TZ".contains(c));
        if rest.len() < part.len() {
            masked += "<time>";
        }
        masked += rest;
    }
    masked
}

/// Masks `number` where it follows `before` and is not part of a longer number.
fn mask_number(text: &str, before: &str, number: u32, mask: &str) -> String {
    let found = format!("{before}{number}");
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(&found) {
        let (head, tail) = rest.split_at(at + found.len());
        if tail.starts_with(|c: char| c.is_ascii_digit()) {
            masked += head;
        } else {
            masked += &head[..at + before.len()];
            masked += mask;
        }
        rest = tail;
    }
    masked + rest
}

/// Masks random hardware addresses of the kernel.
fn mask_addresses(text: &str) -> String {
    const LENGTH: usize = "00:00:00:00:00:00".len();
    let is_address = |bytes: &[u8]| {
        bytes.len() == LENGTH
            && bytes.iter().enumerate().all(|(at, byte)| match at % 3 {
                2 => *byte == b':',
                _ => byte.is_ascii_hexdigit(),
            })
    };
    let mut masked = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let head = rest.get(..LENGTH);
        match head.filter(|head| is_address(head.as_bytes()) && !head.starts_with(OURS)) {
            Some(_) => {
                masked += "<address>";
                rest = &rest[LENGTH..];
            }
            None => {
                masked.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_varying_values_are_masked() {
        let numbers = RunNumbers { pid: 70, team: 5 };
        let text = "\"pid\": 70, PID: 70\n\"pid\": 701, \"ifindex\": 5,\n\"ifindex\": 101 \
                    f2:00:00:00:01:0a 02:00:00:00:01:01 02:e0:00:00:01:01 12:34";
        let masked = "\"pid\": <pid>, PID: <pid>\n\"pid\": 701, \"ifindex\": <team>,\n\
                      \"ifindex\": 101 <address> 02:00:00:00:01:01 <address> 12:34";
        assert_eq!(numbers.mask(text), masked);
    }

    #[test]
    fn values_that_change_with_time_are_masked() {
        let text = "\"last_ms_ago\": 31, \"missed\": 1, \"missed\": 2, \"missed\": 10\n\
                    missed packets: 0/3 \"sent_ago\": null \"periodic\": 27350 \
                    \"periodic\": \"SLOW\" \"last_lacpdu_rx_time\": \"2026-01-01T00:00:24.09Z\" \
                    \"last_lacpdu_tx_time\": \"N/A\"";
        let masked = "\"last_ms_ago\": <time>, \"missed\": <below 2>, \"missed\": 2, \
                      \"missed\": 10\nmissed packets: <below 2>/3 \"sent_ago\": null \
                      \"periodic\": <time> \"periodic\": \"SLOW\" \
                      \"last_lacpdu_rx_time\": \"<time>\" \"last_lacpdu_tx_time\": \"N/A\"";
        assert_eq!(mask_progress(text), masked);
    }
}

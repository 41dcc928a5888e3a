//! `ping`, and what it counted.

use crate::namespace::Namespace;

/// What became of echo requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Requests sent.
    pub sent: u32,
    /// Requests answered.
    pub answered: u32,
    /// Answers beyond the first to a request.
    pub duplicates: u32,
}

impl Ping {
    /// Sends `count` echo requests in one burst; `options` are more of ping's own.
    pub fn run(host: &Namespace, target: &str, count: u32, options: &str) -> Ping {
        // ping ends with the last first answer. After the last request it waits for one only
        // as long as twice the longest round trip or its interval, so the interval is long.
        // It makes room for as many answers as it may send requests before the first answer; a
        // request may have four.
        let burst = 4 * count;
        let line = format!("ping -n -q -i 0.5 -l {burst} -W 1 -c {count} {options} {target}");
        let output = host.try_run(&line);
        let text = String::from_utf8_lossy(&output.stdout);
        Ping::parse(&text).unwrap_or_else(|| {
            let error = String::from_utf8_lossy(&output.stderr);
            panic!(
                "{}: ping {target} counted nothing\n{text}{error}",
                host.name()
            )
        })
    }

    /// Every request answered once.
    pub fn is_exact(&self) -> bool {
        self.answered == self.sent && self.duplicates == 0
    }

    /// Reads `3 packets transmitted, 3 received, +1 duplicates, 0% packet loss, time 2ms`.
    fn parse(text: &str) -> Option<Ping> {
        let line = text
            .lines()
            .find(|line| line.contains("packets transmitted"))?;
        let count = |word: &str| {
            line.split(", ")
                .find(|part| part.ends_with(word))
                .and_then(|part| {
                    part.split_whitespace()
                        .next()?
                        .trim_start_matches('+')
                        .parse()
                        .ok()
                })
        };
        Some(Ping {
            sent: count("packets transmitted")?,
            answered: count("received")?,
            duplicates: count("duplicates").unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Ping;

    #[test]
    fn reads_every_form_of_the_summary() {
        let text = "\n--- 10.0.0.2 ping statistics ---\n3 packets transmitted, 3 received, \
                    +2 duplicates, 0% packet loss, time 2003ms\n";
        let ping = Ping::parse(text);
        assert_eq!(
            ping,
            Some(Ping {
                sent: 3,
                answered: 3,
                duplicates: 2
            })
        );
        let text = "3 packets transmitted, 0 received, +3 errors, 100% packet loss, time 5ms";
        let ping = Ping::parse(text);
        assert_eq!(
            ping,
            Some(Ping {
                sent: 3,
                answered: 0,
                duplicates: 0
            })
        );
        assert_eq!(Ping::parse("ping: sendmsg: nothing"), None);
    }
}

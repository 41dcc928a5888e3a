//! Time spans and sizes as systemd and netplan write them.

/// Parses a time span of systemd.time(7), where `unit` is the milliseconds of a number without a unit,
/// and returns milliseconds.
pub fn milliseconds(text: &str, unit: f64) -> Option<u64> {
    let mut total = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "" => unit,
            "us" | "usec" => 0.001,
            "ms" | "msec" => 1.0,
            "s" | "sec" | "second" | "seconds" => 1000.0,
            "m" | "min" | "minute" | "minutes" => 60_000.0,
            "h" | "hr" | "hour" | "hours" => 3_600_000.0,
            _ => return None,
        };
        total += number * unit;
        rest = rest[letters..].trim_start();
    }
    (total <= f64::from(i32::MAX)).then_some(total as u64)
}

/// Parses a size in bytes, such as `1500` or `9K`.
pub fn bytes(text: &str) -> Option<u32> {
    match text.strip_suffix('K') {
        Some(text) => text.parse::<u32>().ok()?.checked_mul(1024),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_are_parsed() {
        for (text, expected) in [
            ("100ms", Some(100)),
            ("0.1", Some(100)),
            ("1", Some(1000)),
            ("1min 30s", Some(90_000)),
            ("2s500ms", Some(2500)),
            ("", None),
            ("ms", None),
            ("1 fortnight", None),
            ("1e9", None),
            ("99999999h", None),
        ] {
            assert_eq!(milliseconds(text, 1000.0), expected, "{text}");
        }
        assert_eq!(milliseconds("100", 1.0), Some(100));
    }

    #[test]
    fn sizes_are_parsed() {
        for (text, expected) in [("1500", Some(1500)), ("9K", Some(9216)), ("x", None)] {
            assert_eq!(bytes(text), expected, "{text}");
        }
        assert_eq!(bytes("4194304K"), None);
    }
}

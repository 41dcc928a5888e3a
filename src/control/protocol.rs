//! The text form of requests and replies, encoded and decoded for daemon and client.
//!
//! Pure: bytes in, bytes out, no socket. Standard: libteam 1.32's unix socket protocol, one
//! message in a packet. Two deviations: adjacent escapes are decoded correctly, and a request for
//! an unknown method has an error as its reply. A packet that is no request has no reply, as in
//! teamd, so that every reply belongs to a request.

use super::methods::{self, Failure, Outcome, TeamControl};

/// Longest request in bytes; a longer one is an error. The longest configuration fits, also if its
/// escapes double its length.
pub const MAX_REQUEST: usize = (2 * json_config::LARGEST + 4096) as usize;

const REQUEST: &str = "REQUEST";
const SUCCESS: &str = "REPLY_SUCCESS";
const ERROR: &str = "REPLY_ERROR";

/// A decoded request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Name of the method, which need not exist.
    pub method: String,
    /// Arguments, unescaped.
    pub args: Vec<String>,
}

/// Decodes a packet; `None` if the packet is no request. Empty lines and everything after a NUL are
/// skipped.
pub fn decode_request(packet: &[u8]) -> Option<Result<Request, Failure>> {
    let text = packet.split(|&byte| byte == 0).next()?;
    let mut lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    if lines.next()? != REQUEST.as_bytes() {
        return None;
    }
    let method = lines.next().unwrap_or_default();
    let args: Option<Vec<String>> = lines.map(unescape).collect();
    Some(match args {
        Some(args) => Ok(Request { method: String::from_utf8_lossy(method).into_owned(), args }),
        None => {
            log::error!("Corrupted argument in message.");
            Err(Failure::InvalidArgs)
        }
    })
}

/// Decodes a packet, calls the method and encodes the reply; `None` if the packet is no request.
pub fn answer(packet: &[u8], team: &mut dyn TeamControl) -> Option<Vec<u8>> {
    let request = decode_request(packet)?;
    let outcome = request.and_then(|request| methods::call(team, &request.method, &request.args));
    Some(encode_reply(&outcome))
}

/// Encodes a reply.
pub fn encode_reply(outcome: &Outcome) -> Vec<u8> {
    match outcome {
        Ok(value) => format!("{SUCCESS}\n{}", value.as_deref().unwrap_or_default()),
        Err(failure) => format!("{ERROR}\n{}\n{}\n", failure.code(), failure),
    }
    .into_bytes()
}

/// Encodes a request. The daemon reads an empty argument as a missing one.
pub fn encode_request(method: &str, args: &[&str]) -> Vec<u8> {
    let mut packet = format!("{REQUEST}\n{method}\n");
    for arg in args {
        packet.push_str(&arg.replace('\\', "\\\\").replace('\n', "\\n"));
        packet.push('\n');
    }
    packet.into_bytes()
}

/// A decoded reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The text of the method, empty for a method without one.
    Success(String),
    /// The method failed.
    Error {
        /// Code for programs.
        code: String,
        /// Text for people.
        text: String,
    },
}

/// Decodes a reply; `None` if the packet is no reply.
pub fn decode_reply(packet: &[u8]) -> Option<Reply> {
    let text = String::from_utf8_lossy(packet);
    let (kind, rest) = text.split_once('\n')?;
    match kind {
        SUCCESS => Some(Reply::Success(rest.to_owned())),
        ERROR => {
            let mut lines = rest.lines();
            Some(Reply::Error {
                code: lines.next()?.to_owned(),
                text: lines.next().unwrap_or_default().to_owned(),
            })
        }
        _ => None,
    }
}

/// Decodes the escapes `\\` and `\n`; a lone `\` at the end stays. `None` for any other escape and
/// for bytes that are not UTF-8.
fn unescape(line: &[u8]) -> Option<String> {
    let mut plain = Vec::with_capacity(line.len());
    let mut bytes = line.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match (byte, bytes.as_slice()) {
            (b'\\', [b'n', ..]) => {
                bytes.next();
                b'\n'
            }
            (b'\\', [b'\\', ..]) => {
                bytes.next();
                b'\\'
            }
            (b'\\', [_, ..]) => return None,
            _ => byte,
        });
    }
    String::from_utf8(plain).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::ItemPath;
    use crate::control::config_answer::ConfigAnswer;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    struct Fake {
        updates: Vec<(String, String)>,
    }

    impl TeamControl for Fake {
        fn config_dump(&self) -> String {
            "{}".to_owned()
        }
        fn config_dump_actual(&self) -> String {
            "{\n    \"ports\": {}\n}".to_owned()
        }
        fn port_config_dump(&self, _: &str) -> Result<String, Failure> {
            Err(Failure::ConfigDumpFail)
        }
        fn port_config_update(&mut self, port: &str, config: &str) -> Result<(), Failure> {
            self.updates.push((port.to_owned(), config.to_owned()));
            Ok(())
        }
        fn port_add(&mut self, _: &str) -> Result<(), Failure> {
            Err(Failure::NoSuchDev)
        }
        fn port_remove(&mut self, _: &str) -> Result<(), Failure> {
            Ok(())
        }
        fn port_drain(&mut self, _: &str, force: bool) -> Result<(), Failure> {
            let refused = Failure::PortDrainRefused("no other port can carry".to_owned());
            force.then_some(()).ok_or(refused)
        }
        fn port_undrain(&mut self, _: &str) -> Result<(), Failure> {
            Ok(())
        }
        fn state(&self) -> Value {
            json!({"setup": {"pid": 710}})
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
        fn config_item_set(&mut self, _: &str, _: &str) -> ConfigAnswer {
            ConfigAnswer::default()
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

    fn ask(packet: &[u8]) -> Option<String> {
        let mut fake = Fake { updates: vec![] };
        answer(packet, &mut fake).map(|reply| String::from_utf8(reply).unwrap())
    }

    #[test]
    fn replies_are_teamds_bytes() {
        for (request, reply) in [
            ("REQUEST\nStateItemValueGet\nsetup.pid\n", "710"),
            ("REQUEST\nStateItemValueGet\nsetup.pid", "710"),
            ("\n\nREQUEST\n\nConfigDump\n\n", "{}"),
            ("REQUEST\nPortRemove\np0\nsurplus\n", ""),
            ("REQUEST\nPortDrain\np0\ntrue\n", ""),
            ("REQUEST\nPortUndrain\np0\n", ""),
        ] {
            assert_eq!(
                ask(request.as_bytes()),
                Some(format!("REPLY_SUCCESS\n{reply}")),
                "{request:?}"
            );
        }
        for (request, error) in [
            ("PortAdd\n", "InvalidArgs\nDid not receive correct message arguments."),
            ("PortAdd\na\\tb\n", "InvalidArgs\nDid not receive correct message arguments."),
            ("PortAdd\np0\n", "NoSuchDev\nNo such device."),
            ("StateItemValueGet\nsetup\n", "PathDoesNotExist\nItem path does not exist."),
            ("StateItemValueGet\nports.p0\n", "ItemValueGetFail\nFailed to get item value."),
            ("StateItemValueSet\nsetup.none\n1\n", "PathDoesNotExist\nItem path does not exist."),
            ("StateItemValueSet\nsetup.pid\n1\n", "OpNotSupp\nOperation not supported."),
            ("PortDrain\np0\n", "InvalidArgs\nDid not receive correct message arguments."),
            ("PortDrain\np0\nyes\n", "InvalidArgs\nDid not receive correct message arguments."),
            (
                "PortDrain\np0\nfalse\n",
                "PortDrainFail\nFailed to drain port: no other port can carry.",
            ),
            ("configdump\n", "UnknownMethod\nNo such method."),
            ("", "UnknownMethod\nNo such method."),
        ] {
            let reply = ask(format!("REQUEST\n{request}").as_bytes());
            assert_eq!(reply, Some(format!("REPLY_ERROR\n{error}\n")), "{request:?}");
        }
    }

    #[test]
    fn what_follows_a_nul_is_not_looked_at() {
        assert_eq!(ask(b"REQUEST\nPortRemove\np0\0\\x\xff").as_deref(), Some("REPLY_SUCCESS\n"));
    }

    #[test]
    fn what_is_no_request_stays_unanswered() {
        for packet in ["", "\n", "request\nConfigDump\n", "REQUEST\r\nConfigDump\n"] {
            assert_eq!(ask(packet.as_bytes()), None, "{packet:?}");
        }
    }

    #[test]
    fn adjacent_escapes_arrive_whole() {
        let config = "{\n\n  \"a\\\\b\": \"\\\\\\n\"\n}\\";
        let mut fake = Fake { updates: vec![] };
        let request = encode_request("PortConfigUpdate", &["p0", config]);
        answer(&request, &mut fake);
        assert_eq!(fake.updates, [("p0".to_owned(), config.to_owned())]);
    }

    #[test]
    fn a_lone_backslash_at_the_end_stays() {
        let request = decode_request(b"REQUEST\nPortAdd\nx\\").unwrap().unwrap();
        assert_eq!(request.args, ["x\\"]);
    }

    proptest! {
        #[test]
        fn arguments_survive_the_way(args in prop::collection::vec("[^\0]{1,20}", 0..4)) {
            let refs: Vec<&str> = args.iter().map(String::as_str).collect();
            let decoded = decode_request(&encode_request("M", &refs)).unwrap().unwrap();
            prop_assert_eq!(decoded.method, "M");
            prop_assert_eq!(decoded.args, args);
        }

        #[test]
        fn any_bytes_are_survived(packet: Vec<u8>, lines in "(REQUEST\n)?[A-Z\\\\\n\"a-z.]{0,40}") {
            let mut fake = Fake { updates: vec![] };
            for bytes in [&packet[..], lines.as_bytes()] {
                let _ = answer(bytes, &mut fake);
                let _ = decode_reply(bytes);
            }
        }

        #[test]
        fn values_survive_the_way(value: String) {
            let packet = encode_reply(&Ok(Some(value.clone())));
            prop_assert_eq!(decode_reply(&packet), Some(Reply::Success(value)));
        }
    }

    #[test]
    fn errors_survive_the_way() {
        let packet = encode_reply(&Err(Failure::NoSuchDev));
        let reply =
            Reply::Error { code: "NoSuchDev".to_owned(), text: "No such device.".to_owned() };
        assert_eq!(decode_reply(&packet), Some(reply));
    }
}

//! Answers in JSON; `teamrctl schema teamrnl` prints their schema.

use std::io::{self, Write};

use super::lists::{Interfaces, Options, Ports, Style};
use crate::netlink::team::Value;
use crate::state::answers::{DriverAnswer, DriverOption, DriverPort};
use crate::state::{List, Name, Part};

/// Writes an answer on one line.
pub fn write(out: &mut dyn Write, answer: DriverAnswer) -> io::Result<()> {
    writeln!(out, "{}", json_config::to_line(&answer.to_json()))
}

/// Returns a change on one line; nothing for a change without entries.
pub fn change(answer: &DriverAnswer) -> String {
    let value = answer.to_json();
    let is_empty = |list: &serde_json::Value| list.as_array().is_some_and(Vec::is_empty);
    match value.as_object().is_some_and(|lists| lists.values().all(is_empty)) {
        true => String::new(),
        false => json_config::to_line(&value) + "\n",
    }
}

impl Ports {
    /// Returns the ports that `style` shows, newest first.
    pub fn answer(&self, style: Style, links: &Interfaces) -> DriverAnswer {
        let shown = self.0.iter().rev().filter(|port| style.shows(port.changed, port.removed));
        let ports = shown.map(|port| DriverPort {
            ifindex: Some(port.ifindex.into()),
            name: Some(Name(links.known_name(port.ifindex))),
            link: Some(port.linkup),
            speed: Some(port.speed.into()),
            duplex: Some(if port.duplex == 0 { "half" } else { "full" }.to_owned()),
            changed: Some(port.changed),
            removed: Some(port.removed),
        });
        DriverAnswer { ports: Some(List(ports.collect())), ..DriverAnswer::default() }
    }
}

impl Options {
    /// Returns the options that `style` shows, newest first.
    pub fn answer(&self, style: Style, links: &Interfaces) -> DriverAnswer {
        let shown = self.0.iter().rev();
        let shown = shown.filter(|option| style.shows(option.changed, option.removed));
        let options = shown.map(|option| {
            let (kind, value) = kind_and_value(&option.value);
            DriverOption {
                name: Some(option.id.name.clone().into_owned()),
                port: option.id.port.map(|port| Name(links.known_name(port))),
                index: option.id.index.map(u64::from),
                kind: Some(kind.to_owned()),
                value: Some(value),
                changed: Some(option.changed),
                removed: Some(option.removed),
            }
        });
        DriverAnswer { options: Some(List(options.collect())), ..DriverAnswer::default() }
    }
}

fn kind_and_value(value: &Value) -> (&'static str, serde_json::Value) {
    match value {
        Value::U32(number) => ("u32", (*number).into()),
        Value::S32(number) => ("s32", (*number).into()),
        Value::Bool(flag) => ("bool", (*flag).into()),
        Value::Text(text) => ("string", text.as_str().into()),
        Value::Binary(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            ("binary", digits.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::netlink::link::LinkInfo;
    use crate::netlink::team::{OptionId, TeamOption, TeamPort};

    fn links() -> Interfaces {
        let link = LinkInfo { ifindex: 3, name: "eth1".to_owned(), ..LinkInfo::default() };
        Interfaces::new(vec![link])
    }

    #[test]
    fn ports_and_options_have_their_values() {
        let port = |ifindex, changed| TeamPort {
            ifindex,
            linkup: changed,
            speed: 1000,
            duplex: 1,
            changed,
            removed: false,
        };
        let ports = Ports(vec![port(3, true), port(5, false)]);
        let eth1 = json!({
            "ifindex": 3, "name": "eth1", "link": true, "speed": 1000, "duplex": "full",
            "changed": true, "removed": false,
        });
        assert_eq!(ports.answer(Style::Changed, &links()).to_json(), json!({"ports": [eth1]}));
        let all = ports.answer(Style::All, &links()).to_json();
        assert_eq!(all["ports"][0]["name"], json!(null), "{all}");

        let option = |id, value| TeamOption { id, value, changed: false, removed: false };
        let options = Options(vec![
            option(OptionId::team("bpf_hash_func"), Value::Binary(vec![6, 0xab])),
            option(OptionId::element("lb_hash_stats", 255), Value::U32(9)),
            option(OptionId::port("priority", 3), Value::S32(-7)),
        ]);
        let all = options.answer(Style::All, &links()).to_json();
        let part =
            |place: usize, keys: [&str; 4]| keys.map(|key| all["options"][place][key].clone());
        let keys = ["port", "index", "kind", "value"];
        assert_eq!(part(0, keys), [json!("eth1"), json!(null), json!("s32"), json!(-7)]);
        assert_eq!(part(1, keys), [json!(null), json!(255), json!("u32"), json!(9)]);
        assert_eq!(part(2, keys), [json!(null), json!(null), json!("binary"), json!("06ab")]);
        assert_eq!(options.answer(Style::Changed, &links()).to_json(), json!({"options": []}));
    }
}

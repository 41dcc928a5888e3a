//! The switch ports at the other ends, as lldpd knows them.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::Neighbour;

/// Asks lldpd for the neighbours of all interfaces, by interface; none if lldpd does not run, or
/// does not answer within two seconds.
pub fn neighbours() -> Vec<(String, Neighbour)> {
    let question = Command::new("timeout")
        .args(["2", "lldpcli", "-f", "json", "show", "neighbors"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let answer = question.map(|output| output.stdout).unwrap_or_default();
    read(&serde_json::from_slice(&answer).unwrap_or_default())
}

/// Reads an answer of lldpcli, which writes a list of one element as the element.
fn read(answer: &Value) -> Vec<(String, Neighbour)> {
    let interfaces = match &answer["lldp"]["interface"] {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    let named = interfaces.into_iter().filter_map(Value::as_object).flatten();
    let neighbours = named.filter_map(|(name, interface)| {
        // The chassis is an object by the name of the system; without a name it has only an id.
        let chassis = interface["chassis"].as_object()?;
        let system = match chassis.get("id") {
            Some(id) => id["value"].as_str()?.to_owned(),
            None => chassis.keys().next()?.clone(),
        };
        let port = &interface["port"];
        let id = [&port["id"]["value"], &port["descr"]].into_iter().find_map(Value::as_str)?;
        Some((name.clone(), Neighbour { system, port: id.to_owned() }))
    });
    neighbours.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn neighbours_are_read_from_both_forms() {
        let one = json!({"eth1": {
            "chassis": {"switch1": {"id": {"type": "mac", "value": "02:00:00:00:00:01"}}},
            "port": {"id": {"type": "ifname", "value": "Gi1/0/1"}, "descr": "uplink"},
        }});
        let nameless = json!({"eth2": {
            "chassis": {"id": {"type": "mac", "value": "02:00:00:00:00:02"}},
            "port": {"descr": "port 7"},
        }});
        let neighbour = |system: &str, port: &str| Neighbour {
            system: system.to_owned(),
            port: port.to_owned(),
        };
        let first = ("eth1".to_owned(), neighbour("switch1", "Gi1/0/1"));
        assert_eq!(read(&json!({"lldp": {"interface": one}})), std::slice::from_ref(&first));
        let both = read(&json!({"lldp": {"interface": [one, nameless]}}));
        assert_eq!(both, [first, ("eth2".to_owned(), neighbour("02:00:00:00:00:02", "port 7"))]);
    }

    #[test]
    fn other_answers_have_no_neighbours() {
        for answer in [
            json!(null),
            json!([]),
            json!({"lldp": {}}),
            json!({"lldp": {"interface": {
                "eth1": {"chassis": {}, "port": {}}, "eth2": 7,
            }}}),
        ] {
            assert_eq!(read(&answer), []);
        }
    }
}

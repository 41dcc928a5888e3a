//! The items of the state document: its single values, by path.

use runners::wire::lacpdu::StateBits;

use super::State;
use super::definition::{Field, Form, Object, Unit};

/// One item of the document.
#[derive(Clone, Debug)]
pub struct Item {
    /// The keys from the top down. A placeholder stands for the name of a port or a watch.
    pub keys: Vec<&'static str>,
    /// The definition.
    pub field: &'static Field,
    /// The object that has the field.
    pub object: &'static Object,
}

impl Item {
    /// Returns the path in the notation of the manual: `P` for a port's name, `link_watch_N` for
    /// a watch's key, and braces around the names of bits.
    pub fn path(&self) -> String {
        let path = self.keys.join(".");
        match self.field.form {
            Form::LacpBits => {
                let bits = StateBits::NAMED.map(|(_, name)| name);
                format!("{path}.{{{}}}", bits.join(","))
            }
            _ => path,
        }
    }

    /// Returns whether teamd has the item.
    pub fn is_teamd(&self) -> bool {
        !self.field.added && !self.keys.contains(&"teamr")
    }

    /// Returns the description: the doc line, the unit, and what can be set.
    pub fn describe(&self) -> String {
        describe(self.field)
    }
}

/// Returns the doc line of a field, its unit, and what can be set.
pub fn describe(field: &Field) -> String {
    let mut text = field.about.to_owned();
    // The doc line of a frame counter names the unit.
    if let Some(unit) = field.unit.filter(|unit| *unit != Unit::Frames) {
        text += &format!(" In {}.", unit.name());
    }
    if let Some(values) = field.settable {
        text += &format!(" Settable: {values}.");
    }
    text
}

/// Returns all items, in the order of the definitions.
pub fn all() -> Vec<Item> {
    let mut items = Vec::new();
    collect(&State::OBJECT, &[], &mut items);
    items
}

fn collect(object: &'static Object, above: &[&'static str], items: &mut Vec<Item>) {
    for field in object.fields {
        let mut keys = [above, &[field.name]].concat();
        match field.form {
            Form::Object(below) => collect(below, &keys, items),
            Form::Members { placeholder, member } => {
                keys.push(placeholder);
                collect(member, &keys, items);
            }
            _ => items.push(Item { keys, field, object }),
        }
    }
}

//! The language of the definitions: forms of parts, facts about fields, and the macro that makes
//! types.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use json_config::{WriteJson, write_elements, write_members};
use runners::wire::lacpdu::StateBits;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// A part of the state document: a single value, or an object of parts.
pub trait Part: Sized + WriteJson {
    /// The form of the part in JSON.
    const FORM: Form;

    /// Reads the part; `None` if `value` has another form. An object reads from every value: a
    /// field that is missing or has another form is `None`, and unknown fields are skipped.
    fn read(value: &Value) -> Option<Self>;

    /// Reads the part straight from JSON text. Unlike [`read`](Part::read), a field of another form is an
    /// error.
    ///
    /// # Errors
    /// Those of the text.
    fn parse<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;

    /// Returns the part in JSON.
    fn to_json(&self) -> Value;

    /// Passes each number in the part to `numbers`, with its field and the field's object. A boolean is
    /// 0 or 1; a negative number stands for an unknown value and is skipped.
    fn each_number(&self, at: At, numbers: &mut dyn Numbers);
}

/// A field and the object that has it.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The object.
    pub object: &'static Object,
    /// The field.
    pub field: &'static Field,
}

/// Receives the numbers of a document.
pub trait Numbers {
    /// The numbers that follow are those of a member of [`Members`].
    fn enter(&mut self, member: InMembers<'_>);
    /// The numbers of the member end.
    fn leave(&mut self);
    /// A number of the document.
    fn number(&mut self, at: At, number: u64);
}

/// A member of [`Members`] by its name.
#[derive(Clone, Copy, Debug)]
pub struct InMembers<'a> {
    /// The word that stands for a name in paths.
    pub placeholder: &'static str,
    /// The key of the member.
    pub key: &'a str,
    /// The kind of the member, if it has one.
    pub kind: Option<&'a str>,
}

/// Reads a document from JSON text, as [`Part::read`] does.
///
/// # Errors
/// The text is no JSON.
pub fn from_text<T: Part + Default>(text: &str) -> serde_json::Result<T> {
    // A field of another form is rare: it takes a daemon of another version.
    match T::parse(&mut serde_json::Deserializer::from_str(text)) {
        Ok(document) => Ok(document),
        Err(_) => serde_json::from_str(text).map(|value| T::read(&value).unwrap_or_default()),
    }
}

/// Reads a field that is present.
pub(super) fn present<'de, T: Part, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::parse(from).map(Some)
}

/// A part, for functions that want its [`Part::parse`] by serde's trait.
struct Parsed<T>(T);

impl<'de, T: Part> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::parse(from).map(Parsed)
    }
}

/// The form of a part in JSON.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// `true` or `false`.
    Boolean,
    /// A number without a fraction, which may be negative.
    Integer,
    /// A number from 0.
    Counter,
    /// A string.
    Text,
    /// A number from 0, or `null`.
    Age,
    /// A number, possibly with a fraction.
    Number,
    /// A string, or `null`.
    Name,
    /// Any value.
    Any,
    /// An object with a boolean for each bit of [`StateBits::NAMED`].
    LacpBits,
    /// An object of these fields.
    Object(&'static Object),
    /// An object of objects by name.
    Members {
        /// The word that stands for a name in paths.
        placeholder: &'static str,
        /// The form of each member.
        member: &'static Object,
    },
    /// A list of objects.
    List(&'static Object),
}

/// The definition of an object.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    /// Doc line; with a label also the help of the metric.
    pub about: &'static str,
    /// Label of a metric that the fields share: a sample's label is the name of the field.
    pub label: Option<&'static str>,
    /// The fields.
    pub fields: &'static [Field],
}

impl Object {
    /// Sets the label of the metric.
    pub const fn by(self, label: &'static str) -> Self {
        Object { label: Some(label), ..self }
    }
}

/// The definition of a field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Key in the object.
    pub name: &'static str,
    /// Doc line.
    pub about: &'static str,
    /// Form of the value.
    pub form: Form,
    /// Unit of a number.
    pub unit: Option<Unit>,
    /// Values of a settable item; `None` for an item that cannot be set.
    pub settable: Option<&'static str>,
    /// The metric of a number or a boolean.
    pub metric: Option<Metric>,
    /// True for an item that teamd lacks although it stands outside of `teamr`.
    pub added: bool,
}

impl Field {
    /// Sets the unit.
    pub const fn unit(self, unit: Unit) -> Self {
        Field { unit: Some(unit), ..self }
    }

    /// Makes the item settable.
    pub const fn settable(self, values: &'static str) -> Self {
        Field { settable: Some(values), ..self }
    }

    /// Makes the item a gauge.
    pub const fn gauge(self, name: &'static str) -> Self {
        self.metric(name, MetricKind::Gauge)
    }

    /// Makes the item a counter, whose name ends in `_total`.
    pub const fn counter(self, name: &'static str) -> Self {
        self.metric(name, MetricKind::Counter)
    }

    /// Makes the item a metric.
    pub const fn metric(self, name: &'static str, kind: MetricKind) -> Self {
        Field { metric: Some(Metric { name, kind }), ..self }
    }

    /// Marks an item that teamd lacks.
    pub const fn added(self) -> Self {
        Field { added: true, ..self }
    }
}

/// Unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 1/1000 s.
    Milliseconds,
    /// 1/1000000 s.
    Microseconds,
    /// 1000000 bit/s.
    MegabitsPerSecond,
    /// 1 bit/s.
    BitsPerSecond,
    /// Bytes, Ethernet header included.
    Bytes,
    /// Ethernet frames.
    Frames,
    /// 1/1000000 of the whole.
    Millionths,
}

impl Unit {
    /// Returns the word of the manual.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Milliseconds => "milliseconds",
            Unit::Microseconds => "microseconds",
            Unit::MegabitsPerSecond => "Mbit/s",
            Unit::BitsPerSecond => "bit/s",
            Unit::Bytes => "bytes",
            Unit::Frames => "frames",
            Unit::Millionths => "millionths",
        }
    }
}

/// A Prometheus metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name of the family.
    pub name: &'static str,
    /// Kind of the samples.
    pub kind: MetricKind,
}

/// Kind of the samples of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A measure.
    Gauge,
    /// A count.
    Counter,
    /// The count of a summary.
    SummaryCount,
    /// The sum of a summary.
    SummarySum,
}

/// The fields of an object that may be absent.
pub trait OrEmpty<T> {
    /// Returns the object; without one, an object without fields.
    fn or_empty(&self) -> &T;
}

/// A member of an object of objects by name.
pub trait Member: Part {
    /// The word that stands for a name in paths.
    const PLACEHOLDER: &'static str;
    /// The definition.
    const OBJECT: &'static Object;

    /// Returns the kind of the member, such as that of a link watch; `None` without one.
    fn kind(&self) -> Option<&str> {
        None
    }
}

/// Objects by name, in the order of the document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members<T>(pub Vec<(String, T)>);

impl<T: Member> Part for Members<T> {
    const FORM: Form = Form::Members { placeholder: T::PLACEHOLDER, member: T::OBJECT };

    fn read(value: &Value) -> Option<Self> {
        let members = value.as_object().into_iter().flatten();
        let members = members.filter_map(|(name, member)| Some((name.clone(), T::read(member)?)));
        Some(Members(members.collect()))
    }

    fn parse<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);

        impl<'de, T: Member> Visitor<'de> for Reader<T> {
            type Value = Members<T>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("an object of objects by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<T>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, Parsed(member))) = map.next_entry()? {
                    members.push((name, member));
                }
                Ok(Members(members))
            }
        }

        from.deserialize_map(Reader(PhantomData))
    }

    fn to_json(&self) -> Value {
        let members = self.0.iter();
        let members = members.map(|(name, member)| (name.clone(), member.to_json()));
        Value::Object(members.collect())
    }

    fn each_number(&self, at: At, numbers: &mut dyn Numbers) {
        for (key, member) in &self.0 {
            numbers.enter(InMembers { placeholder: T::PLACEHOLDER, key, kind: member.kind() });
            member.each_number(at, numbers);
            numbers.leave();
        }
    }
}

impl<T: Part> WriteJson for Members<T> {
    fn write_json(&self, out: &mut String, depth: Option<usize>) {
        let members = self.0.iter();
        let members = members.map(|(name, member)| (name.as_str(), member as &dyn WriteJson));
        write_members(out, members.collect(), depth);
    }
}

/// An object of a list.
pub trait Element: Part {
    /// The definition.
    const OBJECT: &'static Object;
}

/// Objects in an order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List<T>(pub Vec<T>);

impl<T: Element> Part for List<T> {
    const FORM: Form = Form::List(T::OBJECT);

    fn read(value: &Value) -> Option<Self> {
        let elements = value.as_array()?.iter();
        Some(List(elements.filter_map(T::read).collect()))
    }

    fn parse<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let elements = Vec::<Parsed<T>>::deserialize(from)?;
        Ok(List(elements.into_iter().map(|Parsed(element)| element).collect()))
    }

    fn to_json(&self) -> Value {
        self.0.iter().map(T::to_json).collect()
    }

    fn each_number(&self, _: At, _: &mut dyn Numbers) {}
}

impl<T: Part> WriteJson for List<T> {
    fn write_json(&self, out: &mut String, depth: Option<usize>) {
        write_elements(out, &self.0, depth);
    }
}

/// The time since an event, in milliseconds; `null` before the first event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Age(pub Option<u64>);

impl Part for Age {
    const FORM: Form = Form::Age;

    fn read(value: &Value) -> Option<Self> {
        let age = value.as_u64();
        (age.is_some() || value.is_null()).then_some(Age(age))
    }

    fn parse<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Option::deserialize(from).map(Age)
    }

    fn to_json(&self) -> Value {
        self.0.into()
    }

    fn each_number(&self, at: At, numbers: &mut dyn Numbers) {
        self.0.iter().for_each(|age| numbers.number(at, *age));
    }
}

impl WriteJson for Age {
    fn write_json(&self, out: &mut String, depth: Option<usize>) {
        self.0.write_json(out, depth);
    }
}

/// The name of an interface; `null` without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name(pub Option<String>);

impl Part for Name {
    const FORM: Form = Form::Name;

    fn read(value: &Value) -> Option<Self> {
        let name = value.as_str().map(str::to_owned);
        (name.is_some() || value.is_null()).then_some(Name(name))
    }

    fn parse<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Option::deserialize(from).map(Name)
    }

    fn to_json(&self) -> Value {
        self.0.clone().into()
    }

    fn each_number(&self, _: At, _: &mut dyn Numbers) {}
}

impl WriteJson for Name {
    fn write_json(&self, out: &mut String, depth: Option<usize>) {
        self.0.write_json(out, depth);
    }
}

impl Part for StateBits {
    const FORM: Form = Form::LacpBits;

    fn read(value: &Value) -> Option<Self> {
        let set = |name: &str| value.get(name).and_then(Value::as_bool) == Some(true);
        let bits = StateBits::NAMED.iter();
        let bits = bits.fold(StateBits::default(), |bits, (bit, name)| bits.with(*bit, set(name)));
        value.is_object().then_some(bits)
    }

    fn parse<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let set = BTreeMap::<String, bool>::deserialize(from)?;
        let bits = StateBits::NAMED.iter();
        let bits = bits.filter(|(_, name)| set.get(*name) == Some(&true));
        Ok(bits.fold(StateBits::default(), |bits, (bit, _)| bits.with(*bit, true)))
    }

    fn to_json(&self) -> Value {
        let bits = StateBits::NAMED.iter();
        let bits = bits.map(|(bit, name)| ((*name).to_owned(), self.has(*bit).into()));
        Value::Object(bits.collect())
    }

    fn each_number(&self, _: At, _: &mut dyn Numbers) {}
}

macro_rules! value {
    ($($type:ty, $form:ident, $read:expr, $number:expr;)+) => { $(
        impl Part for $type {
            const FORM: Form = Form::$form;

            fn read(value: &Value) -> Option<Self> {
                $read(value)
            }

            fn parse<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::deserialize(from)
            }

            fn to_json(&self) -> Value {
                self.clone().into()
            }

            fn each_number(&self, at: At, numbers: &mut dyn Numbers) {
                let number: Option<u64> = $number(self);
                number.into_iter().for_each(|number| numbers.number(at, number));
            }
        }
    )+ };
}

value! {
    bool, Boolean, Value::as_bool, |flag: &bool| Some(u64::from(*flag));
    i64, Integer, Value::as_i64, |number: &i64| u64::try_from(*number).ok();
    u64, Counter, Value::as_u64, |number: &u64| Some(*number);
    f64, Number, Value::as_f64, |_| None;
    String, Text, |value: &Value| value.as_str().map(str::to_owned), |_| None;
    Value, Any, |value: &Value| Some(value.clone()), |_| None;
}

/// Returns the members of an object that are present.
pub(super) fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let present = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect())
}

/// Makes types of definitions. A definition has the name, the type and the doc line; in brackets
/// stand functions of [`Field`] that say more of the item. `by` sets [`Object::label`].
macro_rules! state_objects {
    ($(
        pub struct $name:ident $(by $label:literal)?: $about:literal {
            $($field:ident: $type:ty $([$($option:ident($($argument:expr),*)),+])?, $doc:literal;)+
        }
    )+) => { $(
        #[doc = $about]
        #[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
        #[serde(default)]
        pub struct $name {
            $(
                #[doc = $doc]
                #[serde(deserialize_with = "crate::state::definition::present")]
                pub $field: Option<$type>,
            )+
        }

        impl $name {
            /// The definition of the object.
            pub const OBJECT: Object = Object { about: $about, label: None, fields: &[$(
                Field {
                    name: stringify!($field),
                    about: $doc,
                    form: <$type as Part>::FORM,
                    unit: None,
                    settable: None,
                    metric: None,
                    added: false,
                }
                $($(.$option($($argument),*))+)?,
            )+] } $(.by($label))?;

            /// Passes each number in the object to `numbers`.
            pub fn numbers(&self, numbers: &mut dyn crate::state::definition::Numbers) {
                let object = &$name::OBJECT;
                let mut fields = object.fields.iter();
                $(
                    if let (Some(field), Some(part)) = (fields.next(), &self.$field) {
                        part.each_number(crate::state::definition::At { object, field }, numbers);
                    }
                )+
            }
        }

        impl Part for $name {
            const FORM: Form = Form::Object(&$name::OBJECT);

            fn read(value: &Value) -> Option<Self> {
                Some($name {
                    $($field: value.get(stringify!($field)).and_then(Part::read),)+
                })
            }

            fn parse<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                serde::Deserialize::deserialize(from)
            }

            fn each_number(
                &self,
                _: crate::state::definition::At,
                numbers: &mut dyn crate::state::definition::Numbers,
            ) {
                self.numbers(numbers);
            }

            fn to_json(&self) -> Value {
                object([$((stringify!($field), self.$field.as_ref().map(Part::to_json)),)+])
            }
        }

        impl json_config::WriteJson for $name {
            fn write_json(&self, out: &mut String, depth: Option<usize>) {
                let fields = [$((
                    stringify!($field),
                    self.$field.as_ref().map(|it| it as &dyn json_config::WriteJson),
                ),)+];
                let present = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
                json_config::write_members(out, present.collect(), depth);
            }
        }

        impl OrEmpty<$name> for Option<$name> {
            fn or_empty(&self) -> &$name {
                static EMPTY: $name = $name { $($field: None,)+ };
                self.as_ref().unwrap_or(&EMPTY)
            }
        }
    )+ };
}
pub(super) use state_objects;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::State;
    use super::*;

    #[test]
    fn a_field_of_another_form_is_absent() {
        let text = r#"{"setup": {"pid": "x", "runner_name": "lacp"}, "ports": {"a": 1, "b": {}}}"#;
        let state: State = from_text(text).expect("JSON");
        assert_eq!(State::read(&serde_json::from_str(text).expect("JSON")), Some(state.clone()));
        assert_eq!(state.setup.or_empty().pid, None);
        assert_eq!(state.setup.or_empty().runner_name.as_deref(), Some("lacp"));
        assert_eq!(state.ports().count(), 2);
        assert!(from_text::<State>("{").is_err());
        assert_eq!(from_text::<State>("[]").expect("JSON"), State::default());
    }

    #[test]
    fn the_text_of_a_document_is_that_of_its_value() {
        let info = json!({"ifname": "eth\u{e9}1", "ifindex": 7, "dev_addr": "02:00:00:00:00:01"});
        let watch = json!({"name": "ethtool", "up": false, "down_count": 2, "delay_up": -1});
        let port = json!({
            "ifinfo": info,
            "link": {"duplex": "full", "speed": -1, "up": true},
            "link_watches": {"list": {"link_watch_0": watch}, "up": true},
            "runner": {"actor_lacpdu_info": {"state": 61}, "selected": true},
            "teamr": {"rx_frames": u64::MAX, "probe_heard_at": "b\"\\", "lacp": {"actor": {}}},
        });
        let value = json!({
            "setup": {"pid": 3, "daemonized": false},
            "ports": {"b": port, "a": {}},
            "runner": {"active_port": ""},
            "teamr": {"data_path_refused": {}, "failovers": {"count": 1}},
        });
        let state = State::read(&value).expect("a state");
        assert_eq!(json_config::to_text(&state), json_config::to_text(&state.to_json()));
        assert_eq!(from_text::<State>(&value.to_string()).expect("JSON"), state);
        for (age, name) in [(Age(None), Name(None)), (Age(Some(5)), Name(Some("x".to_owned())))] {
            assert_eq!(json_config::to_text(&age), json_config::to_text(&age.to_json()));
            assert_eq!(json_config::to_text(&name), json_config::to_text(&name.to_json()));
        }
        for real in [0.5, f64::NAN] {
            assert_eq!(json_config::to_text(&real), json_config::to_text(&real.to_json()));
        }
    }
}

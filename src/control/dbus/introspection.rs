//! The texts of `Introspect`.

use std::fmt::Write;

use super::names::{INTERFACE, PATH};
use crate::control::methods::METHODS;

/// Returns the next element of the path from `path` to the object; `None` on another path.
pub(super) fn child(path: &str) -> Option<&'static str> {
    let rest = PATH.strip_prefix(path.trim_end_matches('/'))?;
    rest.strip_prefix('/')?.split('/').next()
}

/// Returns the description of a parent of the object, by which tools find the object.
pub(super) fn describe_parent(child: &str) -> String {
    format!(
        "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n\
         \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n\
         <node>\n  <node name=\"{child}\"/>\n</node>\n"
    )
}

/// Returns the description of the object in teamd's form: one line, without results.
pub(super) fn describe_object() -> String {
    let mut text = format!("<node name='{PATH}'>  <interface name='{INTERFACE}'>");
    for method in &METHODS {
        let _ = write!(text, "    <method name='{}'>", method.name);
        for arg in method.args {
            let _ = write!(text, "      <arg type='s' name='{arg}' direction='in'/>");
        }
        text.push_str("    </method>");
    }
    text + "  </interface></node>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_names_the_next_element() {
        for (path, next) in [
            ("/", Some("org")),
            ("/org", Some("libteam")),
            ("/org/libteam", Some("teamd")),
            (PATH, None),
            ("/org/lib", None),
            ("/other", None),
        ] {
            assert_eq!(child(path), next, "{path}");
        }
    }
}

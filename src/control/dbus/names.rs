//! Names on the bus: the service, the object, the interface and the errors.

use crate::control::methods::Failure;

/// The interface of the methods. The name of an error is the interface and the code, without a dot
/// between.
pub const INTERFACE: &str = "org.libteam.teamd";
/// The only object.
pub const PATH: &str = "/org/libteam/teamd";
/// Name of the error for a missing object or method.
const UNKNOWN_METHOD: &str = "org.freedesktop.DBus.Error.UnknownMethod";

/// Returns the bus name of a team; `None` if the device's name cannot be part of a bus name.
pub fn bus_name(device: &str) -> Option<String> {
    // "Valid Names": no element is empty or begins with a digit.
    let is_element = |element: &str| {
        !element.starts_with(|c: char| c.is_ascii_digit())
            && !element.is_empty()
            && element.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    device.split('.').all(is_element).then(|| format!("{INTERFACE}.{device}"))
}

/// Returns the name of the error with a code of the control socket.
pub fn error_name(code: &str) -> String {
    match code {
        _ if code == Failure::UnknownMethod.code() => UNKNOWN_METHOD.to_owned(),
        // An error of the bus.
        _ if code.contains('.') => code.to_owned(),
        _ => format!("{INTERFACE}{code}"),
    }
}

/// Returns the code of an error's name; the name itself for an error of the bus.
pub fn error_code(name: &str) -> &str {
    match name {
        UNKNOWN_METHOD => Failure::UnknownMethod.code(),
        _ => name.strip_prefix(INTERFACE).unwrap_or(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_name_is_a_bus_name() {
        for device in ["team0", "t-0", "_", "a.b", "a.-"] {
            let name = bus_name(device);
            assert_eq!(name, Some(format!("org.libteam.teamd.{device}")));
        }
        for device in ["1", "t.5", ".a", "a.", "a..b", "t:0", "té", ""] {
            assert_eq!(bus_name(device), None, "{device:?}");
        }
    }

    #[test]
    fn a_code_survives_the_conversion_to_a_name() {
        for code in ["NoSuchDev", "UnknownMethod", "org.freedesktop.DBus.Error.NoReply"] {
            assert_eq!(error_code(&error_name(code)), code);
        }
        assert_eq!(error_name("NoSuchDev"), "org.libteam.teamdNoSuchDev");
    }
}

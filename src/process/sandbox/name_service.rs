//! The libraries of the system's resolver, which are loaded before the daemon may map no code.

use std::fs;

use crate::sys::name_service;

/// The services by which host names are found (nsswitch.conf(5)).
const CONFIGURATION: &str = "/etc/nsswitch.conf";

/// Loads the libraries that a query of a host name needs. A service without a library is built into
/// the C library, or not installed.
pub fn load() {
    let text = fs::read_to_string(CONFIGURATION).unwrap_or_default();
    for service in services(&text) {
        if !name_service::load(service) {
            log::debug!("The name service \"{service}\" has no library to load.");
        }
    }
}

/// Returns the services for hosts, without the actions in brackets.
fn services(text: &str) -> Vec<&str> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let hosts = lines.filter_map(|line| line.trim_start().strip_prefix("hosts:")).next_back();
    let parts = hosts.unwrap_or_default().split('[');
    let parts = parts.enumerate().map(|(place, part)| match place {
        0 => part,
        _ => part.split_once(']').map_or("", |(_, rest)| rest),
    });
    parts.flat_map(str::split_whitespace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_for_hosts_are_read_without_their_actions() {
        for (text, expected) in [
            ("", &[][..]),
            ("passwd: files sss\n", &[]),
            ("# hosts: nis\n hosts:\tfiles dns # both\n", &["files", "dns"]),
            (
                "hosts: mymachines resolve [!UNAVAIL=return NOTFOUND=return] files[SUCCESS=merge]dns",
                &["mymachines", "resolve", "files", "dns"],
            ),
            ("hosts: files [", &["files"]),
        ] {
            assert_eq!(services(text), expected, "{text}");
        }
    }

    #[test]
    fn a_service_is_a_name_and_no_path() {
        for service in ["../../tmp/x", "a.b", "a\0b", "nonesuch"] {
            assert!(!name_service::load(service), "{service}");
        }
    }
}

//! Translates the other settings of a keyfile to properties of nmcli.
//!
//! Owns the list of the keys that mean the same in both. The caller gets all other settings back.
//!
//! Standard: nm-settings-keyfile(5), nm-settings-nmcli(5).

use crate::bond::manager::Manager;
use crate::bond::settings::Setting;

/// Keys of both `[ipv4]` and `[ipv6]`.
const IP: &str = "dad-timeout dhcp-hostname dhcp-send-hostname dhcp-timeout dns-options dns-priority \
    ignore-auto-dns ignore-auto-routes may-fail method never-default required-timeout route-metric \
    route-table";

const ETHERNET: &str = "accept-all-mac-addresses auto-negotiate cloned-mac-address duplex \
    generate-mac-address-mask mac-address mtu port speed wake-on-lan wake-on-lan-password";

const CONNECTION: &str = "auth-retries autoconnect autoconnect-priority autoconnect-retries \
    autoconnect-slaves lldp llmnr mdns metered mud-url stable-id wait-device-timeout zone";

/// Section of a keyfile, setting of nmcli, keys with blanks between them.
const SAME: &[(&str, &str, &str)] = &[
    ("connection", "connection", CONNECTION),
    ("ipv4", "ipv4", IP),
    ("ipv4", "ipv4", "dhcp-client-id dhcp-fqdn link-local"),
    ("ipv6", "ipv6", IP),
    ("ipv6", "ipv6", "addr-gen-mode dhcp-duid ip6-privacy ra-timeout token"),
    ("ethernet", "802-3-ethernet", ETHERNET),
    ("802-3-ethernet", "802-3-ethernet", ETHERNET),
    ("bridge-port", "bridge-port", "hairpin-mode path-cost priority"),
];

/// Returns the properties for NetworkManager's settings, and the settings without a property.
pub fn properties(other_settings: &[Setting]) -> (Vec<(String, String)>, Vec<&Setting>) {
    let (mut found, mut left) = (Vec::new(), Vec::new());
    let ours = other_settings.iter().filter(|s| s.manager == Manager::NetworkManager);
    for setting in ours {
        let Setting { section, key, value, .. } = setting;
        let has = |keys: &str| keys.split(' ').any(|known| known == key);
        let same = SAME.iter().find(|(from, _, keys)| from == section && has(keys));
        if let Some((_, to, _)) = same {
            let value = value.trim_end_matches(';').replace(';', ",");
            found.push((format!("{to}.{key}"), value));
        } else if section == "ethtool" {
            let value = match value.as_str() {
                "true" => "on",
                "false" => "off",
                value => value,
            };
            found.push((format!("ethtool.{key}"), value.to_owned()));
        } else if !is_route(setting) && rule(setting).is_none() {
            left.push(setting);
        }
    }
    for section in ["ipv4", "ipv6"] {
        let of_section = || other_settings.iter().filter(|setting| setting.section == section);
        let routes = of_section().filter_map(|setting| route(setting, other_settings));
        let rules = of_section().filter_map(rule).map(str::to_owned);
        for (key, values) in
            [("routes", routes.collect::<Vec<_>>()), ("routing-rules", rules.collect())]
        {
            if !values.is_empty() {
                found.push((format!("{section}.{key}"), values.join(",")));
            }
        }
    }
    (found, left)
}

/// Returns the number of a key such as `route1`.
fn numbered<'a>(setting: &'a Setting, key: &str) -> Option<&'a str> {
    let is_ip = matches!(setting.section.as_str(), "ipv4" | "ipv6");
    let number = setting.key.strip_prefix(key).filter(|_| is_ip)?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some(number)
}

fn rule(setting: &Setting) -> Option<&str> {
    numbered(setting, "routing-rule").map(|_| setting.value.as_str())
}

/// Returns whether a setting is a route or the options of one.
fn is_route(setting: &Setting) -> bool {
    let key = setting.key.strip_suffix("_options");
    let of = |key: &str| {
        let setting = Setting { key: key.to_owned(), ..setting.clone() };
        numbered(&setting, "route").is_some()
    };
    of(key.unwrap_or(&setting.key))
}

/// Translates a route, `DESTINATION/PREFIX[,NEXT_HOP[,METRIC]]`, with the options of the same number
/// to nmcli's `DESTINATION/PREFIX [NEXT_HOP] [METRIC] [OPTION=VALUE]...`.
fn route(setting: &Setting, other_settings: &[Setting]) -> Option<String> {
    let number = numbered(setting, "route")?;
    let options = format!("route{number}_options");
    let options = other_settings
        .iter()
        .find(|other| other.section == setting.section && other.key == options);
    let options = options.map_or("", |options| &options.value);
    let parts = setting.value.split([',', ';']).map(str::trim);
    // A route with a metric but without a next hop has the unspecified address in its place.
    let parts = parts.filter(|part| !matches!(*part, "" | "0.0.0.0" | "::"));
    let words: Vec<&str> = parts.chain(options.split(',').map(str::trim)).collect();
    Some(words.join(" ").trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(section: &str, key: &str, value: &str) -> Setting {
        Setting {
            manager: Manager::NetworkManager,
            section: section.to_owned(),
            occurrence: 0,
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn settings_with_a_property_are_translated_and_others_returned() {
        let other_settings = [
            setting("ipv4", "route1", "10.1.0.0/16,192.0.2.1,100"),
            setting("ipv4", "route1_options", "onlink=true,table=5"),
            setting("ipv4", "route2", "10.2.0.0/16,0.0.0.0,7"),
            setting("ipv4", "routing-rule1", "priority 5 from 10.1.0.1 table 7"),
            setting("ipv4", "dns-options", "rotate;timeout:1;"),
            setting("ethernet", "mtu", "9000"),
            setting("ethtool", "feature-tso", "false"),
            setting("802-1x", "identity", "me"),
            setting("connection", "secondaries", "x"),
        ];
        let (found, left) = properties(&other_settings);
        let found: Vec<String> = found.iter().map(|(k, v)| format!("{k} {v}")).collect();
        assert_eq!(
            found,
            [
                "ipv4.dns-options rotate,timeout:1",
                "802-3-ethernet.mtu 9000",
                "ethtool.feature-tso off",
                "ipv4.routes 10.1.0.0/16 192.0.2.1 100 onlink=true table=5,10.2.0.0/16 7",
                "ipv4.routing-rules priority 5 from 10.1.0.1 table 7",
            ]
        );
        assert_eq!(left, [&other_settings[7], &other_settings[8]]);
    }
}

//! Reads the kernel's view of a device into a [`Tree`]: sysfs and procfs below a root, and the
//! addresses, which only netlink has.

use std::io;
use std::path::Path;

use super::manager::Manager;
use super::options::ROWS;
use super::tree::Tree;
use crate::netlink::{address, link, socket::RouteSocket};

/// Name of the text with the device's addresses, one a line. sysfs has no such file.
pub const ADDRESSES: &str = "addresses";
/// The routing tables of procfs.
pub const ROUTES: [&str; 2] = ["proc/net/route", "proc/net/ipv6_route"];

/// Returns the path of the setting `accept_ra` of the device `name`.
pub fn accept_ra(name: &str) -> String {
    format!("proc/sys/net/ipv6/conf/{name}/accept_ra")
}

/// Adds the texts of the device `name`; its addresses only if `root` is `/`, since netlink knows
/// only this host.
///
/// # Errors
/// Those of reading an existing file, and of netlink.
pub fn load(tree: &mut Tree, root: &Path, name: &str) -> io::Result<()> {
    let folder = format!("{}/{name}", Manager::Sysfs.folder());
    let own = ["slaves"]
        .into_iter()
        .chain(ROWS.iter().map(|row| row.name));
    for file in own {
        tree.load_one(root, &format!("{folder}/bonding/{file}"))?;
    }
    for file in ["mtu", "address", "addr_assign_type", "ifindex"] {
        tree.load_one(root, &format!("{folder}/{file}"))?;
    }
    tree.load_link(root, &format!("{folder}/master"));
    let slaves = tree.value(&format!("{folder}/bonding/slaves"));
    let slaves: Vec<String> = slaves
        .unwrap_or_default()
        .split_ascii_whitespace()
        .map(|slave| format!("{}/{slave}/bonding_slave/queue_id", Manager::Sysfs.folder()))
        .collect();
    for queue in slaves {
        tree.load_one(root, &queue)?;
    }
    tree.load_one(root, &accept_ra(name))?;
    for routes in ROUTES {
        tree.load_one(root, routes)?;
    }
    let exists = tree.get(&format!("{folder}/ifindex")).is_some();
    if root == Path::new("/") && exists {
        let mut route = RouteSocket::open()?;
        let device = link::find(&mut route, name)?;
        let addresses: String = address::all(&mut route)?
            .iter()
            .filter(|found| found.ifindex == device.ifindex && found.is_lasting)
            .map(|found| format!("{}/{}\n", found.address, found.prefix_len))
            .collect();
        tree.insert(format!("{folder}/{ADDRESSES}"), addresses);
    }
    Ok(())
}

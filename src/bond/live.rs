//! Reads the kernel's view of a device into a [`Tree`]: sysfs and procfs below a root, and the
//! addresses, which only netlink has.

use std::io;
use std::path::Path;

use super::links;
use super::manager::Manager;
use super::options::ROWS;
use super::root::Root;
use super::tree::Tree;
use crate::netlink::{address, bond, link, socket::RouteSocket};

/// Name of the text with the device's addresses, one a line. sysfs has no such file.
pub const ADDRESSES: &str = "addresses";
/// The routing tables of procfs.
pub const ROUTES: [&str; 2] = ["proc/net/route", "proc/net/ipv6_route"];

/// Transmit queue of a port, in the folder `bonding_slave` of its interface.
pub const QUEUE_ID: &str = "queue_id";
/// Priority of a port among those that can become active. sysfs has no such file.
pub const PRIO: &str = "prio";
/// LACP priority of a port. sysfs has no such file.
pub const ACTOR_PORT_PRIO: &str = "actor_port_prio";
/// Permanent hardware address of an interface.
const PERM_HWADDR: &str = "perm_hwaddr";

/// Returns the path of the setting `accept_ra` of the device `name`.
pub fn accept_ra(name: &str) -> String {
    format!("proc/sys/net/ipv6/conf/{name}/accept_ra")
}

/// Adds the texts of the device `name` and of the interfaces that rules can select. If `root` is that
/// of this host, also adds the data that only netlink has, such as addresses.
///
/// # Errors
/// When an existing file cannot be read, or netlink fails.
pub fn load(tree: &mut Tree, root: &Path, name: &str) -> io::Result<()> {
    let root = &Root::open(root)?;
    let folder = format!("{}/{name}", Manager::Sysfs.folder());
    let own = ["slaves"].into_iter().chain(ROWS.iter().map(|row| row.name));
    for file in own {
        tree.load_one(root, &format!("{folder}/bonding/{file}"))?;
    }
    for file in ["mtu", "addr_assign_type"] {
        tree.load_one(root, &format!("{folder}/{file}"))?;
    }
    tree.load_link(root, &format!("{folder}/master"));
    load_links(tree, root)?;
    let slaves = tree.value(&format!("{folder}/bonding/slaves"));
    for slave in
        slaves.unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>()
    {
        tree.load_one(root, &port_file(&slave, QUEUE_ID))?;
    }
    tree.load_one(root, &accept_ra(name))?;
    for routes in ROUTES {
        tree.load_one(root, routes)?;
    }
    let exists = tree.get(&format!("{folder}/ifindex")).is_some();
    if root.is_of_host() && exists {
        let mut route = RouteSocket::open()?;
        let device = link::find(&mut route, name)?;
        let addresses: String = address::all(&mut route)?
            .iter()
            .filter(|found| found.ifindex == device.ifindex && found.is_lasting)
            .map(|found| format!("{}/{}\n", found.address, found.prefix_len))
            .collect();
        tree.insert(format!("{folder}/{ADDRESSES}"), addresses);
    }
    if root.is_of_host() {
        load_from_netlink(tree)?;
    }
    Ok(())
}

fn port_file(port: &str, file: &str) -> String {
    format!("{}/{port}/bonding_slave/{file}", Manager::Sysfs.folder())
}

/// Adds the files by which rules select interfaces.
fn load_links(tree: &mut Tree, root: &Root) -> io::Result<()> {
    let folder = Manager::Sysfs.folder();
    for name in root.names(folder)? {
        let path = |file: &str| format!("{folder}/{name}/{file}");
        for file in links::FILES {
            tree.load_one(root, &path(file))?;
        }
        tree.load_link(root, &path(links::DRIVER));
        if let Some(ifindex) = tree.value(&path("ifindex")).map(links::udev_file) {
            tree.load_one(root, &ifindex)?;
        }
    }
    Ok(())
}

/// Adds the options of bonds and ports that sysfs lacks, and permanent hardware addresses.
fn load_from_netlink(tree: &mut Tree) -> io::Result<()> {
    let mut route = RouteSocket::open()?;
    for found in bond::all(&mut route)? {
        let folder = format!("{}/{}", Manager::Sysfs.folder(), found.name);
        let mut add = |path: String, value: String| {
            if tree.get(&path).is_none() {
                tree.insert(path, value);
            }
        };
        for (option, value) in found.options {
            add(format!("{folder}/bonding/{option}"), value);
        }
        for (option, value) in found.port_options {
            add(port_file(&found.name, option), value);
        }
        if let Some(hwaddr) = found.permanent_hwaddr {
            add(port_file(&found.name, PERM_HWADDR), hwaddr.to_string());
        }
    }
    Ok(())
}

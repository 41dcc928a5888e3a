//! NetworkManager without the kernel's team driver: NetworkManager makes a TAP device and sets its
//! address, and the dispatcher script runs teamr on the device.

use std::path::Path;

use integration::{
    CableKind, DataPath, Lab, Namespace, NetworkManager, Ping, Process, Sharing, Teamr, binary,
    control, repository, team_config, wait_for, wait_until,
};

const PORTS: [&str; 2] = ["eth1", "eth2"];
const CYCLES: usize = 5;
const PACKETS: u32 = 10;

/// The configuration from the script's comment.
const CONFIG: &str = "[keyfile]\nunmanaged-devices=interface-name:eth1;interface-name:eth2\n";

/// A host with NetworkManager. Processes that its dispatcher started end on drop.
struct Site {
    host: Namespace,
    peer: Namespace,
    manager: NetworkManager,
    lab: Lab,
}

impl Site {
    fn new() -> Option<Site> {
        let lab = Lab::open(Sharing::Shared)?;
        let (host, peer) = (lab.host("host"), lab.host("peer"));
        peer.ip("link add name bridge type bridge");
        for port in PORTS {
            lab.cable((&host, port), (&peer, port), CableKind::Virtual);
            peer.ip(&format!("link set dev {port} master bridge"));
            peer.up(port);
        }
        peer.address("bridge", "10.0.0.2/24");
        peer.up("bridge");
        let manager = NetworkManager::start(&host, CONFIG, furnish)?;
        Some(Site { host, peer, manager, lab })
    }

    /// Returns the pid of the team's daemon; `None` without a reply.
    fn pid(&self) -> Option<u64> {
        let socket = format!("/proc/{}/root/run/teamd/team0.sock", self.host.pid());
        control::state_at(socket.as_ref())?["setup"]["pid"].as_u64()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.host.try_run("/usr/local/sbin/teamr -k -t team0");
    }
}

/// Installs on a host the script, a team configuration, and teamr in the search path.
fn furnish(host: &Namespace) {
    let script = repository().join("dist/NetworkManager/dispatcher.d/90-teamr");
    let folder = "/etc/NetworkManager/dispatcher.d";
    for line in [
        "mount -t tmpfs tmpfs /usr/local/sbin",
        "mkdir -p /etc/teamr /run/teamd",
        &format!("mkdir -p {folder}/pre-up.d {folder}/pre-down.d"),
        &format!("cp {} {folder}/90-teamr", script.display()),
        &format!("cp {} {folder}/pre-up.d/90-teamr", script.display()),
        &format!("cp {} {folder}/pre-down.d/90-teamr", script.display()),
        &format!("ln -s {} /usr/local/sbin/teamr", binary("teamr").display()),
    ] {
        host.run(line);
    }
    let config = team_config("team0", "activebackup", DataPath::Userspace, &PORTS);
    host.write("/etc/teamr/team0.json", &config.to_string());
}

#[test]
fn a_tap_device_of_network_manager_becomes_a_team() {
    let Some(mut site) = Site::new() else {
        return;
    };
    let host = &site.host;
    host.run(
        "nmcli connection add type tun ifname team0 mode tap tun.vnet-hdr yes con-name team0 autoconnect no \
         ipv4.method manual ipv4.addresses 10.0.0.1/24 ipv6.method disabled",
    );
    for cycle in 1..=CYCLES {
        host.run("nmcli --wait 20 connection up team0");
        let pid = wait_for("teamr to answer", || site.pid());
        wait_until("the address", || {
            host.run("ip -br address show dev team0").contains("10.0.0.1/24")
        });
        wait_until("an answer", || Ping::run(host, "10.0.0.2", 1, "").is_exact());
        assert!(Ping::run(host, "10.0.0.2", PACKETS, "").is_exact(), "cycle {cycle}");
        let state = host.run("nmcli --terse --fields GENERAL.STATE connection show team0");
        assert!(state.contains("activated"), "{state}");

        host.run("nmcli --wait 20 connection down team0");
        wait_until("the daemon's end", || !Path::new(&format!("/proc/{pid}")).exists());
        wait_until("the device's end", || !host.has_interface("team0"));
        for port in PORTS {
            assert!(host.has_interface(port));
            assert_eq!(host.run(&format!("tc qdisc show dev {port} clsact")), "");
        }
        let left = host.run("find /run/teamd -type f -o -type s");
        assert_eq!(left, "", "cycle {cycle}");
    }
    assert!(site.manager.runs());
}

/// Starts a DHCP server behind the team.
fn serve(site: &Site) -> Process {
    let folder = site.lab.folder().display();
    let server = site.peer.start(&format!(
        "dnsmasq --no-daemon --conf-file=/dev/null --port=0 --interface=bridge --bind-interfaces \
         --dhcp-authoritative --dhcp-range=10.0.0.50,10.0.0.50,255.255.255.0 \
         --dhcp-leasefile={folder}/leases"
    ));
    wait_until("the server to serve", || server.log().contains("DHCP, IP range"));
    server
}

fn has_lease(host: &Namespace) -> bool {
    let shown = host.ip("address show dev team0");
    shown.contains("10.0.0.50/24")
}

#[test]
fn a_team_started_by_the_script_gets_its_address_by_dhcp() {
    let Some(site) = Site::new() else {
        return;
    };
    let host = &site.host;
    let _server = serve(&site);
    host.write("/etc/teamr/team0.nmcli", "ipv4.method auto");
    host.run(
        "nmcli connection add type tun ifname team0 mode tap tun.vnet-hdr yes con-name team0 autoconnect no \
         ipv4.method disabled ipv6.method disabled",
    );
    for _ in 0..2 {
        host.run("nmcli --wait 20 connection up team0");
        wait_until("an address", || has_lease(host));
        assert!(Ping::run(host, "10.0.0.2", PACKETS, "").is_exact());
        let method = host.run("nmcli --terse --fields ipv4.method connection show team0");
        assert_eq!(method.trim(), "ipv4.method:disabled", "the connection");
        host.run("nmcli --wait 20 connection down team0");
        wait_until("the device's end", || !host.has_interface("team0"));
    }
}

#[test]
fn a_running_team_gets_its_address_by_dhcp() {
    let Some(site) = Site::new() else {
        return;
    };
    let host = &site.host;
    let _server = serve(&site);
    let team = Teamr::start_file(host, "team0", "/etc/teamr/team0.json".into());
    team.wait_ports_up(&PORTS);
    host.run(
        "nmcli connection add type tun ifname team0 mode tap tun.vnet-hdr yes con-name team0 autoconnect no \
         ipv4.method auto ipv6.method disabled",
    );
    host.run("nmcli --wait 20 connection up team0");
    assert!(has_lease(host));
    assert!(Ping::run(host, "10.0.0.2", PACKETS, "").is_exact());
    assert_eq!(site.pid(), Some(team.pid().into()));
}

//! What the test does with a command line of the pages that does not run as it stands, and the blocks that are
//! settings of other programs.

/// A command line of a page that the test does not run as it stands.
pub struct Exception {
    /// The page, or `*` for every page.
    pub page: &'static str,
    pub line: &'static str,
    pub way: Way,
}

pub enum Way {
    /// The line does not run on the host of the test, for this reason.
    Omit(&'static str),
    /// This line runs in its place.
    Instead(&'static str),
    /// This line runs before.
    After(&'static str),
}

use Way::{After, Instead, Omit};

const fn exception(page: &'static str, line: &'static str, way: Way) -> Exception {
    Exception { page, line, way }
}

/// Starts the team of the page in place of its unit.
const START: &str = "teamr -k -t team0; ip link set eth1 down && ip link set eth2 down && \
                     teamr -d -w -f /etc/teamr/team0.json";
/// Starts every team of the directory in place of the unit of all teams.
const START_ALL: &str = "ip link add eth3 type veth peer name peer3 && ip link set peer3 up && \
                         ip link set eth1 down && ip link set eth2 down && \
                         teamr -d -f /etc/teamr";
const BONDING: &str = "needs the bonding driver: `trial` and `bond` run the command in a guest, `packages` \
                       on hosts with network managers";
const DEBIAN: &str =
    "needs a Debian that may be changed: `packages` installs, upgrades and removes the package";
const FEDORA: &str = "needs Fedora or RHEL: `packages` installs the rpm in a folder";
const NETWORKD: &str = "needs a host that networkd configures: `packages` boots one";
const NETWORK_MANAGER: &str = "needs NetworkManager: `network_manager_dispatcher` runs one";
const AGENTS: &str =
    "needs systemd, snmpd and lldpd: `packages` boots a host with both and runs the units";
const INITRD: &str =
    "writes an initial RAM file system: `packages` writes both kinds, `initrd` boots them";
const APPARMOR: &str = "needs AppArmor in the kernel: `packages` has the parser check the profile";
const SELINUX: &str = "needs SELinux in the kernel: `packages` has the compiler check the module";
const DRIVER: &str = "needs the team driver: `kernel_path` and `drop_in` run teamrnl in a guest";

pub const EXCEPTIONS: &[Exception] = &[
    exception("addresses.md", "systemctl enable --now teamr@team0", Instead(START)),
    exception("addresses.md", "ip link set eth1 down", After("teamr -k -t team0 || true")),
    exception("addresses.md", "networkctl reload", Omit(NETWORKD)),
    exception("addresses.md", "networkctl status team0", Omit(NETWORKD)),
    exception(
        "addresses.md",
        "netplan try",
        Omit("asks at a terminal: `packages` applies files of netplan at a boot"),
    ),
    exception(
        "addresses.md",
        "ifup team0",
        Omit("changes the files of the host: `packages` runs ifupdown and ifupdown2"),
    ),
    exception(
        "addresses.md",
        r"sed -i '/^pre-up,address$/i pre-up,team' /etc/network/ifupdown2/addons.conf",
        Omit("changes a file of ifupdown2: `packages` runs the line"),
    ),
    exception(
        "addresses.md",
        "nmcli connection add type ethernet ifname team0 con-name team0 ipv4.method auto",
        Omit(NETWORK_MANAGER),
    ),
    exception("addresses.md", "nmcli connection up team0", Omit(NETWORK_MANAGER)),
    exception("*", "teamrctl doctor --bond bond0", Omit(BONDING)),
    exception("from-bonding.md", "teamrctl import --apply --dry-run bond0", Omit(BONDING)),
    exception("from-bonding.md", "teamrctl import --apply bond0", Omit(BONDING)),
    exception("from-bonding.md", "teamrctl bond0 state", Omit(BONDING)),
    exception("from-bonding.md", "teamrctl bond0 keep", Omit(BONDING)),
    exception(
        "*",
        "teamrctl import --apply --until 'ping -c 1 -W 1 192.0.2.1' bond0",
        Omit(BONDING),
    ),
    exception("*", "teamrctl import --undo bond0", Omit(BONDING)),
    exception(
        "from-bonding.md",
        "teamrctl import --root /srv/host --output new bond0",
        After(
            "mkdir -p /srv/host/etc/network && printf 'auto bond0\\niface bond0 inet manual\\n    \
             bond-slaves eth1 eth2\\n    bond-mode active-backup\\n' > /srv/host/etc/network/interfaces",
        ),
    ),
    exception("from-teamd.md", "nmcli connection show team0", Omit(NETWORK_MANAGER)),
    exception("from-teamd.md", "dnf install ./teamr.rpm", Omit(FEDORA)),
    exception("from-teamd.md", "systemctl enable --now teamr@team0", Instead(START)),
    exception(
        "from-teamd.md",
        "nmcli connection add type ethernet ifname team0 con-name team0 ipv4.method manual \
         ipv4.addresses 192.0.2.10/24 ipv4.gateway 192.0.2.1",
        Omit(NETWORK_MANAGER),
    ),
    exception("initrd.md", "systemctl enable teamr@team0", Omit(INITRD)),
    exception("initrd.md", "update-initramfs -u", Omit(INITRD)),
    exception("initrd.md", "lsinitramfs /boot/initrd.img-$(uname -r) | grep teamr", Omit(INITRD)),
    exception("initrd.md", "dracut --force", Omit(INITRD)),
    exception("initrd.md", "lsinitrd | grep teamr", Omit(INITRD)),
    exception("kvm.md", "systemctl enable --now teamr@team0", Instead(START)),
    exception("lacp.md", "systemctl enable --now teamr@team0", Instead(START)),
    exception(
        "lacp.md",
        "teamrctl hash 192.0.2.10:40000 192.0.2.1:443",
        After("ip address add 192.0.2.10/24 dev team0 && ping -c 1 -W 9 192.0.2.1"),
    ),
    exception("lacp.md", "systemctl enable --now teamr-lldp", Omit(AGENTS)),
    exception("many-teams.md", "systemctl enable --now teamr", Instead(START_ALL)),
    exception("many-teams.md", "ip link set eth1 down", After("teamr -k -f /etc/teamr")),
    exception(
        "monitoring.md",
        "teamrctl metrics serve 127.0.0.1:9199",
        Omit("does not end: `metrics` runs the server"),
    ),
    exception("monitoring.md", "systemctl enable --now teamr-agentx", Omit(AGENTS)),
    exception("monitoring.md", "ip link set eth1 down", After("teamr -k -t team0")),
    exception(
        "monitoring.md",
        "snmpwalk -v2c -c public 127.0.0.1 1.2.840.10006.300.43",
        Omit(AGENTS),
    ),
    exception(
        "monitoring.md",
        "journalctl -u teamr@team0",
        Omit("needs systemd: `packages` reads the journal of a unit"),
    ),
    exception("removal.md", "systemctl disable --now teamr@team0", Instead("teamr -k -t team0")),
    exception(
        "removal.md",
        "teamr -k -t team0",
        After("printf '{\"ports\": {}}' > by-hand.json && teamr -d -f by-hand.json -t team0"),
    ),
    exception(
        "removal.md",
        "teamrctl export team0 --to networkd",
        After(
            "printf '{\"runner\": {\"name\": \"activebackup\"}, \"ports\": {}}' > by-hand.json && \
             teamr -d -f by-hand.json -t team0",
        ),
    ),
    exception("removal.md", "apt remove teamr", Omit(DEBIAN)),
    exception("removal.md", "apt purge teamr", Omit(DEBIAN)),
    exception(
        "security.md",
        "systemd-analyze security teamr@team0",
        Omit("needs systemd: `packages` measures the units"),
    ),
    exception(
        "security.md",
        "cp /usr/share/apparmor/extra-profiles/teamr /etc/apparmor.d/teamr",
        Omit(APPARMOR),
    ),
    exception("security.md", "aa-complain /etc/apparmor.d/teamr", Omit(APPARMOR)),
    exception("security.md", "systemctl restart teamr@team0", Omit(APPARMOR)),
    exception("security.md", "aa-enforce /etc/apparmor.d/teamr", Omit(APPARMOR)),
    exception("security.md", "semodule -i /usr/share/selinux/packages/teamr.cil", Omit(SELINUX)),
    exception("security.md", "restorecon -v /usr/bin/teamr", Omit(SELINUX)),
    exception("upgrades.md", "apt install ./teamr.deb", Omit(DEBIAN)),
    exception(
        "upgrades.md",
        "systemctl restart teamr@team0",
        Instead(
            "kill -USR2 $(teamrctl state item get setup.pid) && \
             while teamr -e -t team0; do sleep 0.1; done && \
             teamr -d -w -f /etc/teamr/team0.json",
        ),
    ),
    exception("upgrades.md", "ip link set eth1 down", After("teamr -k -t team0")),
    exception(
        "upgrades.md",
        "teamrctl team0 try new.json --until 'ping -c 1 -W 1 192.0.2.1'",
        After("cp /etc/teamr/team0.json new.json"),
    ),
    exception(
        "README.md",
        "dist/packages                              # builds a .deb and an .rpm and prints their paths",
        Omit("builds a release for minutes: `packages` runs the script"),
    ),
    exception(
        "README.md",
        "apt install ./target/debian/teamr_*.deb    # or: dnf install ./target/generate-rpm/teamr-*.rpm",
        Omit(DEBIAN),
    ),
    exception(
        "README.md",
        "cargo install --path . --locked            # teamr, teamrctl, teamrnl into ~/.cargo/bin",
        Omit(
            "builds a release for minutes: integration/fresh builds the sources in a minimal Debian",
        ),
    ),
    exception("README.md", "systemctl enable --now teamr@team0", Instead(START)),
    exception("README.md", "integration/run", Omit("runs this test")),
    exception("teamr.8", "systemctl enable --now teamr@team0", Instead(START)),
    exception(
        "teamr.8",
        "systemctl reload teamr@team0",
        Instead("teamr --check-config -f /etc/teamr/team0.json && teamrctl reload"),
    ),
    exception(
        "teamr.8",
        "systemctl restart teamr@team0",
        Instead(
            "kill -USR2 $(teamrctl state item get setup.pid) && \
             while teamr -e -t team0; do sleep 0.1; done && \
             teamr -d -w -f /etc/teamr/team0.json",
        ),
    ),
    exception("teamr.8", "teamr -d -f /etc/teamr", After("teamr -k -t team0")),
    exception("teamr.8", "systemctl enable --now teamr", Instead("teamr -e -f /etc/teamr")),
    exception("teamrctl-import.8", "teamrctl BOND keep", Omit(BONDING)),
    exception("teamrctl-import.8", "teamrctl import --output new bond0", Omit(BONDING)),
    exception("teamrctl-import.8", "cp new/bond0.json /etc/teamr/", Omit(BONDING)),
    exception(
        "teamrctl-import.8",
        "teamrctl export --to networkd --output old /etc/teamr/bond0.json",
        After("cp /etc/teamr/team0.json /etc/teamr/bond0.json"),
    ),
    exception(
        "teamrctl.8",
        "teamrctl team0 try new.json --until 'ping -c 1 -W 1 192.0.2.1'",
        After("cp /etc/teamr/team0.json new.json && ip address add 192.0.2.10/24 dev team0"),
    ),
    exception("teamrnl.8", "teamrnl team0 ports", Omit(DRIVER)),
    exception("teamrnl.8", "teamrnl -p eth1 team0 getoption enabled", Omit(DRIVER)),
    exception("teamrnl.8", "teamrnl -p eth1 team0 -- setoption priority -7", Omit(DRIVER)),
];

/// Blocks that are neither commands nor configurations of teamr: the page, the first line, and what checks the
/// block.
pub const OTHER_BLOCKS: &[(&str, &str, &str)] = &[
    ("addresses.md", "[Match]", NETWORKD),
    ("addresses.md", "network:", "`packages` boots a host with a file of netplan"),
    ("addresses.md", "auto team0", "`packages` runs ifupdown and ifupdown2 with this stanza"),
    ("addresses.md", "[keyfile]", NETWORK_MANAGER),
    ("from-teamd.md", "[keyfile]", NETWORK_MANAGER),
    ("kvm.md", "auto team0", "`packages` runs ifupdown2 with the options of the team"),
    ("kvm.md", "<interface type='bridge'>", "a fragment of libvirt's documentation"),
    ("lacp.md", "interface range GigabitEthernet1/0/1 - 2", "commands of a switch"),
    ("lacp.md", "set chassis aggregated-devices ethernet device-count 1", "commands of a switch"),
    ("lacp.md", "interface Ethernet1-2", "commands of a switch"),
    (
        "lacp.md",
        r"/interface bonding add name=bond1 slaves=ether1,ether2 mode=802.3ad \",
        "commands of a switch",
    ),
    ("lacp.md", "interface GigabitEthernet1/0/1", "commands of a switch"),
    (
        "many-teams.md",
        "TEAM   STATE     RUNNER        PORTS",
        "tests/teamrctl/answers.rs compares the table",
    ),
    ("monitoring.md", "scrape_configs:", "settings of Prometheus"),
    ("monitoring.md", "# /etc/snmp/snmpd.conf", AGENTS),
    ("README.md", "left$ teamr -f activebackup.json", "`demo` compares the output"),
    ("teamr.8", "auto team0", "`packages` runs ifupdown and ifupdown2 with this stanza"),
    (
        "teamrctl-import.8",
        "                             answered       link goes    link comes",
        "`bonding_modes` compares the table",
    ),
];

# Functions of the boots of migration.rs.
set -e
. /spoil

fail() {
    echo "failed: $*"
    facts || true
    journalctl --no-pager --lines=60
    exit 1
}

# Prints what a host keeps: the hardware address, addresses, MTU and routes.
facts() {
    cat /sys/class/net/bond0/address /sys/class/net/bond0/mtu
    ip -oneline -4 address show scope global | tr -s ' ' | cut -d ' ' -f 2,4 | sort
    # NetworkManager's metric is that of the kind of a device.
    ip -4 route show table main | sed 's/ proto [a-z]*//; s/ metric [0-9]*//; s/ *$//' | sort
}

files() {
    find /etc/network /etc/systemd/network /etc/teamr /etc/netplan /etc/NetworkManager /etc/cloud \
        -type f -exec cksum {} + 2>/dev/null | sort
}

same_files() {
    [ "$(files)" = "$(cat /expected-files)" ]
}

# Waits a minute until a command succeeds.
await() {
    for second in $(seq 60); do
        ! "$@" || return 0
        sleep 1
    done
    fail "$@"
}

is_reachable() {
    [ ! -e /expected ] || [ "$(facts)" = "$(cat /expected)" ] || return 1
    ip -4 route | grep -q 198.51.100.0/24 || return 1
    ip -4 address | grep -q 203.0.113.10 || return 1
    ping -c 1 -W 1 192.0.2.1 >/dev/null 2>&1
}

is_bond() {
    [ -e /sys/class/net/bond0/bonding ] && is_reachable || return 1
    for port in eth1 eth2; do
        [ -e "/sys/class/net/bond0/lower_$port" ] || return 1
    done
}

is_team() {
    [ ! -e /sys/class/net/bond0/bonding ] && teamrctl bond0 state >/dev/null && is_reachable
}

await_bond() {
    await is_bond
}

await_team() {
    await is_team
}

# Checks a host after its boot. Run by a unit; the last line reports success.
set -ex

soon() {
    for _ in $(seq 200); do
        "$@" && return
        sleep 0.05
    done
    return 1
}

for unit in teamr@team0 teamd@team1 cloud-init systemd-networkd systemd-networkd-wait-online \
    networking NetworkManager; do
    systemctl is-active "$unit"
done
mountpoint /mnt

# The port did not exist when the team started.
teamdctl team0 port present eth1
journalctl --unit teamr@team0 | grep 'eth1: Skipped adding a missing port'

# The bus started after the team.
soon teamdctl --force-dbus team1 state

# snmpd and lldpd with the units of the package, after they are found off.
sh -ex /agents.sh

echo 'all went well'

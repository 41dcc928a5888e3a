# Checks the units teamr-agentx and teamr-lldp beside snmpd and lldpd, on a booted host. Run by a unit; the
# last line reports success.
set -ex

soon() {
    for _ in $(seq 400); do
        "$@" && return
        sleep 0.05
    done
    systemctl status --no-pager teamr-agentx teamr-lldp snmpd lldpd
    return 1
}
fails() { ! "$@"; }
shows() { test "$(systemctl show --value --property "$2" "$1")" = "$3"; }
main_pid() { systemctl show --value --property MainPID "$1"; }

for port in eth1 eth2; do
    ip link add name "$port" type veth peer name "peer-$port"
    ip link set dev "peer-$port" up
done
systemctl enable --now teamr@team0
ip link set dev team0 up
team=$(cat /sys/class/net/team0/ifindex)

# dot3adAggActorSystemPriority and dot3adAggPortAttachedAggID of a team of a daemon that is not root.
test "$(stat -c %U "/proc/$(main_pid teamr@team0)")" = teamr
serves_mib() {
    test "$(snmpget -v2c -c public -OQv 127.0.0.1 1.2.840.10006.300.43.1.1.1.1.5."$team")" = 1 &&
        test "$(snmpget -v2c -c public -OQv 127.0.0.1 \
            1.2.840.10006.300.43.1.2.1.1.13."$(cat /sys/class/net/eth1/ifindex)")" = "$team"
}

# `enable --now` of a unit that is bound to snmpd starts snmpd, too.
systemctl enable --now teamr-agentx
shows snmpd ActiveState active
soon serves_mib

# The sandbox of the unit.
pid=$(main_pid teamr-agentx)
test "$(stat -c %U "/proc/$pid")" = root
grep -q '^CapEff:.0000000000000002$' "/proc/$pid/status"
grep -q '^NoNewPrivs:.1$' "/proc/$pid/status"
grep -q '^Seccomp:.2$' "/proc/$pid/status"
if nsenter --target "$pid" --mount touch /etc/written; then false; fi

# snmpd reloads, restarts and ends: the client stays, follows, and ends.
systemctl reload snmpd
soon serves_mib
systemctl restart snmpd
soon serves_mib
shows teamr-agentx ActiveState active
kill -KILL "$(main_pid snmpd)"
soon fails shows snmpd ActiveState active
systemctl start snmpd
soon serves_mib
systemctl stop snmpd
soon fails shows teamr-agentx ActiveState active
systemctl start snmpd
soon serves_mib

# A killed client starts again.
kill -KILL "$(main_pid teamr-agentx)"
soon shows teamr-agentx NRestarts 1
soon serves_mib

# The client follows a team that ends and returns.
systemctl stop teamr@team0
soon fails serves_mib
systemctl start teamr@team0
team=$(cat /sys/class/net/team0/ifindex)
ip link set dev team0 up
soon serves_mib
systemctl stop teamr-agentx
soon fails serves_mib
shows teamr-agentx Result success

# lldpd gets the TLV of each port.
announces() { lldpcli show interfaces ports eth1 details | grep -q 'OUI: 00,80,C2'; }
systemctl enable --now teamr-lldp
shows lldpd ActiveState active
soon shows teamr-lldp ActiveState active
lldpcli show interfaces ports eth1 details
soon announces
systemctl restart lldpd
soon announces
systemctl stop teamr-lldp
soon fails announces
shows teamr-lldp Result success

echo 'all went well'

# Checks the units teamr-agentx and teamr-lldp beside snmpd and lldpd. Run on a booted host; the last line
# reports success.
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

# The package turns neither unit on, also where their daemons run.
for unit in teamr-agentx teamr-lldp; do
    test "$(systemctl is-enabled "$unit")" = disabled
    shows "$unit" ActiveState inactive
done
soon shows snmpd ActiveState active
soon shows lldpd ActiveState active

for port in eth2 eth3; do
    ip link add name "$port" type veth peer name "peer-$port"
    ip link set dev "peer-$port" up
done
echo '{"runner": {"name": "loadbalance"}, "ports": {"eth2": {}, "eth3": {}}}' >/etc/teamr/team2.json
systemctl start teamr@team2
ip link set dev team2 up
team=$(cat /sys/class/net/team2/ifindex)
first=$(cat /sys/class/net/eth2/ifindex)
second=$(cat /sys/class/net/eth3/ifindex)

# The MIB has the members and the states of a team whose daemon is not root: dot3adAggPortSelectedAggID,
# dot3adAggPortAttachedAggID, dot3adAggPortActorOperState (both ports collect and distribute).
test "$(stat -c %U "/proc/$(main_pid teamr@team2)")" = teamr
walk() { snmpwalk -v2c -c public -On -OQ -Ox 127.0.0.1 "1.2.840.10006.300.43.1.2.1.1.$1"; }
has() { walk "$1" | grep -F ".1.2.840.10006.300.43.1.2.1.1.$1.$2 = $3"; }
serves_mib() {
    has 12 "$first" "$team" && has 12 "$second" "$team" && has 13 "$first" "$team" &&
        has 13 "$second" "$team" && has 21 "$first" '"3C' && has 21 "$second" '"3C'
}
systemctl enable --now teamr-agentx
soon serves_mib
snmpwalk -v2c -c public 127.0.0.1 1.2.840.10006.300.43

# The unit writes nothing outside its own folders, and has one capability.
pid=$(main_pid teamr-agentx)
grep -q '^CapEff:.0000000000000002$' "/proc/$pid/status"
grep -q '^NoNewPrivs:.1$' "/proc/$pid/status"

# The client ends with snmpd, starts with snmpd, and starts again after a crash.
systemctl restart snmpd
soon serves_mib
systemctl stop snmpd
soon fails shows teamr-agentx ActiveState active
systemctl start snmpd
soon serves_mib
kill -KILL "$(main_pid teamr-agentx)"
soon shows teamr-agentx NRestarts 1
soon serves_mib
systemctl stop teamr-agentx
fails serves_mib
shows teamr-agentx Result success
systemctl disable teamr-agentx

# lldpd sends the Link Aggregation TLV of each port: aggregation is possible and in use, in this team.
tlv=$(printf 'OUI: 00,80,C2, SubType: 7, Len: 5 03,00,00,00,%02X' "$team")
announces() {
    for port in eth2 eth3; do
        lldpcli show interfaces ports "$port" details | grep "$tlv" || return 1
    done
}
systemctl enable --now teamr-lldp
soon announces
systemctl restart lldpd
soon announces
systemctl restart teamr-lldp
soon announces
systemctl stop teamr-lldp
soon fails announces
shows teamr-lldp Result success
systemctl disable teamr-lldp
systemctl stop teamr@team2
rm /etc/teamr/team2.json

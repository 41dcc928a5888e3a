# Checks the installed package on a booted host, through systemd. Run by a unit; the last line
# reports success.
set -ex

soon() {
    for _ in $(seq 200); do
        "$@" && return
        sleep 0.05
    done
    return 1
}
shows() { test "$(systemctl show --value --property "$2" "$1")" = "$3"; }
main_pid() { systemctl show --value --property MainPID "$1"; }

for port in eth1 eth2; do
    ip link add name "$port" type veth peer name "peer-$port"
    ip link set dev "peer-$port" up
done
cat >/etc/teamr/team0.json <<'CONFIG'
{"runner": {"name": "activebackup"}, "ports": {"eth1": {"prio": 1}, "eth2": {}}}
CONFIG

# `start` returns when the ports are in place.
systemctl enable --now teamr@team0
teamdctl team0 port present eth1
teamdctl team0 port present eth2
soon shows teamr@team0 StatusText 'team0: 2 of 2 ports up, eth1 active'
ip link set dev peer-eth1 down
soon shows teamr@team0 StatusText 'team0: 1 of 2 ports up, eth2 active'
ip link set dev peer-eth1 up
soon shows teamr@team0 StatusText 'team0: 2 of 2 ports up, eth1 active'

# It is nobody special and may do little.
pid=$(main_pid teamr@team0)
test "$(stat -c %U "/proc/$pid")" = teamr
grep -q '^CapEff:.0000000000003000$' "/proc/$pid/status"
grep -q '^Seccomp:.2$' "/proc/$pid/status"
systemctl is-active network-pre.target

# Root's daemons and the unit's share the run directory, and each can be stopped from outside.
teamr -d -t team1 -c '{}'
teamr -e -t team1
teamr -k -t team1
test -z "$(find /run/teamd -name 'team1*')"

# After a crash it is started again.
kill -KILL "$pid"
soon shows teamr@team0 NRestarts 1
soon shows teamr@team0 StatusText 'team0: 2 of 2 ports up, eth1 active'

# A restart and a reload keep the device, its addresses and the ports.
ip address add 192.0.2.1/24 dev team0
index=$(cat /sys/class/net/team0/ifindex)
pid=$(main_pid teamr@team0)
systemctl restart teamr@team0
soon shows teamr@team0 StatusText 'team0: 2 of 2 ports up, eth1 active'
test "$(main_pid teamr@team0)" != "$pid"
pid=$(main_pid teamr@team0)
cp /etc/teamr/team0.json /team0.json
sed -i 's/"eth2": {}/"eth2": {"prio": 2}/' /etc/teamr/team0.json
systemctl reload teamr@team0
soon shows teamr@team0 StatusText 'team0: 2 of 2 ports up, eth2 active'
cp /team0.json /etc/teamr/team0.json
systemctl reload teamr@team0
soon shows teamr@team0 StatusText 'team0: 2 of 2 ports up, eth1 active'
test "$(main_pid teamr@team0)" = "$pid"
test "$(cat /sys/class/net/team0/ifindex)" = "$index"
ip -4 address show dev team0 | grep -q 192.0.2.1
echo '{"runner": {"name": "nonesuch"}}' >/etc/teamr/team0.json
if systemctl reload teamr@team0; then false; fi
test "$(main_pid teamr@team0)" = "$pid"
mv /team0.json /etc/teamr/team0.json

# So does an upgrade of the package, and no packet is lost.
ip netns add peer
ip -n peer link add name br0 type bridge
for port in eth1 eth2; do
    ip link set dev "peer-$port" netns peer
    ip -n peer link set dev "peer-$port" master br0 up
done
ip -n peer address add 192.0.2.2/24 dev br0
ip -n peer link set dev br0 up
ip link set dev team0 up
soon shows teamr@team0 StatusText 'team0: 2 of 2 ports up, eth1 active'
soon ping -q -c 1 -W 1 192.0.2.2
ping -q -i 0.002 192.0.2.2 >/ping.log &
ping=$!
dpkg --install /teamr_*.deb
test "$(main_pid teamr@team0)" != "$pid"
soon shows teamr@team0 StatusText 'team0: 2 of 2 ports up, eth1 active'
kill -INT "$ping"
wait "$ping"
# The reply to the last request may be under way.
sed -nE 's/^([0-9]+) packets transmitted, ([0-9]+) received.*/\1 \2/p' /ping.log |
    { read -r sent received && test "$received" -gt 100 && test "$received" -ge $((sent - 1)); }
ip -4 address show dev team0 | grep -q 192.0.2.1
for port in eth1 eth2; do
    ip -n peer link set dev "peer-$port" nomaster netns 1
    ip link set dev "peer-$port" up
done
ip netns delete peer
soon shows teamr@team0 StatusText 'team0: 2 of 2 ports up, eth1 active'

# So it is when its loop hangs.
mkdir -p /run/systemd/system/teamr@.service.d
cat >/run/systemd/system/teamr@.service.d/impatient.conf <<'DROPIN'
[Service]
WatchdogSec=500ms
TimeoutAbortSec=500ms
DROPIN
systemctl daemon-reload
systemctl restart teamr@team0
pid=$(main_pid teamr@team0)
kill -STOP "$pid"
soon shows teamr@team0 NRestarts 1
soon shows teamr@team0 StatusText 'team0: 2 of 2 ports up, eth1 active'

# What could not begin is not tried again.
echo '{"runner": {"name": "nonesuch"}}' >/etc/teamr/team2.json
if systemctl start teamr@team2; then false; fi
shows teamr@team2 NRestarts 0
shows teamr@team2 ExecMainStatus 1

systemctl stop teamr@team0
rm /etc/teamr/team2.json
test -z "$(find /run/teamd -mindepth 1)"
if ip link show dev team0; then false; fi
shows teamr@team0 Result success

# All of the folder in one process.
echo '{"runner": {"name": "broadcast"}}' >/etc/teamr/team4.json
systemctl start teamr
soon shows teamr StatusText 'team0: 2 of 2 ports up, eth1 active; team4: 0 of 0 ports up'
test "$(stat -c %U "/proc/$(main_pid teamr)")" = teamr
teamdctl team4 state
ip link delete dev team4
soon shows teamr StatusText 'team0: 2 of 2 ports up, eth1 active'
systemctl stop teamr
test -z "$(find /run/teamd -mindepth 1)"
shows teamr Result success
rm /etc/teamr/team4.json

# As /etc/sysconfig/network-scripts/ifup-Team and wicked start a team, and stop it.
echo '{"runner": {"name": "roundrobin"}}' >/run/teamd/team3.conf
test "$(systemctl show --value --property BusName teamd@team3)" = org.libteam.teamd.team3
systemctl start teamd@team3.service
test "$(stat -c %U "/proc/$(main_pid teamd@team3)")" = teamr
grep -q '^CapEff:.0000000000003000$' "/proc/$(main_pid teamd@team3)/status"
teamdctl --force-dbus team3 config dump
teamdctl --force-usock --oneline team3 config dump
ip link set dev eth1 down
teamdctl team3 port add eth1
teamdctl --force-dbus team3 port present eth1
systemctl stop teamd@team3.service
if ip link show dev team3; then false; fi
rm /run/teamd/team3.conf

# The package ends what its units run when it goes.
systemctl start teamr@team0
dpkg --remove teamr
if ip link show dev team0; then false; fi
test -z "$(find /run/teamd -mindepth 1)"

echo 'all went well'

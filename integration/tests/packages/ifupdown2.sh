# A stanza of ifupdown2 is a team with an address. Run by a unit; the last line reports success.
set -ex

soon() {
    for _ in $(seq 200); do
        "$@" && return
        sleep 0.05
    done
    return 1
}
gone() { ! ip link show dev "$1"; }

for port in eth1 eth2; do
    ip link add name "$port" type veth peer name "peer-$port"
    ip link set dev "peer-$port" up
done

systemctl start networking
teamdctl team0 port present eth1
teamdctl team0 port present eth2
test "$(teamdctl team0 state item get setup.runner_name)" = activebackup
ip -4 address show dev team0 | grep 192.0.2.10/24
soon test "$(cat /sys/class/net/team0/operstate)" = up

# Another reading of the file leaves the team as it is.
pid=$(cat /run/teamd/team0.pid)
ifreload -a
test "$(cat /run/teamd/team0.pid)" = "$pid"
ip -4 address show dev team0 | grep 192.0.2.10/24

ifdown team0
gone team0
ip link set dev eth1 up
systemctl list-units --no-pager "net*" "if*" "teamd*"; ps axf | tail -20; ls -l /run/network; ifup -d team0 || { cat /proc/locks; ls -i /run/network; ifup -d team0; }
ip -4 address show dev team0 | grep 192.0.2.10/24

if ifup team1 2>/errors; then false; fi
grep 'team1: unknown option IF_TEAM_PRIO' /errors
gone team1
ifdown team0

# Without the package the line in addons.conf is no error.
dpkg --remove teamr
ifup lo

echo 'all went well'

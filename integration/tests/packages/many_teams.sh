# Checks the unit of all teams with hundreds of teams, through systemd. Run by a unit; the last line
# reports success.
set -ex

teams=600

soon() {
    for _ in $(seq 400); do
        "$@" && return
        sleep 0.05
    done
    return 1
}
property() { systemctl show --value --property "$1" teamr; }
shows() { test "$(property "$1")" = "$2"; }
differs() { test "$(property "$1")" != "$2"; }
# Waits for a keep-alive.
kept_alive() {
    before=$(property WatchdogTimestampMonotonic)
    soon differs WatchdogTimestampMonotonic "$before"
}
devices() { find /sys/class/net -name 'team*' | wc -l; }

set +x
for number in $(seq $teams); do
    echo "link add name eth$number type veth peer name peer$number"
    echo "link set dev peer$number up"
    echo "{\"runner\": {\"name\": \"activebackup\"}, \"ports\": {\"eth$number\": {}}}" \
        >"/etc/teamr/team$number.json"
done >/links
set -x
ip -batch /links
ip link set dev peer7 down

mkdir -p /run/systemd/system/teamr.service.d
cat >/run/systemd/system/teamr.service.d/impatient.conf <<'DROPIN'
[Service]
WatchdogSec=4s
TimeoutAbortSec=500ms
DROPIN
systemctl daemon-reload

# `start` returns at READY. The status is short and names the team without a link.
systemctl start teamr
soon shows StatusText "$teams teams, $((teams - 1)) carry; team7: 0 of 1 ports up"
test "$(devices)" = $teams
kept_alive
kept_alive
shows NRestarts 0

# The status stays short when no team has a link.
sed -n 's/up$/down/p' /links >/down
ip -batch /down
soon eval 'property StatusText | grep "^600 teams, 0 carry; .*; and [0-9]* more$"'
test "$(property StatusText | wc -c)" -lt 600
sed -n '/up$/p' /links >/up
ip -batch /up
soon shows StatusText "$teams teams, $teams carry"

# A restart keeps the devices; systemd gets every descriptor of the relay.
pid=$(property MainPID)
systemctl restart teamr
test "$(property MainPID)" != "$pid"
soon shows StatusText "$teams teams, $teams carry"
test "$(devices)" = $teams
if journalctl --unit teamr | grep 'Failed to keep'; then false; fi

# systemd restarts a daemon that hangs.
kept_alive
pid=$(property MainPID)
kill -STOP "$pid"
soon shows NRestarts 1
soon differs MainPID "$pid"
soon shows StatusText "$teams teams, $teams carry"
kept_alive

systemctl stop teamr
shows Result success
test "$(devices)" = 0
test -z "$(find /run/teamd -mindepth 1)"

echo 'all went well'

#!/bin/sh
# Stands for each program by which teamrctl changes a host. /run/host has the enabled units, the timer,
# and the sums of the files that netplan and the network have read.
cd /run/host || exit 1

# No program reads a hidden file, such as one that a killed program has begun.
sum() {
    find /etc/network /etc/netplan /etc/systemd/network /etc/NetworkManager /etc/teamr -type f \
        -not -name '.*' -exec cksum {} + | sort
}

case "${0##*/} $*" in
"systemctl enable "*) touch "enabled-$2" ;;
"systemctl disable --now "*) rm -f "enabled-$3" ;;
"systemctl disable "*) rm -f "enabled-$2" ;;
"systemctl stop "*.timer) rm -f timer ;;
"systemctl stop networking"* | "systemctl stop systemd-networkd"* | "systemctl stop NetworkManager"*)
    rm -f network
    ;;
"systemctl start teamr@"*) ;;
"systemctl start "*)
    if [ -e generated ]; then
        cp generated network
    else
        sum >network
    fi
    ;;
"systemd-run "*) touch timer ;;
"netplan generate") [ ! -e generated ] || sum >generated ;;
"ip link delete "*) rm -r /sys/devices/virtual/net/bond0 /sys/class/net/bond0 ;;
"sum ") sum ;;
esac

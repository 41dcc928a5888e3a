#!/bin/bash
# Puts the teams that /etc/teamr/initrd names, one a line, into the initial RAM file system.
#
# The teams must not use the relay: the initial daemon ends before the daemon of the host can start.

check() {
    require_binaries teamr || return 1
    # shellcheck disable=SC2154 # dracut sets dracutsysrootdir.
    [[ -s $dracutsysrootdir/etc/teamr/initrd ]] && return 0
    return 255
}

depends() {
    echo base
}

installkernel() {
    hostonly='' instmods =drivers/net/team veth sch_ingress cls_bpf
}

# shellcheck disable=SC2154 # dracut sets moddir and initdir.
install() {
    local team
    inst_multiple teamr sleep
    while read -r team; do
        [[ -z $team || $team == '#'* ]] && continue
        if ! teamr --check-config -t "$team" -f "$dracutsysrootdir/etc/teamr/$team.json"; then
            dfatal "teamr: /etc/teamr/initrd: $team has no valid configuration"
            return 1
        fi
        inst_simple "/etc/teamr/$team.json"
    done <"$dracutsysrootdir/etc/teamr/initrd"
    inst_hook pre-trigger 35 "$moddir/teamr-start.sh"
    inst_hook pre-pivot 85 "$moddir/teamr-stop.sh"
}

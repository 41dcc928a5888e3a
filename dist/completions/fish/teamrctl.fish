# Completion of teamrctl for fish; made by tests/completions.

function __teamrctl_operands
    set -l value 0
    for word in (commandline -opc)[2..]
        if test $value = 1
            set value 0
        else if contains -- $word -Z --force-zmq --config
            set value 1
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

function __teamrctl_begins
    test (count (__teamrctl_operands)) = 0
end

function __teamrctl_at
    set -l at (__teamrctl_operands)
    if set -q at[1]
        contains -- "$at[1]" config state port record doctor watch metrics schema import export; or set -e at[1]
    end
    string match -q -- "$argv" "$at"
end

complete -c teamdctl -w teamrctl
complete -c teamrctl -f
complete -c teamrctl -s h -l help -d 'show this help'
complete -c teamrctl -s v -l verbose -d 'show more of the state'
complete -c teamrctl -s o -l oneline -d 'JSON on one line'
complete -c teamrctl -s D -l force-dbus -d 'use D-Bus only'
complete -c teamrctl -s Z -l force-zmq -x -d 'use ZeroMQ at ADDRESS only, where that is built in'
complete -c teamrctl -s U -l force-usock -d 'use the control socket only'
complete -c teamrctl -l json -d 'print JSON'
complete -c teamrctl -l config -r -F -d 'doctor: examine this configuration'
complete -c teamrctl -s V -l version -d 'show the version'
complete -c teamrctl -n '__teamrctl_at ' -a 'config'
complete -c teamrctl -n '__teamrctl_at ' -a 'state'
complete -c teamrctl -n '__teamrctl_at ' -a 'port'
complete -c teamrctl -n '__teamrctl_at ' -a 'record'
complete -c teamrctl -n '__teamrctl_at ' -a 'doctor'
complete -c teamrctl -n '__teamrctl_at ' -a 'watch'
complete -c teamrctl -n '__teamrctl_at ' -a 'metrics'
complete -c teamrctl -n '__teamrctl_at ' -a 'schema'
complete -c teamrctl -n '__teamrctl_at ' -a 'import'
complete -c teamrctl -n '__teamrctl_at ' -a 'export'
complete -c teamrctl -n '__teamrctl_at config' -a 'dump'
complete -c teamrctl -n '__teamrctl_at config dump' -a 'noports'
complete -c teamrctl -n '__teamrctl_at config dump' -a 'actual'
complete -c teamrctl -n '__teamrctl_at import' -a '(__fish_print_interfaces)'
complete -c teamrctl -n '__teamrctl_at metrics' -a 'file'
complete -c teamrctl -n '__teamrctl_at metrics' -a 'serve'
complete -c teamrctl -n '__teamrctl_at port' -a 'add'
complete -c teamrctl -n '__teamrctl_at port' -a 'remove'
complete -c teamrctl -n '__teamrctl_at port' -a 'present'
complete -c teamrctl -n '__teamrctl_at port' -a 'config'
complete -c teamrctl -n '__teamrctl_at port add' -a '(__fish_print_interfaces)'
complete -c teamrctl -n '__teamrctl_at port config' -a 'update'
complete -c teamrctl -n '__teamrctl_at port config' -a 'dump'
complete -c teamrctl -n '__teamrctl_at port config dump' -a '(__fish_print_interfaces)'
complete -c teamrctl -n '__teamrctl_at port config update' -a '(__fish_print_interfaces)'
complete -c teamrctl -n '__teamrctl_at port present' -a '(__fish_print_interfaces)'
complete -c teamrctl -n '__teamrctl_at port remove' -a '(__fish_print_interfaces)'
complete -c teamrctl -n '__teamrctl_at record' -a 'dump'
complete -c teamrctl -n '__teamrctl_at record' -a 'pcap'
complete -c teamrctl -n '__teamrctl_at schema' -a 'state'
complete -c teamrctl -n '__teamrctl_at state' -a 'dump'
complete -c teamrctl -n '__teamrctl_at state' -a 'view'
complete -c teamrctl -n '__teamrctl_at state' -a 'item'
complete -c teamrctl -n '__teamrctl_at state item' -a 'get'
complete -c teamrctl -n '__teamrctl_at state item' -a 'set'
complete -c teamrctl -n __teamrctl_begins -a '(__fish_print_interfaces)'

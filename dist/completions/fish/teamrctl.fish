# Completion of teamrctl for fish; made by tests/completions.

function __teamrctl_operands
    set -l value 0
    for word in (commandline -opc)[2..]
        if test $value = 1
            set value 0
        else if contains -- $word -Z --force-zmq --config --bond --for --until --since
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
        contains -- "$at[1]" config state port record doctor watch metrics schema diff reload try get set values clear keep save status ports top hash draw explain lldp agentx demo help import export; or set -e at[1]
    end
    string match -q -- "$argv" "$at"
end

function __teamrctl_device
    set -l at (__teamrctl_operands)
    contains -- "$at[1]" config state port record doctor watch metrics schema diff reload try get set values clear keep save status ports top hash draw explain lldp agentx demo help import export; or echo $at[1]
end

function __teamrctl_keys
    teamrctl (__teamrctl_device) get 2>/dev/null | string match -r '^[^ ].*?(?=: )'
end

function __teamrctl_values
    set -l at (__teamrctl_operands)
    teamrctl (__teamrctl_device) values -- $at[-1] 2>/dev/null
end

complete -c teamdctl -w teamrctl
complete -c teamrctl -f
complete -c teamrctl -s h -l help -d 'show this help'
complete -c teamrctl -s v -l verbose -d 'show more of the state'
complete -c teamrctl -s o -l oneline -d 'JSON on one line'
complete -c teamrctl -s D -l force-dbus -d 'use D-Bus only'
complete -c teamrctl -s Z -l force-zmq -x -d 'refused: there is no ZeroMQ'
complete -c teamrctl -s U -l force-usock -d 'use the control socket only'
complete -c teamrctl -l json -d 'print JSON'
complete -c teamrctl -l config -r -F -d 'doctor: examine this configuration'
complete -c teamrctl -l bond -x -a '(__fish_print_interfaces)' -d 'doctor: examine this bond of the kernel'
complete -c teamrctl -l for -x -d 'try: time of the trial (120)'
complete -c teamrctl -l until -x -d 'try: keep once this shell command succeeds'
complete -c teamrctl -l last -d 'port drain: also the last port that carries'
complete -c teamrctl -l since -x -d 'watch: only the past events, 10m for instance'
complete -c teamrctl -s V -l version -d 'show the version'
complete -c teamrctl -n '__teamrctl_at ' -a 'config'
complete -c teamrctl -n '__teamrctl_at ' -a 'state' -d 'The state, for people'
complete -c teamrctl -n '__teamrctl_at ' -a 'port'
complete -c teamrctl -n '__teamrctl_at ' -a 'record'
complete -c teamrctl -n '__teamrctl_at ' -a 'doctor' -d 'Faults of the team, each with its cause and its cure'
complete -c teamrctl -n '__teamrctl_at ' -a 'watch' -d 'News of the team, one line each, until an interrupt: links, decisions, stations that moved, and after a failover the time from the event of the lost link to the new forwarding'
complete -c teamrctl -n '__teamrctl_at ' -a 'metrics' -d 'The state in the text format of Prometheus'
complete -c teamrctl -n '__teamrctl_at ' -a 'schema'
complete -c teamrctl -n '__teamrctl_at ' -a 'diff' -d 'The changes that reload would make'
complete -c teamrctl -n '__teamrctl_at ' -a 'reload' -d 'Change the running team to the configuration in the file that the daemon was started with'
complete -c teamrctl -n '__teamrctl_at ' -a 'try' -d 'Change the running team to the configuration in a file for two minutes, or for the SECONDS of --for'
complete -c teamrctl -n '__teamrctl_at ' -a 'get' -d 'The keys that the runner and the link watches read, with their values in the running configuration or their defaults'
complete -c teamrctl -n '__teamrctl_at ' -a 'set' -d 'Give a key another value: JSON, a bare word, or null for the default'
complete -c teamrctl -n '__teamrctl_at ' -a 'values' -d 'The words that a key takes as values'
complete -c teamrctl -n '__teamrctl_at ' -a 'clear'
complete -c teamrctl -n '__teamrctl_at ' -a 'keep' -d 'Keep the configuration on trial, or the team on trial in place of a bond'
complete -c teamrctl -n '__teamrctl_at ' -a 'save' -d 'Write the running configuration, with the defaults and with the changes made at run time, to the file that the daemon was started with'
complete -c teamrctl -n '__teamrctl_at ' -a 'status' -d 'The team on one screen: runner, carrier, active or designated port, data path and why a preferred one was not used, rates, failovers, each port with its link, role, rates, lost frames and last change, and the findings of doctor'
complete -c teamrctl -n '__teamrctl_at ' -a 'ports' -d 'The ports of status alone, each with the reason that keeps it out of forwarding'
complete -c teamrctl -n '__teamrctl_at ' -a 'top' -d 'The status live, once a second: the rates of the ports as bars of the speed of their links, buckets, LACP partners and the last news'
complete -c teamrctl -n '__teamrctl_at ' -a 'hash' -d 'The port of each frame of a capture file'
complete -c teamrctl -n '__teamrctl_at ' -a 'draw' -d 'A picture of the team, as SVG'
complete -c teamrctl -n '__teamrctl_at ' -a 'explain' -d 'The names of all findings'
complete -c teamrctl -n '__teamrctl_at ' -a 'lldp' -d 'Hand the Link Aggregation TLV of each port to lldpd, and follow its changes, until an interrupt'
complete -c teamrctl -n '__teamrctl_at ' -a 'agentx' -d 'Serve the Link Aggregation MIB of all teams through the SNMP agent at /var/agentx/master, until an interrupt'
complete -c teamrctl -n '__teamrctl_at ' -a 'demo' -d 'Two hosts and a switch in network namespaces, traffic and a pulled cable; nothing on the host changes'
complete -c teamrctl -n '__teamrctl_at ' -a 'help' -d 'What a command does, with its arguments and its options'
complete -c teamrctl -n '__teamrctl_at ' -a 'import'
complete -c teamrctl -n '__teamrctl_at ' -a 'export'
complete -c teamrctl -n '__teamrctl_at clear' -a 'statistics' -d 'Set the LACPDU counters of all ports to zero'
complete -c teamrctl -n '__teamrctl_at clear statistics' -a 'port' -d 'Set the LACPDU counters of one port to zero'
complete -c teamrctl -n '__teamrctl_at clear statistics port' -a '(__fish_print_interfaces)'
complete -c teamrctl -n '__teamrctl_at config' -a 'dump' -d 'The configuration, with the defaults that the daemon filled in and with updates'
complete -c teamrctl -n '__teamrctl_at config dump' -a 'noports' -d 'The configuration without its ports'
complete -c teamrctl -n '__teamrctl_at config dump' -a 'actual' -d 'The configuration with exactly the ports that are attached now'
complete -c teamrctl -n '__teamrctl_at demo' -a 'activebackup slb lacp'
complete -c teamrctl -n '__teamrctl_at explain' -a '(teamrctl explain 2>/dev/null)'
complete -c teamrctl -n '__teamrctl_at get' -a '(__teamrctl_keys)'
complete -c teamrctl -n '__teamrctl_at "hash * *"' -a 'tcp udp sctp'
complete -c teamrctl -n '__teamrctl_at help' -a 'config'
complete -c teamrctl -n '__teamrctl_at help' -a 'state'
complete -c teamrctl -n '__teamrctl_at help' -a 'port'
complete -c teamrctl -n '__teamrctl_at help' -a 'record'
complete -c teamrctl -n '__teamrctl_at help' -a 'doctor'
complete -c teamrctl -n '__teamrctl_at help' -a 'watch'
complete -c teamrctl -n '__teamrctl_at help' -a 'metrics'
complete -c teamrctl -n '__teamrctl_at help' -a 'schema'
complete -c teamrctl -n '__teamrctl_at help' -a 'diff'
complete -c teamrctl -n '__teamrctl_at help' -a 'reload'
complete -c teamrctl -n '__teamrctl_at help' -a 'try'
complete -c teamrctl -n '__teamrctl_at help' -a 'get'
complete -c teamrctl -n '__teamrctl_at help' -a 'set'
complete -c teamrctl -n '__teamrctl_at help' -a 'values'
complete -c teamrctl -n '__teamrctl_at help' -a 'clear'
complete -c teamrctl -n '__teamrctl_at help' -a 'keep'
complete -c teamrctl -n '__teamrctl_at help' -a 'save'
complete -c teamrctl -n '__teamrctl_at help' -a 'status'
complete -c teamrctl -n '__teamrctl_at help' -a 'ports'
complete -c teamrctl -n '__teamrctl_at help' -a 'top'
complete -c teamrctl -n '__teamrctl_at help' -a 'hash'
complete -c teamrctl -n '__teamrctl_at help' -a 'draw'
complete -c teamrctl -n '__teamrctl_at help' -a 'explain'
complete -c teamrctl -n '__teamrctl_at help' -a 'lldp'
complete -c teamrctl -n '__teamrctl_at help' -a 'agentx'
complete -c teamrctl -n '__teamrctl_at help' -a 'demo'
complete -c teamrctl -n '__teamrctl_at help' -a 'help'
complete -c teamrctl -n '__teamrctl_at help' -a 'import'
complete -c teamrctl -n '__teamrctl_at help' -a 'export'
complete -c teamrctl -n '__teamrctl_at import' -a '(__fish_print_interfaces)'
complete -c teamrctl -n '__teamrctl_at metrics' -a 'file' -d 'The metrics, written to a file in one step, for the text file collector of node_exporter'
complete -c teamrctl -n '__teamrctl_at metrics' -a 'serve' -d 'The metrics over HTTP at ADDRESS, HOST:PORT or, with a slash in it, the path of a unix socket; until an interrupt'
complete -c teamrctl -n '__teamrctl_at port' -a 'add' -d 'Make an interface a port; it must be down'
complete -c teamrctl -n '__teamrctl_at port' -a 'remove' -d 'Remove a port from the team, and restore the interface'
complete -c teamrctl -n '__teamrctl_at port' -a 'present' -d 'Exit 0 if the interface is a port, 1 otherwise'
complete -c teamrctl -n '__teamrctl_at port' -a 'config'
complete -c teamrctl -n '__teamrctl_at port' -a 'drain' -d 'Move the flows off a port until port undrain, for instance to change its cable'
complete -c teamrctl -n '__teamrctl_at port' -a 'undrain' -d 'End the drain of a port'
complete -c teamrctl -n '__teamrctl_at port add' -a '(__fish_print_interfaces)'
complete -c teamrctl -n '__teamrctl_at port config' -a 'update' -d 'Replace the configuration of a port, attached or not'
complete -c teamrctl -n '__teamrctl_at port config' -a 'dump' -d 'The configuration of a port'
complete -c teamrctl -n '__teamrctl_at port config dump' -a '(__fish_print_interfaces)'
complete -c teamrctl -n '__teamrctl_at port config update' -a '(__fish_print_interfaces)'
complete -c teamrctl -n '__teamrctl_at port drain' -a '(__fish_print_interfaces)'
complete -c teamrctl -n '__teamrctl_at port present' -a '(__fish_print_interfaces)'
complete -c teamrctl -n '__teamrctl_at port remove' -a '(__fish_print_interfaces)'
complete -c teamrctl -n '__teamrctl_at port undrain' -a '(__fish_print_interfaces)'
complete -c teamrctl -n '__teamrctl_at record' -a 'dump' -d 'The last few hundred events and decisions of the team, as JSON'
complete -c teamrctl -n '__teamrctl_at record' -a 'pcap' -d 'The frames of the recording, such as LACPDUs and probes'
complete -c teamrctl -n '__teamrctl_at schema' -a 'state' -d 'The JSON Schema of the state, with a description of each item; no team needs to run'
complete -c teamrctl -n '__teamrctl_at schema' -a 'status' -d 'The JSON Schema of the answer to status --json for one team'
complete -c teamrctl -n '__teamrctl_at schema' -a 'hash' -d 'The JSON Schema of the answer to hash --json'
complete -c teamrctl -n '__teamrctl_at schema' -a 'changes' -d 'The JSON Schema of the answer to diff, reload, try and set with --json'
complete -c teamrctl -n '__teamrctl_at schema' -a 'doctor' -d 'The JSON Schema of the answer to doctor --json'
complete -c teamrctl -n '__teamrctl_at schema' -a 'explain' -d 'The JSON Schema of the answer to explain --json for one finding'
complete -c teamrctl -n '__teamrctl_at schema' -a 'watch' -d 'The JSON Schema of each line of watch --json'
complete -c teamrctl -n '__teamrctl_at schema' -a 'teamrnl' -d 'The JSON Schema of the answers to teamrnl --json'
complete -c teamrctl -n '__teamrctl_at set' -a '(__teamrctl_keys)'
complete -c teamrctl -n '__teamrctl_at "set *"' -a '(__teamrctl_values)'
complete -c teamrctl -n '__teamrctl_at state' -a 'dump' -d 'The state as JSON'
complete -c teamrctl -n '__teamrctl_at state' -a 'view' -d 'The state, for people'
complete -c teamrctl -n '__teamrctl_at state' -a 'item'
complete -c teamrctl -n '__teamrctl_at state item' -a 'get' -d 'One item, such as runner.active_port'
complete -c teamrctl -n '__teamrctl_at state item' -a 'set' -d 'Set an item'
complete -c teamrctl -n '__teamrctl_at "state item set *"' -a '(__teamrctl_values)'
complete -c teamrctl -n '__teamrctl_at values' -a '(__teamrctl_keys)'
complete -c teamrctl -n __teamrctl_begins -a '(__fish_print_interfaces)'

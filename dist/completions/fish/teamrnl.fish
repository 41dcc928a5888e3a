# Completion of teamrnl for fish; made by tests/completions.

function __teamrnl_operands
    set -l value 0
    for word in (commandline -opc)[2..]
        if test $value = 1
            set value 0
        else if contains -- $word -p --port_name -a --array_index
            set value 1
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

function __teamrnl_begins
    test (count (__teamrnl_operands)) = 0
end

function __teamrnl_at
    __teamrnl_begins; and return 1
    set -l at (__teamrnl_operands)
    if set -q at[1]
        set -e at[1]
    end
    string match -q -- "$argv" "$at"
end

complete -c teamnl -w teamrnl
complete -c teamrnl -f
complete -c teamrnl -s h -l help -d 'Show this help'
complete -c teamrnl -s p -l port_name -x -a '(__fish_print_interfaces)' -d 'team slave port name'
complete -c teamrnl -s a -l array_index -x -d 'team option array index'
complete -c teamrnl -l json -d 'Print JSON'
complete -c teamrnl -s V -l version -d 'Show the version'
complete -c teamrnl -n '__teamrnl_at ' -a 'ports'
complete -c teamrnl -n '__teamrnl_at ' -a 'options'
complete -c teamrnl -n '__teamrnl_at ' -a 'getoption'
complete -c teamrnl -n '__teamrnl_at ' -a 'setoption'
complete -c teamrnl -n '__teamrnl_at ' -a 'monitor'
complete -c teamrnl -n __teamrnl_begins -a '(__fish_print_interfaces)'

# Completion of bond2team for fish; made by tests/completions.

complete -c bond2team -f
complete -c bond2team -l master -x -a '(__fish_print_interfaces)' -d 'the bond, or the path of its ifcfg file'
complete -c bond2team -l rename -x -a '(__fish_print_interfaces)' -d 'name of the team (ifcfg only)'
complete -c bond2team -l bonding_opts -x -d 'options instead of BONDING_OPTS'
complete -c bond2team -l port -x -a '(__fish_print_interfaces)' -d 'a port (JSON only); repeat it for more'
complete -c bond2team -l ifcfg -d 'write ifcfg files (default)'
complete -c bond2team -l json -d 'write one JSON file, teamd.conf'
complete -c bond2team -l configdir -x -a '(__fish_complete_directories)' -d 'where ifcfg files are; /etc/sysconfig/network-scripts'
complete -c bond2team -l outputdir -x -a '(__fish_complete_directories)' -d 'write files there; it must exist'
complete -c bond2team -l stdout -d 'print the files'
complete -c bond2team -l debug -d 'accepted, no effect'
complete -c bond2team -l quiet -d 'print errors only'
complete -c bond2team -l examples -d 'show examples'
complete -c bond2team -l version -d 'show the version'
complete -c bond2team -s h -l help -d 'show this help'

# What zsh offers after the line that its arguments make, one a line. It completes only at a
# terminal, so another zsh gets one; there each match is noted in a file as it is added.
zmodload zsh/zpty
offers=$(mktemp)
trap 'rm -f $offers; zpty -d inner' EXIT
zpty inner zsh -f -i
tell() { zpty -w inner "$1; print do''ne" && zpty -r inner said '*done*' }
tell "PS1= fpath=($PWD/zsh \$fpath) offers=$offers; autoload -Uz compinit; compinit -u -D"
tell 'setopt no_auto_list no_auto_menu'
# With these options it only compares and adds nothing.
tell 'compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
        builtin compadd "$@"
        return
    fi
    local -a hits folder
    zparseopts -E p:=folder
    builtin compadd -A hits "$@"
    (( ! $#hits )) || print -rl -- $folder[2]$^hits >>$offers
    builtin compadd "$@"
}'
# Completes and takes the line back, and only then says so: what is typed ahead of a completion
# may end it.
tell "offer() { zle complete-word; BUFFER=; print offe''red }; zle -N offer; bindkey '^T' offer"
zpty -w -n inner "${(j: :)@}"$'\C-t'
zpty -r inner said '*offered*'
cat $offers

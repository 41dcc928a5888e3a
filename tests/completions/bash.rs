//! For bash, without the package bash-completion.

use std::fmt::Write;

use crate::program::{Device, Kind, Program, is_placeholder, kind, spellings};

/// Placeholder of the function that offers words.
const OFFER: &str = "OFFER";

pub fn generate(program: &Program) -> String {
    let name = program.name;
    let mut text = format!(
        "# Completion of {name} for bash; made by tests/completions.\n\n\
         _{name}_offer() {{\n\
         \x20   mapfile -t -O ${{#COMPREPLY[@]}} COMPREPLY < <(compgen \"$@\" -- \"$word\")\n\
         }}\n\n\
         _{name}() {{\n\
         \x20   local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}\n\
         \x20   COMPREPLY=()\n\
         \x20   case $before in\n"
    );
    for (flag, kind) in program.valued() {
        let spellings = spellings(flag).join(" | ");
        let _ = writeln!(
            text,
            "    {spellings})\n        {}return\n        ;;",
            offer(kind)
        );
    }
    let every: Vec<String> = program.flags.iter().flat_map(spellings).collect();
    let _ = write!(
        text,
        "    esac\n\
         \x20   if [[ $word == -* ]]; then\n\
         \x20       {}return\n\
         \x20   fi\n",
        words(&every.join(" "))
    );
    if program.device != Device::Never {
        text += &operands(program);
    }
    let _ = writeln!(text, "}}\ncomplete -F _{name} {}", program.names());
    text.replace(OFFER, &format!("_{name}_offer"))
}

/// Returns the lines for commands, which follow the options and their values.
fn operands(program: &Program) -> String {
    let valued: Vec<String> = program
        .valued()
        .flat_map(|(flag, _)| spellings(flag))
        .collect();
    let mut text = format!(
        "    local at=() i\n\
         \x20   for ((i = 1; i < COMP_CWORD; i++)); do\n\
         \x20       case ${{COMP_WORDS[i]}} in\n\
         \x20       {}) ((i++)) ;;\n\
         \x20       -*) ;;\n\
         \x20       *) at+=(\"${{COMP_WORDS[i]}}\") ;;\n\
         \x20       esac\n\
         \x20   done\n",
        valued.join(" | ")
    );
    let first = program.first_words();
    let interfaces = offer(Kind::Interface);
    let _ = match program.device {
        Device::MayBe => write!(
            text,
            "    case ${{at[0]}} in\n\
             \x20   '') {interfaces};;\n\
             \x20   {}) ;;\n\
             \x20   *) at=(\"${{at[@]:1}}\") ;;\n\
             \x20   esac\n",
            first.join(" | ")
        ),
        _ => write!(
            text,
            "    if [[ ${{#at[@]}} == 0 ]]; then\n\
             \x20       {interfaces}return\n\
             \x20   fi\n\
             \x20   at=(\"${{at[@]:1}}\")\n"
        ),
    };
    text += "    case \"${at[*]}\" in\n";
    for (before, next) in &program.words {
        let offers: String = match next.iter().all(|word| is_placeholder(word)) {
            true => next.iter().map(|word| offer(kind(word))).collect(),
            false => words(&next.join(" ")),
        };
        // A pattern for any word stays without quotes.
        let pattern = format!("'{before}'").replace(" *'", " '*");
        let _ = writeln!(text, "    {pattern}) {offers};;");
    }
    text + "    esac\n"
}

fn words(list: &str) -> String {
    format!("{OFFER} -W '{list}'; ")
}

fn offer(kind: Kind) -> String {
    match kind {
        Kind::File => format!("{OFFER} -f; "),
        Kind::Directory => format!("{OFFER} -d; "),
        Kind::Interface => format!("{OFFER} -W \"$(ls /sys/class/net 2>/dev/null)\"; "),
        Kind::OneOf(list) => words(&list.join(" ")),
        Kind::Text => String::new(),
    }
}

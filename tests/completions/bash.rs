//! For bash, without the package bash-completion.

use std::fmt::Write;

use crate::program::{Device, Kind, Program, is_placeholder, kind, spellings};

/// Placeholder of the function that offers words.
const OFFER: &str = "OFFER";
/// Placeholder of the function that offers interfaces.
const INTERFACES: &str = "INTERFACES";

/// Placeholder of the function that offers keys.
const KEYS: &str = "KEYS";
/// Placeholder of the function that offers values.
const VALUES: &str = "VALUES";

pub fn generate(program: &Program) -> String {
    let name = program.name;
    let mut text = format!(
        "# Completion of {name} for bash; made by tests/completions.\n\n\
         _{name}_offer() {{\n\
         \x20   mapfile -t -O ${{#COMPREPLY[@]}} COMPREPLY < <(compgen \"$@\" -- \"$word\")\n\
         }}\n\n\
         _{name}_interfaces() {{\n\
         \x20   local path name\n\
         \x20   for path in /sys/class/net/*; do\n\
         \x20       name=${{path##*/}}\n\
         \x20       [[ -e $path && $name == \"$word\"* ]] && COMPREPLY+=(\"$(printf %q \"$name\")\")\n\
         \x20   done\n\
         }}\n\n\
         {}\
         _{name}() {{\n\
         \x20   local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}\n\
         \x20   COMPREPLY=()\n\
         \x20   case $before in\n",
        if program.has_keys() { query_functions(program) } else { String::new() }
    );
    for (flag, kind) in program.valued() {
        let spellings = spellings(flag).join(" | ");
        let _ = writeln!(text, "    {spellings})\n        {}return\n        ;;", offer(kind));
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
        .replace(INTERFACES, &format!("_{name}_interfaces"))
        .replace(KEYS, &format!("_{name}_keys"))
        .replace(VALUES, &format!("_{name}_values"))
}

/// Returns the functions that offer keys of the running team, and values of the key before. A key
/// is data: only its quoted form is offered.
fn query_functions(program: &Program) -> String {
    let name = program.name;
    format!(
        "_{name}_ask() {{\n\
         \x20   local line quoted\n\
         \x20   while IFS= read -r line; do\n\
         \x20       printf -v quoted %q \"$line\"\n\
         \x20       [[ $quoted == \"$word\"* ]] && COMPREPLY+=(\"$quoted\")\n\
         \x20   done\n\
         }}\n\n\
         _{name}_keys() {{\n\
         \x20   _{name}_ask < <({name} \"${{device[@]}}\" get 2>/dev/null | sed -n 's/^\\([^ ].*\\): .*/\\1/p')\n\
         }}\n\n\
         _{name}_values() {{\n\
         \x20   local key=${{at[-1]//[\\\\\\']/}}\n\
         \x20   _{name}_ask < <({name} \"${{device[@]}}\" values -- \"$key\" 2>/dev/null)\n\
         }}\n\n"
    )
}

/// Returns the lines for commands, which follow the options and their values.
fn operands(program: &Program) -> String {
    let valued: Vec<String> = program.valued().flat_map(|(flag, _)| spellings(flag)).collect();
    let mut text = format!(
        "    local at=() device=() i\n\
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
             \x20   *) device=(\"${{at[0]}}\") at=(\"${{at[@]:1}}\") ;;\n\
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
    // A pattern comes before the shorter one that matches the same words.
    for (before, next) in program.words.iter().rev() {
        let offers: String = match next.iter().all(|word| is_placeholder(word)) {
            true => next.iter().map(|word| offer(kind(word))).collect(),
            false => words(&next.join(" ")),
        };
        // A pattern for any word stays without quotes.
        // A star outside of the quotes stands for any word.
        let pattern = format!("'{}'", before.replace('*', "'*'")).replace("*''", "*");
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
        // An interface name may have any character but a blank, "/" and ":", so no word list has it.
        Kind::Interface => format!("{INTERFACES}; "),
        Kind::OneOf(list) => words(&list.join(" ")),
        Kind::Finding => format!("{OFFER} -W \"$(teamrctl explain 2>/dev/null)\"; "),
        Kind::Key => format!("{KEYS}; "),
        Kind::Value => format!("{VALUES}; "),
        Kind::Text => String::new(),
    }
}

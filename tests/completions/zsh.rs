//! For zsh.

use std::fmt::Write;

use crate::program::{Device, Kind, Program, help, is_placeholder, kind, spellings};

pub fn generate(program: &Program) -> String {
    let name = program.name;
    let mut text = format!(
        "#compdef {}\n# Completion of {name} for zsh; made by tests/completions.\n\n",
        program.names()
    );
    if program.has_keys() {
        text += &query_functions(program);
    }
    if program.device != Device::Never {
        text += &operands(program);
    }
    text += "_arguments -s -S";
    for flag in program.flags {
        let spellings = spellings(flag);
        let apart = format!("({})", spellings.join(" "));
        let value = match flag.value {
            Some(value) => format!(":{value}:{}", action(kind(value))),
            None => String::new(),
        };
        let help = help(flag).replace('\'', "'\\''").replace(':', "\\:");
        let together = match &spellings[..] {
            [only] => only.clone(),
            several => format!("'{{{}}}'", several.join(",")),
        };
        let _ = write!(text, " \\\n    '{apart}{together}[{help}]{value}'");
    }
    if program.device != Device::Never {
        let _ = write!(text, " \\\n    '*::word:_{name}_words'");
    }
    text + "\n"
}

/// Returns the functions that offer keys of the running team, and values of the key before.
fn query_functions(program: &Program) -> String {
    let name = program.name;
    format!(
        "_{name}_keys() {{\n\
         \x20   local -a keys=(${{(f)\"$({name} \"$device[@]\" get 2>/dev/null)\"}})\n\
         \x20   keys=(\"${{(@M)keys:#[^ ]*: *}}\")\n\
         \x20   compadd -- \"${{(@)keys%%: *}}\"\n\
         }}\n\n\
         _{name}_values() {{\n\
         \x20   local key=${{(Q)at[-1]}}\n\
         \x20   compadd -- ${{(f)\"$({name} \"$device[@]\" values -- \"$key\" 2>/dev/null)\"}}\n\
         }}\n\n"
    )
}

fn operands(program: &Program) -> String {
    let name = program.name;
    let first = program.first_words().join("|");
    let device = match program.device {
        Device::MayBe => {
            format!("[[ $1 == ({first}) ]] || {{ device=(\"$1\"); shift at }}")
        }
        _ => "shift at".to_owned(),
    };
    let alone = match program.device {
        Device::MayBe => "",
        _ => "; return",
    };
    let mut text = format!(
        "_{name}_words() {{\n\
         \x20   local -a at=(\"${{(@)words[1,CURRENT-1]}}\") device\n\
         \x20   if (( ${{#at}} )); then\n\
         \x20       () {{ {device} }} \"$at[1]\"\n\
         \x20   else\n\
         \x20       {}{alone}\n\
         \x20   fi\n\
         \x20   case \"${{at[*]}}\" in\n",
        action(Kind::Interface)
    );
    // A pattern comes before the shorter one that matches the same words.
    for (before, next) in program.words.iter().rev() {
        let offers = match &next[..] {
            [only] if matches!(kind(only), Kind::Key) => format!("_{name}_keys"),
            [only] if matches!(kind(only), Kind::Value) => format!("_{name}_values"),
            [first, ..] if is_placeholder(first) => match kind(first) {
                Kind::OneOf(list) => format!("compadd {}", list.join(" ")),
                Kind::Finding => format!("compadd -- ${{(f)\"$({name} explain 2>/dev/null)\"}}"),
                other => match action(other) {
                    action if action.trim().is_empty() => format!("_message {first}"),
                    action => action,
                },
            },
            words => format!("compadd {}", words.join(" ")),
        };
        // A star outside of the quotes stands for any word.
        let pattern = format!("'{}'", before.replace('*', "'*'")).replace("*''", "*");
        let _ = writeln!(text, "    {pattern}) {offers} ;;");
    }
    text + "    esac\n}\n\n"
}

fn action(kind: Kind) -> String {
    match kind {
        Kind::File => "_files".to_owned(),
        Kind::Directory => "_files -/".to_owned(),
        Kind::Interface => "_net_interfaces".to_owned(),
        Kind::OneOf(list) => format!("({})", list.join(" ")),
        Kind::Finding | Kind::Key | Kind::Value | Kind::Text => " ".to_owned(),
    }
}

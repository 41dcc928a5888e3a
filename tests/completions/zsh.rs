//! For zsh.

use std::fmt::Write;

use crate::program::{Device, Kind, Program, help, is_placeholder, kind, spellings};

pub fn generate(program: &Program) -> String {
    let name = program.name;
    let mut text = format!(
        "#compdef {}\n# Completion of {name} for zsh; made by tests/completions.\n\n",
        program.names()
    );
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

fn operands(program: &Program) -> String {
    let name = program.name;
    let first = program.first_words().join("|");
    let device = match program.device {
        Device::MayBe => format!("[[ $1 == ({first}) ]] || "),
        _ => String::new(),
    };
    let alone = match program.device {
        Device::MayBe => "",
        _ => "; return",
    };
    let mut text = format!(
        "_{name}_words() {{\n\
         \x20   local -a at=(\"${{(@)words[1,CURRENT-1]}}\")\n\
         \x20   if (( ${{#at}} )); then\n\
         \x20       () {{ {device}shift at }} \"$at[1]\"\n\
         \x20   else\n\
         \x20       {}{alone}\n\
         \x20   fi\n\
         \x20   case \"${{at[*]}}\" in\n",
        action(Kind::Interface)
    );
    for (before, next) in &program.words {
        let offers = match &next[..] {
            [only] if is_placeholder(only) => match action(kind(only)) {
                action if action.trim().is_empty() => format!("_message {only}"),
                action => action,
            },
            words => format!("compadd {}", words.join(" ")),
        };
        let pattern = format!("'{before}'").replace(" *'", " '*");
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
        Kind::Text => " ".to_owned(),
    }
}

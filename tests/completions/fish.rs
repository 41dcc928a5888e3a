//! For fish.

use std::fmt::Write;

use crate::program::{Device, Kind, Program, help, is_placeholder, kind, spellings};

pub fn generate(program: &Program) -> String {
    let name = program.name;
    let mut text = format!("# Completion of {name} for fish; made by tests/completions.\n\n");
    if program.device != Device::Never {
        text += &place(program);
    }
    if program.has_keys() {
        text += &query_functions(program);
    }
    if let Some(old_name) = program.old_name {
        let _ = writeln!(text, "complete -c {old_name} -w {name}");
    }
    let _ = writeln!(text, "complete -c {name} -f");
    for flag in program.flags {
        let mut line = format!("complete -c {name}");
        for &letter in flag.short {
            let _ = write!(line, " -s {}", char::from(letter));
        }
        let _ = write!(line, " -l {}", flag.long);
        if let Some(value) = flag.value {
            line += &match offer(kind(value)) {
                Some(offer) => format!(" -x -a {offer}"),
                None => match kind(value) {
                    Kind::File => " -r -F".to_owned(),
                    _ => " -x".to_owned(),
                },
            };
        }
        let help = help(flag).replace('\'', "\\'");
        let _ = writeln!(text, "{line} -d '{help}'");
    }
    for (before, next) in &program.words {
        for word in next {
            let offer = match is_placeholder(word) {
                true => offer(kind(word)),
                false => Some(format!("'{word}'")),
            };
            if let Some(offer) = offer {
                // A pattern for any word must not become the names of files.
                let before = match before.contains('*') {
                    true => format!("\"{before}\""),
                    false => before.clone(),
                };
                let _ = write!(text, "complete -c {name} -n '__{name}_at {before}' -a {offer}");
                let all = format!("{before} {word}");
                let about = program.abouts.get(all.trim_start());
                if let Some(about) = about {
                    let _ = write!(text, " -d '{}'", first_sentence(about).replace('\'', "\\'"));
                }
                text.push('\n');
            }
        }
    }
    if program.device != Device::Never {
        let interfaces = offer(Kind::Interface).unwrap_or_default();
        let _ = writeln!(text, "complete -c {name} -n __{name}_begins -a {interfaces}");
    }
    text.replace("NAME", name)
}

/// Returns the functions that offer keys of the running team, and values of the key before.
fn query_functions(program: &Program) -> String {
    let name = program.name;
    let first = program.first_words().join(" ");
    format!(
        "function __{name}_device\n\
         \x20   set -l at (__{name}_operands)\n\
         \x20   contains -- \"$at[1]\" {first}; or echo $at[1]\n\
         end\n\n\
         function __{name}_keys\n\
         \x20   {name} (__{name}_device) get 2>/dev/null | string match -r '^[^ ].*?(?=: )'\n\
         end\n\n\
         function __{name}_values\n\
         \x20   set -l at (__{name}_operands)\n\
         \x20   {name} (__{name}_device) values -- $at[-1] 2>/dev/null\n\
         end\n\n"
    )
}

/// Returns the functions that find the position of the cursor.
fn place(program: &Program) -> String {
    let name = program.name;
    let first = program.first_words().join(" ");
    let valued: Vec<String> = program.valued().flat_map(|(flag, _)| spellings(flag)).collect();
    let (skip, unless) = match program.device {
        Device::MayBe => {
            (format!("contains -- \"$at[1]\" {first}; or set -e at[1]"), String::new())
        }
        _ => ("set -e at[1]".to_owned(), format!("    __{name}_begins; and return 1\n")),
    };
    format!(
        "function __{name}_operands\n\
         \x20   set -l value 0\n\
         \x20   for word in (commandline -opc)[2..]\n\
         \x20       if test $value = 1\n\
         \x20           set value 0\n\
         \x20       else if contains -- $word {}\n\
         \x20           set value 1\n\
         \x20       else if not string match -q -- '-*' $word\n\
         \x20           echo $word\n\
         \x20       end\n\
         \x20   end\n\
         end\n\n\
         function __{name}_begins\n\
         \x20   test (count (__{name}_operands)) = 0\n\
         end\n\n\
         function __{name}_at\n\
         {unless}\
         \x20   set -l at (__{name}_operands)\n\
         \x20   if set -q at[1]\n\
         \x20       {skip}\n\
         \x20   end\n\
         \x20   string match -q -- \"$argv\" \"$at\"\n\
         end\n\n",
        valued.join(" ")
    )
}

/// Returns the first sentence of a description, without its period.
fn first_sentence(about: &str) -> &str {
    about.split(". ").next().unwrap_or(about).trim_end_matches('.')
}

fn offer(kind: Kind) -> Option<String> {
    match kind {
        Kind::Interface => Some("'(__fish_print_interfaces)'".to_owned()),
        Kind::Directory => Some("'(__fish_complete_directories)'".to_owned()),
        Kind::OneOf(list) => Some(format!("'{}'", list.join(" "))),
        Kind::Finding => Some("'(NAME explain 2>/dev/null)'".to_owned()),
        Kind::Key => Some("'(__NAME_keys)'".to_owned()),
        Kind::Value => Some("'(__NAME_values)'".to_owned()),
        Kind::File | Kind::Text => None,
    }
}

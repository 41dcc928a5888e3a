//! Compares the command line, texts and exit statuses of `teamrnl` with those of teamnl, without the
//! driver.

use std::ffi::OsString;

use teamr::args::getopt::Operands;

/// Runs `program` with the arguments `words`; returns exit status, stdout and stderr.
fn run(program: &str, words: &[&str]) -> (u8, String, String) {
    let args = [program].into_iter().chain(words.iter().copied());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status =
        teamr::teamnl::run(args.map(OsString::from), Operands::Anywhere, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status, text(out), text(err))
}

const HELP: &str = "teamnl [options] teamdevname command [command args]\n\
                    \t-h --help                Show this help\n\
                    \t-p --port_name           team slave port name\n\
                    \t-a --array_index         team option array index\n\
                    Commands:\n\
                    \tports\n\
                    \toptions\n\
                    \tgetoption OPT_NAME\n\
                    \tsetoption OPT_NAME OPT_VALUE\n\
                    \tmonitor OPT_STYLE\n";

#[test]
fn the_help_is_that_of_teamnl() {
    let shown = (0, HELP.to_owned(), String::new());
    assert_eq!(run("teamnl", &["-h"]), shown);
    assert_eq!(run("teamnl", &["team0", "ports", "--help"]), shown);
}

#[test]
fn scripts_can_read_the_version_line() {
    let (status, out, _) = run("/usr/bin/teamnl", &["--version"]);
    assert_eq!(status, 0);
    assert!(out.starts_with("teamnl 1.32 "), "{out}");
}

#[test]
fn an_error_is_printed_before_the_help() {
    let wrong = [
        (&["-x", "lo", "ports"][..], "teamnl: invalid option -- 'x'\nunknown option.", ""),
        (
            &["--port_name"],
            "teamnl: option '--port_name' requires an argument\nunknown option.",
            "",
        ),
        (&[], "No team device specified.", "\n"),
        (&["team0"], "No command specified.", "\n"),
        (&["lo", "bogus"], "Unknown command \"bogus\".", "\n"),
        (&["lo", "portss"], "Unknown command \"portss\".", "\n"),
    ];
    for (words, text, gap) in wrong {
        let told = (1, format!("{gap}{HELP}"), format!("{text}\n"));
        assert_eq!(run("teamnl", words), told, "{words:?}");
    }
}

#[test]
fn teamrnl_prints_an_error_and_where_the_help_is() {
    for (words, text) in [
        (&["-x", "lo", "ports"][..], "teamrnl: invalid option -- 'x'"),
        (&["team0"], "No command specified."),
        (&["lo", "bogus"], "Unknown command \"bogus\"."),
    ] {
        let told = (1, String::new(), format!("{text}\nTry \"teamrnl --help\".\n"));
        assert_eq!(run("teamrnl", words), told, "{words:?}");
    }
}

#[test]
fn a_missing_device_is_named_in_the_error() {
    let told = "Netdevice \"no-such-if\" not found.\nCommand failed: No such device\n";
    let expected = (1, String::new(), told.to_owned());
    // An empty word is a prefix of every command and selects the first.
    for command in ["ports", "p", ""] {
        assert_eq!(run("teamnl", &["no-such-if", command]), expected);
    }
}

#[test]
fn the_loopback_device_is_refused() {
    let (status, out, err) = run("teamrnl", &["lo", "options"]);
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(err.contains("\"lo\" cannot be reached as a team device"), "{err}");
    let (_, _, err) = run("teamnl", &["lo", "options"]);
    assert!(err.starts_with("libteam: "), "{err}");
    assert!(err.contains("Team init failed.\nCommand failed: "), "{err}");
}

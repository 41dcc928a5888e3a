//! The words of the commands.

use super::Command;

/// A word, with the command that ends there and the words that may follow.
pub(super) struct Node {
    pub(super) word: &'static str,
    pub(super) command: Option<Ending>,
    pub(super) below: &'static [Node],
}

/// A command and its parameters.
pub(super) struct Ending {
    pub(super) params: &'static [&'static str],
    /// Takes as many words as there are parameters.
    pub(super) make: fn(&[String]) -> Command,
}

const fn group(word: &'static str, below: &'static [Node]) -> Node {
    Node {
        word,
        command: None,
        below,
    }
}

const fn leaf(
    word: &'static str,
    params: &'static [&'static str],
    make: fn(&[String]) -> Command,
) -> Node {
    Node {
        word,
        command: Some(Ending { params, make }),
        below: &[],
    }
}

const fn both(word: &'static str, make: fn(&[String]) -> Command, below: &'static [Node]) -> Node {
    Node {
        below,
        ..leaf(word, &[], make)
    }
}

/// teamdctl's commands.
pub(super) static TEAMDCTL: [Node; 3] = [
    group(
        "config",
        &[both(
            "dump",
            |_| Command::ConfigDump,
            &[
                leaf("noports", &[], |_| Command::ConfigDumpNoPorts),
                leaf("actual", &[], |_| Command::ConfigDumpActual),
            ],
        )],
    ),
    both(
        "state",
        |_| Command::StateView,
        &[
            leaf("dump", &[], |_| Command::StateDump),
            leaf("view", &[], |_| Command::StateView),
            group(
                "item",
                &[
                    leaf("get", &["ITEMPATH"], |words| {
                        Command::StateItemGet(words[0].clone())
                    }),
                    leaf("set", &["ITEMPATH", "VALUE"], |words| {
                        Command::StateItemSet(words[0].clone(), words[1].clone())
                    }),
                ],
            ),
        ],
    ),
    group(
        "port",
        &[
            leaf("add", &["PORTDEV"], |words| {
                Command::PortAdd(words[0].clone())
            }),
            leaf("remove", &["PORTDEV"], |words| {
                Command::PortRemove(words[0].clone())
            }),
            leaf("present", &["PORTDEV"], |words| {
                Command::PortPresent(words[0].clone())
            }),
            group(
                "config",
                &[
                    leaf("update", &["PORTDEV", "PORTCONFIG"], |words| {
                        Command::PortConfigUpdate(words[0].clone(), words[1].clone())
                    }),
                    leaf("dump", &["PORTDEV"], |words| {
                        Command::PortConfigDump(words[0].clone())
                    }),
                ],
            ),
        ],
    ),
];

/// Commands that teamdctl lacks. Their words are compared after teamdctl's.
pub(super) static ADDED: [Node; 5] = [
    group(
        "record",
        &[
            leaf("dump", &[], |_| Command::RecordDump),
            leaf("pcap", &["FILE"], |words| {
                Command::RecordPcap(words[0].clone())
            }),
        ],
    ),
    leaf("doctor", &[], |_| Command::Doctor),
    leaf("watch", &[], |_| Command::Watch),
    both(
        "metrics",
        |_| Command::Metrics,
        &[
            leaf("file", &["FILE"], |words| {
                Command::MetricsFile(words[0].clone())
            }),
            leaf("serve", &["ADDRESS"], |words| {
                Command::MetricsServe(words[0].clone())
            }),
        ],
    ),
    group("schema", &[leaf("state", &[], |_| Command::SchemaState)]),
];

//! The words of the commands.

use std::fmt;

/// A command: its words, and the names of its parameters.
pub(super) struct Row {
    pub(super) words: &'static str,
    pub(super) params: &'static [&'static str],
    /// Description of the output or the effect of the command, in one paragraph.
    pub(super) about: &'static str,
    /// Takes as many words as there are parameters.
    pub(super) make: fn(&[String]) -> Command,
}

impl Row {
    /// Returns the word at a level, from 0.
    pub(super) fn word(&self, level: usize) -> Option<&'static str> {
        self.words.split(' ').nth(level)
    }

    /// Returns whether the one parameter is the rest of the line: the words of a command.
    pub(super) fn takes_rest(&self) -> bool {
        self.params == ["COMMAND"]
    }

    /// Returns the words and the parameters, as on a command line.
    pub(super) fn usage(&self) -> String {
        [&[self.words], self.params].concat().join(" ")
    }
}

/// Defines [`Command`], its text and [`COMMANDS`].
macro_rules! commands {
    ($($words:literal => $name:ident $(($($param:ident),+))?: $about:literal;)+) => {
        /// A command with its parameters.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Command {
            $(
                #[doc = $about]
                $name $(($(text!($param)),+))?,
            )+
        }

        impl Command {
            /// Returns the words in full, without parameters.
            pub fn words(&self) -> &'static str {
                match self {
                    $(Command::$name { .. } => $words,)+
                }
            }
        }

        /// Writes the words in full, and the parameters without the settings of a port.
        #[allow(non_snake_case, reason = "the names of the help")]
        impl fmt::Display for Command {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Command::$name $(($($param),+))? => {
                        f.write_str($words)?;
                        $($(if stringify!($param) != "PORTCONFIG" {
                            write!(f, " {}", $param)?;
                        })+)?
                    })+
                }
                Ok(())
            }
        }

        /// The commands. A typed word selects the first word of its level that begins with it.
        pub(super) static COMMANDS: &[Row] = &[$(Row {
            words: $words,
            params: &[$($(stringify!($param)),+)?],
            about: $about,
            make: |_words| {
                let mut _words = _words.iter().cloned();
                Command::$name $(($(next!(_words, $param)),+))?
            },
        },)+];
    };
}

/// The type of a parameter.
macro_rules! text {
    ($param:ident) => {
        String
    };
}

/// The value of a parameter.
macro_rules! next {
    ($words:ident, $param:ident) => {
        $words.next().unwrap_or_default()
    };
}

commands! {
    "config dump" => ConfigDump:
        "The configuration, with the defaults that the daemon filled in and with updates.";
    "config dump noports" => ConfigDumpNoPorts: "The configuration without its ports.";
    "config dump actual" => ConfigDumpActual:
        "The configuration with exactly the ports that are attached now.";
    "state" => State: "The state, for people.";
    "state dump" => StateDump: "The state as JSON.";
    "state view" => StateView: "The state, for people.";
    "state item get" => StateItemGet(ITEMPATH): "One item, such as runner.active_port.";
    "state item set" => StateItemSet(ITEMPATH, VALUE): "Set an item.";
    "port add" => PortAdd(PORTDEV): "Make an interface a port; it must be down.";
    "port remove" => PortRemove(PORTDEV): "Remove a port from the team, and restore the interface.";
    "port present" => PortPresent(PORTDEV): "Exit 0 if the interface is a port, 1 otherwise.";
    "port config update" => PortConfigUpdate(PORTDEV, PORTCONFIG):
        "Replace the configuration of a port, attached or not.";
    "port config dump" => PortConfigDump(PORTDEV): "The configuration of a port.";
    "record dump" => RecordDump: "The last few hundred events and decisions of the team, as JSON.";
    "record pcap" => RecordPcap(FILE): "The frames of the recording, such as LACPDUs and probes.";
    "port drain" => PortDrain(PORTDEV):
        "Move the flows off a port until port undrain, for instance to change its cable.";
    "port undrain" => PortUndrain(PORTDEV): "End the drain of a port.";
    "doctor" => Doctor: "Faults of the team, each with its cause and its cure.";
    "watch" => Watch:
        "News of the team, one line each, until an interrupt: links, decisions, stations that \
         moved, and after a failover the time from the event of the lost link to the new \
         forwarding.";
    "metrics" => Metrics: "The state in the text format of Prometheus.";
    "metrics file" => MetricsFile(FILE):
        "The metrics, written to a file in one step, for the text file collector of node_exporter.";
    "metrics serve" => MetricsServe(ADDRESS):
        "The metrics over HTTP at ADDRESS, HOST:PORT or, with a slash in it, the path of a unix \
         socket; until an interrupt.";
    "schema state" => SchemaState:
        "The JSON Schema of the state, with a description of each item; no team needs to run.";
    "diff" => Diff: "The changes that reload would make.";
    "diff" => DiffWith(FILE): "The changes that the configuration in another file would make.";
    "reload" => Reload:
        "Change the running team to the configuration in the file that the daemon was started \
         with.";
    "reload" => ReloadFrom(FILE): "Change the running team to the configuration in another file.";
    "try" => Try(FILE):
        "Change the running team to the configuration in a file for two minutes, or for the \
         SECONDS of --for. Then the former configuration returns, unless keep is called before.";
    "get" => Get:
        "The keys that the runner and the link watches read, with their values in the running \
         configuration or their defaults.";
    "get" => GetKey(KEY): "The value of one key, such as runner.fast_rate.";
    "set" => Set(KEY, VALUE):
        "Give a key another value: JSON, a bare word, or null for the default.";
    "values" => Values(KEY): "The words that a key takes as values.";
    "clear statistics" => ClearStatistics: "Set the LACPDU counters of all ports to zero.";
    "clear statistics port" => ClearPortStatistics(PORTDEV):
        "Set the LACPDU counters of one port to zero.";
    "keep" => Keep: "Keep the configuration on trial, or the team on trial in place of a bond.";
    "save" => Save:
        "Write the running configuration, with the defaults and with the changes made at run \
         time, to the file that the daemon was started with.";
    "save" => SaveAs(FILE): "Write the running configuration to another file.";
    "status" => Status:
        "The team on one screen: runner, carrier, active or designated port, data path and why a \
         preferred one was not used, rates, failovers, each port with its link, role, rates, \
         lost frames and last change, and the findings of doctor.";
    "ports" => Ports:
        "The ports of status alone, each with the reason that keeps it out of forwarding.";
    "top" => Top:
        "The status live, once a second: the rates of the ports as bars of the speed of their \
         links, buckets, LACP partners and the last news.";
    "hash" => HashFile(FILE): "The port of each frame of a capture file.";
    "hash" => HashFlow(SOURCE, DESTINATION): "The port that this flow leaves on now, and why.";
    "hash" => HashFlowOf(SOURCE, DESTINATION, PROTOCOL): "The port of a flow of tcp, udp or sctp.";
    "draw" => Draw: "A picture of the team, as SVG.";
    "explain" => Explain: "The names of all findings.";
    "explain" => ExplainFinding(FINDING): "The meaning of a finding, and the remedy.";
    "schema status" => SchemaStatus: "The JSON Schema of the answer to status --json for one team.";
    "schema hash" => SchemaHash: "The JSON Schema of the answer to hash --json.";
    "schema changes" => SchemaChanges:
        "The JSON Schema of the answer to diff, reload, try and set with --json.";
    "schema doctor" => SchemaDoctor: "The JSON Schema of the answer to doctor --json.";
    "schema explain" => SchemaExplain:
        "The JSON Schema of the answer to explain --json for one finding.";
    "schema watch" => SchemaWatch: "The JSON Schema of each line of watch --json.";
    "schema teamrnl" => SchemaTeamrnl: "The JSON Schema of the answers to teamrnl --json.";
    "lldp" => Lldp:
        "Hand the Link Aggregation TLV of each port to lldpd, and follow its changes, until an \
         interrupt.";
    "agentx" => Agentx:
        "Serve the Link Aggregation MIB of all teams through the SNMP agent at /var/agentx/master, \
         until an interrupt.";
    "agentx" => AgentxAt(ADDRESS):
        "Serve the MIB through the AgentX master at ADDRESS, HOST:PORT or, with a slash in it, the \
         path of a unix socket.";
    "demo" => Demo:
        "Two hosts and a switch in network namespaces, traffic and a pulled cable; nothing on the \
         host changes.";
    "demo" => DemoOf(DEMO):
        "Another demo: slb, guests on a switch that cannot aggregate; lacp, a partner and a wrong \
         key; activebackup, the first.";
    "help" => HelpOf(COMMAND): "What a command does, with its arguments and its options.";
    "help" => Help: "Each command with its arguments, and the options.";
}

/// Number of teamdctl's commands, which come first.
pub(super) const OF_TEAMDCTL: usize = 13;

//! All intended differences between teamr's answers and those of Debian's teamd 1.31.

use std::fmt;

/// One intended difference.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// Prefix of the names of its scenarios; empty for all.
    pub scenario: &'static str,
    /// Prefix of the question.
    pub question: &'static str,
    /// The difference.
    pub what: What,
    /// The justification.
    pub reason: &'static str,
}

/// A difference between two answers.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// Only one of the JSON documents has this key, anywhere.
    Key(&'static str),
    /// The JSON documents have different values under this key, anywhere.
    Contents(&'static str),
    /// The help text.
    Help,
    /// Lines that begin with this text, apart from blanks, differ or are missing.
    Lines(&'static str),
    /// As [`Lines`](What::Lines), on some kernels only: the answer depends on the times of link events.
    LinesOfSomeKernels(&'static str),
    /// teamr prints this in addition.
    More(&'static str),
    /// Standard error; the exit status is equal.
    Complaint,
    /// Different answers: standard output, then standard error with `! ` before each line, then `->
    /// ` and the exit status.
    Answer {
        /// teamd's answer.
        teamd: &'static str,
        /// teamr's answer.
        teamr: &'static str,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if !self.question.is_empty() {
            write!(f, "{}: ", self.question.trim_end())?;
        }
        match self.what {
            What::Key(key) => write!(f, "the key {key}")?,
            What::Contents(key) => write!(f, "the value of {key}")?,
            What::Help => f.write_str("the help")?,
            What::Lines(begin) | What::LinesOfSomeKernels(begin) => {
                write!(f, "the lines \"{begin}...\"")?
            }
            What::More(text) => write!(f, "also {}", text.trim())?,
            What::Complaint => f.write_str("the complaint")?,
            What::Answer { .. } => f.write_str("the answer")?,
        }
        write!(f, ": {}", self.reason)
    }
}

const NO_SUCH_METHOD: What = What::Answer {
    teamd: "-> 0",
    teamr: "! org.freedesktop.DBus.Error.UnknownMethod: No such method.\n-> 1",
};

const CONFIG_UPDATE_FAILS: &str = "\
! libteamdctl: cli_usock_process_msg: usock: Error message received: \"ConfigUpdateFail\"
! libteamdctl: cli_usock_process_msg: usock: Error message content: \"Failed to update config.\"
! command call failed (Invalid argument)
-> 1";

/// Differences between the daemons. The comparison fails on any other difference, and on a listed
/// one that does not occur.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        scenario: "",
        question: "",
        what: What::Key("teamr"),
        reason: "items that teamd lacks are under a separate key",
    },
    Difference {
        scenario: "requests that fail",
        question: "teamdctl team0 port config update eth2",
        what: What::Answer { teamd: CONFIG_UPDATE_FAILS, teamr: "-> 0" },
        reason: "teamd stores the new entry and then reports a failure, because the prio is missing",
    },
    Difference {
        scenario: "requests that fail",
        question: "",
        what: What::Key("eth3"),
        reason: "a refused update changes nothing; teamd leaves an empty entry",
    },
    Difference {
        scenario: "",
        question: "teamnl team0 o",
        what: What::LinesOfSomeKernels("user_linkup (port:"),
        reason: "the state of each watch; teamd omits findings from before the port is known",
    },
    Difference {
        scenario: "",
        question: "teamnl team0 o",
        what: What::Lines("bpf_hash_func"),
        reason: "a different program with the same results, except for the ports of IPv6",
    },
    Difference {
        scenario: "loadbalance, balanced",
        question: "teamnl team0 options",
        what: What::Lines("lb_tx_hash_to_port_mapping"),
        reason: "buckets are spread evenly from the start; teamd puts all on one port",
    },
    Difference {
        scenario: "a second daemon",
        question: "teamd ",
        what: What::Lines("This program is not intended to be run as root."),
        reason: "a program that needs root does not warn about root",
    },
    Difference {
        scenario: "a second daemon",
        question: "teamd --version",
        what: What::Lines("teamd 1.3"),
        reason: "teamr follows a later release than Debian's",
    },
    Difference {
        scenario: "a second daemon",
        question: "teamd -h",
        what: What::Help,
        reason: "help is for people and lists options that teamd does not have",
    },
    Difference {
        scenario: "a second daemon",
        question: "teamd -t team1 -c",
        what: What::Complaint,
        reason: "all errors are reported before anything is created, with key and values",
    },
    Difference {
        scenario: "a second daemon",
        question: "teamd -t a-name-that-is-too-long",
        what: What::Complaint,
        reason: "errors are reported before any request to the kernel",
    },
    Difference {
        scenario: "a second daemon",
        question: "teamd -t ''",
        what: What::Complaint,
        reason: "errors are reported before any request to the kernel",
    },
    Difference {
        scenario: "a second daemon",
        question: "teamd -t far-eth1",
        what: What::Lines("\"far-eth1\" exists"),
        reason: "an error names its remedy",
    },
    Difference {
        scenario: "lacp",
        question: "",
        what: What::Key("min_ports"),
        reason: "the item is readable, and writable while lacp runs",
    },
    Difference {
        scenario: "lacp",
        question: "",
        what: What::Key("fallback"),
        reason: "SONiC's addition to lacp, which its tlm_teamd reads",
    },
    Difference {
        scenario: "lacp",
        question: "",
        what: What::Key("enable_retry_count_feature"),
        reason: "SONiC's addition to lacp",
    },
    Difference {
        scenario: "lacp",
        question: "",
        what: What::Key("retry_count"),
        reason: "SONiC's addition to lacp",
    },
    Difference {
        scenario: "lacp",
        question: "",
        what: What::Key("partner_retry_count"),
        reason: "SONiC's addition to lacp",
    },
    Difference {
        scenario: "",
        question: "",
        what: What::Key("gate"),
        reason: "an item of teamr's own: SONiC's proposal of a MACsec gate, for every runner",
    },
    Difference {
        scenario: "",
        question: "",
        what: What::Key("drained"),
        reason: "an item of teamr's own",
    },
    Difference {
        scenario: "",
        question: "",
        what: What::Key("draining"),
        reason: "an item of teamr's own",
    },
    Difference {
        scenario: "lacp",
        question: "",
        what: What::Key("macsec_gate"),
        reason: "SONiC proposes the item",
    },
    Difference {
        scenario: "lacp",
        question: "",
        what: What::Key("statistics"),
        reason: "SONiC proposes the items",
    },
    Difference {
        scenario: "lacp",
        question: "",
        what: What::Key("fallback_method"),
        reason: "SONiC proposes the item",
    },
    Difference {
        scenario: "lacp, never set up",
        question: "",
        what: What::Contents("state"),
        reason: "machines begin when the device is set up, as with teamd 1.32; Debian's 1.31 begins at once",
    },
    Difference {
        scenario: "lacp, never set up",
        question: "teamdctl",
        what: What::Lines("state:"),
        reason: "machines begin when the device is set up, as with teamd 1.32; Debian's 1.31 begins at once",
    },
    Difference {
        scenario: "lacp",
        question: "teamnl team0 options",
        what: What::Lines("lb_tx_method"),
        reason: "the driver's own choice would also use ports that only collect",
    },
    Difference {
        scenario: "lacp",
        question: "teamnl team0 options",
        what: What::Lines("lb_tx_hash_to_port_mapping"),
        reason: "the driver's own choice would also use ports that only collect",
    },
    Difference {
        scenario: "over D-Bus",
        question: "/org/libteam/teamd org.freedesktop.DBus.Introspectable Introspect",
        what: What::More(
            "    <method name='RecordingDump'>    </method>    <method name='ConfigDiff'>      \
             <arg type='s' name='config' direction='in'/>    </method>    \
             <method name='ConfigReplace'>      <arg type='s' name='config' direction='in'/>    \
             </method>    <method name='ConfigTry'>      <arg type='s' name='config' \
             direction='in'/>      <arg type='s' name='seconds' direction='in'/>    </method>    \
             <method name='ConfigKeep'>    </method>    <method name='ConfigKeepTrial'>      \
             <arg type='s' name='trial' direction='in'/>    </method>    \
             <method name='PortDrain'>      <arg type='s' name='port_devname' direction='in'/>      \
             <arg type='s' name='force' direction='in'/>    </method>    \
             <method name='PortUndrain'>      <arg type='s' name='port_devname' \
             direction='in'/>    </method>    <method name='ConfigItemSet'>      \
             <arg type='s' name='key' direction='in'/>      <arg type='s' name='value' \
             direction='in'/>    </method>    <method name='DirectoryReread'>    </method>    \
             <method name='DirectoryRereadOutcome'>    </method>    \
             <method name='StatisticsClear'>    </method>    <method name='PortStatisticsClear'>      \
             <arg type='s' name='port_devname' direction='in'/>    </method>    \
             <method name='FramePorts'>      <arg type='s' name='frames' direction='in'/>    \
             </method>",
        ),
        reason: "methods of teamr's own",
    },
    Difference {
        scenario: "over D-Bus",
        question: "/org/libteam/teamd org.freedesktop.DBus.Properties GetAll",
        what: NO_SUCH_METHOD,
        reason: "a request for something absent fails",
    },
    Difference {
        scenario: "over D-Bus",
        question: "/org/libteam/teamd org.libteam.teamd Nonsense",
        what: NO_SUCH_METHOD,
        reason: "a request for something absent fails",
    },
    Difference {
        scenario: "over D-Bus",
        question: "/org/libteam/teamd org.example StateDump",
        what: NO_SUCH_METHOD,
        reason: "a request for something absent fails",
    },
    Difference {
        scenario: "over D-Bus",
        question: "/org/libteam/teamd  Nonsense",
        what: What::Complaint,
        reason: "teamd prints the text of its D-Bus library",
    },
    Difference {
        scenario: "over D-Bus",
        question: "/ org.libteam.teamd StateDump",
        what: What::Complaint,
        reason: "teamd prints the text of its D-Bus library",
    },
    Difference {
        scenario: "over D-Bus",
        question: "/org/libteam/teamd  StateItemValueGet",
        what: What::Answer {
            teamd: "! org.freedesktop.DBus.Error.UnknownMethod: Method \"StateItemValueGet\" with signature \"s\" on interface \"(null)\" doesn't exist\n! \n-> 1",
            teamr: "eth1\n-> 0",
        },
        reason: "a call may omit the interface (D-Bus Specification, Message Types)",
    },
];

/// Differences between the clients about the same daemon.
pub const CLIENT_DIFFERENCES: &[Difference] = &[Difference {
    scenario: "command lines that fail",
    question: "teamdctl",
    what: What::Help,
    reason: "help is for people and lists options that teamdctl does not have",
}];

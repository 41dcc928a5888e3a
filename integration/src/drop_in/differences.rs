//! Every place where teamr is meant to answer otherwise than Debian's teamd 1.31.

/// One difference that is meant.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// How the names of the scenarios begin in which it is seen; empty for all.
    pub scenario: &'static str,
    /// How the question begins.
    pub question: &'static str,
    /// What differs.
    pub what: What,
    /// Why that is right.
    pub reason: &'static str,
}

/// What differs in an answer.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// teamr's JSON has this key more, wherever it stands.
    ExtraKey(&'static str),
    /// The help that follows a command line which is none.
    Help,
    /// Lines of standard output that begin with this, blanks aside, have other contents.
    Lines(&'static str),
    /// The answer is this one instead of that one: standard output, then standard error with
    /// `! ` before each line, then `-> ` and the exit status.
    Answer {
        /// What teamd answers.
        teamd: &'static str,
        /// What teamr answers.
        teamr: &'static str,
    },
}

/// Those of the daemons. The comparison fails on any other, and on one that is never seen.
pub const DIFFERENCES: &[Difference] = &[Difference {
    scenario: "",
    question: "",
    what: What::ExtraKey("teamr"),
    reason: "what teamd does not have stands under a key of its own",
}];

/// Those of the clients, asked about the same daemon.
pub const CLIENT_DIFFERENCES: &[Difference] = &[Difference {
    scenario: "command lines that fail",
    question: "",
    what: What::Help,
    reason: "help is for people; it tells of options that teamdctl does not have",
}];

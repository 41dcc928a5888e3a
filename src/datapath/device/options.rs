//! How a team device is to be opened.

/// The team device of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceOptions {
    /// Name; `%d` is replaced by a free number.
    pub name: String,
    /// The device outlives the daemon (`-N`).
    pub persist: bool,
    /// An existing device of that name is taken over (`-o`).
    pub take_over: bool,
}

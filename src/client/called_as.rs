//! The name under which the client was started.

/// The name under which the client was started. The name selects the commands and the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalledAs {
    /// All commands; a message says what was attempted and what to do.
    Teamrctl,
    /// teamdctl's commands and messages, with a mandatory device.
    Teamdctl,
}

impl CalledAs {
    /// Returns the meaning of a program name.
    pub fn from_program(program: &str) -> Self {
        match program {
            "teamdctl" => CalledAs::Teamdctl,
            _ => CalledAs::Teamrctl,
        }
    }
}

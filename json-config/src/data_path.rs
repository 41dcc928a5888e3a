//! The key `data_path` as a type.

/// `data_path`: the part of the system that forwards frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataPathChoice {
    /// The first of the others that works on the host, in this order.
    #[default]
    Auto,
    /// The kernel's team driver.
    Kernel,
    /// eBPF programs that teamr loads into the kernel.
    Programs,
    /// The daemon itself.
    Relay,
}

impl DataPathChoice {
    /// The words of the configuration, of `--data-path` and of the state, in the order of
    /// `CHOICES`. The last one is an older word for the relay.
    pub const WORDS: [&'static str; 5] = ["auto", "kernel", "programs", "relay", "userspace"];

    const CHOICES: [Self; 5] = [Self::Auto, Self::Kernel, Self::Programs, Self::Relay, Self::Relay];

    /// Returns the choice of a word; `None` for another word.
    pub fn from_word(word: &str) -> Option<Self> {
        let place = Self::WORDS.iter().position(|known| *known == word)?;
        Some(Self::CHOICES[place])
    }

    /// Returns the word of a choice.
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

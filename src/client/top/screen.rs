//! The terminal while `top` runs: keys without echo, and a second screen that leaves the first as
//! it was.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::read;

use crate::process::signals::Signals;
use crate::sys::terminal;

/// Escape sequences of xterm: the second screen, a hidden cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// The first cell, and an erased rest of a line and of the screen.
const HOME: &str = "\x1b[H";
const ERASE_LINE: &str = "\x1b[K";
const ERASE_BELOW: &str = "\x1b[J";

/// Size of a terminal that has none.
const DEFAULT: (usize, usize) = (80, 24);

/// A terminal for keys and frames; dropping it restores the terminal.
pub struct Screen<'a> {
    signals: Signals,
    keys: BorrowedFd<'a>,
    out: BorrowedFd<'a>,
    stream: &'a mut dyn Write,
    former: Termios,
}

/// The outcome of a wait for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `q`, an interrupt, a signal or the end of the input.
    Quit,
    /// Another key, another size of the terminal, or the end of the time.
    Redraw,
}

impl<'a> Screen<'a> {
    /// Takes the terminals `keys` and `out`; `stream` writes to `out`.
    ///
    /// # Errors
    /// `ENOTTY` if one of them is no terminal.
    pub fn open(
        keys: BorrowedFd<'a>,
        out: BorrowedFd<'a>,
        stream: &'a mut dyn Write,
    ) -> io::Result<Self> {
        tcgetattr(out)?;
        // The default effect of a signal would leave the second screen in place.
        let signals = Signals::take_endings()?;
        let former = tcgetattr(keys)?;
        let mut raw = former.clone();
        // An interrupt is a key here, so that the terminal is always restored.
        raw.local_flags &= !(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
        tcsetattr(keys, SetArg::TCSANOW, &raw)?;
        let mut screen = Screen { signals, keys, out, stream, former };
        screen.write(ENTER)?;
        Ok(screen)
    }

    /// Returns columns and rows.
    pub fn size(&self) -> (usize, usize) {
        terminal::size(self.out).unwrap_or(DEFAULT)
    }

    /// Shows lines, as many as fit.
    pub fn show(&mut self, lines: &[String]) -> io::Result<()> {
        let (_, rows) = self.size();
        let lines: Vec<String> =
            lines.iter().take(rows).map(|line| format!("{line}{ERASE_LINE}")).collect();
        self.write(&format!("{HOME}{}{ERASE_BELOW}", lines.join("\r\n")))
    }

    /// Waits for a key for at most `time`.
    pub fn wait(&mut self, time: Duration) -> io::Result<Key> {
        let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        let mut sources = [
            PollFd::new(self.keys, PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut sources, timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Key::Redraw),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let [keys, _] = sources.map(|source| source.any().unwrap_or(true));
        let requests = self.signals.read()?;
        if requests.stop.is_some() || requests.reload {
            return Ok(Key::Quit);
        }
        if !keys {
            return Ok(Key::Redraw);
        }
        /// The key with the code of an interrupt, Ctrl-C.
        const INTERRUPT: u8 = 3;
        let mut keys = [0; 64];
        let count = read(self.keys, &mut keys)?;
        let quits = keys[..count].iter().any(|key| [b'q', b'Q', INTERRUPT].contains(key));
        Ok(if quits || count == 0 { Key::Quit } else { Key::Redraw })
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes())?;
        self.stream.flush()
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        let _ = self.write(LEAVE);
        let _ = tcsetattr(self.keys.as_fd(), SetArg::TCSANOW, &self.former);
    }
}

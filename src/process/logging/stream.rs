//! Standard output or standard error as the output of a daemon's log.
//!
//! Writing never waits: a message that finds no room in a pipe, a socket or a terminal is lost, and
//! the log contains the number of lost messages once there is room again. For systemd's journal each
//! line begins with its priority. Standards: sd-daemon(3); systemd.exec(5), `JOURNAL_STREAM`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};

use log::{Level, Record};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};

use super::{line, severity};

/// Environment variable of a process whose output is the journal.
const JOURNAL_VARIABLE: &str = "JOURNAL_STREAM";

/// A pipe with any room takes so many bytes at once.
const PIPE_BUF: usize = libc::PIPE_BUF;

/// An output, and the messages that it did not take.
pub(super) struct Stream {
    file: File,
    is_socket: bool,
    has_priorities: bool,
    lost: u32,
    /// The last line was written in part.
    is_cut: bool,
}

impl Stream {
    /// Opens the output behind a standard stream.
    pub fn open(standard: BorrowedFd<'_>) -> io::Result<Self> {
        let journal = std::env::var(JOURNAL_VARIABLE).ok();
        Stream::open_for(standard, journal.as_deref())
    }

    fn open_for(standard: BorrowedFd<'_>, journal: Option<&str>) -> io::Result<Self> {
        let mut file = File::from(standard.try_clone_to_owned()?);
        let found = file.metadata()?;
        let kind = found.file_type();
        if kind.is_fifo() || kind.is_char_device() {
            // The flag O_NONBLOCK would hold for every process that shares the stream, so the daemon
            // opens the stream again. Another user's stream cannot be opened; poll(2) then answers.
            let again = OpenOptions::new()
                .write(true)
                .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
                .open(format!("/proc/self/fd/{}", file.as_raw_fd()));
            file = again.unwrap_or(file);
        }
        let own = format!("{}:{}", found.dev(), found.ino());
        Ok(Stream {
            file,
            is_socket: kind.is_socket(),
            has_priorities: journal == Some(own.as_str()),
            lost: 0,
            is_cut: false,
        })
    }

    /// Writes a message as one or several lines.
    pub fn log(&mut self, record: &Record<'_>) {
        if self.lost > 0 {
            let notice = format!("{} messages were lost: nobody read this log.", self.lost);
            let cut = if self.is_cut { "\n" } else { "" };
            let notice = format!("{cut}{}", self.lines(Level::Warn, &notice));
            if !self.write(&notice) {
                self.lost = self.lost.saturating_add(1);
                return;
            }
            (self.lost, self.is_cut) = (0, false);
        }
        let lines = self.lines(record.level(), &line(record));
        self.lost = u32::from(!self.write(&lines));
    }

    fn lines(&self, level: Level, message: &str) -> String {
        match self.has_priorities {
            true => message.lines().map(|line| format!("<{}>{line}\n", severity(level))).collect(),
            false => format!("{message}\n"),
        }
    }

    /// Returns whether all bytes were written.
    fn write(&mut self, text: &str) -> bool {
        for (place, chunk) in text.as_bytes().chunks(PIPE_BUF).enumerate() {
            let written = self.write_chunk(chunk).unwrap_or(0);
            if written < chunk.len() {
                self.is_cut |= place > 0 || written > 0;
                return false;
            }
        }
        true
    }

    fn write_chunk(&self, chunk: &[u8]) -> io::Result<usize> {
        let mut asked = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
        if poll(&mut asked, PollTimeout::ZERO)? == 0 {
            return Ok(0);
        }
        match self.is_socket {
            true => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                Ok(send(self.file.as_raw_fd(), chunk, flags)?)
            }
            false => (&self.file).write(chunk),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::unistd::pipe2;

    use super::super::tests::message;
    use super::*;

    fn ends() -> [(OwnedFd, OwnedFd); 2] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        [pipe2(OFlag::O_CLOEXEC).unwrap(), (ours.into(), theirs.into())]
    }

    /// Returns the bytes that wait in a pipe or socket.
    fn waiting(end: &OwnedFd) -> String {
        fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let mut bytes = Vec::new();
        let mut file = File::from(end.try_clone().unwrap());
        assert_eq!(file.read_to_end(&mut bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_message_without_room_is_lost_and_counted() {
        for (reader, writer) in ends() {
            let mut stream = Stream::open_for(writer.as_fd(), None).unwrap();
            for _ in 0..50_000 {
                message(Level::Info, "and another", |record| stream.log(record));
            }
            let read = waiting(&reader);
            let taken = read.lines().filter(|line| *line == "and another").count();
            message(Level::Info, "the next", |record| stream.log(record));
            let lost = format!("{} messages were lost: nobody read this log.", 50_000 - taken);
            let next = waiting(&reader);
            assert!(next.ends_with(&format!("{lost}\nthe next\n")), "{next:?}");
            let flags = OFlag::from_bits_retain(fcntl(&writer, FcntlArg::F_GETFL).unwrap());
            assert!(!flags.contains(OFlag::O_NONBLOCK), "others share the stream");
        }
    }

    #[test]
    fn the_journal_gets_the_priority_of_each_line() {
        for (reader, writer) in ends() {
            let found = File::from(writer.try_clone().unwrap()).metadata().unwrap();
            let journal = format!("{}:{}", found.dev(), found.ino());
            for (journal, expected) in [
                (Some(journal.as_str()), "<4>one\n<4>two\n<3>three\n<6>four\n<7>five\n"),
                (Some("1:1"), "one\ntwo\nthree\nfour\nfive\n"),
                (None, "one\ntwo\nthree\nfour\nfive\n"),
            ] {
                let mut stream = Stream::open_for(writer.as_fd(), journal).unwrap();
                for (level, text) in [
                    (Level::Warn, "one\ntwo"),
                    (Level::Error, "three"),
                    (Level::Info, "four"),
                    (Level::Debug, "five"),
                ] {
                    message(level, text, |record| stream.log(record));
                }
                assert_eq!(waiting(&reader), expected);
            }
        }
    }
}

//! The size of a terminal.

use std::os::fd::BorrowedFd;

/// Returns the columns and rows of the terminal; `None` if `fd` is no terminal, or one without a
/// size.
pub fn size(fd: BorrowedFd<'_>) -> Option<(usize, usize)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes a `winsize`.
    unsafe { super::ioctl(fd, libc::TIOCGWINSZ, &mut size) }.ok()?;
    let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row));
    (columns > 0 && rows > 0).then_some((columns, rows))
}

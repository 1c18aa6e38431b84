//! A terminal for a program.

use std::fs::File;
use std::os::fd::FromRawFd;

/// A terminal so many columns wide: our end and the program's.
pub fn terminal(columns: u16) -> (File, File) {
    let (mut ours, mut theirs) = (0, 0);
    let size = libc::winsize { ws_row: 30, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let none = std::ptr::null_mut();
    // SAFETY: openpty fills the two descriptors, which are owned from then on.
    unsafe {
        assert_eq!(libc::openpty(&mut ours, &mut theirs, none, none as _, &size), 0);
        // No other test's program may keep our end open.
        libc::fcntl(ours, libc::F_SETFD, libc::FD_CLOEXEC);
        (File::from_raw_fd(ours), File::from_raw_fd(theirs))
    }
}

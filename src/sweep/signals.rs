//! Signals that stop a sweep.

use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::workers::Input;
use crate::host::{print, show_control_characters, start_thread};

/// How long the second signal may take to end a sweep in good order.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The first signal is for the loop. The second is too, but a loop that does not hear it, because it waits for a worker
/// or makes the last tables, is not waited for.
pub fn listen(sender: Sender<Input>) -> Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    if !is_ignored(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    start_thread(move || {
        let mut stopping = false;
        for signal in signals.forever() {
            // A closed terminal sends it several times, and so does the shell there.
            if stopping && signal == SIGHUP {
                continue;
            }
            let _ = sender.send(Input::Signal);
            if stopping {
                std::thread::sleep(LAST_WORDS);
                stopped_at_once();
            }
            stopping = true;
        }
    })?;
    Ok(())
}

/// Ends this process.
pub fn stopped_at_once() -> ! {
    show_control_characters();
    print("stopped at once; what is stored stands, and the same command goes on from there");
    std::process::exit(crate::exit::INTERRUPTED);
}

/// Whether whoever started this process, such as nohup, wants it to live through `signal`.
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is changed, and the answer is written where it is read.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

//! What a test does that cannot be run on this machine.

use std::io::Write;

/// Says that a test is left out, which `scripts/test` counts. Fails where RUNNER_REQUIRE_ALL is set, as in continuous integration.
pub fn skip(reason: &str) {
    assert!(std::env::var_os("RUNNER_REQUIRE_ALL").is_none(), "left out: {reason}");
    leave_out(reason);
}

/// The same for want of what may be missing anywhere: images, a kernel or daemons that start.
#[allow(dead_code, reason = "not every test that includes this file needs such")]
pub fn leave_out(reason: &str) {
    // Past the test harness, which keeps what println! says to itself.
    std::io::stdout().write_all(format!("\nskipped: {reason}\n").as_bytes()).unwrap();
}

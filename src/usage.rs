//! What processes have used of the machine.

/// `getrusage(who)`: of this process (`RUSAGE_SELF`) or of the ended ones it has waited for (`RUSAGE_CHILDREN`).
pub fn resource_usage(who: i32) -> libc::rusage {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills the struct it is given; all zeros is a valid value of it.
    unsafe {
        libc::getrusage(who, usage.as_mut_ptr());
        usage.assume_init()
    }
}

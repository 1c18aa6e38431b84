//! How much memory is held, by Rust code and by the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts what Rust code holds at a time.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Layout) -> *mut u8 {
        PEAK.fetch_max(HELD.fetch_add(memory.size(), Relaxed) + memory.size(), Relaxed);
        unsafe { System.alloc(memory) }
    }

    unsafe fn alloc_zeroed(&self, memory: Layout) -> *mut u8 {
        PEAK.fetch_max(HELD.fetch_add(memory.size(), Relaxed) + memory.size(), Relaxed);
        unsafe { System.alloc_zeroed(memory) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, memory: Layout) {
        HELD.fetch_sub(memory.size(), Relaxed);
        unsafe { System.dealloc(pointer, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory since a moment, beyond what was there before.
pub struct Peak {
    held: usize,
    resident: usize,
}

impl Peak {
    pub fn start() -> Peak {
        large_blocks_are_the_kernels();
        PEAK.store(HELD.load(Relaxed), Relaxed);
        // Has VmHWM start anew.
        fs::write("/proc/self/clear_refs", "5").unwrap();
        Peak { held: HELD.load(Relaxed), resident: status("VmRSS:") }
    }

    /// Bytes that Rust code asked for, touched or not.
    pub fn held(&self) -> usize {
        PEAK.load(Relaxed).saturating_sub(self.held)
    }

    /// Bytes of the whole process in memory, libtorch's included.
    pub fn resident(&self) -> usize {
        status("VmHWM:").saturating_sub(self.resident)
    }
}

/// Where glibc takes a large block from a freed one it clears it by hand: 31 MB each time a test batch is set aside, for an
/// input of a few bytes. Blocks fresh from the kernel cost nothing until they are touched, as in a program that reads once.
fn large_blocks_are_the_kernels() {
    const LARGE: i32 = 1 << 20;
    // SAFETY: sets one number of the allocator.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
}

/// A size that the kernel knows of this process, in bytes.
fn status(key: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

//! The libFuzzer entry point of `signet_fuzz::cost`, with cost as its feedback: an input is kept if its text takes a
//! parser more time or memory than every earlier one, as if it had reached new code.
#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use signet_fuzz::cost::{COUNT, measure};

/// Memory that one text may take.
const MAX_MEMORY: usize = 40_000_000;
/// Steps of time and of memory, each half as much again as the one before: up to a second and a gigabyte.
const STEPS: usize = 64;
const SMALLEST_TIME: Duration = Duration::from_micros(10);
const SMALLEST_MEMORY: f64 = 4096.0;

/// libFuzzer reads these counters beside those of the code, and clears them before each input.
// SAFETY: libFuzzer expects bytes in this section, and nothing else is in it.
#[unsafe(link_section = "__libfuzzer_extra_counters")]
static REACHED: [[[AtomicU8; STEPS]; 2]; COUNT] = [const { [const { [const { AtomicU8::new(0) }; STEPS] }; 2] }; COUNT];

/// The system's allocator, which counts.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(ALLOCATED.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's obligations are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's obligations are the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let before = ALLOCATED.load(Relaxed);
    PEAK.store(before, Relaxed);
    signet_fuzz::cost::run(bytes);
    let memory = PEAK.load(Relaxed).saturating_sub(before);
    assert!(memory <= MAX_MEMORY, "{memory} bytes");
    // The second run is undisturbed by what the first one made once.
    let Some(cost) = measure(bytes) else { return };
    let [times, memories] = &REACHED[cost.parser];
    mark(times, cost.time.as_secs_f64() / SMALLEST_TIME.as_secs_f64());
    mark(memories, memory as f64 / SMALLEST_MEMORY);
});

/// Marks all steps up to this one.
fn mark(steps: &[AtomicU8; STEPS], times_smallest: f64) {
    let reached = times_smallest.max(1.0).log(1.5) as usize;
    steps.iter().take(reached).for_each(|step| step.store(1, Relaxed));
}

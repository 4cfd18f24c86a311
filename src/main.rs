//! The command line.

use std::process::ExitCode;

/// A request is two dozen pieces of memory, made and given back on one thread, and ten thousand connections that go to rest
/// leave theirs to be given back to the system, which a thread of the allocator sees to: the C library's is slower at the one and
/// does not do the other, and mimalloc, as fast as this, took three times the memory when idle.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    signet::cli::run(&signet::node::Signet, std::env::args_os())
}

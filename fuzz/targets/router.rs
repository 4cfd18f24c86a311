//! What libFuzzer calls: see `router` of the library.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::router::run(bytes));

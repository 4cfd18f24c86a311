//! What libFuzzer calls: see `email` of the library.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::email::run(bytes));

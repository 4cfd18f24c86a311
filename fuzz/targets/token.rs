//! What libFuzzer calls: see `token` of the library.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::token::run(bytes));

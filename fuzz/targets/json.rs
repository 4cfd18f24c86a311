//! What libFuzzer calls: see `json` of the library.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::json::run(bytes));

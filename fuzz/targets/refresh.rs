//! What libFuzzer calls: see `refresh` of the library.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::refresh::run(bytes));

//! What libFuzzer calls: see `multipart` of the library.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::multipart::run(bytes));

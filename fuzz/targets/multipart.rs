//! The libFuzzer entry point of `signet_fuzz::multipart`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::multipart::run(bytes));

//! The libFuzzer entry point of `signet_fuzz::json`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::json::run(bytes));

//! The libFuzzer entry point of `signet_fuzz::router`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::router::run(bytes));

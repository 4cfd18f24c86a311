//! The libFuzzer entry point of `signet_fuzz::config`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::config::run(bytes));

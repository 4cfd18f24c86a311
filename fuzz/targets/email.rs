//! The libFuzzer entry point of `signet_fuzz::email`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::email::run(bytes));

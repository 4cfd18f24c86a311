//! The libFuzzer entry point of `signet_fuzz::argon2`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::argon2::run(bytes));

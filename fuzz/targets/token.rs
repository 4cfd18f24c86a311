//! The libFuzzer entry point of `signet_fuzz::token`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::token::run(bytes));

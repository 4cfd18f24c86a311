//! The libFuzzer entry point of `signet_fuzz::form`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::form::run(bytes));

//! The libFuzzer entry point of `signet_fuzz::refresh`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::refresh::run(bytes));

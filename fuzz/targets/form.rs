//! What libFuzzer calls: see `form` of the library.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::form::run(bytes));

//! What libFuzzer calls: see `config` of the library.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signet_fuzz::config::run(bytes));

//! Runs `tidegate::fuzz::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate::fuzz::config(data));

//! Runs `tidegate::fuzz::path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate::fuzz::path(data));

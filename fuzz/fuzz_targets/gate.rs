//! Runs `tidegate::fuzz::gate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate::fuzz::gate(data));

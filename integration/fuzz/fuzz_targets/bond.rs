#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| teamr_fuzz::bond(bytes));

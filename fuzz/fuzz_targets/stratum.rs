//! The first payload: no panic, and the same finding wherever the stream is cut. The first byte says where.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miner_guard_common::parse::stratum::{BUDGET, Stratum};

fuzz_target!(|input: &[u8]| {
    let Some((&cut, stream)) = input.split_first() else { return };
    let mut whole = Stratum::new();
    whole.feed(stream);
    let mut parts = Stratum::new();
    for part in stream.chunks(usize::from(cut) + 1) {
        parts.feed(part);
    }
    assert_eq!(whole.finding(), parts.finding());
    assert_eq!(whole.is_done(), parts.is_done());
    assert!(whole.is_done() || stream.len() < usize::from(BUDGET));
    assert!(whole.is_done() || whole == parts);
});

//! Records from the ring buffer: no panic, and arguments that are parts of the record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miner_guard::event::decode::{Record, decode};

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = decode(bytes) else { return };
    assert!(record.head().comm().len() <= 16);
    if let Record::Exec(e) = record {
        assert!(e.args.iter().map(Vec::len).sum::<usize>() <= bytes.len());
    }
});

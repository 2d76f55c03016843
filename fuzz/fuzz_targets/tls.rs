//! A ClientHello: no panic, at most one name, and an end that is an end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miner_guard_common::parse::name::Name;
use miner_guard_common::parse::tls::{Event, Hello};

fuzz_target!(|wire: &[u8]| {
    let (mut reader, mut name, mut names) = (Hello::new(), Name::new(), 0);
    for &byte in wire {
        let done = reader.is_done();
        match reader.push(byte, &mut name) {
            Event::Name => names += 1,
            event => assert!(!done || event == Event::End),
        }
    }
    assert!(names <= 1 && (names == 1) == reader.has_name());
});

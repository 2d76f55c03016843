//! DNS: no panic, names within their limits, and a refusal that is read as the question was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miner_guard_common::parse::dns::{Event, Questions, answer, refuse};
use miner_guard_common::parse::name::Name;

fn first_name(mut reader: Questions, wire: &[u8]) -> Option<Name> {
    let mut name = Name::new();
    for &byte in wire {
        if reader.push(byte, &mut name) == Event::Name {
            assert!(name.len() <= 253);
            return Some(name);
        }
    }
    None
}

fuzz_target!(|wire: &[u8]| {
    let name = first_name(Questions::datagram(), wire);
    first_name(Questions::stream(), wire);
    let (mut questions, mut records) = (0, 0);
    answer::read(wire, |_| questions += 1, |_| records += 1);
    assert!(questions <= 16 && records <= wire.len());
    let mut out = [0; 512];
    if let Some(length) = refuse::refuse(wire, refuse::REFUSED, &mut out) {
        out[2] &= 0x7f;
        assert_eq!(first_name(Questions::datagram(), &out[..length]), name);
    }
});

//! DNS: no panic, names within their limits, a plain question is read as byte by byte, and a refusal as the question was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miner_guard_common::parse::dns::{
    Event, Questions, answer,
    plain::{HEAD, Letters, WORDS},
    refuse,
};
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

/// As the kernel side reads it. `None`: it is not plain.
fn plain_name(wire: &[u8]) -> Option<Vec<u8>> {
    let (head, rest) = wire.split_first_chunk::<HEAD>()?;
    let rest = &rest[..rest.len().min(8 * WORDS)];
    let mut letters = Letters::default();
    let room = letters.room(rest.len() as u32);
    for (word, bytes) in room.iter_mut().zip(rest.chunks(8)) {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_le_bytes(eight);
    }
    if !Letters::is_plain(head) || !letters.read(head[HEAD - 1], rest.len() as u32) {
        return None;
    }
    let mut out: Vec<u8> = (0..letters.len().div_ceil(8)).flat_map(|k| letters.from_end(k).to_le_bytes()).collect();
    out.truncate(letters.len() as usize);
    out.reverse();
    Some(out)
}

fuzz_target!(|wire: &[u8]| {
    let name = first_name(Questions::datagram(), wire);
    first_name(Questions::stream(), wire);
    if let Some(plain) = plain_name(wire) {
        assert_eq!(name.map(|n| n.as_bytes().to_vec()), Some(plain));
    }
    let (mut questions, mut records) = (0, 0);
    answer::read(wire, |_| questions += 1, |_| records += 1);
    assert!(questions <= 16 && records <= wire.len());
    let mut out = [0; 512];
    if let Some(length) = refuse::refuse(wire, refuse::REFUSED, &mut out) {
        out[2] &= 0x7f;
        assert_eq!(first_name(Questions::datagram(), &out[..length]), name);
    }
});

//! Where a frame has its IP header, IP and transport headers: no panic, and offsets that make sense.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miner_guard_common::parse::{ip, link, tcp};

fuzz_target!(|packet: &[u8]| {
    if let Some(at) = link::ip_at(packet) {
        assert!((14..=packet.len()).contains(&(at as usize)));
    }
    let Ok(header) = ip::parse(packet) else { return };
    assert!(usize::from(header.transport) >= 20);
    if let Some(rest) = packet.get(usize::from(header.transport)..) {
        if let Some(tcp) = tcp::tcp(rest) {
            assert!((20..=60).contains(&tcp.header));
        }
        tcp::udp(rest);
    }
});

//! IP, DNS and TLS as they come off the wire: cut anywhere, lying about their lengths, or just noise.

#![allow(clippy::unwrap_used, reason = "a message of our own that cannot be read fails the test")]

use miner_guard_common::parse::dns::answer::{self, Data};
use miner_guard_common::parse::dns::{self, Questions, refuse};
use miner_guard_common::parse::ip::{self, Fragment, Malformed, protocol};
use miner_guard_common::parse::name::Name;
use miner_guard_common::parse::tls::{self, Hello};
use proptest::prelude::*;

fn wire_name(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|l| !l.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}

fn query(names: &[&str]) -> Vec<u8> {
    let mut wire = vec![0x12, 0x34, 1, 0, 0, names.len() as u8, 0, 0, 0, 0, 0, 1];
    for name in names {
        wire.extend(wire_name(name));
        wire.extend([0, 1, 0, 1]);
    }
    // EDNS
    wire.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    wire
}

fn questions(mut reader: Questions, wire: &[u8]) -> Vec<String> {
    let mut name = Name::new();
    let mut names = Vec::new();
    for &byte in wire {
        if reader.push(byte, &mut name) == dns::Event::Name {
            names.push(String::from_utf8_lossy(name.as_bytes()).into_owned());
        }
    }
    names
}

#[test]
fn a_question_is_read_in_lower_case() {
    assert_eq!(questions(Questions::datagram(), &query(&["PoOl.Example.COM"])), ["pool.example.com"]);
    assert_eq!(questions(Questions::datagram(), &query(&["a.b", "", "c"])), ["a.b", "", "c"]);
}

#[test]
fn a_question_over_tcp_stands_behind_its_length() {
    let mut wire = query(&["pool.example"]);
    wire.splice(0..0, [0, wire.len() as u8]);
    assert_eq!(questions(Questions::stream(), &wire), ["pool.example"]);
}

#[test]
fn a_question_behind_another_message_of_the_stream_is_read_too() {
    let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes()[..], message].concat();
    let answer = [&[0, 1, 0x80, 0][..], &[0; 40]].concat();
    let wire =
        [&[0, 0][..], &framed(&query(&["a.example"])), &framed(&answer), &framed(&query(&["b.example"]))]
            .concat();
    assert_eq!(questions(Questions::stream(), &wire), ["a.example", "b.example"]);
}

#[test]
fn an_answer_and_an_update_are_no_questions() {
    for flags in [0x80, 0x28] {
        let mut wire = query(&["a.example"]);
        wire[2] |= flags;
        assert!(questions(Questions::datagram(), &wire).is_empty());
    }
}

#[test]
fn a_compression_pointer_or_a_name_of_256_octets_is_refused() {
    let mut wire = query(&["a.example"]);
    wire[12] = 0xc0;
    assert!(questions(Questions::datagram(), &wire).is_empty());
    let label = "x".repeat(63);
    let longest = [&label[..], &label, &label, &label[..61]].join(".");
    assert_eq!(questions(Questions::datagram(), &query(&[&longest])).concat(), longest);
    assert!(questions(Questions::datagram(), &query(&[&format!("{longest}x")])).is_empty());
}

#[test]
fn a_question_cut_at_any_byte_is_not_reported() {
    let wire = query(&["pool.example"]);
    let end = 12 + wire_name("pool.example").len();
    for cut in 0..wire.len() {
        assert_eq!(questions(Questions::datagram(), &wire[..cut]).len(), usize::from(cut >= end), "{cut}");
    }
}

#[test]
fn a_refusal_repeats_the_question_and_nothing_else() {
    let wire = query(&["Pool.example"]);
    let mut out = [0; 512];
    let n = refuse::refuse(&wire, refuse::REFUSED, &mut out).unwrap();
    assert_eq!(out[..2], wire[..2]);
    assert_eq!((out[2], out[3]), (0x81, 0x85));
    assert_eq!(out[4..12], [0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(out[12..n], wire[12..n]);
    assert_eq!(n, 12 + wire_name("pool.example").len() + 4);
    assert_eq!(refuse::refuse(&wire, refuse::REFUSED, &mut [0; 20]), None);
    assert_eq!(refuse::refuse(&wire[..15], refuse::REFUSED, &mut out), None);
}

fn records(wire: &[u8]) -> Option<Vec<(String, u32, String)>> {
    let mut all = Vec::new();
    let text = |name: &Name| String::from_utf8_lossy(name.as_bytes()).into_owned();
    answer::read(
        wire,
        |_| {},
        |r| {
            let data = match r.data {
                Data::V4(a) => std::net::Ipv4Addr::from(a).to_string(),
                Data::V6(a) => std::net::Ipv6Addr::from(a).to_string(),
                Data::Alias(name) => text(&name),
            };
            all.push((text(&r.owner), r.ttl, data));
        },
    )?;
    Some(all)
}

fn reply(answers: u8, body: &[u8]) -> Vec<u8> {
    let mut wire = vec![0, 1, 0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0];
    wire.extend(wire_name("www.example"));
    wire.extend([0, 1, 0, 1]);
    wire.extend(body);
    wire
}

#[test]
fn aliases_addresses_and_hints_are_read_from_an_answer() {
    let mut body = vec![0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 7, 4, b'P', b'o', b'o', b'l', 0xc0, 16];
    body.extend([0xc0, 41, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 192, 0, 2, 7]);
    body.extend([0xc0, 41, 0, 65, 0, 1, 0xff, 0, 0, 0, 0, 11, 0, 1, 0, 0, 4, 0, 4, 192, 0, 2, 8]);
    assert_eq!(
        records(&reply(3, &body)).unwrap(),
        [
            ("www.example".into(), 60, "pool.example".into()),
            ("pool.example".into(), 256, "192.0.2.7".into()),
            ("pool.example".into(), 0, "192.0.2.8".into()),
        ]
    );
}

#[test]
fn a_name_that_points_at_itself_or_forward_is_refused() {
    for to in [29, 40] {
        assert_eq!(records(&reply(1, &[0xc0, to, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4])), None);
    }
}

fn hello(name: Option<&str>, encrypted: bool) -> Vec<u8> {
    let mut extensions = vec![0, 10, 0, 2, 0, 0];
    if let Some(name) = name {
        let n = name.len() as u16;
        extensions.extend([0, 0]);
        for length in [n + 5, n + 3] {
            extensions.extend(length.to_be_bytes());
        }
        extensions.push(0);
        extensions.extend(n.to_be_bytes());
        extensions.extend(name.as_bytes());
    }
    if encrypted {
        extensions.extend([0xfe, 0x0d, 0, 3, 1, 2, 3]);
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([4, 1, 2, 3, 4, 0, 2, 0x13, 1, 1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut message = vec![1, 0];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    message
}

/// Packs a handshake into records of `size` bytes.
fn in_records(message: &[u8], size: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for part in message.chunks(size) {
        wire.extend([22, 3, 1]);
        wire.extend((part.len() as u16).to_be_bytes());
        wire.extend(part);
    }
    wire
}

fn read_hello(wire: &[u8]) -> (Hello, Option<String>, bool) {
    let (mut reader, mut name, mut found, mut ended) = (Hello::new(), Name::new(), None, false);
    for &byte in wire {
        match reader.push(byte, &mut name) {
            tls::Event::Name => {
                found = Some(String::from_utf8_lossy(name.as_bytes()).into_owned());
                ended |= reader.is_done();
            }
            tls::Event::End => ended = true,
            _ => {}
        }
    }
    (reader, found, ended)
}

#[test]
fn a_server_name_is_found_through_records_of_any_size() {
    let message = hello(Some("Pool.Example."), false);
    for size in 1..=message.len() {
        let (reader, name, ended) = read_hello(&in_records(&message, size));
        assert_eq!(name.as_deref(), Some("pool.example"), "{size}");
        assert!(ended && reader.has_name() && !reader.is_encrypted());
    }
}

#[test]
fn a_hello_without_a_name_and_an_encrypted_one_are_known_as_such() {
    let (reader, name, ended) = read_hello(&in_records(&hello(None, false), 4000));
    assert!(ended && name.is_none() && !reader.has_name() && !reader.is_encrypted());
    let (reader, name, ended) = read_hello(&in_records(&hello(Some("cover.example"), true), 4000));
    assert!(ended && name.is_some() && reader.has_name() && reader.is_encrypted());
}

#[test]
fn a_name_as_the_last_extension_is_reported() {
    let message = hello(Some("pool.example"), false);
    let (_, name, ended) = read_hello(&in_records(&message, 9999));
    assert_eq!((name.as_deref(), ended), (Some("pool.example"), true));
}

#[test]
fn what_is_no_hello_ends_at_once() {
    for wire in [&b"GET / HTTP/1.1"[..], &[22, 2], &[22, 3, 1, 0, 0], &[22, 3, 3, 0, 9, 2]] {
        let (reader, name, ended) = read_hello(wire);
        assert!(reader.is_done() && name.is_none());
        assert!(!ended || wire.len() > 2);
    }
}

#[test]
fn the_transport_header_is_found_behind_options_and_extensions() {
    let mut v4 = vec![0x46, 0, 0, 60, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2];
    v4.resize(60, 0);
    let packet = ip::parse(&v4).unwrap();
    assert_eq!((packet.transport, packet.end, packet.protocol), (24, 60, protocol::TCP));
    assert_eq!((packet.fragment, packet.v6), (Fragment::Whole, false));
    assert_eq!(packet.destination[..5], [198, 51, 100, 2, 0]);

    let mut v6 = vec![0x60, 0, 0, 0, 0, 40, 0, 64];
    v6.extend([1; 16]);
    v6.extend([2; 16]);
    v6.extend([60, 0, 0, 0, 0, 0, 0, 0]); // hop by hop
    v6.extend([44, 0, 0, 0, 0, 0, 0, 0]); // destination options
    v6.extend([17, 0, 0, 1, 0, 0, 0, 9]); // first fragment
    v6.extend([0; 16]);
    let packet = ip::parse(&v6).unwrap();
    assert_eq!((packet.transport, packet.end, packet.protocol), (64, 80, protocol::UDP));
    assert_eq!((packet.fragment, packet.destination), (Fragment::First, [2; 16]));
    v6[58] = 1;
    assert_eq!(ip::parse(&v6).unwrap().fragment, Fragment::Later);
}

#[test]
fn a_later_fragment_of_ipv4_is_told_apart() {
    let mut v4 = vec![0x45, 0, 0, 40, 0, 0, 0x20, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2];
    assert_eq!(ip::parse(&v4).unwrap().fragment, Fragment::First);
    v4[7] = 8;
    assert_eq!(ip::parse(&v4).unwrap().fragment, Fragment::Later);
}

#[test]
fn headers_that_lie_are_refused() {
    assert_eq!(ip::parse(&[]), Err(Malformed::Short));
    assert_eq!(ip::parse(&[0x50; 40]), Err(Malformed::Version));
    assert_eq!(ip::parse(&[0x44; 40]), Err(Malformed::Length));
    let mut endless = vec![0x60, 0, 0, 0, 0, 0, 0, 64];
    endless.resize(400, 0);
    assert_eq!(ip::parse(&endless), Err(Malformed::Extensions));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = ip::parse(&bytes);
        questions(Questions::datagram(), &bytes);
        questions(Questions::stream(), &bytes);
        records(&bytes);
        read_hello(&bytes);
        let _ = refuse::refuse(&bytes, refuse::NXDOMAIN, &mut [0; 512]);
    }

    #[test]
    fn a_damaged_message_is_read_without_a_panic(at in 0_usize..120, with: u8, cut in 0_usize..200) {
        let damage = |mut wire: Vec<u8>| {
            if let Some(byte) = wire.get_mut(at) {
                *byte = with;
            }
            wire.truncate(cut);
            wire
        };
        questions(Questions::datagram(), &damage(query(&["a.pool.example", "b"])));
        read_hello(&damage(in_records(&hello(Some("pool.example"), true), 50)));
        let body = [0xc0, 12, 0, 65, 0, 1, 0xff, 0, 0, 0, 0, 11, 0, 1, 0, 0, 4, 0, 4, 192, 0, 2, 8];
        records(&damage(reply(1, &body)));
    }
}

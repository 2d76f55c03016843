use super::*;
use crate::policy::{IndicatorClass, Resolved, RuleSource};
use miner_guard_common::abi::{policy::Class, verdict::Verdict};
use proptest::prelude::*;

/// Denies `pool.example` and what is below `evil.example`; only reports `seen.example`.
fn policy() -> Resolved {
    let mut policy = Resolved::default();
    policy.rules = ["", "pools", "watched"]
        .into_iter()
        .zip([Verdict::Allow, Verdict::Deny, Verdict::Alert])
        .map(|(id, action)| crate::policy::RuleInfo {
            id: id.into(),
            action,
            source: RuleSource::Feed,
            class: IndicatorClass::Pool,
        })
        .collect();
    policy.names.push("pool.example", Class::Domain, 1);
    policy.names.push("evil.example", Class::DomainBelow, 1);
    policy.names.push("seen.example", Class::Domain, 2);
    policy.names.sort();
    policy
}

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

fn name(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in text.split('.') {
        out.push(label.len() as u8);
        out.extend(label.bytes());
    }
    out.push(0);
    out
}

/// An answer: the question, then records of owner, type, TTL and data.
fn answer(question: &str, records: &[(&str, u16, u32, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, records.len() as u8, 0, 0, 0, 0];
    out.extend(name(question));
    out.extend([0, 1, 0, 1]);
    for (owner, kind, ttl, data) in records {
        out.extend(name(owner));
        out.extend(kind.to_be_bytes());
        out.extend([0, 1]);
        out.extend(ttl.to_be_bytes());
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
    }
    out
}

fn v4(last: u8) -> Vec<u8> {
    vec![198, 51, 100, last]
}

fn udp(payload: &[u8], to: u16) -> Vec<u8> {
    let mut out = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 53, 127, 0, 0, 1];
    out[2..4].copy_from_slice(&(28 + payload.len() as u16).to_be_bytes());
    out.extend([0, 53]);
    out.extend(to.to_be_bytes());
    out.extend((8 + payload.len() as u16).to_be_bytes());
    out.extend([0, 0]);
    out.extend(payload);
    out
}

fn tcp(sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 127, 0, 0, 53, 127, 0, 0, 1];
    out[2..4].copy_from_slice(&(40 + payload.len() as u16).to_be_bytes());
    out.extend([0, 53, 0x9c, 0x40]);
    out.extend(sequence.to_be_bytes());
    out.extend([0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
    out.extend(payload);
    out
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

fn reader() -> Reader {
    Reader { streams: Streams::default(), chains: Chains::default() }
}

fn by(cgroup: u64) -> Asker {
    Asker { cgroup, uid: 1000 }
}

fn heard(packets: &[Vec<u8>]) -> Vec<Answered> {
    let (mut reader, policy) = (reader(), policy());
    packets.iter().flat_map(|p| reader.packet(p, by(1), &policy, 0)).collect()
}

fn led(message: &[u8]) -> Vec<(String, String, Vec<String>)> {
    let show = |a: Answered| (a.listed, a.chain, a.addresses.iter().map(|(a, _)| a.to_string()).collect());
    heard(&[udp(message, 40000)]).into_iter().map(show).collect()
}

fn one(listed: &str, chain: &str, addresses: &[&str]) -> Vec<(String, String, Vec<String>)> {
    vec![(listed.into(), chain.into(), addresses.iter().map(|a| (*a).to_owned()).collect())]
}

#[test]
fn the_addresses_of_a_denied_name_are_reported() {
    let v6 = "2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
    let message = answer(
        "Pool.Example",
        &[("pool.example", A, 300, v4(1)), ("POOL.example", A, 300, v4(2)), ("pool.example", AAAA, 300, v6)],
    );
    let want = one("pool.example", "pool.example", &["198.51.100.1", "198.51.100.2", "2001:db8::7"]);
    assert_eq!(led(&message), want);
}

#[test]
fn an_alias_that_leads_over_a_denied_name_gives_its_addresses_away() {
    let message = answer(
        "www.fine.example",
        &[
            ("www.fine.example", CNAME, 60, name("eu.evil.example")),
            ("eu.evil.example", CNAME, 60, name("edge.cdn.example")),
            ("edge.cdn.example", A, 60, v4(9)),
        ],
    );
    let chain = "www.fine.example → eu.evil.example → edge.cdn.example";
    assert_eq!(led(&message), one("*.evil.example", chain, &["198.51.100.9"]));
}

#[test]
fn names_that_are_not_denied_teach_nothing() {
    for (question, owner) in [("fine.example", "fine.example"), ("seen.example", "seen.example")] {
        assert!(led(&answer(question, &[(owner, A, 60, v4(1))])).is_empty());
    }
    // An address that stands beside the chain.
    let beside = [("pool.example", CNAME, 60, name("a.example")), ("other.example", A, 60, v4(1))];
    assert!(led(&answer("pool.example", &beside)).is_empty());
}

#[test]
fn an_alias_and_its_addresses_may_come_in_two_messages() {
    let first = answer("pool.example", &[("pool.example", CNAME, 60, name("edge.cdn.example"))]);
    let second = answer("edge.cdn.example", &[("edge.cdn.example", A, 60, v4(9))]);
    assert!(heard(&[udp(&second, 1)]).is_empty());
    let found = heard(&[udp(&first, 1), udp(&second, 2)]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].chain, "pool.example → edge.cdn.example");
    assert_eq!(found[0].question, "edge.cdn.example");
}

#[test]
fn the_second_message_counts_for_who_asked_the_first_only() {
    let policy = policy();
    let listed = |n: &str| policy.name(n);
    let first = answer("pool.example", &[("pool.example", CNAME, 60, name("edge.cdn.example"))]);
    let second = answer("edge.cdn.example", &[("edge.cdn.example", A, 60, v4(9))]);
    let mut chains = Chains::default();
    assert!(chains.read(&first, listed, by(7), 0).is_empty());
    let same = chains.read(&second, listed, by(7), 1);
    assert_eq!(same[0].asked.map(|a| a.cgroup), Some(7));
    let other = chains.read(&second, listed, by(8), 2);
    assert_eq!((other.len(), other[0].asked), (1, None));
    // It ends with the alias's time.
    assert!(chains.read(&second, listed, by(7), 61_000_000_000).is_empty());
}

#[test]
fn aliases_that_run_in_a_circle_end() {
    let message = answer(
        "a.example",
        &[
            ("a.example", CNAME, 60, name("eu.evil.example")),
            ("eu.evil.example", CNAME, 60, name("a.example")),
            ("a.example", A, 60, v4(1)),
        ],
    );
    assert_eq!(led(&message).len(), 1);
}

#[test]
fn a_message_over_tcp_may_be_cut_anywhere_and_sent_twice() {
    let message = answer("pool.example", &[("pool.example", A, 300, v4(1))]);
    let stream = framed(&message);
    for cut in 0..=stream.len() {
        let (a, b) = stream.split_at(cut);
        let found = heard(&[
            tcp(99, 0x12, &[]),
            tcp(100, 0x18, a),
            tcp(100, 0x18, a),
            tcp(100 + cut as u32, 0x18, b),
            tcp(100 + stream.len() as u32, 0x11, &[]),
        ]);
        assert_eq!(found.len(), 1, "cut at {cut}");
    }
    // Two messages in one segment.
    let two = [stream.clone(), stream.clone()].concat();
    assert_eq!(heard(&[tcp(100, 0x18, &two)]).len(), 2);
    // What is lost in between is not made up.
    assert!(heard(&[tcp(100, 0x18, &stream[..9]), tcp(110, 0x18, &stream[10..])]).is_empty());
}

#[test]
fn a_fragment_that_cuts_the_message_still_says_what_comes_before() {
    let message = answer("pool.example", &[("pool.example", A, 300, v4(1)), ("pool.example", A, 300, v4(2))]);
    let mut packet = udp(&message, 40000);
    packet[6] = 0x20;
    packet.truncate(packet.len() - 3);
    let found = heard(&[packet]);
    assert_eq!(found[0].addresses.len(), 1);
}

proptest! {
    #[test]
    fn hostile_packets_are_read_without_a_panic(packets in prop::collection::vec(
        prop::collection::vec(any::<u8>(), 0..200), 0..20,
    )) {
        heard(&packets);
        let dressed: Vec<_> = packets.iter().map(|p| udp(p, 1)).collect();
        heard(&dressed);
        let dressed: Vec<_> = packets.iter().map(|p| tcp(100, 0x18, p)).collect();
        heard(&dressed);
    }

    #[test]
    fn a_damaged_answer_is_read_or_passed_over(at in 0usize..200, byte: u8) {
        let mut message = answer(
            "www.fine.example",
            &[("www.fine.example", CNAME, 60, name("eu.evil.example")), ("eu.evil.example", A, 60, v4(9))],
        );
        let n = message.len();
        message[at % n] = byte;
        heard(&[udp(&message, 1), tcp(100, 0x18, &framed(&message))]);
    }
}

//! Captures that the tests write themselves.

use super::{judge::Judge, *};
use crate::policy::{self, LoadRequest, Resolved};
use std::net::{IpAddr, SocketAddr};

const POLICY: &str = "builtin = false\n\
    [[rule]]\nid = \"lab\"\nip = [\"192.0.2.5\", \"2001:db8::5\"]\nport = [3333]\n\
    [[rule]]\nid = \"named\"\ndomain = [\"pool.example\", \"*.pool.example\"]\n\
    [[rule]]\nid = \"watch\"\nip = [\"192.0.2.77\"]\naction = \"alert\"\n\
    [[rule]]\nid = \"tool\"\nsha256 = [\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"]\n\
    [[allow]]\nuser = [\"4242\"]\n[[allow]]\nip = [\"198.51.100.66\"]\n";

fn policy() -> (tempfile::TempDir, Resolved) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, POLICY).unwrap();
    let policy = policy::load(&LoadRequest { file: Some(&file), ..LoadRequest::default() }).unwrap();
    (dir, policy)
}

/// Every finding as a line, and the summary.
fn replayed(bytes: &[u8]) -> (Vec<String>, Summary) {
    let (_dir, policy) = policy();
    let mut judge = Judge::new(&policy).unwrap();
    let mut all = Vec::new();
    let summary = replay(bytes, &mut judge, |f| {
        all.push(format!(
            "{} {} {} {} {}",
            f.kind,
            f.verdict,
            f.reason,
            f.rule.as_deref().unwrap_or("-"),
            f.what
        ));
        Ok(())
    });
    (all, summary.unwrap())
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// An IP packet, without checksums: nobody here computes them.
fn ip(from: SocketAddr, to: SocketAddr, protocol: u8, transport: &[u8]) -> Vec<u8> {
    match (from.ip(), to.ip()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let length = (20 + transport.len()) as u16;
            let mut p = vec![0x45, 0];
            p.extend(length.to_be_bytes());
            p.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
            p.extend(a.octets());
            p.extend(b.octets());
            p.extend(transport);
            p
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let mut p = vec![0x60, 0, 0, 0];
            p.extend((transport.len() as u16).to_be_bytes());
            p.extend([protocol, 64]);
            p.extend(a.octets());
            p.extend(b.octets());
            p.extend(transport);
            p
        }
        _ => unreachable!(),
    }
}

fn tcp(from: &str, to: &str, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (from, to) = (address(from), address(to));
    let mut t = Vec::new();
    t.extend(from.port().to_be_bytes());
    t.extend(to.port().to_be_bytes());
    t.extend(sequence.to_be_bytes());
    t.extend([0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    t.extend(payload);
    ip(from, to, 6, &t)
}

fn udp(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let (from, to) = (address(from), address(to));
    let mut t = Vec::new();
    t.extend(from.port().to_be_bytes());
    t.extend(to.port().to_be_bytes());
    t.extend((8 + payload.len() as u16).to_be_bytes());
    t.extend([0, 0]);
    t.extend(payload);
    ip(from, to, 17, &t)
}

fn question(name: &str) -> Vec<u8> {
    let mut m = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        m.push(label.len() as u8);
        m.extend(label.bytes());
    }
    m.extend([0, 0, 1, 0, 1]);
    m
}

fn hello(name: &str) -> Vec<u8> {
    let n = name.len() as u16;
    let mut extension = vec![0, 0];
    extension.extend((n + 5).to_be_bytes());
    extension.extend((n + 3).to_be_bytes());
    extension.push(0);
    extension.extend(n.to_be_bytes());
    extension.extend(name.bytes());
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend((extension.len() as u16).to_be_bytes());
    body.extend(extension);
    let mut record = vec![22, 3, 1];
    record.extend((body.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}

/// A pcap of raw IP, its times a second apart.
fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut f = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
    f.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0]);
    f.extend(101_u32.to_le_bytes());
    for (n, p) in packets.iter().enumerate() {
        for word in [1_795_600_000 + n as u32, 500_000, p.len() as u32, p.len() as u32] {
            f.extend(word.to_le_bytes());
        }
        f.extend(p);
    }
    f
}

fn block(kind: u32, body: &[u8], big: bool) -> Vec<u8> {
    let word = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut padded = body.to_vec();
    padded.resize(body.len().next_multiple_of(4), 0);
    let length = word(padded.len() as u32 + 12);
    [&word(kind)[..], &length, &padded, &length].concat()
}

/// A pcapng with one Ethernet interface whose clock ticks in nanoseconds.
fn pcapng(packets: &[Vec<u8>], big: bool) -> Vec<u8> {
    let word = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let half = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let section = [&word(0x1a2b_3c4d)[..], &half(1), &half(0), &[0xff; 8]].concat();
    let interface = [&half(1)[..], &half(0), &word(0), &half(9), &half(1), &[9, 0, 0, 0], &[0; 4]].concat();
    let mut f = [block(0x0a0d_0d0a, &section, big), block(1, &interface, big)].concat();
    for p in packets {
        let mut frame = vec![0; 12];
        // In a virtual network.
        frame.extend([0x81, 0, 0, 7]);
        frame.extend(if p[0] >> 4 == 6 { [0x86, 0xdd] } else { [8, 0] });
        frame.extend(p);
        let time = 1_795_600_000_500_000_000_u64;
        let mut body = [word(0), word((time >> 32) as u32), word(time as u32)].concat();
        body.extend(word(frame.len() as u32));
        body.extend(word(frame.len() as u32));
        body.extend(frame);
        f.extend(block(6, &body, big));
    }
    f
}

const LOGIN: &[u8] = br#"{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"x","pass":"x","agent":"XMRig/6.21.0","algo":["rx/0"]}}"#;

fn packets() -> Vec<Vec<u8>> {
    let (a, pool) = ("10.0.0.1:5000", "192.0.2.5:3333");
    let mut all = vec![
        tcp(a, pool, 100, 2, b""),
        tcp(a, pool, 100, 2, b""),
        tcp(a, "192.0.2.5:80", 1, 2, b""),
        tcp("[2001:db8::1]:5000", "[2001:db8::5]:3333", 1, 2, b""),
        udp(a, "192.0.2.77:9", b"x"),
        udp(a, "10.0.0.53:53", &question("EU.Pool.example")),
        udp(a, "10.0.0.53:53", &question("harmless.example")),
        tcp(a, "10.0.0.53:53", 7, 2, b""),
        tcp(a, "10.0.0.53:53", 8, 0x18, &[&[0, 30][..], &question("pool.example")].concat()),
    ];
    // A hello and a login in pieces, out of order where a sender repeats itself.
    let greeting = hello("stratum.pool.example");
    all.push(tcp(a, "198.51.100.7:443", 50, 2, b""));
    for (n, part) in greeting.chunks(11).enumerate() {
        all.push(tcp(a, "198.51.100.7:443", 51 + 11 * n as u32, 0x18, part));
        all.push(tcp(a, "198.51.100.7:443", 51 + 11 * n as u32, 0x18, part));
    }
    for (n, byte) in LOGIN.iter().enumerate() {
        all.push(tcp(a, "198.51.100.8:8080", 900 + n as u32, 0x18, &[*byte]));
    }
    all.push(tcp(a, "198.51.100.66:8080", 1, 0x18, LOGIN));
    all
}

const WANT: &[&str] = &[
    "destination deny address-port lab 192.0.2.5:3333",
    "destination deny address-port lab [2001:db8::5]:3333",
    "destination alert address watch 192.0.2.77:9",
    "dns deny domain named eu.pool.example",
    "dns deny domain named pool.example",
    "tls deny domain named stratum.pool.example",
    "stratum deny protocol - cryptonote opening",
];

#[test]
fn a_pcap_tells_what_would_have_been_denied_and_by_which_rule_and_when() {
    let (_dir, policy) = policy();
    let (found, summary) = replayed(&pcap(&packets()));
    assert_eq!(found, WANT);
    assert_eq!((summary.format, summary.denied, summary.alerted), ("pcap", 6, 1));
    assert_eq!((summary.read, summary.repeated, summary.broken), (packets().len() as u64, 1, None));
    let mut judge = Judge::new(&policy).unwrap();
    let mut first = None;
    replay(&pcap(&packets())[..], &mut judge, |f| {
        first.get_or_insert_with(|| f.clone());
        Ok(())
    })
    .unwrap();
    let first = first.unwrap();
    assert_eq!(first.at.as_deref(), Some("2026-11-25T09:46:40.5Z"));
    assert_eq!(first.who, "10.0.0.1:5000 → 192.0.2.5:3333 tcp");
    assert!(
        first.places[0] == "192.0.2.5:3333" && first.places[1].ends_with("config.toml:2"),
        "{:?}",
        first.places
    );
}

#[test]
fn a_pcapng_of_either_byte_order_tells_the_same() {
    for big in [false, true] {
        let (found, summary) = replayed(&pcapng(&packets(), big));
        assert_eq!(found, WANT);
        assert_eq!(summary.format, "pcapng");
        assert_eq!(summary.broken, None);
    }
}

#[test]
fn the_first_packet_of_an_open_connection_is_read_too() {
    // The capture began later than the connection.
    let (found, _) = replayed(&pcap(&[tcp("10.0.0.1:1", "198.51.100.9:1", 7, 0x18, LOGIN)]));
    assert_eq!(found, ["stratum deny protocol - cryptonote opening"]);
    let job = br#"{"jsonrpc":"2.0","method":"job","params":{"blob":"0e0e","job_id":"1","target":"b88d0600","algo":"rx/0","height":1,"seed_hash":"ab"}}"#;
    let (found, summary) = replayed(&pcap(&[tcp("10.0.0.1:1", "198.51.100.9:1", 7, 0x18, job)]));
    assert_eq!(
        (found.len(), summary.denied, summary.alerted),
        (1, 0, 1),
        "a pool on this node is reported: {found:?}"
    );
}

#[test]
fn a_capture_that_breaks_off_or_is_damaged_gives_what_was_read() {
    for whole in [pcap(&packets()), pcapng(&packets(), false)] {
        let (found, summary) = replayed(&whole[..whole.len() - 7]);
        assert!(found.len() >= 6, "{found:?}");
        assert!(summary.broken.as_ref().is_some_and(|b| b.contains("breaks off at byte")), "{summary:?}");
    }
    let mut lies = pcap(&packets());
    lies[24 + 8..24 + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    let (found, summary) = replayed(&lies);
    assert!(found.is_empty() && summary.broken.is_some_and(|b| b.contains("impossible length")));
    let (_dir, policy) = policy();
    let mut judge = Judge::new(&policy).unwrap();
    for nonsense in [&b"nonsense"[..], b"", b"\x7fELF"] {
        assert!(
            matches!(replay(nonsense, &mut judge, |_| Ok(())), Err(ReplayError::Unknown)),
            "{nonsense:?}"
        );
    }
}

#[test]
fn events_are_asked_again_of_the_policy_as_it_is() {
    let event = |what: &str, user: &str, guard: &str| {
        format!(
            r#"{{"@timestamp":"2026-11-24T01:02:03.4Z","process":{{"pid":7,"name":"x","executable":"/tmp/x"}},"user":{{"id":"{user}"}},"group":{{"id":"1"}},{what},"miner_guard":{{"mode":"audit"{guard}}}}}"#
        ) + "\n"
    };
    let to = |ip: &str| format!(r#""destination":{{"ip":"{ip}","port":3333}}"#);
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let file = [
        event(&to("192.0.2.5"), "1000", r#","verdict":"alert","reason":"port""#),
        event(&to("192.0.2.5"), "1000", ""),
        event(&to("192.0.2.5"), "4242", ""),
        event(&to("192.0.2.6"), "1000", r#","verdict":"deny","reason":"address""#),
        event(r#""dns":{"question":{"name":"Eu.pool.example"}}"#, "1000", ""),
        event(&format!(r#""file":{{"path":"/tmp/y","hash":{{"sha256":"{hash}"}}}}"#), "1000", ""),
        event(r#""file":{"path":"/tmp/z"}"#, "1000", r#","verdict":"kill","reason":"miner-binary""#),
        event(r#""message":"guard started""#, "0", ""),
        "nonsense\n\n".to_owned(),
    ]
    .concat();
    let (found, summary) = replayed(file.as_bytes());
    assert_eq!(
        found,
        [
            "destination deny address-port lab 192.0.2.5:3333",
            "dns deny domain named Eu.pool.example",
            "exec deny file-hash tool /tmp/y",
            "exec kill miner-binary - /tmp/z",
        ]
    );
    assert_eq!((summary.read, summary.passed_over, summary.repeated, summary.denied), (9, 2, 1, 4));
    let (_dir, policy) = policy();
    let mut judge = Judge::new(&policy).unwrap();
    let none = replay(&b"{\"a\": 1}\n{}\n"[..], &mut judge, |_| Ok(()));
    assert!(matches!(none, Err(ReplayError::Unknown)), "{none:?}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 128, ..Default::default() })]

    #[test]
    fn no_file_makes_it_panic(bytes: Vec<u8>, at: usize, value: u8, cut: usize, ng: bool) {
        let (_dir, policy) = policy();
        let mut judge = Judge::new(&policy).unwrap();
        let _ = replay(&bytes[..], &mut judge, |_| Ok(()));
        let some = &packets()[..12];
        let mut file = if ng { pcapng(some, false) } else { pcap(some) };
        let (at, cut) = (at % file.len(), cut % file.len());
        file[at] = value;
        let _ = replay(&file[..], &mut judge, |_| Ok(()));
        let _ = replay(&file[..cut], &mut judge, |_| Ok(()));
    }
}

//! A question means the same to the kernel as to the parser on the host: exactly the names that are listed are refused, however
//! many labels they have, however they are written, and whatever else the message holds.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    net::{SocketAddr, UdpSocket},
};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use miner_guard_common::parse::{
    dns::{Event, Questions},
    name::Name,
};
use miner_guard_tests::{
    case::{Done, case},
    cgroup::Cgroup,
    guard::Post,
    questions,
};

pub fn cases() -> Vec<Trial> {
    vec![case("exactly_the_listed_names_are_refused", the_same_on_both_sides)]
}

/// Repeatable, and of no other use.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// Names of two to eleven labels, every other one with all below it.
fn listed() -> Vec<String> {
    let mut all = Vec::new();
    for labels in 2..12 {
        for kind in ["", "*."] {
            let mut name = String::from(kind);
            for i in (0..labels).rev() {
                // Of every length from 1 on, so that suffixes end at every place of a word.
                let _ =
                    write!(name, "{}{i}{}", "x".repeat((labels * 5 + i) % 12), if i == 0 { "" } else { "." });
            }
            all.push(name.replace("*.", if kind.is_empty() { "" } else { "*.w" }));
        }
    }
    all
}

fn question(labels: &[Vec<u8>], more: &[u8]) -> Vec<u8> {
    let mut out = b"mg\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in labels {
        out.push(label.len() as u8);
        out.extend(label);
    }
    out.extend(b"\0\0\x01\0\x01");
    out.extend(more);
    out
}

/// Listed names, and what is nearly one, in as many shapes as there are.
fn messages(listed: &[String]) -> Vec<Vec<u8>> {
    let mut random = Random(20);
    let mut out = Vec::new();
    for n in 0..3000 {
        let name = &listed[random.below(listed.len())];
        let mut labels: Vec<Vec<u8>> =
            name.trim_start_matches("*.").split('.').map(|label| label.as_bytes().to_vec()).collect();
        for _ in 0..random.below(4) {
            match random.below(8) {
                0 => labels.insert(0, vec![b'y'; 1 + random.below(63)]),
                1 => drop(labels.remove(0)),
                2 => labels.push(b"test".to_vec()),
                3 => labels.insert(0, b"a.b".to_vec()),
                4 => labels.insert(0, vec![b'y'; 46]),
                5 => labels[0].push(b'.'),
                6 => labels.insert(0, vec![0, 255, b'[', b'@', b'`', b'{']),
                _ => labels.insert(0, vec![b'z'; 1 + random.below(8)]),
            }
            if labels.is_empty() {
                break;
            }
        }
        for byte in labels.iter_mut().flatten().filter(|_| n % 2 == 0) {
            *byte = byte.to_ascii_uppercase();
        }
        let wire: usize = labels.iter().map(|label| label.len() + 1).sum();
        if wire > 254 || labels.iter().any(Vec::is_empty) {
            continue;
        }
        let edns = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
        let mut message = question(&labels, if n % 3 == 0 { &edns } else { &[] });
        match random.below(12) {
            0 => message.truncate(random.below(message.len())),
            // Another question, another number of them, not a query at all.
            1 => {
                message[5] = 2;
                message.extend(&question(&[b"harmless".to_vec(), b"test".to_vec()], &[])[12..]);
            }
            2 => message[4..6].copy_from_slice(&[random.below(2) as u8, random.below(4) as u8]),
            3 => message[2] = random.below(256) as u8,
            4 => {
                let at = 12 + random.below(message.len() - 12);
                message[at] = random.below(256) as u8;
            }
            _ => {}
        }
        out.push(message);
    }
    out
}

/// What the reader of single bytes finds in it.
fn on_the_host(message: &[u8], listed: &BTreeSet<&str>) -> bool {
    let (mut reader, mut name) = (Questions::datagram(), Name::new());
    for &byte in message {
        match reader.push(byte, &mut name) {
            Event::More => {}
            Event::Done => break,
            Event::Name => {
                let text: String = name.as_bytes().iter().map(|&b| char::from(b)).collect();
                let below = |(at, _): (usize, &str)| listed.contains(format!("*{}", &text[at..]).as_str());
                if listed.contains(text.as_str()) || text.match_indices('.').any(below) {
                    return true;
                }
            }
        }
    }
    false
}

fn the_same_on_both_sides() -> Result<Done> {
    let listed = listed();
    let names: String = listed.iter().map(|name| format!("{name:?}, ")).collect();
    let cgroup = Cgroup::new()?;
    let post =
        Post::at(&cgroup, &format!("[[rule]]\nid = \"names\"\naction = \"deny\"\ndomain = [{names}]\n"))?;
    let guard = post.start("enforce")?;
    let server: SocketAddr = "127.0.0.54:53".parse()?;
    // Nobody answers, and it loses what it has no room for.
    let _socket = UdpSocket::bind(server)?;
    let messages = messages(&listed);
    let refused = questions::refused(&cgroup, server, &messages)?;
    let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    for (message, refused) in messages.iter().zip(&refused) {
        let wanted = on_the_host(message, &listed);
        ensure!(
            *refused == wanted,
            "refused: {refused}, here {wanted}: {}",
            String::from_utf8_lossy(message).escape_debug()
        );
    }
    let n = refused.iter().filter(|refused| **refused).count();
    ensure!(n > 500 && refused.len() - n > 500, "{n} of {} were refused", refused.len());
    guard.stop()?;
    Ok(Done::Passed)
}

//! One indicator a line, or a hosts file; a file may mix them.

use super::Found;
use crate::policy::indicator::{self, Indicator, What};

/// Names that every hosts file holds for the machine itself.
const LOCAL: &[&[u8]] = &[
    b"localhost",
    b"localhost.localdomain",
    b"local",
    b"broadcasthost",
    b"ip6-localhost",
    b"ip6-loopback",
    b"ip6-localnet",
    b"ip6-mcastprefix",
    b"ip6-allnodes",
    b"ip6-allrouters",
    b"ip6-allhosts",
    b"0.0.0.0",
];

/// Addresses that a hosts file maps a blocked name to.
const NOWHERE: &[&[u8]] = &[b"0.0.0.0", b"127.0.0.1", b"::", b"::1", b"0"];

pub(super) fn read(text: &[u8], each: &mut impl FnMut(Found<'_>)) {
    let (mut at, mut number) = (0, 0);
    while at < text.len() {
        number += 1;
        // The common line is an IPv4 address and nothing else: no search for its end.
        if let Some((address, used)) = indicator::ipv4(&text[at..])
            && let Some(b'\n') | None = text.get(at + used)
            && address != 0
        {
            let what = What::V4(address, 32);
            each((number, Ok(Indicator::any(what)), &text[at..at + used]));
            at += used + 1;
            continue;
        }
        let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |n| at + n);
        line(text[at..end].trim_ascii(), number, each);
        at = end + 1;
    }
}

fn line(line: &[u8], number: usize, each: &mut impl FnMut(Found<'_>)) {
    if line.is_empty() || matches!(line[0], b'#' | b';' | b'!') || line.starts_with(b"//") {
        return;
    }
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|w| !w.is_empty())
        .take_while(|w| !w.starts_with(b"#") && !w.starts_with(b";"));
    let Some(first) = words.next() else { return };
    let mut words = words.peekable();
    if words.peek().is_none() {
        if !LOCAL.contains(&first) {
            each((number, indicator::parse(first), line));
        }
        return;
    }
    if !NOWHERE.contains(&first) {
        each((number, Err("several words, and not a hosts-file line"), line));
        return;
    }
    for name in words.filter(|w| !LOCAL.contains(w)) {
        each((number, indicator::name(name).map(Indicator::any), line));
    }
}

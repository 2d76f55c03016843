//! One indicator, from bytes: an address, a prefix, a name, each perhaps with a port.

use super::compile::Ports;
use std::net::Ipv6Addr;

/// What an indicator names. Addresses are numbers in host order; host bits of a prefix are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What<'a> {
    /// IPv4 address or prefix, and its length.
    V4(u32, u8),
    /// IPv6 address or prefix, and its length; never one that is an IPv4 address.
    V6(u128, u8),
    /// A name as written, checked, without trailing dot; `true`: the names below it, not itself.
    Name(&'a str, bool),
    /// A port and no address.
    Port,
    /// SHA-256 of a file's content.
    Sha256([u8; 32]),
    /// MD5 of a file's content.
    Md5([u8; 16]),
}

/// An indicator, and the ports that must also match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indicator<'a> {
    /// Address, prefix or name.
    pub what: What<'a>,
    /// [`Ports::ANY`] if none is named.
    pub ports: Ports,
}

impl<'a> Indicator<'a> {
    pub(super) const fn any(what: What<'a>) -> Self {
        Self { what, ports: Ports::ANY }
    }
}

/// Why bytes are no indicator; a phrase that follows "is".
pub type Why = &'static str;

const NOT_ANY: Why = "not an address, CIDR or domain";
const HOST_BITS: Why = "a CIDR with host bits set";

/// An indicator: `192.0.2.1`, `192.0.2.0/24`, `192.0.2.1:3333`, `192.0.2.0/24:3333`, `2001:db8::1`, `2001:db8::/32`,
/// `[2001:db8::1]:3333`, `example.com`, `*.example.com`; a name may have a port, and either a `scheme://` and a
/// path: they say how it was used, and are ignored.
pub fn parse(text: &[u8]) -> Result<Indicator<'_>, Why> {
    let Some((scheme, rest)) = split_at_pattern(text, b"://") else { return bare(text) };
    if scheme.is_empty() || !scheme.iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)) {
        return Err(NOT_ANY);
    }
    let host = rest.split(|b| b"/?#".contains(b)).next().unwrap_or_default();
    // A login in front of the host says nothing about the host.
    bare(host.rsplit(|b| *b == b'@').next().unwrap_or_default())
}

fn bare(text: &[u8]) -> Result<Indicator<'_>, Why> {
    // A name may begin like an address: 192.0.2.1.pool.example.
    if let Some((address, used)) = ipv4(text)
        && !text[used..].starts_with(b".")
    {
        return rest_of_v4(address, &text[used..]);
    }
    if let Some(inner) = text.strip_prefix(b"[") {
        let (inside, after) = split_at_pattern(inner, b"]").ok_or("an address with [ and without ]")?;
        return Ok(Indicator { what: prefix6(inside)?, ports: port_suffix(after)? });
    }
    match text.iter().filter(|b| **b == b':').count() {
        0 => Ok(Indicator::any(name(text)?)),
        1 => {
            let (host, port) = split_at_pattern(text, b":").ok_or(NOT_ANY)?;
            ports(port).ok_or("an address or name with a bad port")?;
            // A name is asked for without a port: the port cannot be a condition.
            Ok(Indicator::any(name(host)?))
        }
        _ => Ok(Indicator::any(prefix6(text)?)),
    }
}

fn rest_of_v4(address: u32, rest: &[u8]) -> Result<Indicator<'_>, Why> {
    let (mut len, mut rest) = (32, rest);
    if let Some(after) = rest.strip_prefix(b"/") {
        let digits = after.iter().take_while(|b| b.is_ascii_digit()).count();
        len =
            number(&after[..digits]).filter(|n| *n <= 32).ok_or("a CIDR whose length is not 0 to 32")? as u8;
        rest = &after[digits..];
    }
    if len < 32 && address & (u32::MAX >> len) != 0 {
        return Err(HOST_BITS);
    }
    if !rest.is_empty() && !rest.starts_with(b":") {
        return Err(NOT_ANY);
    }
    Ok(Indicator { what: What::V4(address, len), ports: port_suffix(rest)? })
}

fn port_suffix(rest: &[u8]) -> Result<Ports, Why> {
    match rest.strip_prefix(b":") {
        Some(port) => ports(port).ok_or("an address with a bad port"),
        None if rest.is_empty() => Ok(Ports::ANY),
        None => Err(NOT_ANY),
    }
}

fn prefix6(text: &[u8]) -> Result<What<'static>, Why> {
    let (address, len) = match split_at_pattern(text, b"/") {
        Some((a, l)) => {
            (a, number(l).filter(|n| *n <= 128).ok_or("a CIDR whose length is not 0 to 128")? as u8)
        }
        None => (text, 128),
    };
    let address: Ipv6Addr =
        str::from_utf8(address).ok().and_then(|a| a.parse().ok()).ok_or("not an IPv6 address")?;
    let bits = address.to_bits();
    if len < 128 && bits & (u128::MAX >> len) != 0 {
        return Err(HOST_BITS);
    }
    // A v4-mapped address is the IPv4 address, and so is a prefix of such.
    match address.to_ipv4_mapped() {
        Some(v4) if len >= 96 => Ok(What::V4(v4.to_bits(), len - 96)),
        _ => Ok(What::V6(bits, len)),
    }
}

/// The IPv4 address at the start of the text, and the bytes that it takes. No leading zeros: some programs read
/// them as octal, and a deny list must not depend on who reads it.
#[inline]
pub(super) fn ipv4(text: &[u8]) -> Option<(u32, usize)> {
    let (mut address, mut at) = (0, 0);
    for octet in 0..4 {
        let start = at;
        let mut n = 0_u32;
        while let Some(d) = text.get(at).filter(|b| b.is_ascii_digit()) {
            n = n * 10 + u32::from(d - b'0');
            at += 1;
            if at - start > 3 {
                return None;
            }
        }
        if at == start || n > 255 || (at - start > 1 && text[start] == b'0') {
            return None;
        }
        address = address << 8 | n;
        if octet < 3 {
            if text.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
    }
    Some((address, at))
}

/// SHA-256 or MD5 of a file, in hexadecimal.
pub(super) fn hash(text: &[u8]) -> Result<Indicator<'static>, Why> {
    let what = match text.len() {
        64 => hex(text).map(What::Sha256),
        32 => hex(text).map(What::Md5),
        _ => None,
    };
    what.map(Indicator::any).ok_or("not a SHA-256 or MD5 in hexadecimal")
}

/// `N` bytes, written as `2 * N` hexadecimal digits.
pub fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |b: u8| char::from(b).to_digit(16);
    if text.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(out)
}

/// A port or a span of ports.
pub(super) fn ports(text: &[u8]) -> Option<Ports> {
    let port = |t: &[u8]| number(t).and_then(|n| u16::try_from(n).ok());
    match split_at_pattern(text, b"-") {
        Some((low, high)) => Some(Ports { low: port(low)?, high: port(high)? }).filter(|p| p.low <= p.high),
        None => port(text).map(Ports::one),
    }
}

fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 9 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')))
}

/// A name as DNS asks for it: labels of letters, digits, `-` and `_`.
pub(super) fn name(text: &[u8]) -> Result<What<'_>, Why> {
    let (text, below) = match text.strip_prefix(b"*.") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let text = text.strip_suffix(b".").unwrap_or(text);
    if text.len() > 253 {
        return Err("a name longer than 253 characters");
    }
    let mut all_digits = true;
    let mut last = &text[..0];
    for label in text.split(|b| *b == b'.') {
        let fine = !label.is_empty()
            && label.len() <= 63
            && label.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_');
        if !fine {
            return Err(NOT_ANY);
        }
        all_digits &= label.iter().all(u8::is_ascii_digit);
        last = label;
    }
    // "300.1.2.3" is a mistyped address, not a name; and no name ends in a number.
    if all_digits || last.iter().all(u8::is_ascii_digit) {
        return Err(NOT_ANY);
    }
    if last.len() == text.len() {
        return Err("a single word, not a full domain name");
    }
    let name = str::from_utf8(text).map_err(|_| NOT_ANY)?;
    Ok(What::Name(name, below))
}

fn split_at_pattern<'a>(text: &'a [u8], pattern: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(pattern.len()).position(|w| w == pattern)?;
    Some((&text[..at], &text[at + pattern.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_indicator_is_read() {
        let v4 = What::V4(0xc000_0201, 32);
        let at = |port| Ports::one(port);
        for (text, what, ports) in [
            ("192.0.2.1", v4, Ports::ANY),
            ("192.0.2.1:3333", v4, at(3333)),
            ("192.0.2.1:1-2", v4, Ports { low: 1, high: 2 }),
            ("stratum+tcp://192.0.2.1:3333/x", v4, at(3333)),
            ("::ffff:192.0.2.1", v4, Ports::ANY),
            ("[::ffff:192.0.2.1]:80", v4, at(80)),
            ("192.0.2.0/24", What::V4(0xc000_0200, 24), Ports::ANY),
            ("192.0.2.0/24:80", What::V4(0xc000_0200, 24), at(80)),
            ("0.0.0.0/0", What::V4(0, 0), Ports::ANY),
            ("::ffff:192.0.2.0/120", What::V4(0xc000_0200, 24), Ports::ANY),
            ("2001:db8::1", What::V6(0x2001_0db8 << 96 | 1, 128), Ports::ANY),
            ("[2001:db8::1]:80", What::V6(0x2001_0db8 << 96 | 1, 128), at(80)),
            ("2001:db8::/32", What::V6(0x2001_0db8 << 96, 32), Ports::ANY),
            ("Pool.Example.com.", What::Name("Pool.Example.com", false), Ports::ANY),
            ("192.0.2.1.example.com", What::Name("192.0.2.1.example.com", false), Ports::ANY),
            ("*.example.com", What::Name("example.com", true), Ports::ANY),
            ("stratum+ssl://wallet@eu.example.com:443", What::Name("eu.example.com", false), Ports::ANY),
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(Indicator { what, ports }), "{text}");
        }
    }

    #[test]
    fn what_is_no_indicator_is_refused() {
        for text in [
            "",
            "300.0.2.1",
            "192.0.2",
            "192.0.2.1.",
            "192.0.2.01",
            "192.0.2.1/33",
            "192.0.2.1/24",
            "192.0.2.1:",
            "192.0.2.1:99999",
            "192.0.2.1:9-8",
            "192.0.2.1 x",
            "::g",
            "2001:db8::1/129",
            "2001:db8::1/64",
            "[::1",
            "word",
            "a..b",
            "-",
            "*.",
            "*",
            "a b.c",
            "ex\u{e4}mple.com",
            "://x.y",
            "host.example:port",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(&[b'a'; 300]).is_err());
        assert!(parse(&[0xff, b'.', b'a']).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let _ = ports(&bytes);
        }

        #[test]
        fn addresses_read_as_the_standard_library_reads_them(bits: u32, six: u128) {
            let text = std::net::Ipv4Addr::from_bits(bits).to_string();
            proptest::prop_assert_eq!(parse(text.as_bytes()), Ok(Indicator::any(What::V4(bits, 32))));
            let six = six | 1 << 127;
            let text = Ipv6Addr::from_bits(six).to_string();
            proptest::prop_assert_eq!(parse(text.as_bytes()), Ok(Indicator::any(What::V6(six, 128))));
        }
    }
}

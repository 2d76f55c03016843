//! Where a socket wants to go, in the form in which the kernel holds it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv6 address as two numbers, high half first; an IPv4 one as `::ffff:a.b.c.d`, which is how the kernel's sockets see it
/// too. Not an enum: the verifier refuses to copy the part of one that was never written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    high: u64,
    low: u64,
}

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Network byte order.
    pub address: Address,
    /// Host byte order.
    pub port: u16,
}

impl Address {
    /// `sin_addr`, in network byte order.
    #[inline(always)]
    pub const fn v4(address: u32) -> Self {
        Self { high: 0, low: MAPPED | u32::from_be(address) as u64 }
    }

    /// `sin6_addr`: four words in network byte order.
    #[inline(always)]
    pub const fn v6([a, b, c, d]: [u32; 4]) -> Self {
        Self { high: pair(a, b), low: pair(c, d) }
    }

    /// From [`Self::halves`].
    #[inline(always)]
    pub const fn from_halves(high: u64, low: u64) -> Self {
        Self { high, low }
    }

    /// The IPv4 address that this one is, host byte order: itself, or `::ffff:a.b.c.d`.
    #[inline(always)]
    pub const fn is_v4(&self) -> Option<u32> {
        if self.high == 0 && self.low >> 32 == MAPPED >> 32 { Some(self.low as u32) } else { None }
    }

    /// The IPv4 address that a NAT64 gateway would connect to, host byte order (`64:ff9b::a.b.c.d`, RFC 6052).
    #[inline(always)]
    pub const fn behind_nat64(&self) -> Option<u32> {
        if self.high == 0x0064_ff9b_0000_0000 && self.low >> 32 == 0 { Some(self.low as u32) } else { None }
    }

    /// High and low 64 bits as numbers.
    #[inline(always)]
    pub const fn halves(&self) -> (u64, u64) {
        (self.high, self.low)
    }

    /// Four words in network byte order.
    #[inline(always)]
    pub const fn words(&self) -> [u32; 4] {
        [word(self.high >> 32), word(self.high), word(self.low >> 32), word(self.low)]
    }
}

/// `::ffff:0:0/96`
const MAPPED: u64 = 0xffff_0000_0000;

#[inline(always)]
const fn pair(high: u32, low: u32) -> u64 {
    (u32::from_be(high) as u64) << 32 | u32::from_be(low) as u64
}

#[inline(always)]
const fn word(low: u64) -> u32 {
    (low as u32).to_be()
}

impl From<Ipv4Addr> for Address {
    fn from(a: Ipv4Addr) -> Self {
        Self::v4(u32::from_ne_bytes(a.octets()))
    }
}

impl From<Ipv6Addr> for Address {
    fn from(a: Ipv6Addr) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = a.octets();
        Self::v6([[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]].map(u32::from_ne_bytes))
    }
}

impl From<IpAddr> for Address {
    fn from(a: IpAddr) -> Self {
        match a {
            IpAddr::V4(a) => a.into(),
            IpAddr::V6(a) => a.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_in_numbers_and_in_words() {
        let of = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
        for text in
            ["192.0.2.7", "::ffff:192.0.2.7", "::192.0.2.7", "64:ff9b::192.0.2.7", "2001:db8:1:2:3:4:5:6"]
        {
            let there = of(text);
            assert_eq!(Address::v6(there.words()), there, "{text}");
            assert_eq!(Address::from_halves(there.halves().0, there.halves().1), there, "{text}");
        }
        assert_eq!(of("192.0.2.7"), of("::ffff:192.0.2.7"));
        assert_eq!(of("192.0.2.7").is_v4(), Some(0xc000_0207));
        assert_eq!((of("::192.0.2.7").is_v4(), of("2001:db8::1").is_v4()), (None, None));
        assert_eq!(of("64:ff9b::192.0.2.7").behind_nat64(), Some(0xc000_0207));
        assert_eq!(of("64:ff9b:1::192.0.2.7").behind_nat64(), None);
    }
}

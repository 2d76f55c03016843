//! Where a socket wants to go, in the form in which the kernel holds it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address in network byte order, as `sockaddr_in` and `bpf_sock_addr` hold it: making one costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// `sin_addr`.
    V4(u32),
    /// `sin6_addr`, four words. It may embed an IPv4 address.
    V6([u32; 4]),
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
    /// The IPv4 address that this one is, host byte order: itself, or `::ffff:a.b.c.d`.
    #[inline(always)]
    pub const fn is_v4(&self) -> Option<u32> {
        match *self {
            Self::V4(a) => Some(u32::from_be(a)),
            Self::V6([0, 0, mapped, a]) if mapped == 0xffff_u32.to_be() => Some(u32::from_be(a)),
            Self::V6(_) => None,
        }
    }

    /// The IPv4 address that a NAT64 gateway would connect to, host byte order (`64:ff9b::a.b.c.d`, RFC 6052).
    #[inline(always)]
    pub const fn behind_nat64(&self) -> Option<u32> {
        match *self {
            Self::V6([prefix, 0, 0, a]) if prefix == 0x0064_ff9b_u32.to_be() => Some(u32::from_be(a)),
            _ => None,
        }
    }

    /// The address that [`Self::halves`] came from.
    #[inline(always)]
    pub const fn from_halves(high: u64, low: u64) -> Self {
        match (high, low >> 32) {
            (0, 0xffff) => Self::V4((low as u32).to_be()),
            _ => Self::V6([word(high >> 32), word(high), word(low >> 32), word(low)]),
        }
    }

    /// High and low 64 bits as numbers; IPv4 as `::ffff:a.b.c.d`.
    #[inline(always)]
    pub const fn halves(&self) -> (u64, u64) {
        match *self {
            Self::V4(a) => (0, 0xffff_0000_0000 | u32::from_be(a) as u64),
            Self::V6([a, b, c, d]) => (pair(a, b), pair(c, d)),
        }
    }
}

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
        Self::V4(u32::from_ne_bytes(a.octets()))
    }
}

impl From<Ipv6Addr> for Address {
    fn from(a: Ipv6Addr) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = a.octets();
        Self::V6([[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]].map(u32::from_ne_bytes))
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
    fn an_address_comes_back_from_its_halves() {
        for text in
            ["192.0.2.7", "::ffff:192.0.2.7", "::192.0.2.7", "64:ff9b::192.0.2.7", "2001:db8:1:2:3:4:5:6"]
        {
            let there = Address::from(text.parse::<IpAddr>().unwrap());
            let (high, low) = there.halves();
            let back = Address::from_halves(high, low);
            assert_eq!((back.halves(), back.is_v4()), ((high, low), there.is_v4()), "{text}");
        }
    }
}

//! Destinations that nothing may deny: the machine's resolvers and default gateways, and those the policy names.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

/// Where the system's own configuration is read. Tests point it elsewhere.
#[derive(Clone, Debug)]
pub struct SystemFiles {
    /// Resolvers.
    pub resolv_conf: PathBuf,
    /// IPv4 routes as the kernel prints them.
    pub route: PathBuf,
    /// IPv6 routes as the kernel prints them.
    pub ipv6_route: PathBuf,
    /// Users.
    pub passwd: PathBuf,
    /// Groups.
    pub group: PathBuf,
}

impl Default for SystemFiles {
    fn default() -> Self {
        Self {
            resolv_conf: "/etc/resolv.conf".into(),
            route: "/proc/net/route".into(),
            ipv6_route: "/proc/net/ipv6_route".into(),
            passwd: "/etc/passwd".into(),
            group: "/etc/group".into(),
        }
    }
}

/// A range that is protected, and why. IPv4 as `::ffff:a.b.c.d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protected {
    /// First address.
    pub first: u128,
    /// Last address.
    pub last: u128,
    /// "a resolver of /etc/resolv.conf" …
    pub why: String,
}

/// What the system says of itself. A file that is missing or strange protects nothing: it is a help, not a duty.
/// Loopback is left out: a resolver there forwards to others, and denied pools may be dialled there in tests.
pub fn found(files: &SystemFiles) -> Vec<Protected> {
    let mut all = Vec::new();
    let mut add = |address: IpAddr, why: &str, file: &Path| {
        let address = address.to_canonical();
        if !address.is_loopback() && !address.is_unspecified() {
            let bits = match address {
                IpAddr::V4(a) => a.to_ipv6_mapped().to_bits(),
                IpAddr::V6(a) => a.to_bits(),
            };
            let why = format!("{why} of this machine ({})", file.display());
            all.push(Protected { first: bits, last: bits, why });
        }
    };
    let read =
        |path: &Path| fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    for line in read(&files.resolv_conf).lines() {
        let mut words = line.split_ascii_whitespace();
        if words.next() == Some("nameserver")
            && let Some(word) = words.next()
            // A link-local resolver carries its interface: fe80::1%eth0.
            && let Ok(address) = word.split('%').next().unwrap_or_default().parse()
        {
            add(address, "a resolver", &files.resolv_conf);
        }
    }
    for line in read(&files.route).lines().skip(1) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        // Interface, destination, gateway, …; hex of the address as the kernel holds it: network order in memory.
        if let [_, "00000000", gateway, ..] = words.as_slice()
            && let Ok(gateway) = u32::from_str_radix(gateway, 16)
        {
            add(Ipv4Addr::from(gateway.to_ne_bytes()).into(), "a default gateway", &files.route);
        }
    }
    for line in read(&files.ipv6_route).lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if let [to, "00", _, _, gateway, ..] = words.as_slice()
            && to.bytes().all(|b| b == b'0')
            && let Ok(gateway) = u128::from_str_radix(gateway, 16)
        {
            add(Ipv6Addr::from_bits(gateway).into(), "a default gateway", &files.ipv6_route);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_and_gateways_are_found_and_loopback_is_not() {
        let dir = std::env::temp_dir().join(format!("miner-guard-protect-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let files = SystemFiles {
            resolv_conf: write(
                "resolv.conf",
                "# x\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver\n",
            ),
            route: write(
                "route",
                "Iface\tDestination\tGateway\tFlags\neth0\t00000000\t010200C0\t0003\neth0\t000200C0\t00000000\t0001\nbroken\n",
            ),
            ipv6_route: write(
                "ipv6_route",
                "00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8000000000000000000000001 00000400 0 0 3 eth0\n00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 1 0 200200 lo\n",
            ),
            ..SystemFiles::default()
        };
        let addresses: Vec<String> =
            found(&files).iter().map(|p| Ipv6Addr::from_bits(p.first).to_canonical().to_string()).collect();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(addresses, ["192.0.2.53", "fe80::1", "192.0.2.1", "2001:db8::1"]);
    }
}

//! The lists that every tool is given, and the addresses that are dialled. All of 127/8: nothing leaves the machine.

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::stats::Random;

/// In every list.
pub const DENIED: Ipv4Addr = Ipv4Addr::new(127, 66, 66, 66);
/// In none.
pub const ALLOWED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Length of the prefixes.
pub const PREFIX_BITS: u32 = 26;

const ADDRESSES: usize = 1_000_000;
const PREFIXES: usize = 100_000;
/// Enough that the caches never hold them, nor the tables' lines that they lead to.
const DIALLED: usize = 1 << 20;

/// The lists, and the files made of them.
pub struct Data {
    /// 1,000,000 distinct addresses.
    pub addresses: Vec<u32>,
    /// 100,000 disjoint prefixes.
    pub prefixes: Vec<u32>,
    /// An address a line.
    pub address_feed: PathBuf,
    /// A prefix a line.
    pub prefix_feed: PathBuf,
    /// For `nft -f`: the addresses in a set of sufficient size, and a rule that drops them.
    pub nft: PathBuf,
    /// For `ipset restore`: a set `mgb` of the addresses.
    pub ipset: PathBuf,
    /// What is dialled: addresses that no list holds, 4 bytes each in network order.
    pub dial: PathBuf,
}

impl Data {
    /// Makes all of it in `dir`.
    pub fn make(dir: &Path) -> Result<Self> {
        let mut random = Random::new(202_611);
        let loopback = |random: &mut Random| 0x7f00_0000 | random.bits() >> 8;
        // 127.0/16 is where resolvers and listeners live.
        let listable = |a: u32| a >> 16 != 0x7f00;
        let mask = u32::MAX << (32 - PREFIX_BITS);
        let denied = u32::from(DENIED);
        let mut addresses = HashSet::from([denied]);
        while addresses.len() < ADDRESSES {
            addresses.extend(Some(loopback(&mut random)).filter(|a| listable(*a)));
        }
        let mut prefixes = HashSet::from([denied & mask]);
        while prefixes.len() < PREFIXES {
            prefixes.extend(Some(loopback(&mut random) & mask).filter(|a| listable(*a)));
        }
        let mut dial = Vec::with_capacity(DIALLED * 4);
        while dial.len() < DIALLED * 4 {
            let a = loopback(&mut random);
            if !addresses.contains(&a) && !prefixes.contains(&(a & mask)) && !matches!(a & 0xff, 0 | 0xff) {
                dial.extend(a.to_be_bytes());
            }
        }
        let (addresses, prefixes) = (sorted(addresses), sorted(prefixes));
        let data = Self {
            address_feed: dir.join("addresses.txt"),
            prefix_feed: dir.join("prefixes.txt"),
            nft: dir.join("addresses.nft"),
            ipset: dir.join("addresses.ipset"),
            dial: dir.join("dial.bin"),
            addresses,
            prefixes,
        };
        let mut mixed = data.addresses.clone();
        random.shuffle(&mut mixed);
        let text = |a: &u32| Ipv4Addr::from(*a).to_string();
        fs::write(&data.address_feed, lines(&mixed, |out, a| writeln!(out, "{}", text(a))))?;
        fs::write(
            &data.prefix_feed,
            lines(&data.prefixes, |out, a| writeln!(out, "{}/{PREFIX_BITS}", text(a))),
        )?;
        let elements = lines(&mixed, |out, a| writeln!(out, "{},", text(a)));
        fs::write(
            &data.nft,
            format!(
                "table ip mgb {{\n set s {{\n type ipv4_addr; size 1048576\n elements = {{\n{elements}}}\n }}\n \
                 chain out {{\n type filter hook output priority 0; policy accept;\n ip daddr @s drop\n }}\n}}\n"
            ),
        )?;
        let adds = lines(&mixed, |out, a| writeln!(out, "add mgb {}", text(a)));
        fs::write(&data.ipset, format!("create mgb hash:ip hashsize 524288 maxelem 1100000\n{adds}"))?;
        fs::write(&data.dial, dial)?;
        Ok(data)
    }
}

fn sorted(set: HashSet<u32>) -> Vec<u32> {
    let mut list: Vec<u32> = set.into_iter().collect();
    list.sort_unstable();
    list
}

fn lines(items: &[u32], write: impl Fn(&mut String, &u32) -> std::fmt::Result) -> String {
    let mut out = String::new();
    for item in items {
        // Writing to a String cannot fail.
        let _ = write(&mut out, item);
    }
    out
}

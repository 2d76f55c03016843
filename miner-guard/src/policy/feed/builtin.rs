//! The embedded feeds. What each row does is documented in `data/README.md`.

use super::super::{
    indicator::{self, Indicator, What},
    resolved::IndicatorClass,
};
use crate::policy::{compile::Ports, examples};
use miner_guard_common::abi::verdict::Verdict;

/// Id of the feed of pools, of its rules, and therefore of no other.
pub const ID: &str = "builtin";
/// Ids that no rule or feed of a policy may have.
pub const IDS: [&str; 3] = [ID, "builtin-doh", "learned"];

/// One embedded feed.
pub(in crate::policy) struct List {
    pub id: &'static str,
    pub class: IndicatorClass,
    /// Gives every indicator.
    pub read: fn(&mut dyn FnMut(Row<'static>)),
}

/// Pools, and what serves miners.
pub(in crate::policy) static POOLS: List =
    List { id: ID, class: IndicatorClass::Pool, read: |each| read(each) };
/// Servers of DNS over HTTPS or TLS.
pub(in crate::policy) static DOH: List =
    List { id: IDS[1], class: IndicatorClass::Doh, read: |each| doh(each) };

/// The embedded feed of this id.
pub(in crate::policy) fn list(id: &str) -> Option<&'static List> {
    [&POOLS, &DOH].into_iter().find(|l| l.id == id)
}

/// The files, by the name that `explain` shows.
const DOMAINS: (&str, &str) = ("builtin/pool-domains.tsv", include_str!("../../../data/pool-domains.tsv"));
const IPS: (&str, &str) = ("builtin/pool-ips.tsv", include_str!("../../../data/pool-ips.tsv"));
const PORTS: (&str, &str) = ("builtin/pool-ports.tsv", include_str!("../../../data/pool-ports.tsv"));
const DOH_SERVERS: (&str, &str) = ("builtin/doh-servers.tsv", include_str!("../../../data/doh-servers.tsv"));
/// Not a file: what `miner-guard test` sets off.
const EXAMPLES: &str = "builtin/examples";

/// An indicator of the embedded feed.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) struct Row<'a> {
    pub indicator: Indicator<'a>,
    pub action: Verdict,
    pub file: &'static str,
    pub line: usize,
    /// What kind of row, with its sources and licences: for people.
    pub class: &'a str,
    pub sources: &'a str,
    pub licences: &'a str,
}

/// Pools that must use a port before the port alone is worth an alert.
const PORT_REASONS: u32 = 4;
/// From here on Linux picks client ports at random: MPI, NFS and FTP peers are found there too.
const EPHEMERAL: u16 = 32768;

/// Every indicator of the embedded feed.
pub(in crate::policy) fn read(mut each: impl FnMut(Row<'static>)) {
    for (line, f) in rows(DOMAINS.1) {
        let [domain, tier, class, registrable, _, flags, sources, licences] = f;
        if serves_everybody(domain, registrable, flags) {
            continue;
        }
        let careful = flags.contains("dynamic-dns") || flags.contains("multi-purpose");
        let action = if careful || tier == "C" { Verdict::Alert } else { Verdict::Deny };
        let Ok(Indicator { what: What::Name(name, below), .. }) = indicator::parse(domain.as_bytes()) else {
            continue;
        };
        let row = |below| {
            let indicator = Indicator::any(What::Name(name, below));
            Row { indicator, action, file: DOMAINS.0, line, class, sources, licences }
        };
        each(row(below));
        if domain == registrable && !careful {
            each(row(true));
        }
    }
    for (line, f) in rows(IPS.1) {
        let [ip, ports, class, note, sources, licences, ..] = f;
        let Ok(Indicator { what, .. }) = indicator::parse(ip.as_bytes()) else { continue };
        let row = |ports, action| {
            let indicator = Indicator { what, ports };
            Row { indicator, action, file: IPS.0, line, class, sources, licences }
        };
        let shared = !note.is_empty();
        for port in ports.split(',').filter(|p| !p.is_empty() && !shared) {
            if let Some(port) = indicator::ports(port.as_bytes()) {
                each(row(port, Verdict::Deny));
            }
        }
        each(row(Ports::ANY, if shared || !ports.is_empty() { Verdict::Alert } else { Verdict::Deny }));
    }
    for (line, f) in rows(PORTS.1) {
        let [port, reasons, benign, class, sources, ..] = f;
        let many = reasons.parse().is_ok_and(|n: u32| n >= PORT_REASONS);
        if let Some(ports) = indicator::ports(port.as_bytes())
            && many
            && benign.is_empty()
            && ports.high < EPHEMERAL
        {
            let indicator = Indicator { what: What::Port, ports };
            let action = Verdict::Alert;
            each(Row { indicator, action, file: PORTS.0, line, class, sources, licences: "" });
        }
    }
    for (to, action, line) in [(examples::DENIED, Verdict::Deny, 1), (examples::ALERTED, Verdict::Alert, 2)] {
        let what = What::V4(to.ip().to_bits(), 32);
        let indicator = Indicator { what, ports: Ports::one(to.port()) };
        let (sources, licences) = ("loopback", "");
        each(Row {
            indicator,
            action,
            file: EXAMPLES,
            line,
            class: "example of `miner-guard test`",
            sources,
            licences,
        });
    }
}

/// Whether a row is the front door of something that everybody uses, of which a pool is but a part: github.com, an exchange,
/// a provider of dynamic names. That a program asks for it says nothing.
fn serves_everybody(domain: &str, registrable: &str, flags: &str) -> bool {
    domain == registrable && flags.contains("multi-purpose")
}

/// Every server of the embedded list. An address also answers plain DNS: only the ports of the encrypted kinds count.
fn doh(mut each: impl FnMut(Row<'static>)) {
    for (line, f) in rows(DOH_SERVERS.1) {
        let [server, ports, class, sources, licences, ..] = f;
        let Ok(found) = indicator::parse(server.as_bytes()) else { continue };
        let mut give = |ports| {
            let indicator = Indicator { ports, ..found };
            let (action, file) = (Verdict::Alert, DOH_SERVERS.0);
            each(Row { indicator, action, file, line, class, sources, licences });
        };
        if ports.is_empty() {
            give(Ports::ANY);
        }
        ports.split(',').filter_map(|p| indicator::ports(p.as_bytes())).for_each(give);
    }
}

/// The rows of a table, each cut into 8 fields; missing ones are empty.
fn rows(text: &'static str) -> impl Iterator<Item = (usize, [&'static str; 8])> {
    text.lines().zip(1..).skip(1).map(|(row, line)| {
        let mut fields = row.split('\t');
        (line, std::array::from_fn(|_| fields.next().unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_row_is_read_and_the_tiers_decide() {
        let mut counts: BTreeMap<(&str, Verdict), usize> = BTreeMap::new();
        let mut all = std::collections::HashMap::new();
        read(|r| {
            *counts.entry((r.file, r.action)).or_default() += 1;
            all.insert((r.indicator.what, r.indicator.ports), r.action);
        });
        let lines = |t: &str| t.lines().count() - 1;
        let names = all.keys().filter(|(w, _)| matches!(w, What::Name(_, false))).count();
        let left_out = rows(DOMAINS.1).filter(|(_, f)| serves_everybody(f[0], f[3], f[5])).count();
        assert_eq!((names, left_out), (lines(DOMAINS.1) - 3, 3), "each name once");
        let addresses =
            all.keys().filter(|(w, p)| matches!(w, What::V4(..) | What::V6(..)) && *p == Ports::ANY);
        assert_eq!(addresses.count(), lines(IPS.1), "each address once");
        let name = |n, below| all.get(&(What::Name(n, below), Ports::ANY)).copied();
        assert_eq!(name("acc-pool.pw", true), Some(Verdict::Deny));
        assert_eq!(name("hashpool.com", false), Some(Verdict::Alert), "tier C");
        assert_eq!(name("aleo.f2pool.com", true), None, "not a registrable name");
        let akamai = What::V4(u32::from_be_bytes([2, 22, 38, 17]), 32);
        assert_eq!(all.get(&(akamai, Ports::ANY)), Some(&Verdict::Alert), "a CDN");
        let with_port = What::V4(u32::from_be_bytes([1, 145, 37, 10]), 32);
        assert_eq!(all.get(&(with_port, Ports::one(19335))), Some(&Verdict::Deny));
        assert_eq!(all.get(&(with_port, Ports::ANY)), Some(&Verdict::Alert));
    }

    #[test]
    fn servers_of_encrypted_dns_are_listed_with_their_ports_and_names_alone() {
        let mut count = 0;
        doh(|r| {
            count += 1;
            assert_eq!(r.action, Verdict::Alert);
            assert!(!r.sources.is_empty() && !r.licences.is_empty() && !r.class.is_empty(), "{r:?}");
            match r.indicator.what {
                What::Name(..) => assert_eq!(r.indicator.ports, Ports::ANY),
                _ => assert!([443, 853].contains(&r.indicator.ports.low), "{r:?}"),
            }
        });
        assert_eq!(count, DOH_SERVERS.1.lines().count() - 1);
    }

    #[test]
    fn no_name_that_everybody_asks_for_is_listed() {
        let mut listed = Vec::new();
        read(|r| {
            if let What::Name(name, _) = r.indicator.what {
                listed.push(name.to_owned());
            }
        });
        for name in [
            "github.com",
            "raw.githubusercontent.com",
            "pypi.org",
            "registry.npmjs.org",
            "crates.io",
            "debian.org",
            "deb.debian.org",
            "pool.ntp.org",
            "kucoin.com",
            "mooo.com",
            "update.aegis.aliyun.com",
        ] {
            assert!(!listed.iter().any(|l| l == name), "{name}");
        }
        assert!(listed.iter().any(|l| l == "mssecupdate.mooo.com"), "a name below it is one's own");
    }

    #[test]
    fn no_port_that_every_server_uses_is_listed() {
        let mut ports = Vec::new();
        read(|r| {
            if r.indicator.what == What::Port {
                assert_eq!(r.action, Verdict::Alert);
                ports.push(r.indicator.ports.low);
            }
        });
        assert!(ports.len() > 20);
        // Among them OpenTSDB, NETCONF, Qdrant and Tika.
        for port in [
            22, 25, 53, 80, 443, 3000, 3030, 3128, 3306, 4242, 4334, 4555, 5432, 6333, 6379, 8080, 8443,
            9000, 9998, 40000,
        ] {
            assert!(!ports.contains(&port), "{port}");
        }
    }
}

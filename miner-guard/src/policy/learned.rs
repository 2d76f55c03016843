//! Addresses that were learned: what is remembered, for how long, and how much of it.
//!
//! A lying resolver must not make the guard deny what it likes. So each *cause* (a name as the policy lists it, or a
//! case) holds [`PER_CAUSE`] addresses at most, the oldest goes first; there is a bound for each thing that may grow;
//! everything ends by itself; and nothing special or protected ever comes in. What was left out is counted.
//!
//! This is only memory: it says what the kernel's table should hold ([`Learned::rows`]), and no more.

use super::Resolved;
use miner_guard_common::abi::{
    learned::{ENTRIES, EVERYONE, SUSPECT},
    verdict::Verdict,
};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

/// Addresses that one cause may hold.
pub const PER_CAUSE: usize = 64;
/// Causes.
pub const CAUSES: usize = 512;
/// cgroups that one address of a cause may be denied to.
pub const ASKERS: usize = 64;
/// Shortest and longest time that an answer is believed, whatever its TTL says, nanoseconds.
pub const TTL_NS: (u64, u64) = (60 * SECOND, 3600 * SECOND);

const SECOND: u64 = 1_000_000_000;

/// Why an address is learned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It answers for a name that is listed so (`pool.example`, `*.pool.example`).
    Name(String),
    /// The confirmed miner of this case talked to it.
    Case(String),
}

/// Whom an address is denied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Nobody: it is not known who asked.
    Nobody,
    /// The cgroup (v2 id) that asked.
    Cgroup(u64),
    /// Everyone.
    Everyone,
}

/// Addresses to learn.
#[derive(Clone, Debug)]
pub struct Lesson<'a> {
    /// Why.
    pub cause: Cause,
    /// The rule that lists the name; of no meaning for a case.
    pub rule: u32,
    /// Addresses, and for how long, nanoseconds; brought within [`TTL_NS`] for a name.
    pub addresses: &'a [(IpAddr, u64)],
    /// Whom they are denied to; everyone else suspects them.
    pub whom: Whom,
    /// What led to them, for people: `www.example → pool.example`.
    pub chain: String,
}

impl Lesson<'_> {
    /// Index of the rule that its addresses are denied by.
    #[must_use]
    pub const fn rule_under(&self, policy: &Resolved) -> u32 {
        match self.cause {
            Cause::Name(_) => self.rule,
            Cause::Case(_) => policy.learned_rule,
        }
    }
}

/// What was left out, ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Addresses given up for newer ones.
    pub evicted: u64,
    /// Addresses that are protected or allowed.
    pub protected: u64,
    /// Addresses that are nobody's: loopback, unspecified, multicast, link-local. A blocking resolver answers so.
    pub special: u64,
}

/// One learned address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The address; IPv4 never mapped.
    pub address: IpAddr,
    /// What led to it.
    pub chain: String,
    /// Suspect until then, `CLOCK_MONOTONIC`, nanoseconds.
    pub until_ns: u64,
    /// cgroups that it is denied to ([`EVERYONE`] for all), each until when. The newest is the last.
    pub denied: Vec<(u64, u64)>,
}

#[derive(Debug)]
struct Lessons {
    rule: u32,
    rule_id: String,
    verdict: Verdict,
    /// When something was last learned.
    last_ns: u64,
    /// The newest is the last.
    known: Vec<Known>,
}

/// What the kernel's table should say of an address: until when, by which rule, with which verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub until_ns: u64,
    /// Index of the rule in the policy last given.
    pub rule: u32,
    /// Its verdict.
    pub verdict: Verdict,
}

/// A learned address as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    /// Why.
    pub cause: &'a Cause,
    /// Id of the rule.
    pub rule_id: &'a str,
    /// Index of the rule.
    pub rule: u32,
    /// What the rule asks for.
    pub verdict: Verdict,
    /// The address.
    pub known: &'a Known,
}

/// The memory.
#[derive(Debug, Default)]
pub struct Learned {
    causes: HashMap<Cause, Lessons>,
    /// What was left out.
    pub counts: Counts,
}

impl Learned {
    /// Takes a lesson in; returns the addresses that the cause did not have before.
    ///
    /// A rule that does not stop teaches nothing.
    pub fn learn(&mut self, lesson: &Lesson<'_>, policy: &Resolved, now_ns: u64) -> Vec<IpAddr> {
        let rule = lesson.rule_under(policy);
        let Some(info) = policy.rule(rule).filter(|r| r.action.stops()) else { return Vec::new() };
        let mut fresh = Vec::new();
        for (address, ns) in lesson.addresses {
            let address = canonical(*address);
            if special(address) {
                self.counts.special += 1;
                continue;
            }
            if policy.shielded(address) {
                self.counts.protected += 1;
                continue;
            }
            let until_ns = now_ns
                + match lesson.cause {
                    Cause::Name(_) => (*ns).clamp(TTL_NS.0, TTL_NS.1),
                    Cause::Case(_) => *ns,
                };
            let lessons = self.causes.entry(lesson.cause.clone()).or_insert_with(|| Lessons {
                rule,
                rule_id: info.id.clone(),
                verdict: info.action,
                last_ns: 0,
                known: Vec::new(),
            });
            lessons.last_ns = now_ns;
            let mut known = match lessons.known.iter().position(|k| k.address == address) {
                Some(at) => lessons.known.remove(at),
                None => {
                    fresh.push(address);
                    Known { address, chain: String::new(), until_ns: 0, denied: Vec::new() }
                }
            };
            known.until_ns = known.until_ns.max(until_ns);
            known.chain.clone_from(&lesson.chain);
            known.deny(lesson.whom, until_ns);
            lessons.known.push(known);
            if lessons.known.len() > PER_CAUSE {
                lessons.known.remove(0);
                self.counts.evicted += 1;
            }
        }
        self.bound();
        fresh
    }

    /// Keeps the whole within its bounds: the cause that learned nothing for longest goes first.
    fn bound(&mut self) {
        while self.causes.len() > CAUSES || self.size() > ENTRIES {
            let oldest = self.causes.iter().min_by_key(|(_, l)| l.last_ns).map(|(c, _)| c.clone());
            let Some(gone) = oldest.and_then(|c| self.causes.remove(&c)) else { return };
            self.counts.evicted += gone.known.len() as u64;
        }
    }

    /// Rows of the kernel's table at most.
    fn size(&self) -> usize {
        self.causes.values().flat_map(|l| &l.known).map(|k| 1 + k.denied.len()).sum()
    }

    /// Drops what has ended; whether anything did.
    pub fn expire(&mut self, now_ns: u64) -> bool {
        let before = self.size();
        for lessons in self.causes.values_mut() {
            for known in &mut lessons.known {
                known.denied.retain(|(_, until)| *until > now_ns);
            }
            lessons.known.retain(|k| k.until_ns > now_ns || !k.denied.is_empty());
        }
        self.causes.retain(|_, l| !l.known.is_empty());
        self.size() != before
    }

    /// Goes on under another policy: names that it does not deny, and addresses that it protects, are forgotten, and
    /// each rule gets its new number.
    pub fn carry_over(&mut self, policy: &Resolved) {
        self.causes.retain(|cause, lessons| {
            let rule = match cause {
                Cause::Name(listed) => policy.listed_name(listed),
                Cause::Case(_) => Some(policy.learned_rule),
            };
            let Some((rule, info)) = rule.and_then(|rule| Some((rule, policy.rule(rule)?))) else {
                return false;
            };
            (lessons.rule, lessons.verdict) = (rule, info.action);
            lessons.rule_id.clone_from(&info.id);
            lessons.known.retain(|k| !policy.shielded(k.address));
            info.action.stops() && !lessons.known.is_empty()
        });
    }

    /// Forgets one address, or everything; how many addresses that were.
    pub fn forget(&mut self, which: Option<IpAddr>) -> usize {
        let gone = |k: &Known| which.is_none_or(|a| k.address == canonical(a));
        let count = self.causes.values().flat_map(|l| &l.known).filter(|k| gone(k)).count();
        for lessons in self.causes.values_mut() {
            lessons.known.retain(|k| !gone(k));
        }
        self.causes.retain(|_, l| !l.known.is_empty());
        count
    }

    /// What the kernel's table should hold. Where two causes say the same of an address, the longer one counts.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<(IpAddr, u64), Row> {
        let mut rows: BTreeMap<(IpAddr, u64), Row> = BTreeMap::new();
        for lessons in self.causes.values() {
            for known in &lessons.known {
                let all = known.denied.iter().copied().chain([(SUSPECT, known.until_ns)]);
                for (cgroup, until_ns) in all {
                    let row = Row { until_ns, rule: lessons.rule, verdict: lessons.verdict };
                    let held = rows.entry((known.address, cgroup)).or_insert(row);
                    if held.until_ns < until_ns {
                        *held = row;
                    }
                }
            }
        }
        rows
    }

    /// Each learned address with its cause, in a steady order.
    #[must_use]
    pub fn list(&self) -> Vec<Shown<'_>> {
        let mut all: Vec<Shown<'_>> = self
            .causes
            .iter()
            .flat_map(|(cause, l)| {
                l.known.iter().map(move |known| Shown {
                    cause,
                    rule_id: &l.rule_id,
                    rule: l.rule,
                    verdict: l.verdict,
                    known,
                })
            })
            .collect();
        all.sort_by(|a, b| (a.known.address, a.cause.text()).cmp(&(b.known.address, b.cause.text())));
        all
    }

    /// What is known of one address.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Vec<Shown<'_>> {
        let address = canonical(address);
        self.list().into_iter().filter(|s| s.known.address == address).collect()
    }
}

impl Known {
    fn deny(&mut self, whom: Whom, until_ns: u64) {
        let cgroup = match whom {
            Whom::Nobody => return,
            // These two mean something else in the kernel's table.
            Whom::Cgroup(EVERYONE | SUSPECT) => return,
            Whom::Cgroup(id) => id,
            Whom::Everyone => EVERYONE,
        };
        let before = self.denied.iter().position(|(c, _)| *c == cgroup).map(|at| self.denied.remove(at).1);
        self.denied.push((cgroup, before.unwrap_or(0).max(until_ns)));
        if self.denied.len() > ASKERS {
            self.denied.remove(0);
        }
    }
}

impl Cause {
    /// The listed name, or the case.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Name(text) | Self::Case(text) => text,
        }
    }
}

/// The form in which addresses are kept: IPv4 also where it is mapped into IPv6 or stands behind NAT64.
#[must_use]
pub fn canonical(address: IpAddr) -> IpAddr {
    let v4 = miner_guard_common::table::Address::from(address).behind_nat64();
    v4.map_or(address.to_canonical(), |v4| std::net::Ipv4Addr::from_bits(v4).into())
}

/// Addresses that no destination on the network has.
fn special(address: IpAddr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || match address {
            IpAddr::V4(a) => a.is_broadcast() || a.is_link_local() || a.octets()[0] == 0,
            IpAddr::V6(a) => a.is_unicast_link_local(),
        }
}

#[cfg(test)]
#[path = "learned_tests.rs"]
mod tests;

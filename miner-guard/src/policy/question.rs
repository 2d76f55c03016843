//! Questions that the daemon asks of a resolved policy, without its compiled form.

use super::resolved::Resolved;
use miner_guard_common::{abi::policy::Class, table};
use std::net::IpAddr;

/// A name that the policy denies, or reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameHit {
    /// Index of the rule.
    pub rule: u32,
    /// As it is listed: `pool.example`, or `*.example`.
    pub listed: String,
}

impl Resolved {
    /// What the policy says of a name (lower case, no dot at its end): the longest listed suffix whose rule stops, else
    /// the longest that reports; nothing for a name that is allowed.
    pub fn name(&self, name: &str) -> Option<NameHit> {
        let suffixes = || std::iter::successors(Some(name), |n| n.split_once('.').map(|(_, rest)| rest));
        let asked = |suffix: &str, whole: Class, below: Class| -> Vec<(u32, Class)> {
            let class = if suffix.len() == name.len() { whole } else { below };
            self.names.rules(suffix, class).map(|rule| (rule, class)).collect()
        };
        let mut first = None;
        for suffix in suffixes() {
            for (rule, class) in asked(suffix, Class::Domain, Class::DomainBelow) {
                let listed = match class {
                    Class::DomainBelow => format!("*.{suffix}"),
                    _ => suffix.to_owned(),
                };
                let hit = NameHit { rule, listed };
                let stops = self.rule(rule).is_some_and(|r| r.action.stops());
                if stops || first.is_none() {
                    first = Some((hit, stops));
                }
                if stops {
                    break;
                }
            }
            if first.as_ref().is_some_and(|(_, stops)| *stops) {
                break;
            }
        }
        let (hit, _) = first?;
        let allowed =
            suffixes().any(|s| !asked(s, Class::AllowedDomain, Class::AllowedDomainBelow).is_empty());
        (!allowed).then_some(hit)
    }

    /// The rule that lists a name in exactly this form (`pool.example`, `*.example`); one that stops is preferred.
    pub fn listed_name(&self, listed: &str) -> Option<u32> {
        let (name, class) = match listed.strip_prefix("*.") {
            Some(name) => (name, Class::DomainBelow),
            None => (listed, Class::Domain),
        };
        let stops = |rule: &u32| self.rule(*rule).is_some_and(|r| r.action.stops());
        self.names.rules(name, class).find(stops).or_else(|| self.names.rules(name, class).next())
    }

    /// Whether the address is protected or allowed, so that nothing may deny it.
    pub fn shielded(&self, address: IpAddr) -> bool {
        let asked = table::Address::from(address);
        let (high, low) = asked.halves();
        let bits = u128::from(high) << 64 | u128::from(low);
        let behind = asked.behind_nat64().map(|v4| 0xffff_0000_0000 | u128::from(v4));
        let own = self.protected.iter().map(|p| (p.first, p.last));
        let mut all = own.chain(self.allowed.ranges.iter().map(|(first, last, _)| (*first, *last)));
        all.any(|(first, last)| [Some(bits), behind].into_iter().flatten().any(|b| first <= b && b <= last))
    }
}

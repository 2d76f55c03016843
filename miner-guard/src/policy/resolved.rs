//! The policy as meant: every indicator with its rule, sorted, in the smallest form that can still explain itself.

use super::{
    compile::{Entry, Ports},
    feed::FeedReport,
    indicator::{Indicator, What},
    names::Names,
    protect::Protected,
    settings::Settings,
};
use crate::identify::yara;
use miner_guard_common::abi::{policy::Class, verdict::Verdict};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where a rule comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleSource {
    /// A `[[rule]]`, at this line of the policy file.
    Rule(usize),
    /// A feed. Its indicators are told by `explain`, which reads the feed again.
    Feed,
    /// An `[[allow]]`, at this line of the policy file.
    Allow(usize),
    /// A protected destination.
    Protected,
    /// Destinations of confirmed miners, learned while the guard runs.
    Learned,
    /// The guard's own proof that it enforces.
    Canary,
}

/// What a rule's or feed's indicators are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum IndicatorClass {
    /// Mining pools, and what serves miners.
    #[default]
    Pool,
    /// Servers of DNS over HTTPS or TLS: whoever asks them asks nobody that the guard can hear. Alerts by default.
    Doh,
}

impl IndicatorClass {
    /// The word in the policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Doh => "doh",
        }
    }

    /// What happens where the policy names no action.
    pub const fn action(self) -> Verdict {
        match self {
            Self::Pool => Verdict::Deny,
            Self::Doh => Verdict::Alert,
        }
    }
}

/// A rule, as events and commands name it. Its index is its place in [`Resolved::rules`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// The id of the rule or feed; `allow 1`, `protected` for those that have none.
    pub id: String,
    /// What it does; [`Verdict::Allow`] for allow and protected.
    pub action: Verdict,
    /// Where it comes from.
    pub source: RuleSource,
    /// What it lists.
    pub class: IndicatorClass,
}

impl RuleInfo {
    /// Whether the policy itself lists something to report or stop.
    pub fn is_listed(&self) -> bool {
        self.action != Verdict::Allow && self.source != RuleSource::Learned
    }
}

/// A rule on files. Each kind that is not empty must match; any of its values will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRule {
    /// Index of the rule.
    pub rule: u32,
    /// What it does.
    pub action: Verdict,
    /// Absolute paths.
    pub paths: Vec<PathBuf>,
    /// SHA-256 of the content, sorted.
    pub sha256: Vec<[u8; 32]>,
    /// MD5 of the content, sorted.
    pub md5: Vec<[u8; 16]>,
}

impl FileRule {
    /// Whether the rule lists this file. The hashes are asked for only if the rule needs them.
    pub fn matches(
        &self,
        path: &Path,
        sha256: impl FnOnce() -> Option<[u8; 32]>,
        md5: impl FnOnce() -> Option<[u8; 16]>,
    ) -> bool {
        (self.paths.is_empty() || self.paths.iter().any(|p| p == path))
            && (self.sha256.is_empty() || sha256().is_some_and(|h| self.sha256.binary_search(&h).is_ok()))
            && (self.md5.is_empty() || md5().is_some_and(|h| self.md5.binary_search(&h).is_ok()))
    }
}

/// A kind of task that an `[[allow]]` names and that only the running system can find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskKind {
    /// A cgroup, by its path from the root of the hierarchy.
    Cgroup,
    /// A systemd unit.
    Unit,
    /// A container, by its id or the beginning of it (12 characters at least).
    Container,
    /// An account of the batch system.
    JobAccount,
}

/// Tasks that are exempt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskAllow {
    /// What `value` names.
    pub kind: TaskKind,
    /// The name.
    pub value: String,
    /// Index of the rule.
    pub rule: u32,
}

/// What is exempt or allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Executables, by absolute path.
    pub exes: Vec<(PathBuf, u32)>,
    /// Executables, by SHA-256.
    pub sha256: Vec<([u8; 32], u32)>,
    /// Users and groups, by id in the initial user namespace.
    pub ids: Vec<(Class, u64, u32)>,
    /// Tasks that the running system must find.
    pub tasks: Vec<TaskAllow>,
    /// Allowed destinations, with their rule; IPv4 as `::ffff:a.b.c.d`.
    pub ranges: Vec<(u128, u128, u32)>,
}

/// A resolved policy.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// The policy file; `None` for the built-in defaults.
    pub file: Option<PathBuf>,
    /// Its text, so that a feed can be taken up anew without the file's later changes.
    pub text: String,
    /// Mode and the like.
    pub settings: Settings,
    /// All rules; index 0 is not one.
    pub rules: Vec<RuleInfo>,
    /// Exact IPv4 addresses, sorted.
    pub addresses4: Vec<Entry<u32>>,
    /// IPv4 prefixes, sorted.
    pub prefixes4: Vec<Entry<(u32, u8)>>,
    /// Exact IPv6 addresses, sorted.
    pub addresses6: Vec<Entry<u128>>,
    /// IPv6 prefixes, sorted.
    pub prefixes6: Vec<Entry<(u128, u8)>>,
    /// Ports alone, sorted.
    pub ports: Vec<Entry<()>>,
    /// Names, denied and allowed.
    pub names: Names,
    /// Rules on files.
    pub files: Vec<FileRule>,
    /// What is exempt or allowed.
    pub allowed: Allowed,
    /// Rules that the site adds to the identification of programs.
    pub yara: Option<Arc<yara::Rules>>,
    /// Destinations that are never denied, and the index of the rule that stands for them all.
    pub protected: Vec<Protected>,
    /// Index of the rule that stands for protected destinations.
    pub protected_rule: u32,
    /// Index of the rule that stands for destinations of confirmed miners.
    pub learned_rule: u32,
    /// What came of each feed.
    pub feeds: Vec<FeedReport>,
    /// Things to know that are no errors.
    pub warnings: Vec<String>,
    /// SHA-256 of the rule set: equal for policies that decide the same.
    pub fingerprint: [u8; 32],
}

impl Resolved {
    pub(super) fn add_rule(
        &mut self,
        id: &str,
        action: Verdict,
        source: RuleSource,
        class: IndicatorClass,
    ) -> u32 {
        if self.rules.is_empty() {
            self.rules.push(RuleInfo {
                id: String::new(),
                action: Verdict::Allow,
                source: RuleSource::Protected,
                class,
            });
        }
        self.rules.push(RuleInfo { id: id.to_owned(), action, source, class });
        self.rules.len() as u32 - 1
    }

    /// Where everything ends now.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            rules: self.rules.len(),
            addresses4: self.addresses4.len(),
            prefixes4: self.prefixes4.len(),
            addresses6: self.addresses6.len(),
            prefixes6: self.prefixes6.len(),
            ports: self.ports.len(),
            names: self.names.len(),
            files: self.files.len(),
        }
    }

    /// Takes out what was added since.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.rules.truncate(mark.rules);
        self.addresses4.truncate(mark.addresses4);
        self.prefixes4.truncate(mark.prefixes4);
        self.addresses6.truncate(mark.addresses6);
        self.prefixes6.truncate(mark.prefixes6);
        self.ports.truncate(mark.ports);
        self.names.truncate(mark.names);
        self.files.truncate(mark.files);
    }

    pub(super) fn add(&mut self, indicator: &Indicator<'_>, rule: u32) {
        let ports = indicator.ports;
        match indicator.what {
            What::V4(key, 32) => self.addresses4.push(Entry { key, rule, ports }),
            What::V4(a, len) => self.prefixes4.push(Entry { key: (a, len), rule, ports }),
            What::V6(key, 128) => self.addresses6.push(Entry { key, rule, ports }),
            What::V6(a, len) => self.prefixes6.push(Entry { key: (a, len), rule, ports }),
            What::Name(name, below) => {
                let class = if below { Class::DomainBelow } else { Class::Domain };
                if !self.names.push(name, class, rule) {
                    self.warnings
                        .push(format!("more names than fit: {name} and those after it are left out"));
                }
            }
            What::Port => self.ports.push(Entry { key: (), rule, ports }),
            What::Sha256(hash) => self.files_of(rule, |f| f.md5.is_empty()).sha256.push(hash),
            What::Md5(hash) => self.files_of(rule, |f| f.sha256.is_empty()).md5.push(hash),
        }
    }

    /// The newest file rule of this rule that `fits`: hashes of two kinds in one rule would have to match both.
    fn files_of(&mut self, rule: u32, fits: fn(&FileRule) -> bool) -> &mut FileRule {
        let at = self.files.iter().rposition(|f| f.rule == rule && fits(f)).unwrap_or_else(|| {
            let action = self.rule(rule).map_or(Verdict::Alert, |r| r.action);
            let (paths, sha256, md5) = (Vec::new(), Vec::new(), Vec::new());
            self.files.push(FileRule { rule, action, paths, sha256, md5 });
            self.files.len() - 1
        });
        &mut self.files[at]
    }

    /// Sorts everything and drops what a rule lists twice.
    pub(super) fn sort(&mut self) {
        fn tidy<T: Ord>(v: &mut Vec<T>) {
            v.sort_unstable();
            v.dedup();
            v.shrink_to_fit();
        }
        by_key(&mut self.addresses4);
        tidy(&mut self.addresses4);
        tidy(&mut self.prefixes4);
        tidy(&mut self.addresses6);
        tidy(&mut self.prefixes6);
        tidy(&mut self.ports);
        self.names.sort();
        for f in &mut self.files {
            tidy(&mut f.sha256);
            tidy(&mut f.md5);
        }
    }

    /// The rule of an index, as events carry it.
    pub fn rule(&self, index: u32) -> Option<&RuleInfo> {
        self.rules.get(index as usize).filter(|_| index > 0)
    }

    /// How many indicators of each kind: addresses, prefixes, ports, names, files.
    pub fn counts(&self) -> Counts {
        let name = |n: &(&str, Class, u32)| matches!(n.1, Class::Domain | Class::DomainBelow);
        Counts {
            rules: self.rules.iter().skip(1).filter(|r| r.is_listed()).count(),
            addresses: self.addresses4.len() + self.addresses6.len(),
            prefixes: self.prefixes4.len() + self.prefixes6.len(),
            ports: self.ports.iter().map(|e| span(e.ports)).sum(),
            names: self.names.iter().filter(name).count(),
            files: self.files.iter().map(|f| f.paths.len() + f.sha256.len() + f.md5.len()).sum(),
        }
    }

    /// What the policy says that this version does not do yet; nothing here may look as if it protected.
    pub fn pending(&self) -> Vec<String> {
        let mut all = Vec::new();
        let accounts = self.allowed.tasks.iter().filter(|t| t.kind == TaskKind::JobAccount).count();
        if accounts > 0 {
            all.push(format!(
                "{accounts} job accounts are accepted; they take effect with batch system support"
            ));
        }
        all
    }
}

/// Sorts a long list by its keys, 11 bits at a time: what is left for the sort that follows is sorted already, but for
/// keys that are listed twice. Half the time of comparing.
fn by_key(list: &mut Vec<Entry<u32>>) {
    const BITS: u32 = 11;
    const DIGITS: usize = 1 << BITS;
    let digit = |key: u32, pass: u32| (key >> (BITS * pass)) as usize & (DIGITS - 1);
    if list.len() < 4 * DIGITS || list.is_sorted() {
        return;
    }
    let mut from = std::mem::take(list);
    let mut to = from.clone();
    for pass in 0..3 {
        let mut places = [0_usize; DIGITS];
        from.iter().for_each(|e| places[digit(e.key, pass)] += 1);
        let mut at = 0;
        for place in &mut places {
            at += std::mem::replace(place, at);
        }
        for e in &from {
            let place = &mut places[digit(e.key, pass)];
            to[*place] = *e;
            *place += 1;
        }
        std::mem::swap(&mut from, &mut to);
    }
    for same in from.chunk_by_mut(|a, b| a.key == b.key).filter(|same| same.len() > 1) {
        same.sort_unstable();
    }
    *list = from;
}

/// Ends of a policy's lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    rules: usize,
    addresses4: usize,
    prefixes4: usize,
    addresses6: usize,
    prefixes6: usize,
    ports: usize,
    names: usize,
    files: usize,
}

fn span(p: Ports) -> usize {
    usize::from(p.high) - usize::from(p.low) + 1
}

/// How much a policy lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Rules and feeds that report or stop something.
    pub rules: usize,
    /// Exact addresses, with or without port.
    pub addresses: usize,
    /// Prefixes, with or without port.
    pub prefixes: usize,
    /// Ports alone.
    pub ports: usize,
    /// Names.
    pub names: usize,
    /// Paths and hashes.
    pub files: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 16, ..Default::default() })]

        #[test]
        fn a_long_list_is_sorted_as_a_short_one_is(seed: u32, mask: u32) {
            let mut list: Vec<Entry<u32>> = (0..20_000_u32)
                .map(|i| {
                    let n = i.wrapping_add(seed).wrapping_mul(2_654_435_761);
                    Entry { key: n & mask, rule: n % 3, ports: Ports::one((n >> 7) as u16 & 3) }
                })
                .collect();
            let mut want = list.clone();
            want.sort_unstable();
            by_key(&mut list);
            proptest::prop_assert!(list == want);
        }
    }
}

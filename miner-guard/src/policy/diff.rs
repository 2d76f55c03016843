//! What a reload changes.

use super::{
    compile::Entry,
    resolved::{Resolved, RuleSource},
};
use miner_guard_common::abi::verdict::{Mode, Verdict};
use std::{cmp::Ordering, collections::BTreeMap};

/// Indicators of one rule or feed that came and went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleDiff {
    /// Id of the rule or feed.
    pub id: String,
    /// What it does with them.
    pub action: Verdict,
    /// Indicators that are new.
    pub added: usize,
    /// Indicators that are gone.
    pub removed: usize,
}

/// The difference of two policies. Empty if they decide the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyDiff {
    /// The mode before and after, if it changes.
    pub mode: Option<(Mode, Mode)>,
    /// Rules, feeds and allows that are new, by id.
    pub rules_added: Vec<String>,
    /// Rules, feeds and allows that are gone, by id.
    pub rules_removed: Vec<String>,
    /// Changes of indicators, only rules with any.
    pub rules: Vec<RuleDiff>,
    /// Whether protected or allowed things differ.
    pub allowed_changed: bool,
}

impl PolicyDiff {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

type Label<'a> = (&'a str, Verdict);

/// Counts what changes from `old` to `new`.
pub fn diff(old: &Resolved, new: &Resolved) -> PolicyDiff {
    let mut counts: BTreeMap<Label<'_>, (usize, usize)> = BTreeMap::new();
    entries(&mut counts, (old, &old.addresses4), (new, &new.addresses4));
    entries(&mut counts, (old, &old.prefixes4), (new, &new.prefixes4));
    entries(&mut counts, (old, &old.addresses6), (new, &new.addresses6));
    entries(&mut counts, (old, &old.prefixes6), (new, &new.prefixes6));
    entries(&mut counts, (old, &old.ports), (new, &new.ports));
    count(&mut counts, names(old), names(new));
    count(&mut counts, files(old), files(new));

    let ids = |r: &Resolved| {
        let mut v: Vec<String> = r
            .rules
            .iter()
            .skip(1)
            .filter(|r| r.source != RuleSource::Protected)
            .map(|r| r.id.clone())
            .collect();
        v.sort_unstable();
        v.dedup();
        v
    };
    let (before, after) = (ids(old), ids(new));
    let without = |a: &[String], b: &[String]| a.iter().filter(|id| !b.contains(id)).cloned().collect();
    let rules = counts
        .into_iter()
        .filter(|(_, counts)| *counts != (0, 0))
        .map(|((id, action), (added, removed))| RuleDiff { id: id.to_owned(), action, added, removed })
        .collect();
    // Indexes of rules may differ where nothing else does.
    let allowed = |r: &Resolved| {
        let a = &r.allowed;
        let mut v: Vec<String> = a.exes.iter().map(|x| format!("{:?}", x.0)).collect();
        v.extend(a.sha256.iter().map(|x| format!("{:?}", x.0)));
        v.extend(a.ids.iter().map(|x| format!("{:?}", (x.0, x.1))));
        v.extend(a.tasks.iter().map(|x| format!("{:?}", (x.kind, &x.value))));
        v.extend(a.ranges.iter().map(|x| format!("{:?}", (x.0, x.1))));
        v.extend(r.protected.iter().map(|p| format!("protected {:?}", (p.first, p.last))));
        v.sort_unstable();
        v
    };
    PolicyDiff {
        mode: (old.settings.mode != new.settings.mode).then_some((old.settings.mode, new.settings.mode)),
        rules_added: without(&after, &before),
        rules_removed: without(&before, &after),
        rules,
        allowed_changed: allowed(old) != allowed(new),
    }
}

fn label(r: &Resolved, rule: u32) -> Label<'_> {
    r.rule(rule).map_or(("", Verdict::Allow), |r| (&r.id, r.action))
}

fn entries<'a, K: Copy + Ord>(
    counts: &mut BTreeMap<Label<'a>, (usize, usize)>,
    (old, before): (&'a Resolved, &'a [Entry<K>]),
    (new, after): (&'a Resolved, &'a [Entry<K>]),
) {
    let of = |r: &'a Resolved, list: &'a [Entry<K>]| {
        let mut v: Vec<_> = list.iter().map(|e| ((e.key, e.ports), label(r, e.rule))).collect();
        v.sort_unstable();
        v
    };
    count(counts, of(old, before), of(new, after));
}

fn names(r: &Resolved) -> Vec<((&str, u8), Label<'_>)> {
    let mut v: Vec<_> =
        r.names.iter().map(|(name, class, rule)| ((name, class as u8), label(r, rule))).collect();
    v.sort_unstable();
    v
}

fn files(r: &Resolved) -> Vec<(String, Label<'_>)> {
    let mut v: Vec<_> =
        r.files.iter().map(|f| (format!("{:?}", (&f.paths, &f.sha256, &f.md5)), label(r, f.rule))).collect();
    v.sort_unstable();
    v
}

/// Walks two sorted lists together.
fn count<'a, T: Ord>(
    counts: &mut BTreeMap<Label<'a>, (usize, usize)>,
    old: Vec<(T, Label<'a>)>,
    new: Vec<(T, Label<'a>)>,
) {
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        if order != Ordering::Greater
            && let Some((_, label)) = old.next()
            && order == Ordering::Less
        {
            counts.entry(label).or_default().1 += 1;
        }
        if order != Ordering::Less
            && let Some((_, label)) = new.next()
            && order == Ordering::Greater
        {
            counts.entry(label).or_default().0 += 1;
        }
    }
}

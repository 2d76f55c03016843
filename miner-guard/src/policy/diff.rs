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
    /// Whether the site's YARA rules differ.
    pub yara_changed: bool,
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
            .filter(|r| !matches!(r.source, RuleSource::Protected | RuleSource::Learned))
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
    let digest = |r: &Resolved| r.yara.as_ref().map(|y| *y.digest());
    PolicyDiff {
        mode: (old.settings.mode != new.settings.mode).then_some((old.settings.mode, new.settings.mode)),
        rules_added: without(&after, &before),
        rules_removed: without(&before, &after),
        rules,
        yara_changed: digest(old) != digest(new),
        allowed_changed: allowed(old) != allowed(new),
    }
}

fn label(r: &Resolved, rule: u32) -> Label<'_> {
    r.rule(rule).map_or(("", Verdict::Allow), |r| (&r.id, r.action))
}

/// Compares two lists, each sorted by key: a million indicators in a feed are a pass, and not a million labels.
fn entries<'a, K: Copy + Ord>(
    counts: &mut BTreeMap<Label<'a>, (usize, usize)>,
    (old, before): (&'a Resolved, &'a [Entry<K>]),
    (new, after): (&'a Resolved, &'a [Entry<K>]),
) {
    // By rule of the old and of the new policy.
    let mut gone = vec![0_usize; old.rules.len() + 1];
    let mut come = vec![0_usize; new.rules.len() + 1];
    let tally = |rule: u32, of: &mut [usize]| {
        if let Some(n) = of.get_mut(rule as usize) {
            *n += 1;
        }
    };
    let (mut a, mut b) = (before, after);
    while let (Some(x), Some(y)) = (a.first(), b.first()) {
        match x.key.cmp(&y.key) {
            Ordering::Less => {
                tally(x.rule, &mut gone);
                a = &a[1..];
            }
            Ordering::Greater => {
                tally(y.rule, &mut come);
                b = &b[1..];
            }
            Ordering::Equal => {
                let (left, rest_a) = a.split_at(a.iter().take_while(|e| e.key == x.key).count());
                let (right, rest_b) = b.split_at(b.iter().take_while(|e| e.key == x.key).count());
                (a, b) = (rest_a, rest_b);
                let of = |r: &'a Resolved, list: &[Entry<K>]| {
                    let mut v: Vec<_> = list.iter().map(|e| (e.ports, label(r, e.rule))).collect();
                    v.sort_unstable();
                    v
                };
                match (left, right) {
                    ([l], [r]) if l.ports == r.ports && label(old, l.rule) == label(new, r.rule) => {}
                    _ => count(counts, of(old, left), of(new, right)),
                }
            }
        }
    }
    a.iter().for_each(|e| tally(e.rule, &mut gone));
    b.iter().for_each(|e| tally(e.rule, &mut come));
    for (rule, n) in (0..).zip(come).filter(|(_, n)| *n > 0) {
        counts.entry(label(new, rule)).or_default().0 += n;
    }
    for (rule, n) in (0..).zip(gone).filter(|(_, n)| *n > 0) {
        counts.entry(label(old, rule)).or_default().1 += n;
    }
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

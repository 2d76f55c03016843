//! Where an indicator comes from. Nothing of it is kept in memory: the policy and its feeds are read again.

use super::Match;
use crate::policy::{
    compile::Ports,
    feed::{
        self, builtin,
        content::{self, Demand},
    },
    indicator::{Indicator, What},
    resolve,
    resolved::{Resolved, RuleSource},
};
use miner_guard_common::{abi::verdict::Verdict, table};
use std::net::{IpAddr, Ipv6Addr};

pub(super) fn allow_place(policy: &Resolved, rule: u32) -> String {
    match policy.rule(rule).map(|r| &r.source) {
        Some(RuleSource::Allow(line)) => format!("allowed by {}", file_line(policy, *line)),
        _ => "allowed".to_owned(),
    }
}

pub(super) fn protection(policy: &Resolved, rule: u32, address: IpAddr) -> String {
    if rule != policy.protected_rule {
        return allow_place(policy, rule);
    }
    let (high, low) = table::Address::from(address).halves();
    let bits = u128::from(high) << 64 | u128::from(low);
    let found = policy.protected.iter().find(|p| p.first <= bits && bits <= p.last);
    found.map_or_else(|| "protected".to_owned(), |p| p.why.clone())
}

fn file_line(policy: &Resolved, line: usize) -> String {
    match &policy.file {
        Some(file) => format!("{}:{line}", file.display().to_string().escape_debug()),
        None => "the built-in policy".to_owned(),
    }
}

pub(super) fn provenance(policy: &Resolved, rule: u32, indicator: &Indicator<'_>) -> Match {
    let info = policy.rule(rule);
    let mut places = Vec::new();
    match info.map(|r| &r.source) {
        Some(RuleSource::Rule(line)) => places.push(file_line(policy, *line)),
        Some(RuleSource::Feed) => {
            let id = info.map_or("", |r| &r.id);
            places = match builtin::list(id) {
                Some(list) => of_builtin(list, indicator),
                None => of_feed(policy, id, indicator),
            };
        }
        _ => {}
    }
    Match {
        rule: info.map(|r| r.id.clone()).unwrap_or_default(),
        action: info.map_or(Verdict::Allow, |r| r.action),
        indicator: shown(indicator),
        places,
    }
}

fn same(a: &Indicator<'_>, b: &Indicator<'_>) -> bool {
    let what = match (a.what, b.what) {
        (What::Name(a, x), What::Name(b, y)) => x == y && a.eq_ignore_ascii_case(b),
        (a, b) => a == b,
    };
    what && a.ports == b.ports
}

fn of_builtin(list: &builtin::List, indicator: &Indicator<'_>) -> Vec<String> {
    let mut places = Vec::new();
    (list.read)(&mut |row| {
        if same(&row.indicator, indicator) {
            let licences =
                if row.licences.is_empty() { String::new() } else { format!(" ({})", row.licences) };
            places.push(format!("{}:{}: {}; {}{licences}", row.file, row.line, row.class, row.sources));
        }
    });
    places
}

/// Lines that a feed's match shows.
const PLACES: usize = 3;

fn of_feed(policy: &Resolved, id: &str, indicator: &Indicator<'_>) -> Vec<String> {
    let Some(report) = policy.feeds.iter().find(|f| f.id == id) else { return Vec::new() };
    let source = report.source.escape_debug().to_string();
    let demand = Demand { limit: policy.settings.limits.feed_mib << 20, key: None, now: None };
    let now = jiff::Timestamp::now().as_second();
    let mut places = Vec::new();
    let read = content::each(&report.path, &demand, |file, bytes| {
        let from = match file.file_name().filter(|_| report.directory && report.trouble.is_none()) {
            Some(name) => format!("{source}/{}", name.display().to_string().escape_debug()),
            None => source.clone(),
        };
        feed::read(bytes, report.format, now, |(line, found, text)| {
            if places.len() < PLACES && found.is_ok_and(|i| same(&i, indicator)) {
                places.push(format!("{from}:{line}: {}", feed::excerpt(text)));
            }
        });
    });
    if read.is_err() {
        return vec![format!("{source}, which cannot be read any more")];
    }
    if places.is_empty() {
        places.push(format!("{source}, which has changed since it was loaded"));
    }
    if report.trouble.is_some() {
        places.iter_mut().for_each(|p| p.push_str(" (the last good copy)"));
    }
    places
}

/// An indicator as people write it.
pub(in crate::policy) fn shown(indicator: &Indicator<'_>) -> String {
    let Ports { low, high } = indicator.ports;
    let port = match () {
        () if indicator.ports == Ports::ANY => None,
        () if low == high => Some(low.to_string()),
        () => Some(format!("{low}-{high}")),
    };
    let (text, six) = match indicator.what {
        What::Name(name, false) => (name.to_owned(), false),
        What::Name(name, true) => (format!("*.{name}"), false),
        What::Port => return format!("port {}", port.unwrap_or_default()),
        What::Sha256(hash) => (format!("sha256 {}", crate::identify::hex(&hash)), false),
        What::Md5(hash) => (format!("md5 {}", crate::identify::hex(&hash)), false),
        What::V4(..) | What::V6(..) => {
            let first = resolve::ends(&indicator.what).map_or(0, |(first, _)| first);
            let address = Ipv6Addr::from_bits(first).to_canonical();
            let (len, full) = match indicator.what {
                What::V4(_, len) => (len, 32),
                What::V6(_, len) => (len, 128),
                _ => (0, 0),
            };
            (if len == full { address.to_string() } else { format!("{address}/{len}") }, address.is_ipv6())
        }
    };
    match (port, six) {
        (None, _) => text,
        (Some(port), false) => format!("{text}:{port}"),
        (Some(port), true) => format!("[{text}]:{port}"),
    }
}

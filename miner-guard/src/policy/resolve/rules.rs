//! `[[rule]]`

use super::{Context, breadth, ends};
use crate::policy::{
    compile::Ports,
    indicator::{Indicator, What},
    resolved::{FileRule, RuleSource},
    written::Rule,
};
use miner_guard_common::abi::verdict::Verdict;
use std::net::Ipv6Addr;

pub(super) fn rule(cx: &mut Context<'_>, r: &Rule) {
    let destination = !r.ip.is_empty() || !r.port.is_empty() || !r.domain.is_empty();
    let file = !r.path.is_empty() || !r.sha256.is_empty() || !r.md5.is_empty();
    if !kinds_fit(cx, r, destination, file) {
        return;
    }
    let port_alone = r.ip.is_empty() && !r.port.is_empty();
    let action = r.action.unwrap_or(if port_alone { Verdict::Alert } else { r.class.action() });
    let index = cx.out.add_rule(&r.id, action, RuleSource::Rule(r.place.line), r.class);
    if file {
        files(cx, r, index, action);
        return;
    }
    addresses(cx, r, index, action);
    if port_alone {
        for p in &r.port {
            cx.out.add(&Indicator { what: What::Port, ports: p.value }, index);
        }
    }
    for text in &r.domain {
        if let Some((name, below)) = cx.name(text, &format!("{}: `domain`", r.name)) {
            cx.out.add(&Indicator::any(What::Name(name, below)), index);
        }
    }
}

/// Refuses rules that could never match, or that nothing can check in one place.
fn kinds_fit(cx: &mut Context<'_>, r: &Rule, destination: bool, file: bool) -> bool {
    let (problem, remedy) = if !destination && !file {
        // A key whose values were all refused has had its error.
        if cx.errors.iter().any(|e| e.key.starts_with(&format!("{}:", r.name)) && !e.key.ends_with("`id`")) {
            return false;
        }
        ("a rule without a match", "name what it lists: ip, port, domain, path, sha256 or md5")
    } else if destination && file {
        ("a rule that lists both destinations and files", "write two rules: each is checked at another place")
    } else if !r.domain.is_empty() && (!r.ip.is_empty() || !r.port.is_empty()) {
        (
            "a rule that lists domains together with addresses or ports",
            "write two rules: a name is asked for before there is an address or a port",
        )
    } else {
        return true;
    };
    cx.error(r.place, r.name.clone(), problem.to_owned(), remedy);
    false
}

fn addresses(cx: &mut Context<'_>, r: &Rule, index: u32, action: Verdict) {
    let key = format!("{}: `ip`", r.name);
    let mut ranges = Vec::new();
    for text in &r.ip {
        let Some(what) = cx.address(text, &key) else { continue };
        let Some((first, last)) = ends(&what) else { continue };
        ranges.push((first, last));
        if action.stops()
            && let Some(p) = breadth::protects(&cx.out.protected, first, last)
        {
            if !r.force {
                let shown = Ipv6Addr::from_bits(p.first.max(first)).to_canonical();
                let problem = format!("{} covers {shown}, {}", text.value, p.why);
                cx.error(text.place, key.clone(), problem, "narrow the rule, or say force = true in it");
            } else if first == last {
                // Force on one address means that address; force on a network leaves what is protected in it alone.
                breadth::unprotect(&mut cx.out.protected, first);
            }
        }
        let any = [Ports::ANY];
        let ports = r.port.iter().map(|p| p.value);
        let ports: Vec<Ports> = if r.port.is_empty() { any.to_vec() } else { ports.collect() };
        for ports in ports {
            cx.out.add(&Indicator { what, ports }, index);
        }
    }
    if action.stops() && !r.force && breadth::too_many(ranges) {
        let place = r.ip.first().map_or(r.place, |t| t.place);
        let problem = "this covers more than 1/256 of the address space".to_owned();
        cx.error(place, key, problem, "list smaller networks, or say force = true in the rule");
    }
}

fn files(cx: &mut Context<'_>, r: &Rule, rule: u32, action: Verdict) {
    let key = |k| format!("{}: `{k}`", r.name);
    let paths = r.path.iter().filter_map(|t| cx.path(t, &key("path"))).collect();
    let sha256 = r.sha256.iter().filter_map(|t| cx.hash(t, &key("sha256"))).collect();
    let md5 = r.md5.iter().filter_map(|t| cx.hash(t, &key("md5"))).collect();
    cx.out.files.push(FileRule { rule, action, paths, sha256, md5 });
}

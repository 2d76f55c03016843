//! `[[feed]]`, and the embedded feed.

use super::{Context, breadth, ends};
use crate::policy::{
    examples,
    feed::{self, FeedReport, builtin},
    indicator::{Indicator, What},
    resolved::{FileRule, RuleSource},
    written::Feed,
};
use miner_guard_common::abi::verdict::Verdict;
use std::path::PathBuf;

/// The rules of one feed: one for each action that its indicators need.
#[derive(Default)]
struct FeedRules(Vec<(Verdict, u32)>);

impl FeedRules {
    fn of(&mut self, cx: &mut Context<'_>, id: &str, action: Verdict) -> u32 {
        if let Some((_, rule)) = self.0.iter().find(|(a, _)| *a == action) {
            return *rule;
        }
        let rule = cx.out.add_rule(id, action, RuleSource::Feed);
        self.0.push((action, rule));
        rule
    }
}

pub(super) fn feed(cx: &mut Context<'_>, f: &Feed) {
    let key = format!("{}: `path`", f.name);
    let path = path_of(cx, &f.path.value);
    let bytes = match feed::open(&path, cx.out.settings.limits.feed_mib << 20) {
        Ok(bytes) => bytes,
        Err((problem, remedy)) => return cx.error(f.path.place, key, problem, remedy),
    };
    let action = f.action.unwrap_or(Verdict::Deny);
    let mut report =
        FeedReport { id: f.id.clone(), path: path.clone(), format: f.format, ..FeedReport::default() };
    let mut rules = FeedRules::default();
    // The feed's own rule exists even if every line has another action: events and `policy list` name it.
    let main = rules.of(cx, &f.id, action);
    let mut prefixes = Vec::new();
    let before = cx.out.addresses4.len();
    // A line with an address needs about this much.
    cx.out.addresses4.reserve(bytes.len() / 16);
    feed::read(&bytes, f.format, |(line, found, text)| {
        let indicator = match found {
            Ok(i) => i,
            Err(why) => return report.refuse(line, text, why),
        };
        let mut rule = main;
        match indicator.what {
            // A port alone alerts: half the world uses the port that a pool uses.
            What::Port if action.stops() => rule = rules.of(cx, &f.id, Verdict::Alert),
            _ => {
                if let Some((first, last)) = ends(&indicator.what).filter(|_| action.stops()) {
                    if !f.force && breadth::too_wide(&indicator.what) {
                        return report.refuse(
                            line,
                            text,
                            "more than 1/256 of the address space (a rule with force = true may list it)",
                        );
                    }
                    if breadth::protects(&cx.out.protected, first, last).is_some() {
                        return report.refuse(line, text, "a protected destination, or holds one");
                    }
                    if first != last {
                        prefixes.push((first, last));
                    }
                }
            }
        }
        report.used += 1;
        cx.out.add(&indicator, rule);
    });
    let listed = (cx.out.addresses4.len() - before) as u128;
    // Single addresses are few against a network: counted without a look at doubles.
    if action.stops() && !f.force && (listed > 1 << 24 || breadth::too_many(prefixes)) {
        let problem = "the feed covers more than 1/256 of the address space".to_owned();
        cx.error(
            f.path.place,
            key.clone(),
            problem,
            "drop the widest networks from it, or say force = true in the feed",
        );
    }
    empty_or_garbage(cx, f, &key, &report);
    cx.out.feeds.push(report);
}

fn path_of(cx: &Context<'_>, written: &str) -> PathBuf {
    // Relative to the policy file, wherever the daemon was started.
    cx.file.parent().map_or_else(|| PathBuf::from(written), |dir| dir.join(written))
}

fn empty_or_garbage(cx: &mut Context<'_>, f: &Feed, key: &str, report: &FeedReport) {
    if report.used > 0 {
        return;
    }
    let path = report.path.display().to_string().escape_debug().to_string();
    let before =
        cx.request.previous.and_then(|p| p.feeds.iter().find(|r| r.id == f.id)).map_or(0, |r| r.used);
    if before > 0 {
        let problem = format!("{path} lists nothing, and listed {before} indicators before");
        cx.error(
            f.path.place,
            key.to_owned(),
            problem,
            "a download may have failed; restore it, or remove the feed",
        );
    } else if let Some(bad) = report.first_bad.first() {
        let problem =
            format!("no line of {path} can be used: line {} \"{}\" is {}", bad.line, bad.text, bad.why);
        cx.error(
            f.path.place,
            key.to_owned(),
            problem,
            "check the file and its `format`: plain, hosts or csv",
        );
    } else {
        cx.out.warnings.push(format!("feed \"{}\": {path} is empty", f.id));
    }
}

pub(super) fn builtin(cx: &mut Context<'_>) {
    let mut rules = FeedRules::default();
    let mut report = FeedReport { id: builtin::ID.to_owned(), ..FeedReport::default() };
    builtin::read(|row| {
        // What the site protects wins over what the world lists.
        let protected = ends(&row.indicator.what)
            .is_some_and(|(first, last)| breadth::protects(&cx.out.protected, first, last).is_some());
        if protected && row.action.stops() {
            return report.refuse(row.line, describe(&row.indicator).as_bytes(), "a protected destination");
        }
        let rule = rules.of(cx, builtin::ID, row.action);
        report.used += 1;
        cx.out.add(&row.indicator, rule);
    });
    let (action, sha256) = (Verdict::Deny, vec![examples::program_sha256()]);
    let rule = rules.of(cx, builtin::ID, action);
    cx.out.files.push(FileRule { rule, action, paths: Vec::new(), sha256, md5: Vec::new() });
    cx.out.feeds.push(report);
}

fn describe(indicator: &Indicator<'_>) -> String {
    crate::policy::explain::shown(indicator)
}

//! `[[feed]]`, and the embedded feeds.

use super::{Context, breadth, ends};
use crate::policy::{
    examples,
    feed::{
        self, FeedReport, builtin,
        content::{self, Demand, Origin, Trouble},
        signed::Key,
    },
    indicator::{Indicator, What},
    resolved::{IndicatorClass, RuleSource},
    written::Feed,
};
use miner_guard_common::abi::verdict::Verdict;

/// The rules of one feed: one for each action that its indicators need.
struct FeedRules(IndicatorClass, Vec<(Verdict, u32)>);

impl FeedRules {
    fn of(&mut self, cx: &mut Context<'_>, id: &str, action: Verdict) -> u32 {
        if let Some((_, rule)) = self.1.iter().find(|(a, _)| *a == action) {
            return *rule;
        }
        let rule = cx.out.add_rule(id, action, RuleSource::Feed, self.0);
        self.1.push((action, rule));
        rule
    }
}

pub(super) fn feed(cx: &mut Context<'_>, f: &Feed) {
    let word = if f.fetched { "url" } else { "path" };
    let Some(mut report) = as_written(cx, f) else { return };
    let asked = cx.request.feeds.update.is_some_and(|id| id == f.id);
    let mark = cx.out.mark();
    let copy = cx.kept.as_ref().and_then(|k| Some((k.content(&f.id), k.meta(&f.id, &report.source)?)));
    if f.fetched {
        // What was fetched is the source; until then there is nothing to read.
        let incoming = asked && cx.request.feeds.incoming;
        let incoming = cx.kept.as_ref().filter(|_| incoming).map(|k| k.incoming(&f.id));
        report.path = match (incoming, &copy) {
            (Some(path), _) => path,
            (None, Some((path, _))) => path.clone(),
            (None, None) => {
                let rules = &mut FeedRules(f.class, Vec::new());
                rules.of(cx, &f.id, f.action.unwrap_or(f.class.action()));
                let warning = format!("feed \"{}\": {} was not fetched yet", f.id, report.source);
                cx.out.warnings.push(warning);
                return cx.out.feeds.push(report);
            }
        };
    }
    let before = cx.request.previous.and_then(|p| p.feeds.iter().find(|r| r.id == f.id));
    let before =
        before.filter(|r| r.source == report.source).map(|r| Before { used: r.used, origin: r.origin });
    let before = before.or_else(|| copy.as_ref().map(|(_, m)| Before { used: m.used, origin: m.origin }));
    let fresh = report.clone();
    // Of a copy that is all there is, the end does not count.
    let is_copy = copy.as_ref().is_some_and(|(path, _)| *path == report.path);
    let taken = take(cx, f, report, !is_copy).and_then(|report| {
        let forced = asked && cx.request.feeds.force;
        if !forced {
            worse(&report, &before.unwrap_or_default())?;
        }
        Ok(report)
    });
    let (problem, remedy) = match taken {
        Ok(report) => {
            if report.used == 0 {
                let warning = format!("feed \"{}\": {} is empty", f.id, shown(&report));
                cx.out.warnings.push(warning);
            }
            return cx.out.feeds.push(report);
        }
        Err(trouble) => trouble,
    };
    cx.out.back_to(mark);
    if let Some((path, meta)) =
        copy.filter(|(path, _)| !asked && cx.request.feeds.fall_back && *path != fresh.path)
    {
        let mut copy = FeedReport { path, directory: false, ..fresh.clone() };
        copy.trouble = Some(problem.clone());
        match take(cx, f, copy, false) {
            Ok(mut report) => {
                report.origin = meta.origin;
                report.directory = fresh.directory;
                let warning = format!("feed \"{}\": {problem}; its last good copy is used", f.id);
                cx.out.warnings.push(warning);
                return cx.out.feeds.push(report);
            }
            Err(_) => cx.out.back_to(mark),
        }
    }
    cx.error(f.source.place, format!("{}: `{word}`", f.name), problem, remedy);
    cx.refused = Some(fresh);
}

/// What the policy says of a feed; `None` if its key or certificate is wrong, which is an error.
fn as_written(cx: &mut Context<'_>, f: &Feed) -> Option<FeedReport> {
    let mut report = FeedReport {
        id: f.id.clone(),
        fetched: f.fetched,
        every_s: f.every_s,
        format: f.format,
        class: f.class,
        action: Some(f.action.unwrap_or(f.class.action())),
        ..FeedReport::default()
    };
    if f.fetched {
        report.source.clone_from(&f.source.value);
        report.ca = f.ca.as_ref().map(|ca| cx.beside(&ca.value));
    } else {
        report.path = cx.beside(&f.source.value);
        report.source = report.path.display().to_string();
        // One that has gone is still a directory, and may come back.
        let was = cx.request.previous.and_then(|p| p.feeds.iter().find(|r| r.id == f.id));
        report.directory =
            report.path.is_dir() || was.is_some_and(|r| r.directory && r.source == report.source);
    }
    if let Some(key) = &f.key {
        // The key itself, whose letters may hold a slash, or a path to the publisher's file.
        let text = if Key::parse(&key.value).is_some() {
            key.value.clone()
        } else if key.value.contains('/') || key.value.ends_with(".pub") {
            let path = cx.beside(&key.value);
            match content::open(&path, 4096) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err((problem, remedy)) => {
                    cx.error(key.place, format!("{}: `key`", f.name), problem, remedy);
                    return None;
                }
            }
        } else {
            key.value.clone()
        };
        report.key = Key::parse(&text);
        if report.key.is_none() {
            let problem = "this is not a minisign public key".to_owned();
            let remedy = "write the second line of the publisher's minisign.pub, or the path of that file";
            cx.error(key.place, format!("{}: `key`", f.name), problem, remedy);
            return None;
        }
    }
    Some(report)
}

/// Adds a feed's indicators, and says what came of it. After an error they have to be taken out again.
fn take(
    cx: &mut Context<'_>,
    f: &Feed,
    mut report: FeedReport,
    ends_count: bool,
) -> Result<FeedReport, Trouble> {
    let action = f.action.unwrap_or(f.class.action());
    let mut rules = FeedRules(f.class, Vec::new());
    // The feed's own rule exists even if every line has another action: events and `policy list` name it.
    let main = rules.of(cx, &f.id, action);
    let mut prefixes = Vec::new();
    let before = cx.out.addresses4.len();
    let key = report.key.clone();
    let demand = Demand {
        limit: cx.out.settings.limits.feed_mib << 20,
        key: key.as_ref(),
        now: ends_count.then_some(cx.now),
    };
    let path = report.path.clone();
    let origin = content::each(&path, &demand, |file, bytes| {
        let name = file.file_name().filter(|_| report.directory).map(|n| n.as_encoded_bytes().to_vec());
        let mut refuse = |line, text: &[u8], why| match &name {
            Some(name) => report.refuse(line, &[name, b": ".as_slice(), text].concat(), why),
            None => report.refuse(line, text, why),
        };
        let mut used = 0;
        // A line with an address needs about this much.
        cx.out.addresses4.reserve(bytes.len() / 16);
        feed::read(bytes, f.format, cx.now, |(line, found, text)| {
            let indicator = match found {
                Ok(i) => i,
                Err(why) => return refuse(line, text, why),
            };
            let mut rule = main;
            match indicator.what {
                // A port alone alerts: half the world uses the port that a pool uses.
                What::Port if action.stops() => rule = rules.of(cx, &f.id, Verdict::Alert),
                _ => {
                    if let Some((first, last)) = ends(&indicator.what).filter(|_| action.stops()) {
                        if !f.force && breadth::too_wide(&indicator.what) {
                            let why =
                                "more than 1/256 of the address space (a rule with force = true may list it)";
                            return refuse(line, text, why);
                        }
                        if breadth::protects(&cx.out.protected, first, last).is_some() {
                            return refuse(line, text, "a protected destination, or holds one");
                        }
                        if first != last {
                            prefixes.push((first, last));
                        }
                    }
                }
            }
            used += 1;
            cx.out.add(&indicator, rule);
        });
        report.used += used;
    })?;
    report.origin = origin;
    let listed = (cx.out.addresses4.len() - before) as u128;
    // Single addresses are few against a network: counted without a look at doubles.
    if action.stops() && !f.force && (listed > 1 << 24 || breadth::too_many(prefixes)) {
        return Err((
            "the feed covers more than 1/256 of the address space".to_owned(),
            "drop the widest networks from it, or say force = true in the feed",
        ));
    }
    Ok(report)
}

fn shown(report: &FeedReport) -> String {
    report.source.escape_debug().to_string()
}

/// What is known of the feed that another one is about to replace.
#[derive(Clone, Copy, Default)]
struct Before {
    used: usize,
    origin: Origin,
}

/// Whether a feed must not take the place of the one before it: it lists nothing any more, or less than half, or was signed
/// earlier.
fn worse(report: &FeedReport, before: &Before) -> Result<(), Trouble> {
    let source = shown(report);
    let signed = |origin: &Origin| origin.signed.and_then(|s| s.at);
    let before_signed = signed(&before.origin).filter(|_| report.key.is_some());
    if let Some(last) = before_signed.filter(|last| signed(&report.origin).is_none_or(|at| at < *last)) {
        let moment =
            |at: i64| jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |t| t.to_string());
        let at = signed(&report.origin)
            .map_or_else(|| "at a time that it does not say".to_owned(), |at| format!("at {}", moment(at)));
        return Err((
            format!(
                "{source} was signed {at}, and the one in force at {}: this is an older one",
                moment(last)
            ),
            "get the newest one from its publisher, or go back to this one with `miner-guard feed update --force`",
        ));
    }
    let before = before.used;
    if report.used == 0 && before > 0 {
        return Err((
            format!("{source} lists nothing, and listed {before} indicators before"),
            "a download may have failed; restore it, remove the feed, or take it up with `miner-guard feed update --force`",
        ));
    }
    if let (0, 0, Some(bad)) = (report.used, before, report.first_bad.first()) {
        return Err((
            format!("no line of {source} can be used: line {} \"{}\" is {}", bad.line, bad.text, bad.why),
            "check the file and its `format`: plain, hosts, csv, misp or stix",
        ));
    }
    if report.used.saturating_mul(2) < before {
        return Err((
            format!(
                "{source} lists {} indicators, and listed {before} before: more than half are gone",
                report.used
            ),
            "restore it, or take it up as it is with `miner-guard feed update --force`",
        ));
    }
    Ok(())
}

/// An embedded feed. `action` overrides that of its rows.
pub(super) fn builtin(cx: &mut Context<'_>, list: &builtin::List, action: Option<Verdict>) {
    let mut rules = FeedRules(list.class, Vec::new());
    let mut report =
        FeedReport { id: list.id.to_owned(), class: list.class, action, ..FeedReport::default() };
    (list.read)(&mut |row| {
        let action = action.unwrap_or(row.action);
        // What the site protects wins over what the world lists.
        let protected = ends(&row.indicator.what)
            .is_some_and(|(first, last)| breadth::protects(&cx.out.protected, first, last).is_some());
        if protected && action.stops() {
            return report.refuse(row.line, describe(&row.indicator).as_bytes(), "a protected destination");
        }
        let rule = rules.of(cx, list.id, action);
        report.used += 1;
        cx.out.add(&row.indicator, rule);
    });
    if list.id == builtin::ID {
        let rule = rules.of(cx, builtin::ID, Verdict::Deny);
        cx.out.add(&Indicator::any(What::Sha256(examples::program_sha256())), rule);
    }
    cx.out.feeds.push(report);
}

fn describe(indicator: &Indicator<'_>) -> String {
    crate::policy::explain::shown(indicator)
}

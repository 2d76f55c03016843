//! The policy file as written: every value with its place, none of them understood yet beyond its type.

mod read;
mod respond;

use super::{
    compile::Ports,
    error::{Place, PolicyError},
    resolved::IndicatorClass,
    settings::{Limits, OnStop, Settings, Watching},
};
use miner_guard_common::abi::verdict::{Mode, Verdict};
use read::{Source, Table};
use std::{cell::RefCell, path::Path};
use toml::de::DeTable;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub value: T,
    pub place: Place,
}

/// `[[rule]]`
#[derive(Debug)]
pub(super) struct Rule {
    pub name: String,
    pub place: Place,
    pub id: String,
    pub ip: Vec<At<String>>,
    pub port: Vec<At<Ports>>,
    pub domain: Vec<At<String>>,
    pub path: Vec<At<String>>,
    pub sha256: Vec<At<String>>,
    pub md5: Vec<At<String>>,
    pub class: IndicatorClass,
    pub action: Option<Verdict>,
    pub force: bool,
}

/// How a feed file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A domain, `*.domain`, address, CIDR, `address:port` or hosts-file line each.
    Lines,
    /// A header row that names its columns.
    Csv,
    /// An event of MISP, a list of them, or a server's answer.
    Misp,
    /// A bundle of STIX 2.1.
    Stix,
}

/// `[[feed]]`
#[derive(Debug)]
pub(super) struct Feed {
    pub name: String,
    pub place: Place,
    pub id: String,
    /// A path or a URL, by `fetched`.
    pub source: At<String>,
    pub fetched: bool,
    /// Certificates that the URL's server is checked against, instead of the system's.
    pub ca: Option<At<String>>,
    pub every_s: u64,
    pub key: Option<At<String>>,
    pub format: Option<Format>,
    pub class: IndicatorClass,
    pub action: Option<Verdict>,
    pub force: bool,
}

/// `[[allow]]`: each key with its values.
#[derive(Debug)]
pub(super) struct Allow {
    pub name: String,
    pub place: Place,
    pub keys: Vec<(&'static str, Vec<At<String>>)>,
}

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub settings: Settings,
    pub protected: Vec<At<String>>,
    /// `[identify] yara`
    pub yara: Vec<At<String>>,
    pub rules: Vec<Rule>,
    pub feeds: Vec<Feed>,
    pub allows: Vec<Allow>,
}

const ACTIONS: &[(&str, Verdict)] = &[
    ("alert", Verdict::Alert),
    ("deny", Verdict::Deny),
    ("kill", Verdict::Kill),
    ("isolate", Verdict::Isolate),
];

/// What happens on the embedded list of DoH and DoT servers.
const DOH: &[(&str, Option<Verdict>)] =
    &[("alert", Some(Verdict::Alert)), ("deny", Some(Verdict::Deny)), ("off", None)];

const CLASSES: &[(&str, IndicatorClass)] = &[("pool", IndicatorClass::Pool), ("doh", IndicatorClass::Doh)];

/// Seconds between two fetches of a feed that does not say, and the least.
const EVERY_S: u64 = 86_400;
const EVERY_LEAST_S: u64 = 3_600;

/// Keys of `[[allow]]`, in the order in which they are documented.
pub(super) const ALLOW_KEYS: &[&str] =
    &["exe", "sha256", "user", "group", "cgroup", "unit", "container", "job_account", "ip", "domain"];

/// Reads a policy file's text. With errors there is still a document: what could be read of it.
pub(super) fn read(file: &Path, text: &str) -> (Written, Vec<PolicyError>) {
    let source = Source { file, text, errors: RefCell::default() };
    let (document, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        for e in syntax {
            let place = source.place(e.span().map_or(0, |s| s.start));
            let problem = format!("not valid TOML: {}", e.message().replace('\n', ", "));
            source.error(place, "", problem, "correct the line; strings need quotes, lists need [ ]");
        }
        // What is left of a broken file would only give errors that follow from the first.
        return (Written::default(), source.errors.into_inner());
    }
    let table = Table::new(&source, document.get_ref(), 0, String::new());
    let written = Written {
        settings: settings(&table, &source),
        protected: table.strings("protected"),
        yara: identify(&table, &source),
        rules: table.tables("rule", false).into_iter().map(|(t, at)| rule(&source, t, at)).collect(),
        feeds: table.tables("feed", false).into_iter().filter_map(|(t, at)| feed(&source, t, at)).collect(),
        allows: table
            .tables("allow", false)
            .into_iter()
            .zip(1..)
            .map(|((t, at), n)| allow(&source, t, at, n))
            .collect(),
    };
    table.finish();
    drop(table);
    (written, source.errors.into_inner())
}

/// `[identify]`
fn identify(table: &Table<'_, '_>, source: &Source<'_>) -> Vec<At<String>> {
    let mut yara = Vec::new();
    for (t, at) in table.tables("identify", true) {
        let section = Table::new(source, t, at, "identify".to_owned());
        yara = section.strings("yara");
        section.finish();
    }
    yara
}

fn settings(table: &Table<'_, '_>, source: &Source<'_>) -> Settings {
    let default = Settings::default();
    let mut limits = default.limits;
    for (t, at) in table.tables("limits", true) {
        let section = Table::new(source, t, at, "limits".to_owned());
        limits = Limits { feed_mib: section.number("feed_mib", 1, 1 << 20).unwrap_or(limits.feed_mib) };
        section.finish();
    }
    let mut runtime = default.runtime;
    for (t, at) in table.tables("runtime", true) {
        let section = Table::new(source, t, at, "runtime".to_owned());
        runtime = Watching {
            enabled: section.boolean("enabled").unwrap_or(runtime.enabled),
            sustain_s: section.duration("sustain", 1, 86_400).unwrap_or(runtime.sustain_s),
        };
        section.finish();
    }
    Settings {
        mode: table
            .choice("mode", &[("audit", Mode::Audit), ("enforce", Mode::Enforce)])
            .unwrap_or(default.mode),
        on_stop: table.choice("on_stop", &[("unload", OnStop::Unload), ("keep", OnStop::Keep)]),
        builtin: table.boolean("builtin").unwrap_or(default.builtin),
        doh: table.choice("doh", DOH).unwrap_or(default.doh),
        limits,
        runtime,
        case: respond::case(table, source),
        respond: respond::respond(table, source),
    }
}

/// The id of a rule or feed, and the table under that name.
fn named<'s, 'a>(
    source: &'s Source<'a>,
    entries: &'s DeTable<'s>,
    start: usize,
    kind: &str,
) -> (Table<'s, 'a>, String) {
    let mut table = Table::new(source, entries, start, kind.to_owned());
    let fine = |id: &str| {
        !id.is_empty()
            && id.len() <= 64
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    const REMEDY: &str = "give it a name of letters, digits, dots, dashes: id = \"lab-pool\"";
    match table.string("id") {
        Some(id) if fine(&id.value) => {
            table.name = format!("{kind} \"{}\"", id.value);
            (table, id.value)
        }
        Some(id) => {
            let problem = format!("\"{}\" is not a usable id", id.value.escape_debug());
            table.error(id.place, "id", problem, REMEDY);
            (table, String::new())
        }
        None => {
            if !entries.iter().any(|(k, _)| k.get_ref() == "id") {
                table.error(table.place, "id", format!("a {kind} without an id"), REMEDY);
            }
            (table, String::new())
        }
    }
}

fn rule(source: &Source<'_>, entries: &DeTable<'_>, start: usize) -> Rule {
    let (t, id) = named(source, entries, start, "rule");
    let rule = Rule {
        id,
        ip: t.strings("ip"),
        port: t.ports("port"),
        domain: t.strings("domain"),
        path: t.strings("path"),
        sha256: t.strings("sha256"),
        md5: t.strings("md5"),
        class: t.choice("class", CLASSES).unwrap_or_default(),
        action: t.choice("action", ACTIONS),
        force: t.boolean("force").unwrap_or(false),
        place: t.place,
        name: t.name.clone(),
    };
    t.finish();
    rule
}

fn feed(source: &Source<'_>, entries: &DeTable<'_>, start: usize) -> Option<Feed> {
    let (t, id) = named(source, entries, start, "feed");
    let (path, url) = (t.string("path"), t.string("url"));
    let given = |key| entries.iter().any(|(k, _)| k.get_ref() == key);
    match (given("path"), given("url")) {
        (false, false) => t.error(
            t.place,
            "path",
            "a feed without a source".to_owned(),
            "name the file or directory: path = \"pools.txt\"; or the URL: url = \"https://…\"",
        ),
        (true, true) => t.error(
            t.place,
            "url",
            "a feed with both `path` and `url`".to_owned(),
            "write one feed for each source",
        ),
        _ => {}
    }
    if let Some(url) = url.as_ref().filter(|u| !u.value.starts_with("https://")) {
        let problem = format!("\"{}\" is not an https URL", url.value.escape_debug());
        t.error(
            url.place,
            "url",
            problem,
            "over plain http anybody on the way can change the list: use https://",
        );
    }
    let formats = [
        ("plain", Format::Lines),
        ("hosts", Format::Lines),
        ("csv", Format::Csv),
        ("misp", Format::Misp),
        ("stix", Format::Stix),
    ];
    let fetched = url.is_some();
    let (ca, key) = (t.string("ca"), t.string("key"));
    let every_s = t.duration("every", EVERY_LEAST_S, respond::YEAR_S).unwrap_or(EVERY_S);
    let format = t.choice("format", &formats);
    let class = t.choice("class", CLASSES).unwrap_or_default();
    let action = t.choice("action", ACTIONS);
    let force = t.boolean("force").unwrap_or(false);
    t.finish();
    let (place, name, source) = (t.place, t.name.clone(), path.or(url)?);
    Some(Feed { id, place, name, source, fetched, ca, every_s, key, format, class, action, force })
}

fn allow(source: &Source<'_>, entries: &DeTable<'_>, start: usize, number: usize) -> Allow {
    let t = Table::new(source, entries, start, format!("allow {number}"));
    let keys = ALLOW_KEYS.iter().map(|k| (*k, t.strings(k))).filter(|(_, v)| !v.is_empty()).collect();
    t.finish();
    Allow { keys, place: t.place, name: t.name.clone() }
}

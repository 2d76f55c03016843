//! As written → as meant.

mod allow;
mod breadth;
mod feeds;
mod rules;
mod yara;

use super::{
    FeedCheck, LoadRequest,
    compile::Ports,
    error::{Place, PolicyError},
    feed::{FeedReport, builtin, kept::Kept},
    fingerprint, indicator,
    indicator::{Indicator, What},
    protect::{self, Protected},
    resolved::{IndicatorClass, Resolved, RuleSource},
    written::{At, Feed, Written},
};
use miner_guard_common::abi::verdict::Verdict;
use std::{
    collections::HashMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

/// What resolving works with.
struct Context<'a> {
    file: PathBuf,
    request: &'a LoadRequest<'a>,
    kept: Option<Kept>,
    /// Seconds since 1970.
    now: i64,
    out: Resolved,
    errors: Vec<PolicyError>,
    /// The newest feed that was refused, for a check.
    refused: Option<FeedReport>,
}

impl<'a> Context<'a> {
    fn new(
        file: Option<&Path>,
        text: &str,
        written: &Written,
        errors: Vec<PolicyError>,
        request: &'a LoadRequest<'a>,
    ) -> Self {
        Self {
            file: file.unwrap_or(Path::new("(built-in policy)")).to_owned(),
            request,
            kept: request.state.map(Kept::at),
            now: jiff::Timestamp::now().as_second(),
            out: Resolved {
                file: file.map(Path::to_owned),
                text: text.to_owned(),
                settings: written.settings,
                ..Resolved::default()
            },
            errors,
            refused: None,
        }
    }

    fn error(&mut self, place: Place, key: String, problem: String, remedy: &str) {
        let (file, remedy) = (self.file.clone(), remedy.to_owned());
        self.errors.push(PolicyError { file, place, key, problem, remedy });
    }

    /// A path of the policy file: relative to that, wherever the daemon was started.
    fn beside(&self, written: &str) -> PathBuf {
        self.file.parent().map_or_else(|| PathBuf::from(written), |dir| dir.join(written))
    }

    /// An address or CIDR of the policy file.
    fn address(&mut self, text: &At<String>, key: &str) -> Option<What<'static>> {
        match indicator::parse(text.value.as_bytes()) {
            Ok(Indicator { what: What::V4(a, len), ports: Ports::ANY }) => Some(What::V4(a, len)),
            Ok(Indicator { what: What::V6(a, len), ports: Ports::ANY }) => Some(What::V6(a, len)),
            found => {
                let why = match found {
                    Err("a CIDR with host bits set") => "a CIDR with host bits set",
                    Ok(Indicator { what: What::V4(..) | What::V6(..), .. }) => "an address with a port",
                    _ => "not an address or CIDR",
                };
                let problem = format!("\"{}\" is {why}", text.value.escape_debug());
                let remedy = match why {
                    "an address with a port" => "put the port into `port`",
                    _ => "write an address like 192.0.2.1 or 2001:db8::7, or a network like 192.0.2.0/24",
                };
                self.error(text.place, key.to_owned(), problem, remedy);
                None
            }
        }
    }

    /// A name of the policy file, and whether those below it are meant.
    fn name<'t>(&mut self, text: &'t At<String>, key: &str) -> Option<(&'t str, bool)> {
        if let Ok(What::Name(name, below)) = indicator::name(text.value.as_bytes()) {
            return Some((name, below));
        }
        let problem = format!("\"{}\" is not a domain name", text.value.escape_debug());
        self.error(
            text.place,
            key.to_owned(),
            problem,
            "write pool.example.com, or *.example.com for the names below",
        );
        None
    }

    /// Bytes of a hash written in hexadecimal.
    fn hash<const N: usize>(&mut self, text: &At<String>, key: &str) -> Option<[u8; N]> {
        let hash = indicator::hex(text.value.as_bytes());
        if hash.is_none() {
            let problem = format!("\"{}\" is not {} hexadecimal digits", text.value.escape_debug(), 2 * N);
            let tool = if N == 32 { "sha256sum FILE" } else { "md5sum FILE" };
            self.error(text.place, key.to_owned(), problem, &format!("write what `{tool}` prints"));
        }
        hash
    }

    /// An absolute path.
    fn path(&mut self, text: &At<String>, key: &str) -> Option<PathBuf> {
        let path = Path::new(&text.value);
        if path.is_absolute() && !text.value.contains('\0') {
            return Some(path.components().collect());
        }
        let problem = format!("\"{}\" is not an absolute path", text.value.escape_debug());
        self.error(text.place, key.to_owned(), problem, "write the path from / on");
        None
    }
}

/// First and last address as 128-bit numbers, IPv4 mapped; `None` for names and ports.
pub(super) fn ends(what: &What<'_>) -> Option<(u128, u128)> {
    match *what {
        What::V4(a, len) => {
            let host = if len >= 32 { 0 } else { u32::MAX >> len };
            let mapped = |a: u32| Ipv4Addr::from_bits(a).to_ipv6_mapped().to_bits();
            Some((mapped(a & !host), mapped(a | host)))
        }
        What::V6(a, len) => {
            let host = if len >= 128 { 0 } else { u128::MAX >> len };
            Some((a & !host, a | host))
        }
        What::Name(..) | What::Port | What::Sha256(_) | What::Md5(_) => None,
    }
}

/// Each feed by itself, with what would be an error of it.
pub(super) fn check_feeds(file: &Path, written: &Written, request: &LoadRequest<'_>) -> Vec<FeedCheck> {
    let check = |f: &Feed| {
        let mut cx = Context::new(Some(file), "", written, Vec::new(), request);
        protected(&mut cx, written);
        cx.errors.clear();
        feeds::feed(&mut cx, f);
        let report = cx.out.feeds.pop().or(cx.refused.take()).unwrap_or_default();
        let mut whys =
            cx.errors.iter().map(|e| format!("{}; {}", e.problem, e.remedy)).chain(report.trouble.clone());
        FeedCheck { why: whys.next(), report: FeedReport { id: f.id.clone(), ..report } }
    };
    written.feeds.iter().map(check).collect()
}

/// Destinations that nothing may deny.
fn protected(cx: &mut Context<'_>, written: &Written) {
    cx.out.protected = protect::found(&cx.request.system);
    for text in &written.protected {
        if let Some((first, last)) = cx.address(text, "`protected`").as_ref().and_then(ends) {
            let why = format!("protected by line {} of the policy", text.place.line);
            cx.out.protected.push(Protected { first, last, why });
        }
    }
}

/// Resolves what was written. All errors are found, not the first.
pub(super) fn resolve(
    file: Option<&Path>,
    text: &str,
    written: &Written,
    errors: Vec<PolicyError>,
    request: &LoadRequest<'_>,
) -> Result<Resolved, Vec<PolicyError>> {
    let mut cx = Context::new(file, text, written, errors, request);
    let mut seen = HashMap::new();
    let ids =
        written.rules.iter().map(|r| (&r.id, r.place)).chain(written.feeds.iter().map(|f| (&f.id, f.place)));
    for (id, place) in ids.filter(|(id, _)| !id.is_empty()) {
        if builtin::IDS.contains(&id.as_str()) {
            let problem = format!("the id \"{id}\" belongs to an embedded feed");
            cx.error(
                place,
                "`id`".to_owned(),
                problem,
                "choose another; builtin = false and doh = \"off\" turn the embedded feeds off",
            );
        } else if let Some(first) = seen.insert(id, place) {
            let problem = format!("the id \"{id}\" is already used in line {}", first.line);
            cx.error(place, "`id`".to_owned(), problem, "give each rule and feed its own id");
        }
    }

    // Protected first: rules and feeds are checked against them.
    protected(&mut cx, written);
    // Rules in the order in which they win: the file's own, its feeds, the embedded feed.
    written.rules.iter().for_each(|r| rules::rule(&mut cx, r));
    written.feeds.iter().for_each(|f| feeds::feed(&mut cx, f));
    if written.settings.builtin {
        feeds::builtin(&mut cx, &builtin::POOLS, None);
        if let Some(action) = written.settings.doh {
            feeds::builtin(&mut cx, &builtin::DOH, Some(action));
        }
    }
    written.allows.iter().for_each(|a| allow::allow(&mut cx, a));
    yara::rules(&mut cx, &written.yara);
    cx.out.protected_rule =
        cx.out.add_rule("protected", Verdict::Allow, RuleSource::Protected, IndicatorClass::Pool);
    cx.out.learned_rule =
        cx.out.add_rule("learned", Verdict::Deny, RuleSource::Learned, IndicatorClass::Pool);

    if !cx.errors.is_empty() {
        cx.errors.sort_by_key(|e| e.place);
        return Err(cx.errors);
    }
    cx.out.sort();
    cx.out.fingerprint = fingerprint::of(&cx.out);
    Ok(cx.out)
}

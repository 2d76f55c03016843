//! As written → as meant.

mod allow;
mod breadth;
mod feeds;
mod rules;

use super::{
    LoadRequest,
    compile::Ports,
    error::{Place, PolicyError},
    fingerprint, indicator,
    indicator::{Indicator, What},
    protect::{self, Protected},
    resolved::{Resolved, RuleSource},
    written::{At, Written},
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
    out: Resolved,
    errors: Vec<PolicyError>,
}

impl Context<'_> {
    fn error(&mut self, place: Place, key: String, problem: String, remedy: &str) {
        let (file, remedy) = (self.file.clone(), remedy.to_owned());
        self.errors.push(PolicyError { file, place, key, problem, remedy });
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
        let hash = hex(text.value.as_bytes());
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

fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |b: u8| char::from(b).to_digit(16);
    if text.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(out)
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
        What::Name(..) | What::Port => None,
    }
}

/// Resolves what was written. All errors are found, not the first.
pub(super) fn resolve(
    file: Option<&Path>,
    written: &Written,
    errors: Vec<PolicyError>,
    request: &LoadRequest<'_>,
) -> Result<Resolved, Vec<PolicyError>> {
    let mut cx = Context {
        file: file.unwrap_or(Path::new("(built-in policy)")).to_owned(),
        request,
        out: Resolved { file: file.map(Path::to_owned), settings: written.settings, ..Resolved::default() },
        errors,
    };
    let mut seen = HashMap::new();
    let ids =
        written.rules.iter().map(|r| (&r.id, r.place)).chain(written.feeds.iter().map(|f| (&f.id, f.place)));
    for (id, place) in ids.filter(|(id, _)| !id.is_empty()) {
        if id == super::feed::builtin::ID {
            let problem = "the id \"builtin\" belongs to the embedded feed".to_owned();
            cx.error(
                place,
                "`id`".to_owned(),
                problem,
                "choose another; builtin = false turns the embedded feed off",
            );
        } else if let Some(first) = seen.insert(id, place) {
            let problem = format!("the id \"{id}\" is already used in line {}", first.line);
            cx.error(place, "`id`".to_owned(), problem, "give each rule and feed its own id");
        }
    }

    // Protected first: rules and feeds are checked against them.
    cx.out.protected = protect::found(&request.system);
    for text in &written.protected {
        if let Some((first, last)) = cx.address(text, "`protected`").as_ref().and_then(ends) {
            let why = format!("protected by line {} of the policy", text.place.line);
            cx.out.protected.push(Protected { first, last, why });
        }
    }
    // Rules in the order in which they win: the file's own, its feeds, the embedded feed.
    written.rules.iter().for_each(|r| rules::rule(&mut cx, r));
    written.feeds.iter().for_each(|f| feeds::feed(&mut cx, f));
    if written.settings.builtin {
        feeds::builtin(&mut cx);
    }
    written.allows.iter().for_each(|a| allow::allow(&mut cx, a));
    cx.out.protected_rule = cx.out.add_rule("protected", Verdict::Allow, RuleSource::Protected);

    if !cx.errors.is_empty() {
        cx.errors.sort_by_key(|e| e.place);
        return Err(cx.errors);
    }
    cx.out.sort();
    cx.out.fingerprint = fingerprint::of(&cx.out);
    Ok(cx.out)
}

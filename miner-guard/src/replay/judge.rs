//! The policy's answer to what a file asks, told once for each thing that asks.

use super::flow::{Asked, Flow, Question};
use crate::event::rules::Met;
use crate::policy::{
    Resolved,
    ask::{Asker, PROTOCOL},
    compile::CompileError,
    explain,
};
use jiff::Timestamp;
use lru::LruCache;
use miner_guard_common::{
    abi::verdict::{Reason, Verdict},
    parse::stratum::Role,
    table::Answer,
};
use serde::Serialize;
use std::{collections::HashMap, net::SocketAddr, num::NonZeroUsize};

/// Something that the policy denies or reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// When (RFC 3339); none where the file does not say.
    #[serde(rename = "@timestamp", skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// `destination`, `dns`, `tls`, `stratum`, `exec`
    pub kind: &'static str,
    /// What enforce does: `deny`, `kill`, `alert` …
    pub verdict: &'static str,
    /// Which question decides.
    pub reason: &'static str,
    /// The deciding rule or feed; none for a pool protocol, which no rule lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What it is about: `192.0.2.5:3333`, a name, a protocol and its side, a file.
    pub what: String,
    /// Who asked: `10.0.0.1:5000 → 192.0.2.5:3333 tcp`, or `xmrig[4242] user=alice`.
    pub who: String,
    /// The indicator, and where it is written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
    /// Whether enforce stops something.
    #[serde(skip)]
    pub stops: bool,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing lists it.
    Nothing,
    /// Told before.
    Repeated,
    /// New.
    Found(Box<Finding>),
}

/// Things told that are remembered, so that each is told once.
const TOLD: usize = 65_536;
/// Indicators whose places are looked up: each look-up reads its feed again.
const PLACES: usize = 256;

/// A policy that is asked.
pub struct Judge<'p> {
    pub(super) policy: &'p Resolved,
    pub(super) asker: Asker,
    told: LruCache<(String, String), ()>,
    places: HashMap<(u32, SocketAddr), Vec<String>>,
}

impl<'p> Judge<'p> {
    /// Compiles the policy.
    ///
    /// # Errors
    /// The policy cannot be laid out.
    pub fn new(policy: &'p Resolved) -> Result<Self, CompileError> {
        let told = LruCache::new(NonZeroUsize::new(TOLD).unwrap_or(NonZeroUsize::MIN));
        Ok(Self { policy, asker: Asker::new(policy)?, told, places: HashMap::new() })
    }

    /// Answers a question of a flow.
    pub(super) fn flow(&mut self, q: &Question<'_>) -> Outcome {
        let (kind, answer, what) = match q.asked {
            Asked::Destination => ("destination", self.asker.destination(q.flow.to), None),
            Asked::Dns(name) => ("dns", self.asker.name(name), Some(text(name))),
            Asked::Tls(name) => ("tls", self.asker.name(name), Some(text(name))),
            Asked::Stratum(found) => {
                let verdict = match found.role {
                    Role::Opening | Role::Submit => Verdict::Deny,
                    Role::Server | Role::Follower => Verdict::Alert,
                };
                let what = format!("{} {}", found.dialect.name(), found.role.name());
                // A protected or allowed destination may be spoken to as it likes.
                let answer = (!self.asker.is_protected(q.flow.to)).then_some(Answer { verdict, ..PROTOCOL });
                ("stratum", answer, Some(what))
            }
        };
        let Some(answer) = answer else { return Outcome::Nothing };
        let what = what.unwrap_or_else(|| q.flow.to.to_string());
        let to = (kind == "destination").then_some(q.flow.to);
        self.found(kind, &answer, what, shown(&q.flow), Timestamp::from_nanosecond(q.time_ns.into()).ok(), to)
    }

    /// A finding, if it is new.
    pub(super) fn found(
        &mut self,
        kind: &'static str,
        answer: &Answer,
        what: String,
        who: String,
        at: Option<Timestamp>,
        to: Option<SocketAddr>,
    ) -> Outcome {
        if self.told.put((format!("{kind} {what}"), who.clone()), ()).is_some() {
            return Outcome::Repeated;
        }
        let rule = self.policy.rule(answer.rule).map(|r| r.id.clone());
        let places = match (to, answer.reason) {
            (_, Reason::Domain) => self.of_name(answer.rule, &what),
            (Some(to), _) => self.of_address(answer.rule, to),
            _ => Vec::new(),
        };
        Outcome::Found(Box::new(Finding {
            // A capture without times says 1970.
            at: at.filter(|t| t.as_nanosecond() != 0).map(|t| t.to_string()),
            kind,
            verdict: answer.verdict.name(),
            reason: answer.reason.name(),
            rule,
            what,
            who,
            places,
            stops: answer.verdict.stops(),
        }))
    }

    fn of_address(&mut self, rule: u32, to: SocketAddr) -> Vec<String> {
        if let Some(known) = self.places.get(&(rule, to)) {
            return known.clone();
        }
        if self.places.len() >= PLACES {
            return Vec::new();
        }
        let places = explain::of_rule(self.policy, rule, &Met::To(to)).map(said).unwrap_or_default();
        self.places.insert((rule, to), places.clone());
        places
    }

    fn of_name(&mut self, rule: u32, name: &str) -> Vec<String> {
        if self.places.len() >= PLACES {
            return Vec::new();
        }
        explain::of_name(self.policy, rule, name).map(said).unwrap_or_default()
    }
}

fn said(m: explain::Match) -> Vec<String> {
    std::iter::once(m.indicator).chain(m.places).collect()
}

fn text(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}

fn shown(flow: &Flow) -> String {
    let protocol = match flow.protocol {
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        n => format!("protocol {n}"),
    };
    match (flow.from.port(), flow.to.port()) {
        (0, 0) => format!("{} → {} {protocol}", flow.from.ip(), flow.to.ip()),
        _ => format!("{} → {} {protocol}", flow.from, flow.to),
    }
}

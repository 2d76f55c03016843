//! Why would this address, port or name be stopped? The verdict is asked of the compiled tables, as the kernel asks
//! them; where each indicator comes from is looked up again in the policy and its feeds.

mod provenance;

use super::{
    compile::{CompileRequest, Ports},
    indicator::{self, Indicator, What},
    resolved::{Resolved, RuleInfo},
};
use crate::event::rules::Met;
use miner_guard_common::{
    abi::{
        policy::{Block, Class},
        verdict::{Mode, Reason, Verdict},
    },
    table::{self, Answer, Destination, Header, SipKey},
};
pub(super) use provenance::shown;
use provenance::{allow_place, protection, provenance};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// An address; without a port: on a port that no rule names.
    Address(IpAddr, Option<u16>),
    /// A port of an address that nothing lists.
    Port(u16),
    /// A name.
    Name(String),
}

impl Question {
    /// Reads `192.0.2.1`, `192.0.2.1:3333`, `[2001:db8::1]:3333`, `3333`, `pool.example.com`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(port) = text.parse() {
            return Some(Self::Port(port));
        }
        let Indicator { what, ports } = indicator::parse(text.as_bytes()).ok()?;
        let port = (ports != Ports::ANY).then_some(ports.low);
        match what {
            What::V4(a, 32) => Some(Self::Address(Ipv4Addr::from_bits(a).into(), port)),
            What::V6(a, 128) => Some(Self::Address(Ipv6Addr::from_bits(a).into(), port)),
            What::Name(name, false) => Some(Self::Name(name.to_ascii_lowercase())),
            _ => None,
        }
    }
}

/// An indicator that matches, whether or not it decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Id of its rule or feed.
    pub rule: String,
    /// What the rule does.
    pub action: Verdict,
    /// The indicator.
    pub indicator: String,
    /// Where it is written: `file:line`, with its sources for the embedded feed. More than one for a repeated line.
    pub places: Vec<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What enforce does.
    pub verdict: Verdict,
    /// Which question decided.
    pub reason: Reason,
    /// The rule that decided.
    pub rule: Option<RuleInfo>,
    /// Why nothing is denied although something is listed: the protection or the allow.
    pub protected: Option<String>,
    /// All that matches, in the order of the policy.
    pub matches: Vec<Match>,
}

/// Explains a destination.
pub fn explain(policy: &Resolved, question: &Question) -> Result<Explanation, super::compile::CompileError> {
    let request = CompileRequest { generation: 0, mode: Mode::Audit, key: SipKey(1, 2), canary: None };
    let image = policy.compile(&request, &[])?;
    let blocks = image.blocks();
    let mut matches = Vec::new();
    let (mut answer, mut protected) = (None, None);
    if let Some(header) = Header::read(&blocks) {
        match question {
            Question::Address(address, port) => {
                let to = Destination { address: (*address).into(), port: port.unwrap_or(0) };
                answer = table::destination(&blocks, &header, &to);
                protected =
                    table::protected(&blocks, &header, &to).map(|rule| protection(policy, rule, *address));
                addresses(policy, *address, *port, &mut matches);
                ports(policy, *port, &mut matches);
            }
            Question::Port(port) => {
                answer = table::port(&blocks, &header, *port);
                ports(policy, Some(*port), &mut matches);
            }
            Question::Name(name) => {
                answer = suffixes(name, |h, whole| table::name(&blocks, &header, h, whole), blocks);
                protected = allowed_name(policy, name);
                names(policy, name, &mut matches);
            }
        }
    }
    let rule = answer.and_then(|a| policy.rule(a.rule)).cloned();
    let (verdict, reason) = match (answer, &protected) {
        (Some(_), Some(_)) => (Verdict::Allow, Reason::Protected),
        (Some(a), None) => (a.verdict, a.reason),
        (None, _) => (Verdict::Allow, Reason::None),
    };
    let matches = matches.iter().map(|(rule, i)| provenance(policy, *rule, i)).collect();
    Ok(Explanation { verdict, reason, rule, protected, matches })
}

/// What a rule lists of what was met, and where: the most precise indicator of those that match.
pub fn of_rule(policy: &Resolved, rule: u32, met: &Met) -> Option<Match> {
    let mut matches = Vec::new();
    match met {
        Met::To(to) => {
            addresses(policy, to.ip(), Some(to.port()), &mut matches);
            ports(policy, Some(to.port()), &mut matches);
        }
        Met::Name(name) => names(policy, name, &mut matches),
    }
    matches.iter().find(|(r, _)| *r == rule).map(|(r, i)| provenance(policy, *r, i))
}

/// What a rule lists of a name, and where.
pub fn of_name(policy: &Resolved, rule: u32, name: &str) -> Option<Match> {
    let mut matches = Vec::new();
    names(policy, &name.to_ascii_lowercase(), &mut matches);
    matches.iter().find(|(r, _)| *r == rule).map(|(r, i)| provenance(policy, *r, i))
}

type Matches<'a> = Vec<(u32, Indicator<'a>)>;

fn addresses<'a>(policy: &'a Resolved, address: IpAddr, port: Option<u16>, out: &mut Matches<'a>) {
    let fits = |p: Ports| port.is_none_or(|port| p.low <= port && port <= p.high);
    let mut add = |rule, what, ports: Ports| {
        if fits(ports) {
            out.push((rule, Indicator { what, ports }));
        }
    };
    let asked = table::Address::from(address);
    if let Some(v4) = asked.is_v4().or(asked.behind_nat64()) {
        let from = policy.addresses4.partition_point(|e| e.key < v4);
        let same = policy.addresses4[from..].iter().take_while(|e| e.key == v4);
        same.for_each(|e| add(e.rule, What::V4(e.key, 32), e.ports));
        let around =
            |e: &&super::compile::Entry<(u32, u8)>| (e.key.0 ^ v4).leading_zeros() >= u32::from(e.key.1);
        policy.prefixes4.iter().filter(around).for_each(|e| add(e.rule, What::V4(e.key.0, e.key.1), e.ports));
    }
    if let (None, IpAddr::V6(v6)) = (asked.is_v4(), address) {
        let v6 = v6.to_bits();
        policy
            .addresses6
            .iter()
            .filter(|e| e.key == v6)
            .for_each(|e| add(e.rule, What::V6(v6, 128), e.ports));
        let around =
            |e: &&super::compile::Entry<(u128, u8)>| (e.key.0 ^ v6).leading_zeros() >= u32::from(e.key.1);
        policy.prefixes6.iter().filter(around).for_each(|e| add(e.rule, What::V6(e.key.0, e.key.1), e.ports));
    }
}

fn ports(policy: &Resolved, port: Option<u16>, out: &mut Matches<'_>) {
    let Some(port) = port else { return };
    let fits = policy.ports.iter().filter(|e| e.ports.low <= port && port <= e.ports.high);
    out.extend(fits.map(|e| (e.rule, Indicator { what: What::Port, ports: e.ports })));
}

fn below(name: &str, of: &str) -> bool {
    name.strip_suffix(of).is_some_and(|rest| rest.ends_with('.'))
}

fn names<'a>(policy: &'a Resolved, name: &str, out: &mut Matches<'a>) {
    let of = policy.names.iter().filter_map(|(listed, class, rule)| match class {
        Class::Domain if listed == name => Some((rule, Indicator::any(What::Name(listed, false)))),
        Class::DomainBelow if below(name, listed) => Some((rule, Indicator::any(What::Name(listed, true)))),
        _ => None,
    });
    out.extend(of);
}

fn allowed_name(policy: &Resolved, name: &str) -> Option<String> {
    let (_, _, rule) = policy.names.iter().find(|(listed, class, _)| match class {
        Class::AllowedDomain => *listed == name,
        Class::AllowedDomainBelow => below(name, listed),
        _ => false,
    })?;
    Some(allow_place(policy, rule))
}

/// Asks for each suffix of a name, the whole name first.
fn suffixes(
    name: &str,
    ask: impl Fn(&table::NameHasher, bool) -> Option<Answer>,
    blocks: &[Block],
) -> Option<Answer> {
    let mut hasher = table::name_hasher(&blocks)?;
    let mut ends = Vec::new();
    let bytes = name.as_bytes();
    for (i, b) in bytes.iter().enumerate().rev() {
        hasher.push(*b);
        if i == 0 || bytes[i - 1] == b'.' {
            ends.push((hasher, i == 0));
        }
    }
    let answers: Vec<Answer> = ends.iter().rev().filter_map(|(h, whole)| ask(h, *whole)).collect();
    answers.iter().find(|a| a.verdict.stops()).or(answers.first()).copied()
}

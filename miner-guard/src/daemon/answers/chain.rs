//! From an answer to the addresses that a denied name leads to.
//!
//! An alias that a denied name leads to is tainted, and so are the addresses of a tainted name. An alias whose addresses
//! come with another message is remembered for a while.

use lru::LruCache;
use miner_guard_common::parse::{
    dns::answer::{self, Data},
    name::Name,
};
use std::{collections::BTreeMap, net::IpAddr, num::NonZeroUsize};

use crate::{
    event::model::lossy,
    policy::{NameHit, learned::TTL_NS},
};

/// Aliases remembered from one message to the next.
const ALIASES: usize = 1024;
/// Names of one chain; resolvers follow no more than a dozen.
const STEPS: usize = 32;

/// What a denied name led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The name that was asked for.
    pub question: String,
    /// As the policy lists the denied one: `pool.example`, `*.example`.
    pub listed: String,
    /// From the question to the last name: `www.example → pool.example`.
    pub chain: String,
    /// Addresses, each with its time to live, seconds.
    pub addresses: Vec<(IpAddr, u32)>,
    /// Who asked; `None` if it was somebody else who was led here by a denied name.
    pub asked: Option<Asker>,
}

/// Who asked: the socket at which the answer arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Its cgroup, v2 id.
    pub cgroup: u64,
    /// Its user.
    pub uid: u32,
}

/// Why a name is tainted.
#[derive(Clone, Debug)]
struct Taint {
    listed: String,
    /// The names that led to it, itself the last.
    path: Vec<String>,
    /// Of an alias from an earlier message: the cgroup that asked then.
    from: Option<u64>,
}

struct Remembered {
    taint: Taint,
    cgroup: u64,
    until_ns: u64,
}

/// Reads answers one after the other.
pub(super) struct Chains(LruCache<String, Remembered>);

impl Default for Chains {
    fn default() -> Self {
        Self(LruCache::new(NonZeroUsize::new(ALIASES).unwrap_or(NonZeroUsize::MIN)))
    }
}

/// What a message says, its names as text.
#[derive(Default)]
struct Message {
    questions: Vec<String>,
    aliases: Vec<(String, String, u32)>,
    addresses: Vec<(String, IpAddr, u32)>,
}

impl Message {
    /// What was well-formed of it; a message that was cut off still says what comes before the cut.
    fn read(bytes: &[u8]) -> Self {
        let (mut questions, mut aliases, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        let record = |r: &answer::Record| {
            let owner = text(&r.owner);
            match &r.data {
                Data::Alias(target) => aliases.push((owner, text(target), r.ttl)),
                Data::V4(a) => addresses.push((owner, IpAddr::from(*a), r.ttl)),
                Data::V6(a) => addresses.push((owner, IpAddr::from(*a), r.ttl)),
            }
        };
        let _ = answer::read(bytes, |name| questions.push(text(name)), record);
        Self { questions, aliases, addresses }
    }

    /// From the question to `name`, over the aliases; `name` alone if no question leads there.
    fn path(&self, name: &str) -> Vec<String> {
        let mut path = vec![name.to_owned()];
        while path.len() < STEPS
            && let Some(last) = path.last()
            && let Some((owner, ..)) = self.aliases.iter().find(|(_, target, _)| target == last)
            && !path.contains(owner)
        {
            path.push(owner.clone());
        }
        path.reverse();
        path
    }

    /// Taints what tainted names are aliases for, as far as a chain may be long.
    fn spread(&self, tainted: &mut BTreeMap<String, Taint>) {
        for _ in 0..STEPS {
            let mut new = Vec::new();
            for (owner, target, _) in &self.aliases {
                if let Some(taint) = tainted.get(owner).filter(|_| !tainted.contains_key(target)) {
                    let mut taint = taint.clone();
                    taint.path.push(target.clone());
                    new.push((target.clone(), taint));
                }
            }
            if new.is_empty() {
                break;
            }
            tainted.extend(new);
        }
    }
}

fn text(name: &Name) -> String {
    String::from_utf8_lossy(name.as_bytes()).into_owned()
}

impl Chains {
    /// Reads one message. `listed` says of a name whether a rule stops it.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        listed: impl Fn(&str) -> Option<NameHit>,
        asker: Asker,
        now_ns: u64,
    ) -> Vec<Answered> {
        let message = Message::read(bytes);
        let tainted = self.taint(&message, listed, now_ns);
        if tainted.is_empty() {
            return Vec::new();
        }
        self.remember(&message, &tainted, asker.cgroup, now_ns);
        let mut found: BTreeMap<(&str, &str), Answered> = BTreeMap::new();
        for (owner, address, ttl) in &message.addresses {
            let Some(taint) = tainted.get(owner) else { continue };
            // An alias that somebody else was told of may be an innocent name to this one.
            let asked = taint.from.is_none_or(|cgroup| cgroup == asker.cgroup).then_some(asker);
            let answer = found.entry((&taint.listed, owner)).or_insert_with(|| Answered {
                question: lossy(message.questions.first().unwrap_or(owner).as_bytes()),
                listed: taint.listed.clone(),
                chain: taint.path.iter().map(|n| lossy(n.as_bytes())).collect::<Vec<_>>().join(" → "),
                addresses: Vec::new(),
                asked,
            });
            answer.addresses.push((*address, *ttl));
        }
        found.into_values().collect()
    }

    /// Every name of the message that a denied name leads to, the denied ones among them.
    fn taint(
        &mut self,
        message: &Message,
        listed: impl Fn(&str) -> Option<NameHit>,
        now_ns: u64,
    ) -> BTreeMap<String, Taint> {
        let owners = message.addresses.iter().map(|(owner, ..)| owner);
        let aliases = message.aliases.iter().flat_map(|(owner, target, _)| [owner, target]);
        let names: Vec<&String> = message.questions.iter().chain(aliases).chain(owners).collect();
        let mut tainted: BTreeMap<String, Taint> = BTreeMap::new();
        for name in &names {
            if !tainted.contains_key(*name)
                && let Some(hit) = listed(name)
            {
                let taint = Taint { listed: hit.listed, path: message.path(name), from: None };
                tainted.insert((*name).clone(), taint);
            }
        }
        message.spread(&mut tainted);
        // What this message says itself counts more than what an earlier one said.
        for name in names {
            if !tainted.contains_key(name)
                && let Some(known) = self.0.get(name).filter(|k| k.until_ns > now_ns)
            {
                tainted.insert(name.clone(), Taint { from: Some(known.cgroup), ..known.taint.clone() });
            }
        }
        message.spread(&mut tainted);
        tainted
    }

    /// Keeps aliases whose addresses may come with the next message.
    fn remember(&mut self, message: &Message, tainted: &BTreeMap<String, Taint>, cgroup: u64, now_ns: u64) {
        for (_, target, ttl) in &message.aliases {
            let Some(taint) = tainted.get(target).filter(|t| t.path.len() < STEPS) else { continue };
            let until_ns = now_ns + (u64::from(*ttl) * 1_000_000_000).clamp(TTL_NS.0, TTL_NS.1);
            // One who was told of it is not forgotten for another one.
            let cgroup = taint.from.unwrap_or(cgroup);
            self.0.put(target.clone(), Remembered { taint: taint.clone(), cgroup, until_ns });
        }
    }
}

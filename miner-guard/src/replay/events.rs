//! Events as `run -o json` wrote them, asked again of the policy as it is now.
//!
//! What the guard found out by itself (a miner by its content, a pool protocol by what was said) is no matter of the
//! policy and stays as it was.

use super::{
    ReplayError, Summary, count,
    judge::{Finding, Judge, Outcome},
};
use jiff::Timestamp;
use miner_guard_common::{
    abi::{
        policy::Class,
        verdict::{Reason, Verdict},
    },
    table::Answer,
};
use serde::Deserialize;
use std::{
    borrow::Cow,
    io::{self, BufRead, Read as _},
    net::{IpAddr, SocketAddr},
    path::Path,
};

/// Longest line: an event is far shorter.
const LINE: u64 = 1 << 20;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "@timestamp")]
    at: Cow<'a, str>,
    #[serde(borrow, default)]
    process: Process<'a>,
    #[serde(borrow, default)]
    user: Id<'a>,
    #[serde(borrow, default)]
    group: Id<'a>,
    destination: Option<Destination>,
    #[serde(borrow)]
    dns: Option<Dns<'a>>,
    #[serde(borrow)]
    tls: Option<Tls<'a>>,
    #[serde(borrow)]
    file: Option<File<'a>>,
    #[serde(borrow, default)]
    miner_guard: Guard<'a>,
}

#[derive(Default, Deserialize)]
struct Process<'a> {
    #[serde(default)]
    pid: u32,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    executable: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct Id<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Destination {
    ip: IpAddr,
    #[serde(default)]
    port: u16,
}

#[derive(Deserialize)]
struct Dns<'a> {
    #[serde(borrow)]
    question: Question<'a>,
}

#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Tls<'a> {
    #[serde(borrow)]
    client: Client<'a>,
}

#[derive(Deserialize)]
struct Client<'a> {
    #[serde(borrow)]
    server_name: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow, default)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    hash: Option<Hash<'a>>,
}

#[derive(Deserialize)]
struct Hash<'a> {
    #[serde(borrow, default)]
    sha256: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct Guard<'a> {
    #[serde(borrow, default)]
    verdict: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
}

pub(super) fn read(
    file: &mut impl BufRead,
    judge: &mut Judge<'_>,
    summary: &mut Summary,
    tell: &mut impl FnMut(&Finding) -> io::Result<()>,
) -> Result<(), ReplayError> {
    let mut line = Vec::new();
    let mut number = 0_u64;
    let mut any = false;
    loop {
        line.clear();
        number += 1;
        if file.by_ref().take(LINE + 1).read_until(b'\n', &mut line)? == 0 {
            return if any || summary.read == 0 { Ok(()) } else { Err(ReplayError::Unknown) };
        }
        if line.len() as u64 > LINE {
            summary.broken = Some(format!("line {number} is longer than an event"));
            return Ok(());
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        summary.read += 1;
        let Ok(event) = serde_json::from_slice::<Line<'_>>(&line) else {
            summary.passed_over += 1;
            continue;
        };
        any = true;
        let outcomes = judge.event(&event);
        summary.passed_over += u64::from(outcomes.is_empty());
        for outcome in outcomes {
            count(outcome, summary, tell)?;
        }
    }
}

impl Judge<'_> {
    /// Everything that an event tells to be judged; none for news of the guard itself.
    fn event(&mut self, e: &Line<'_>) -> Vec<Outcome> {
        let at = e.at.parse::<Timestamp>().ok();
        let user = if e.user.name.is_empty() { &e.user.id } else { &e.user.name };
        let who = format!("{}[{}] user={user}", e.process.name, e.process.pid);
        let exempt = self.is_exempt(e);
        let mut all = Vec::new();
        let mut judged = |judge: &mut Self, kind, answer: Option<Answer>, what: &str, to| {
            all.push(match answer.filter(|_| !exempt) {
                Some(a) => judge.found(kind, &a, what.to_owned(), who.clone(), at, to),
                None => Outcome::Nothing,
            });
        };
        if let Some(d) = &e.dns {
            let answer = self.asker.name(d.question.name.to_ascii_lowercase().as_bytes());
            judged(self, "dns", answer, &d.question.name, None);
        }
        if let Some(name) = e.tls.as_ref().and_then(|t| t.client.server_name.as_ref()) {
            let answer = self.asker.name(name.to_ascii_lowercase().as_bytes());
            judged(self, "tls", answer, name, None);
        }
        if let Some(d) = &e.destination {
            let to = SocketAddr::new(d.ip.to_canonical(), d.port);
            let found_out =
                e.own(&[Reason::Protocol, Reason::Learned]).filter(|_| !self.asker.is_protected(to));
            let answer = self.asker.destination(to).or(found_out);
            judged(self, "destination", answer, &to.to_string(), Some(to));
        }
        if let Some(f) = &e.file {
            let found_out = e.own(&[Reason::MinerBinary, Reason::HashingHeavy]);
            let answer = self.listed(f).or(found_out);
            judged(self, "exec", answer, &f.path, None);
        }
        all
    }

    /// What the rules on files say.
    fn listed(&self, f: &File<'_>) -> Option<Answer> {
        let hash = f.hash.as_ref().and_then(|h| crate::policy::indicator::hex::<32>(h.sha256.as_bytes()));
        if hash.is_some_and(|h| self.policy.allowed.sha256.iter().any(|(allowed, _)| *allowed == h)) {
            return None;
        }
        let rule = self.policy.files.iter().find(|r| r.matches(Path::new(&*f.path), || hash, || None))?;
        let reason = if rule.sha256.is_empty() { Reason::FilePath } else { Reason::FileHash };
        Some(Answer { rule: rule.rule, verdict: rule.action, reason })
    }

    /// Whether the policy exempts the process: its program, user or group. A cgroup is of the past.
    fn is_exempt(&self, e: &Line<'_>) -> bool {
        let allowed = &self.policy.allowed;
        let id = |class, text: &str| {
            text.parse::<u64>()
                .is_ok_and(|id| allowed.ids.iter().any(|(c, listed, _)| (*c, *listed) == (class, id)))
        };
        allowed.exes.iter().any(|(p, _)| p.as_os_str() == &*e.process.executable)
            || id(Class::Uid, &e.user.id)
            || id(Class::Gid, &e.group.id)
    }
}

impl Line<'_> {
    /// The verdict that stands in the event, if the guard came to it for one of these reasons.
    fn own(&self, reasons: &[Reason]) -> Option<Answer> {
        let reason = *reasons.iter().find(|r| r.name() == self.miner_guard.reason)?;
        let verdict = *Verdict::ALL.iter().find(|v| v.name() == self.miner_guard.verdict)?;
        (verdict != Verdict::Allow).then_some(Answer { rule: 0, verdict, reason })
    }
}

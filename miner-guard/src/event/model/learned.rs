//! The event of a learned address.

use super::{
    Action, Dns, Event, Guard, Host, Indicator, Name, Process, Rule, Source, Thread, Threat, User, lossy,
};
use crate::event::{decode::Decision, rules::RuleInfo};
use jiff::Timestamp;
use miner_guard_common::abi::verdict::Reason;
use std::net::IpAddr;

/// What is told of learned addresses.
#[derive(Clone, Debug)]
pub struct LearnedNews {
    /// When.
    pub at: Timestamp,
    /// Who asked, as far as it is known, with mode, verdict, generation and rule: `pid` 0 if it is not.
    pub head: Decision,
    /// What the system knows of who asked.
    pub source: Source,
    /// The rule that lists the name, or stands for miners' destinations.
    pub rule: Option<RuleInfo>,
    /// The name that was asked for; `None` for the destination of a miner.
    pub question: Option<String>,
    /// What the policy lists: `pool.example`, `*.example`; for a miner's destination its case.
    pub cause: String,
    /// The addresses.
    pub addresses: Vec<IpAddr>,
    /// What led to them, and for how long: sentences.
    pub evidence: Vec<String>,
}

/// The first addresses, and how many more there are: for people.
#[must_use]
pub fn some_of(addresses: &[IpAddr], most: usize) -> String {
    let shown: Vec<String> = addresses.iter().take(most).map(ToString::to_string).collect();
    match addresses.len() - shown.len() {
        0 => shown.join(", "),
        n => format!("{} and {n} more", shown.join(", ")),
    }
}

impl Event {
    /// Addresses were learned. They are told once, not at each answer that repeats them.
    #[must_use]
    pub fn of_learned(host: Option<&Host>, news: LearnedNews) -> Self {
        let LearnedNews { at, head, source, rule, question, cause, addresses, evidence } = news;
        let shown = some_of(&addresses, 4);
        let verb = if addresses.len() == 1 { "is" } else { "are" };
        let message = match &question {
            Some(_) => format!("{shown} {verb} where {cause} leads"),
            None => format!("{shown} {verb} where the miner of case {cause} connected to"),
        };
        let guard = Guard {
            mode: Some(head.mode.name()),
            verdict: Some(head.verdict.name()),
            reason: Some(Reason::Learned.name()),
            indicator_class: rule.as_ref().and_then(|r| r.class),
            generation: Some(head.generation),
            process_gone: head.pid != 0 && source.gone,
            executable_deleted: source.executable_deleted,
            args_truncated: source.args_truncated,
            cgroup: source.cgroup,
            cgroup_id: (head.cgroup != 0).then(|| head.cgroup.to_string()),
            unit: source.unit,
            job: source.job,
            pod: source.pod,
            evidence,
            ..Guard::default()
        };
        let mut event = Self::bare(at, host, Action::AddressLearned, message, guard);
        if head.pid != 0 {
            let comm = lossy(head.comm());
            event.process = Some(Process {
                pid: head.pid,
                name: source.name.unwrap_or_else(|| comm.clone()),
                executable: source.executable,
                command_line: (!source.args.is_empty()).then(|| source.args.join(" ")),
                args: source.args,
                args_count: source.args_count,
                start: source.start,
                thread: Thread { id: head.tid, name: comm },
                parent: source.ancestry.first().cloned(),
            });
            event.miner_guard.ancestry = source.ancestry;
        }
        if head.cgroup != 0 {
            event.user = Some(User { id: head.uid.to_string(), name: source.user });
        }
        event.container = source.container;
        event.threat = question.is_some().then(|| Threat {
            indicator: Indicator {
                kind: Some("domain-name"),
                name: Some(cause),
                provider: rule.as_ref().and_then(|r| r.feed.clone()),
                ..Indicator::default()
            },
        });
        event.dns = question.map(|name| Dns { question: Name { name }, resolved_ip: addresses });
        event.rule = rule.map(|r| Rule { id: r.id });
        event
    }
}

//! Events in which the guard tells of itself.

use super::{Action, CaseRef, Ecs, Event, Guard, Host, Process, StoppedBy};
use jiff::Timestamp;
use miner_guard_common::abi::verdict::{Mode, Verdict};
use std::collections::BTreeMap;

/// What the guard has to tell of itself.
#[derive(Clone, Debug)]
pub struct GuardNews {
    /// One of the guard's actions, [`Action::GuardStarted`] …
    pub action: Action,
    /// Mode after it.
    pub mode: Mode,
    /// Generation after it.
    pub generation: u64,
    /// One sentence.
    pub message: String,
    /// Details, a sentence each.
    pub evidence: Vec<String>,
}

/// What became of a case.
#[derive(Clone, Debug)]
pub struct CaseNews {
    /// [`Action::CaseClassified`], [`Action::ProcessKilled`] …
    pub action: Action,
    /// Mode in force.
    pub mode: Mode,
    /// Generation in force.
    pub generation: u64,
    /// One sentence.
    pub message: String,
    /// Sentences a person can check.
    pub evidence: Vec<String>,
    /// The case.
    pub case: CaseRef,
    /// What is done in enforce mode.
    pub verdict: Verdict,
    /// It was done.
    pub done: bool,
    /// The process that it is about.
    pub process: Option<Process>,
    /// Where.
    pub cgroup: Option<String>,
}

impl Event {
    /// An event about a case.
    #[must_use]
    pub fn of_case(at: Timestamp, host: Option<&Host>, news: CaseNews) -> Self {
        let guard = Guard {
            mode: Some(news.mode.name()),
            generation: Some(news.generation),
            verdict: Some(news.verdict.name()),
            enforced: Some(news.done),
            stopped_by: news.done.then_some(StoppedBy::Daemon),
            reason: news.case.class.map(|c| c.name()),
            case: Some(news.case),
            evidence: news.evidence,
            cgroup: news.cgroup,
            ..Guard::default()
        };
        let mut event = Self::bare(at, host, news.action, news.message, guard);
        event.process = news.process;
        event
    }

    /// An event of the guard itself.
    #[must_use]
    pub fn of_guard(at: Timestamp, host: Option<&Host>, news: GuardNews) -> Self {
        let guard = Guard {
            mode: Some(news.mode.name()),
            generation: Some(news.generation),
            evidence: news.evidence,
            ..Guard::default()
        };
        Self::bare(at, host, news.action, news.message, guard)
    }

    /// Losses since the last such event, by cause (the names of `Loss` and those of the daemon's own queues).
    /// `None` if there were none.
    #[must_use]
    pub fn of_loss(at: Timestamp, host: Option<&Host>, loss: BTreeMap<&'static str, u64>) -> Option<Self> {
        let loss: BTreeMap<_, _> = loss.into_iter().filter(|(_, n)| *n > 0).collect();
        let causes: Vec<String> = loss.iter().map(|(cause, n)| format!("{n} {cause}")).collect();
        if causes.is_empty() {
            return None;
        }
        let message = format!("lost: {}", causes.join(", "));
        Some(Self::bare(at, host, Action::RecordsLost, message, Guard { loss, ..Guard::default() }))
    }

    pub(super) fn bare(
        at: Timestamp,
        host: Option<&Host>,
        action: Action,
        message: String,
        miner_guard: Guard,
    ) -> Self {
        Self {
            timestamp: at,
            ecs: Ecs::default(),
            event: action.about(),
            message,
            host: host.cloned(),
            process: None,
            user: None,
            group: None,
            source: None,
            destination: None,
            network: None,
            dns: None,
            tls: None,
            file: None,
            rule: None,
            threat: None,
            container: None,
            miner_guard,
        }
    }
}

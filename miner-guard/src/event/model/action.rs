//! Verdict, mode and outcome → the words of `event.*`.

use super::fields::About;
use crate::event::decode::Decision;
use miner_guard_common::abi::verdict::{Mode, Verdict};
use serde::Serialize;

/// Declares the actions with their ECS classification, as one table.
macro_rules! actions {
    ($($(#[$m:meta])* $v:ident => $name:literal, $label:literal, $kind:literal, $category:expr, $types:expr, $outcome:expr;)+) => {
        /// `event.action`: what happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        pub enum Action { $($(#[$m])* #[serde(rename = $name)] $v,)+ }
        impl Action {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$v,)+];
            /// The word in JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$v => $name,)+ }
            }
            /// The word in the text output; in capitals when something was stopped or lost.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$v => $label,)+ }
            }
            /// `event.*` of this action.
            #[must_use]
            pub const fn about(self) -> About {
                let (kind, category, types, outcome): (_, &'static [&'static str], &'static [&'static str], _) =
                    match self { $(Self::$v => ($kind, $category, $types, $outcome),)+ };
                About { action: self, kind, category, types, outcome, provider: "miner-guard" }
            }
        }
    };
}

actions! {
    /// The call failed with EPERM.
    ConnectionDenied => "connection-denied", "DENY", "alert", &["network"], &["connection", "denied"], Some("failure");
    /// Audit: enforce would have denied it.
    ConnectionWouldBeDenied => "connection-would-be-denied", "would deny", "alert", &["network"], &["connection", "allowed"], Some("success");
    /// The rule only asks for an alert.
    ConnectionAlerted => "connection-alerted", "alert", "alert", &["network"], &["connection", "allowed"], Some("success");
    /// Enforce wanted to stop it and could not, at this hook.
    ConnectionNotStopped => "connection-not-stopped", "NOT STOPPED", "alert", &["network"], &["connection", "allowed"], Some("success");
    /// A connection that was open before it was denied was ended: its program got an error, its peer a reset.
    ConnectionClosed => "connection-closed", "CLOSE", "alert", &["network"], &["connection", "end", "denied"], Some("failure");
    /// Audit: enforce would have ended it.
    ConnectionWouldBeClosed => "connection-would-be-closed", "would close", "alert", &["network"], &["connection", "allowed"], Some("success");
    /// Enforce wanted to end it, and this kernel cannot; what is sent on it is dropped.
    ConnectionNotClosed => "connection-not-closed", "NOT CLOSED", "alert", &["network"], &["connection", "allowed"], Some("success");
    /// Listed, but exempt, protected or allowed.
    ConnectionAllowed => "connection-allowed", "allow", "event", &["network"], &["connection", "allowed"], Some("success");
    /// The question was not sent: the resolver's call failed.
    QuestionDenied => "dns-question-denied", "DENY", "alert", &["network"], &["protocol", "denied"], Some("failure");
    /// Audit: enforce would have refused it.
    QuestionWouldBeDenied => "dns-question-would-be-denied", "would deny", "alert", &["network"], &["protocol", "allowed"], Some("success");
    /// The rule only asks for an alert.
    QuestionAlerted => "dns-question-alerted", "alert", "alert", &["network"], &["protocol", "allowed"], Some("success");
    /// The exec failed with EPERM: no new program ran.
    ExecDenied => "exec-denied", "DENY", "alert", &["process", "malware"], &["start", "denied"], Some("failure");
    /// The process was killed.
    ProcessKilled => "process-killed", "KILL", "alert", &["process", "malware"], &["end", "denied"], Some("failure");
    /// Audit: enforce would have stopped it.
    ExecWouldBeDenied => "exec-would-be-denied", "would deny", "alert", &["process", "malware"], &["start", "allowed"], Some("success");
    /// The rule only asks for an alert.
    ExecAlerted => "exec-alerted", "alert", "alert", &["process", "malware"], &["start", "allowed"], Some("success");
    /// Enforce wanted to stop it and could not (the process was gone, or may not be killed).
    ExecNotStopped => "exec-not-stopped", "NOT STOPPED", "alert", &["process", "malware"], &["start", "allowed"], Some("success");
    /// Clean, exempt or not yet identified.
    ExecAllowed => "exec-allowed", "allow", "event", &["process"], &["start", "allowed"], Some("success");
    /// What a running process does is mining, as far as its code and registers can say. What is done about it is told of its case.
    Mining => "mining", "MINING", "alert", &["process", "malware"], &["info"], None;
    /// What a running process does is hashing or the like, and it has gone on for long.
    HashingHeavy => "hashing-heavy", "alert", "alert", &["process"], &["info"], None;
    /// A case was taken for something worse than before, or enforce would have acted on it.
    CaseClassified => "case-classified", "CASE", "alert", &["process", "malware"], &["info"], None;
    /// A miner comes back each time that it is killed, and this is who brings it.
    PersistenceFound => "persistence-found", "PERSISTS", "alert", &["process", "malware"], &["info"], None;
    /// An address was learned: it answers for a denied name, or a confirmed miner talked to it.
    AddressLearned => "address-learned", "learn", "alert", &["network"], &["info"], Some("success");
    /// A cgroup may reach protected destinations only; in audit that is only told.
    CgroupIsolated => "cgroup-isolated", "ISOLATE", "alert", &["network", "configuration"], &["change", "denied"], Some("success");
    /// It may reach others again.
    CgroupReleased => "cgroup-released", "release", "event", &["network", "configuration"], &["change", "allowed"], Some("success");
    /// Records were lost; the causes are counted.
    RecordsLost => "records-lost", "LOSS", "pipeline_error", &["host"], &["error"], None;
    /// Enforcement (or observation) is in place.
    GuardStarted => "guard-started", "guard", "event", &["configuration"], &["start"], Some("success");
    /// audit ⇄ enforce.
    ModeChanged => "mode-changed", "guard", "event", &["configuration"], &["change"], Some("success");
    /// A new generation is in force.
    PolicyReloaded => "policy-reloaded", "guard", "event", &["configuration"], &["change"], Some("success");
    /// The new policy had an error; the running one stays.
    PolicyRefused => "policy-refused", "GUARD", "event", &["configuration"], &["change", "error"], Some("failure");
    /// A feed was taken up: a new generation is in force.
    FeedUpdated => "feed-updated", "guard", "event", &["configuration"], &["change"], Some("success");
    /// A feed is gone, empty, expired, badly signed or shrunken; what was in force stays.
    FeedRefused => "feed-refused", "GUARD", "event", &["configuration"], &["change", "error"], Some("failure");
    /// The canary was denied: enforcement is proven.
    CanaryPassed => "canary-passed", "guard", "event", &["configuration"], &["info"], Some("success");
    /// The canary got through: this kernel does not enforce.
    CanaryFailed => "canary-failed", "GUARD", "alert", &["configuration"], &["error"], Some("failure");
    /// The daemon ended.
    GuardStopped => "guard-stopped", "guard", "event", &["configuration"], &["end"], Some("success");
}

impl Action {
    /// Of a connect record.
    #[must_use]
    pub const fn of_connect(d: &Decision) -> Self {
        match (d.verdict, d.enforced, d.mode) {
            (Verdict::Allow, ..) => Self::ConnectionAllowed,
            (Verdict::Alert, ..) => Self::ConnectionAlerted,
            (_, true, _) => Self::ConnectionDenied,
            (_, false, Mode::Audit) => Self::ConnectionWouldBeDenied,
            (_, false, Mode::Enforce) => Self::ConnectionNotStopped,
        }
    }

    /// Of a connection that was found open.
    #[must_use]
    pub const fn of_open(d: &Decision) -> Self {
        match Self::of_connect(d) {
            Self::ConnectionDenied => Self::ConnectionClosed,
            Self::ConnectionWouldBeDenied => Self::ConnectionWouldBeClosed,
            Self::ConnectionNotStopped => Self::ConnectionNotClosed,
            other => other,
        }
    }

    /// Of a DNS question.
    #[must_use]
    pub const fn of_question(d: &Decision) -> Self {
        match Self::of_connect(d) {
            Self::ConnectionDenied => Self::QuestionDenied,
            Self::ConnectionWouldBeDenied | Self::ConnectionNotStopped => Self::QuestionWouldBeDenied,
            _ => Self::QuestionAlerted,
        }
    }

    /// Of an exec; `from_lsm` says that the LSM hook, which can refuse, saw it.
    #[must_use]
    pub const fn of_exec(d: &Decision, from_lsm: bool) -> Self {
        match (d.verdict, d.enforced, d.mode) {
            (Verdict::Allow, ..) => Self::ExecAllowed,
            (Verdict::Alert, ..) | (Verdict::Isolate, false, Mode::Enforce) => Self::ExecAlerted,
            (_, true, _) if from_lsm => Self::ExecDenied,
            (_, true, _) => Self::ProcessKilled,
            (_, false, Mode::Audit) => Self::ExecWouldBeDenied,
            (_, false, Mode::Enforce) => Self::ExecNotStopped,
        }
    }
}

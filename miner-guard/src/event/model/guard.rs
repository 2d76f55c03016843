//! `miner_guard.*`: what ECS has no name for.

use super::fields::ProcessRef;
use crate::event::case::Class;
use serde::Serialize;
use std::collections::BTreeMap;

/// Who stopped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StoppedBy {
    /// A program in the kernel, before it happened.
    Kernel,
    /// The daemon: a process whose file was identified, a connection that was open already.
    Daemon,
}

/// What the events counted in `suppressed` have in common with this one, and this one with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Process, rule and destination (or file).
    #[default]
    Same,
    /// The process: it reached for too many destinations to tell each.
    Process,
    /// User, cgroup and rule: too many processes to tell each.
    Crowd,
}

/// `miner_guard.case.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseRef {
    /// The case to which the evidence of this event was added.
    pub id: String,
    /// What it is taken for; absent while there is not enough for a class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
}

/// `miner_guard.*`
#[derive(Clone, Debug, Default, Serialize)]
pub struct Guard {
    /// `audit` or `enforce`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<&'static str>,
    /// `allow`, `alert`, `deny`, `kill`, `isolate`; in audit what enforce would have done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<&'static str>,
    /// True only when it was stopped; absent where there was nothing to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforced: Option<bool>,
    /// Who stopped it; absent if nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<StoppedBy>,
    /// Which question decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// What the indicators of the feed are: `pool`, `doh`; absent for a rule of the site's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indicator_class: Option<&'static str>,
    /// `connect`, `sendmsg`, `egress`, `open`, `exec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<&'static str>,
    /// Generation of the policy that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Events like this one that are counted here and not told.
    #[serde(skip_serializing_if = "is_zero")]
    pub suppressed: u64,
    /// What "like this one" means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed_scope: Option<Scope>,
    /// The process was gone before it could be looked at: fields are missing for that reason.
    #[serde(skip_serializing_if = "is_false")]
    pub process_gone: bool,
    /// The program's file has no name any more, or never had one (deleted, memfd).
    #[serde(skip_serializing_if = "is_false")]
    pub executable_deleted: bool,
    /// The arguments are not all there.
    #[serde(skip_serializing_if = "is_false")]
    pub args_truncated: bool,
    /// Path in cgroup v2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// cgroup v2 id (inode of its directory), as a string: it exceeds what JavaScript counts to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_id: Option<String>,
    /// systemd service or scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Batch job, `slurm:1234`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Kubernetes pod uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Ancestors, the parent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ancestry: Vec<ProcessRef>,
    /// The case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseRef>,
    /// Sentences a person can check.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Records lost since the last loss event, by cause.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub loss: BTreeMap<&'static str, u64>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn is_false(b: &bool) -> bool {
    !*b
}

//! `GET /v1/status`: what runs, in which mode, and how much was lost.

use std::collections::BTreeMap;

use miner_guard_common::abi::verdict::Mode;
use serde::{Deserialize, Serialize};

use super::{super::names, FeedState, Isolated};

/// What runs, in which mode, and how much was lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Version of the records and tables that it shares with the kernel.
    pub abi: u32,
    /// Its process.
    pub pid: u32,
    /// What it does with a verdict.
    #[serde(with = "names::mode")]
    pub mode: Mode,
    /// Generation of the policy in force.
    pub generation: u64,
    /// Hash of the policy in force: equal for equal policies.
    pub fingerprint: String,
    /// Rules in force.
    pub rules: u64,
    /// Indicators in force, by kind: `addresses`, `prefixes`, `ports`, `domains`, `paths`, `hashes` …
    pub indicators: BTreeMap<String, u64>,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Every hook, in the order of attachment.
    pub hooks: Vec<HookState>,
    /// The proof that enforcement works.
    pub canary: Canary,
    /// Records that did not reach the operator, by cause; causes without a loss may be left out.
    pub losses: BTreeMap<String, u64>,
    /// Events since the start, by verdict.
    pub events: BTreeMap<String, u64>,
    /// Every feed.
    pub feeds: Vec<FeedState>,
    /// What the operator must know of domains, if there are any that take no effect.
    pub domains_note: Option<String>,
    /// The policy file; none for the built-in defaults.
    pub config: Option<String>,
    /// The guarded cgroup: a directory.
    pub cgroup: String,
    /// Where programs and tables are pinned.
    pub pin_dir: String,
    /// `uname -r`
    pub kernel: String,
    /// Active LSMs, comma-separated.
    pub lsm: String,
    /// GPUs, or `no GPU` and why.
    #[serde(default)]
    pub gpu: String,
    /// Cgroups that may reach protected destinations only.
    #[serde(default)]
    pub isolated: Vec<Isolated>,
}

/// One hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookState {
    /// Its name.
    pub name: String,
    /// Whether it works.
    pub state: Attachment,
    /// Why it is not attached, and what is lost without it; of one that hangs on many things, on how many.
    pub why: Option<String>,
}

/// Whether a hook works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attachment {
    /// In force.
    Attached,
    /// Not attached.
    Unavailable,
}

/// What came of the proof that enforcement works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// The outcome.
    pub state: Proof,
    /// Why it failed or was not tried.
    pub why: Option<String>,
    /// When it was tried (RFC 3339).
    pub at: Option<String>,
}

/// Outcome of the canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// A reserved address was denied and seen to be denied.
    Proven,
    /// It was not denied: enforcement does not work here.
    Failed,
    /// Nobody tried.
    NotTried,
}

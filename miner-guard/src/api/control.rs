//! The contract between the control API and the daemon's loop: commands, replies and failures.
//!
//! Maps are sorted, so that two replies can be compared. Fields are only ever added.

use std::{collections::BTreeMap, net::IpAddr};

use miner_guard_common::abi::verdict::{Mode, Reason, Verdict};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::names;
pub use crate::event::case::view::{CaseList, CaseView};

/// What the daemon's loop is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// How are you? Answered by [`Reply::Status`].
    Status,
    /// Change the mode. Answered by [`Reply::Mode`].
    SetMode(Mode),
    /// The rules in force. Answered by [`Reply::Policy`].
    PolicyList,
    /// What would a reload change? Changes nothing. Answered by [`Reply::Changes`].
    PolicyDiff,
    /// Read the policy file anew and put it in force, entire or not at all. Answered by [`Reply::Reload`].
    Reload,
    /// The feeds. Answered by [`Reply::Feeds`].
    FeedList,
    /// Take up one feed, or all. Answered by [`Reply::FeedUpdate`], perhaps after a while.
    FeedUpdate(FeedUpdateRequest),
    /// Why would this address, `address:port`, domain, path or pid be stopped? Answered by [`Reply::Explanation`].
    Explain(String),
    /// All open cases. Answered by [`Reply::Cases`].
    Cases,
    /// One case. Answered by [`Reply::Case`].
    Case(String),
    /// Isolate a cgroup. Answered by [`Reply::Isolation`].
    Isolate(IsolationRequest),
    /// Release the cgroup of this path or pid. Answered by [`Reply::Isolation`].
    Release(String),
    /// The addresses that were learned. Answered by [`Reply::Learned`].
    Learned,
    /// Forget one learned address, or all. Answered by [`Reply::Forgotten`].
    Forget(Option<IpAddr>),
}

/// What the daemon's loop answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// To [`Command::Status`].
    Status(Box<Status>),
    /// To [`Command::Isolate`] and [`Command::Release`].
    Isolation(Isolation),
    /// To [`Command::SetMode`].
    Mode(ModeReply),
    /// To [`Command::PolicyList`].
    Policy(PolicyList),
    /// To [`Command::PolicyDiff`].
    Changes(Changes),
    /// To [`Command::Reload`].
    Reload(ReloadReply),
    /// To [`Command::FeedList`].
    Feeds(FeedList),
    /// To [`Command::FeedUpdate`].
    FeedUpdate(FeedUpdate),
    /// To [`Command::Explain`].
    Explanation(Box<Explanation>),
    /// To [`Command::Cases`].
    Cases(CaseList),
    /// To [`Command::Case`].
    Case(Box<CaseView>),
    /// To [`Command::Learned`].
    Learned(LearnedList),
    /// To [`Command::Forget`].
    Forgotten(Forgotten),
}

/// A command, and where its answer goes.
pub type Asked = (Command, oneshot::Sender<Result<Reply, CommandError>>);
/// The server's end of the channel to the daemon's loop.
pub type Commands = mpsc::Sender<Asked>;

/// Why a command was not done. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The policy has errors, each a line: `file:line:column: key: message; remedy`.
    #[error("{}", .0.join("\n"))]
    Policy(Vec<String>),
    /// The kernel refused it, or cannot prove that it would work.
    #[error("{0}")]
    Kernel(String),
    /// The question makes no sense.
    #[error("{0}")]
    Request(String),
    /// Something else failed.
    #[error("{0}")]
    Internal(String),
}

/// What kind of thing went wrong; decides the exit status of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The policy has errors.
    Policy,
    /// The kernel refused it.
    Kernel,
    /// The question makes no sense.
    Request,
    /// The peer may not ask.
    NotPermitted,
    /// Anything else.
    Internal,
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// One text per error, for people.
    pub errors: Vec<String>,
}

impl From<CommandError> for Failure {
    fn from(e: CommandError) -> Self {
        let (kind, errors) = match e {
            CommandError::Policy(errors) => (FailureKind::Policy, errors),
            CommandError::Kernel(e) => (FailureKind::Kernel, vec![e]),
            CommandError::Request(e) => (FailureKind::Request, vec![e]),
            CommandError::Internal(e) => (FailureKind::Internal, vec![e]),
        };
        Self { kind, errors }
    }
}

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

/// One feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedState {
    /// Its id in the policy.
    pub id: String,
    /// Where it comes from.
    pub source: String,
    /// Indicators used.
    pub used: u64,
    /// Rows that were no indicator, or that must not be used.
    pub refused: u64,
    /// What is wrong with it, if anything.
    pub why: Option<String>,
    /// What its indicators are: `pool` or `doh`.
    #[serde(default)]
    pub class: String,
    /// Whether its last good copy is used because the source is worse.
    #[serde(default)]
    pub copy: bool,
    /// When it was last changed (RFC 3339): its newest file, the fetch, or the signing; none for an embedded feed.
    #[serde(default)]
    pub changed: Option<String>,
    /// Seconds since then.
    #[serde(default)]
    pub age_s: Option<u64>,
    /// Whether its signature is checked.
    #[serde(default)]
    pub signed: bool,
    /// Until when its signature holds (RFC 3339).
    #[serde(default)]
    pub expires: Option<String>,
    /// Verdicts on its indicators since the guard started, those included that were only counted.
    #[serde(default)]
    pub hits: u64,
    /// The last of them (RFC 3339).
    #[serde(default)]
    pub last_hit: Option<String>,
}

/// The feeds in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedList {
    /// Generation in force.
    pub generation: u64,
    /// In the order of the policy; then the embedded ones; then what was learned, if anything is.
    pub feeds: Vec<FeedState>,
}

/// The body of `POST /v1/feeds/update`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedUpdateRequest {
    /// This feed; none: all of them.
    #[serde(default)]
    pub id: Option<String>,
    /// Also when it lists nothing or lost most of its indicators.
    #[serde(default)]
    pub force: bool,
}

/// What came of an update.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedUpdate {
    /// Generation now in force.
    pub generation: u64,
    /// Each feed that was asked for.
    pub feeds: Vec<FeedOutcome>,
}

/// What came of the update of one feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedOutcome {
    /// Its id.
    pub id: String,
    /// What was done.
    pub outcome: UpdateOutcome,
    /// Indicators now used.
    pub used: u64,
    /// Rows not used.
    pub refused: u64,
    /// Why it was refused.
    pub why: Option<String>,
}

/// What an update did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateOutcome {
    /// It is in force.
    Updated,
    /// It is what is in force already.
    Unchanged,
    /// What was in force stays.
    Refused,
}

/// The mode, and what became of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeReply {
    /// The mode now in force.
    #[serde(with = "names::mode")]
    pub mode: Mode,
    /// Generation that holds it.
    pub generation: u64,
    /// It was another one before.
    pub changed: bool,
}

/// What became of a cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// Its directory.
    pub cgroup: String,
    /// It may reach protected destinations only.
    pub isolated: bool,
    /// The mode in force makes it so; in audit it is only told.
    pub enforced: bool,
    /// It was otherwise before.
    pub changed: bool,
    /// All that are isolated now.
    pub all: Vec<Isolated>,
}

/// An isolated cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolated {
    /// Its directory.
    pub cgroup: String,
    /// RFC 3339; `None`: until it is released.
    pub until: Option<String>,
    /// Who wanted it.
    pub why: String,
}

/// The body of `POST /v1/isolate`; of `POST /v1/release` without the seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsolationRequest {
    /// A cgroup's path, or a pid.
    pub target: String,
    /// For so many seconds; 0: until it is released; `None`: as the policy says.
    #[serde(default)]
    pub seconds: Option<u64>,
}

/// The body of `PUT /v1/mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeRequest {
    /// The mode that is wanted.
    #[serde(with = "names::mode")]
    pub mode: Mode,
}

/// Rules of one policy against those of another, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Only in the new one.
    pub added: Vec<String>,
    /// Only in the old one.
    pub removed: Vec<String>,
    /// In both, but different.
    pub changed: Vec<String>,
    /// What is not an error but should be known, such as feed lines that were refused.
    pub warnings: Vec<String>,
}

/// What came of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReply {
    /// Generation now in force.
    pub generation: u64,
    /// Rules now in force.
    pub rules: u64,
    /// Hash of the policy now in force.
    pub fingerprint: String,
    /// Against the policy before.
    #[serde(flatten)]
    pub changes: Changes,
}

/// The rules in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyList {
    /// Generation in force.
    pub generation: u64,
    /// Its hash.
    pub fingerprint: String,
    /// What it does with a verdict.
    #[serde(with = "names::mode")]
    pub mode: Mode,
    /// In the order of the policy.
    pub rules: Vec<RuleView>,
}

/// One rule, allow entry or feed, as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleView {
    /// Its id.
    pub id: String,
    /// What happens: `alert`, `deny`, `kill`, `isolate`, or `allow`.
    pub action: String,
    /// What it matches, in a few words: `ip 192.0.2.0/24, port 3333`; a number for long lists.
    pub matches: String,
    /// `file:line`, a feed's id, or `builtin`.
    pub origin: String,
}

/// Why something would be stopped, or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// What was asked, as understood.
    pub thing: String,
    /// `address`, `address-port`, `domain`, `path` or `pid`
    pub kind: String,
    /// What would be decided.
    #[serde(with = "names::verdict")]
    pub verdict: Verdict,
    /// Which question decides.
    #[serde(with = "names::reason")]
    pub reason: Reason,
    /// The mode in force turns the verdict into action.
    pub enforced: bool,
    /// The deciding rule's id.
    pub rule: Option<String>,
    /// Where that rule comes from.
    pub origin: Option<String>,
    /// The questions in their order, each with its answer: for a person to follow.
    pub steps: Vec<String>,
    /// The case that a live process belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Box<CaseView>>,
}

/// Addresses that were learned while the guard runs: the pseudo-feed `learned`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedList {
    /// By address.
    pub addresses: Vec<LearnedAddress>,
    /// Left out since the start, by cause: `evicted` (for newer ones), `protected`, `special` (loopback and the like).
    pub left_out: BTreeMap<String, u64>,
}

/// A learned address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedAddress {
    /// The address.
    pub address: IpAddr,
    /// What led to it: the listed name (`pool.example`, `*.example`), or `case 7`.
    pub cause: String,
    /// The rule's id.
    pub rule: String,
    /// How: `www.example → pool.example`.
    pub chain: String,
    /// Whom it is denied to.
    pub denied: Vec<LearnedFor>,
    /// Until when everyone else's first payload to it is looked at (RFC 3339).
    pub suspect_until: String,
}

/// Whom a learned address is denied to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedFor {
    /// Path of the cgroup, its id if it is gone; `everyone`.
    pub cgroup: String,
    /// Until when (RFC 3339).
    pub until: String,
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// How many addresses.
    pub forgotten: u64,
}

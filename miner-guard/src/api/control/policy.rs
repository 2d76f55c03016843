//! The policy in force: its mode, its rules, what a reload changed, and why something would be stopped.

use miner_guard_common::abi::verdict::{Mode, Reason, Verdict};
use serde::{Deserialize, Serialize};

use super::{super::names, CaseView};

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

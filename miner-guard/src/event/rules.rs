//! What events need to know of the policy, and no more.

use miner_guard_common::abi::verdict::Verdict;
use std::net::SocketAddr;

/// The rule behind a verdict, in the operator's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// The rule's or feed's id in the policy.
    pub id: String,
    /// The feed that the indicator came from, if it came from one.
    pub feed: Option<String>,
    /// The indicator as written: `192.0.2.0/24`, `192.0.2.5:3333`, a hash, a path.
    pub indicator: Option<String>,
    /// Where the indicator stands and who says so: `pool-ips.tsv:17, maltrail`.
    pub provenance: Option<String>,
    /// What the feed's indicators are: `pool`, `doh`.
    pub class: Option<&'static str>,
    /// What the rule asks for.
    pub action: Verdict,
}

/// What of a policy was met: a rule may hold a whole feed, and this tells which of its lines it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Met {
    /// A destination.
    To(SocketAddr),
    /// A name.
    Name(String),
}

/// Gives the names of rules. The policy side implements it.
pub trait RuleNames {
    /// The rule of this index in this generation; `None` if it is not known (any more).
    ///
    /// `met` is what a program reached for or asked for, if anything.
    fn rule(&self, generation: u64, index: u32, met: Option<Met>) -> Option<RuleInfo>;
}

/// No policy: for tools that read records without one.
impl RuleNames for () {
    fn rule(&self, _: u64, _: u32, _: Option<Met>) -> Option<RuleInfo> {
        None
    }
}

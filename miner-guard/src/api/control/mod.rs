//! The contract between the control API and the daemon's loop: commands, replies and failures.
//!
//! Maps are sorted, so that two replies can be compared. Fields are only ever added.

mod feeds;
mod isolation;
mod learned;
mod policy;
mod status;

use std::net::IpAddr;

use miner_guard_common::abi::verdict::Mode;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

pub use crate::event::case::view::{CaseList, CaseView};
pub use feeds::{FeedList, FeedOutcome, FeedState, FeedUpdate, FeedUpdateRequest, UpdateOutcome};
pub use isolation::{Isolated, Isolation, IsolationRequest};
pub use learned::{Forgotten, LearnedAddress, LearnedFor, LearnedList};
pub use policy::{Changes, Explanation, ModeReply, ModeRequest, PolicyList, ReloadReply, RuleView};
pub use status::{Attachment, Canary, HookState, Proof, Status};

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

//! The event: what the operator reads, under the names of the Elastic Common Schema.
//!
//! [`Event`] serialises to one nested JSON object; `docs/events.md` explains every field. Fields that are not
//! known are left out, never guessed.
//!
//! | file | |
//! |---|---|
//! | `fields` | the ECS objects |
//! | `guard` | `miner_guard.*` |
//! | `action` | verdict → `event.action`, `event.type` … |
//! | `build` | record + process + rule → event |
//! | `learned` | an address that a name or a miner led to → event |
//! | `own` | what the guard tells of itself: started, loss, … |

mod action;
mod build;
mod fields;
mod guard;
mod learned;
mod own;
mod strings;

pub use action::Action;
pub use build::{Finding, Source, Told};
pub use fields::{
    About, Container, Destination, Dns, Ecs, File, Group, Hash, Host, Indicator, Name, Network, Process,
    ProcessRef, Rule, Thread, Threat, Tls, TlsClient, User,
};
pub use guard::{CaseRef, Guard, Scope, StoppedBy};
pub use learned::{LearnedNews, some_of};
pub use own::{CaseNews, GuardNews};
pub use strings::{LONGEST, lossy};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// One event.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// When it happened (the kernel's clock, not the daemon's).
    #[serde(rename = "@timestamp", serialize_with = "rfc3339")]
    pub timestamp: Timestamp,
    /// Which schema.
    pub ecs: Ecs,
    /// What kind of event.
    pub event: About,
    /// The event in one sentence.
    pub message: String,
    /// This machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// As which user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// As which group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// From where, of a packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Destination>,
    /// Where to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<Destination>,
    /// By which protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// The name that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    /// The name in the TLS ClientHello.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// The program file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<File>,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// The indicator that was met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threat: Option<Threat>,
    /// The container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// What only this guard knows.
    pub miner_guard: Guard,
}

impl Event {
    /// What happened.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.event.action
    }
}

fn rfc3339<S: Serializer>(t: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(t)
}

fn optional_rfc3339<S: Serializer>(t: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
    match t {
        Some(t) => s.collect_str(t),
        None => s.serialize_none(),
    }
}

#[cfg(test)]
mod tests;

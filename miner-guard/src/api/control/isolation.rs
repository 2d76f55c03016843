//! Cgroups that may reach protected destinations only.

use serde::{Deserialize, Serialize};

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

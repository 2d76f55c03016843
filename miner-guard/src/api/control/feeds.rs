//! Feeds: what is used of them, and what came of taking one up.

use serde::{Deserialize, Serialize};

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

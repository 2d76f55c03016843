//! Addresses that were learned while the guard runs.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

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

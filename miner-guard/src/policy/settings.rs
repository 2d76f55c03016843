//! What a policy file says besides rules.

use miner_guard_common::abi::verdict::{Mode, Verdict};

/// What happens to enforcement at an orderly stop. A crash always keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStop {
    /// Hooks and tables are removed.
    Unload,
    /// Hooks and tables stay in the kernel.
    Keep,
}

/// Bounds that a site may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest feed file that is read, MiB.
    pub feed_mib: u64,
}

/// How running programs are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watching {
    /// Whether they are.
    pub enabled: bool,
    /// How long a mix of instructions must hold to be called hashing-heavy, seconds.
    pub sustain_s: u64,
}

/// The settings of a policy file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `mode`
    pub mode: Mode,
    /// `on_stop`; `None` if the file does not say: unload in the foreground, keep as a service.
    pub on_stop: Option<OnStop>,
    /// `builtin`: whether the embedded feed is used.
    pub builtin: bool,
    /// `doh`: what happens on the embedded list of DoH and DoT servers; `None`: it is not used.
    pub doh: Option<Verdict>,
    /// `[limits]`
    pub limits: Limits,
    /// `[runtime]`
    pub runtime: Watching,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Audit,
            on_stop: None,
            builtin: true,
            doh: Some(Verdict::Alert),
            limits: Limits { feed_mib: 512 },
            runtime: Watching { enabled: true, sustain_s: 120 },
        }
    }
}

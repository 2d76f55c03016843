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

/// `[case]`: how evidence is weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaseSettings {
    /// Evidence weighs half as much after so many seconds.
    pub half_life_s: u64,
}

impl Default for CaseSettings {
    fn default() -> Self {
        Self { half_life_s: 3600 }
    }
}

/// What is done about a case that is `mining`, in enforce mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMining {
    /// It is told.
    Alert,
    /// Its processes are killed.
    #[default]
    Kill,
    /// Its cgroup may reach protected destinations only.
    Isolate,
}

const DAY_S: u64 = 86_400;

/// `[respond]`: what is done about a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RespondSettings {
    /// `mining`
    pub mining: OnMining,
    /// Where a miner talked to is denied to all for so long, seconds; 0: it is not learned.
    pub learn_s: u64,
    /// A cgroup is isolated for so long, seconds, unless a person says otherwise; 0: until it is released.
    pub isolate_s: u64,
    /// Evidence bundles that are kept, the oldest out; 0: none is made.
    pub bundles: u64,
    /// Largest bundle, MiB.
    pub bundle_mib: u64,
}

impl Default for RespondSettings {
    fn default() -> Self {
        Self { mining: OnMining::Kill, learn_s: DAY_S, isolate_s: DAY_S, bundles: 32, bundle_mib: 64 }
    }
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
    /// `[case]`
    pub case: CaseSettings,
    /// `[respond]`
    pub respond: RespondSettings,
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
            case: CaseSettings::default(),
            respond: RespondSettings::default(),
        }
    }
}

//! As written → resolved → compiled. `check` walks the same road as `run`.
//!
//! | stage | what it holds |
//! |---|---|
//! | `written` | the file's values, each with its place |
//! | [`feed`], [`indicator`] | other people's lists, line by line |
//! | `resolve` → [`resolved`] | rules and indicators as meant, checked, sorted |
//! | [`compile`] | the blocks of a generation, which the kernel and the host read with the same code |
//! | [`diff`], [`explain`] | what a reload changes; why something would be stopped |
//!
//! ```no_run
//! use miner_guard::policy::{self, LoadRequest};
//! let policy = policy::load(&LoadRequest::default()).map_err(|all| all[0].to_string())?;
//! for note in policy.pending() {
//!     eprintln!("{note}");
//! }
//! # Ok::<(), String>(())
//! ```

pub mod cgroups;
pub mod compile;
pub mod diff;
mod error;
pub mod examples;
pub mod explain;
pub mod feed;
mod fingerprint;
pub mod indicator;
mod names;
mod protect;
mod resolve;
pub mod resolved;
mod settings;
#[cfg(test)]
mod tests;
mod written;

pub use error::{Place, PolicyError};
pub use names::Names;
pub use protect::{Protected, SystemFiles};
pub use resolved::{Resolved, RuleInfo, RuleSource};
pub use settings::{Limits, OnStop, Settings};

use compile::{CompileError, CompileRequest, Image, Listed};
use std::path::Path;

/// Where the policy file is looked for.
pub const DEFAULT_FILE: &str = "/etc/miner-guard/config.toml";
/// Largest policy file; indicators by the thousand belong into a feed.
const FILE_MAX: u64 = 16 << 20;

/// What to load.
#[derive(Clone, Debug, Default)]
pub struct LoadRequest<'a> {
    /// The policy file. `None`: [`DEFAULT_FILE`] if there is one, else the built-in defaults.
    pub file: Option<&'a Path>,
    /// The policy in force, if this is a reload: a feed that had indicators must not become empty.
    pub previous: Option<&'a Resolved>,
    /// Where the system describes itself.
    pub system: SystemFiles,
}

/// Loads a policy, or says everything that is wrong with it.
pub fn load(request: &LoadRequest<'_>) -> Result<Resolved, Vec<PolicyError>> {
    let default = Path::new(DEFAULT_FILE);
    let Some(file) = request.file.or_else(|| default.exists().then_some(default)) else {
        return resolve::resolve(None, &written::Written::default(), Vec::new(), request);
    };
    let fail = |problem: String, remedy: &str| {
        vec![PolicyError {
            file: file.to_owned(),
            place: Place::default(),
            key: String::new(),
            problem,
            remedy: remedy.to_owned(),
        }]
    };
    let bytes = feed::open(file, FILE_MAX).map_err(|(problem, _)| {
        fail(problem, "name a readable policy file with --config, or move long lists into a feed")
    })?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
        fail(format!("line {line} is not UTF-8"), "save the file as UTF-8 text")
    })?;
    let (written, errors) = written::read(file, &text);
    if errors.iter().any(|e| e.key.is_empty()) {
        return Err(errors);
    }
    resolve::resolve(Some(file), &written, errors, request)
}

impl Resolved {
    /// Lays the policy out as a generation. `exempt_cgroups` are the ids of exempt cgroups with their rules: see
    /// [`cgroups::find`].
    pub fn compile(
        &self,
        request: &CompileRequest,
        exempt_cgroups: &[(u64, u32)],
    ) -> Result<Image, CompileError> {
        use miner_guard_common::abi::policy::Class;
        let verdicts: Vec<_> = self.rules.iter().map(|r| r.action).collect();
        let own = self.protected.iter().map(|p| (p.first, p.last, self.protected_rule));
        let protected: Vec<_> = own.chain(self.allowed.ranges.iter().copied()).collect();
        let cgroups = exempt_cgroups.iter().map(|&(id, rule)| (Class::Cgroup, id, rule));
        // A mark that there are exempt programs at all: which ones, the file table knows.
        let programs = !self.allowed.exes.is_empty() || !self.allowed.sha256.is_empty();
        let programs = programs.then_some((Class::Exe, 0, self.protected_rule));
        let exempt: Vec<_> = self.allowed.ids.iter().copied().chain(cgroups).chain(programs).collect();
        compile::compile(
            &Listed {
                verdicts: &verdicts,
                addresses4: &self.addresses4,
                prefixes4: &self.prefixes4,
                addresses6: &self.addresses6,
                prefixes6: &self.prefixes6,
                ports: &self.ports,
                protected: &protected,
                names: Some(&self.names),
                exempt: &exempt,
            },
            request,
        )
    }
}

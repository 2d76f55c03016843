//! As written → resolved → compiled. `check` walks the same road as `run`.
//!
//! | stage | what it holds |
//! |---|---|
//! | `written` | the file's values, each with its place |
//! | [`feed`], [`indicator`] | other people's lists, line by line |
//! | `resolve` → [`resolved`] | rules and indicators as meant, checked, sorted |
//! | [`compile`] | the blocks of a generation, which the kernel and the host read with the same code |
//! | [`ask`] | the questions of the hooks, asked of those blocks on the host |
//! | [`diff`], [`explain`] | what a reload changes; why something would be stopped |
//! | [`learned`] | addresses that names and miners led to, while the guard runs |
//!
//! ```no_run
//! use miner_guard::policy::{self, LoadRequest};
//! let policy = policy::load(&LoadRequest::default()).map_err(|all| all[0].to_string())?;
//! for note in policy.pending() {
//!     eprintln!("{note}");
//! }
//! # Ok::<(), String>(())
//! ```

pub mod ask;
pub mod cgroups;
pub mod compile;
pub mod diff;
pub mod duration;
mod error;
pub mod examples;
pub mod explain;
pub mod feed;
mod fingerprint;
pub mod indicator;
pub mod learned;
mod names;
mod protect;
mod question;
mod resolve;
pub mod resolved;
mod settings;
#[cfg(test)]
mod tests;
mod written;

pub use error::{Place, PolicyError};
pub use names::Names;
pub use protect::{Protected, SystemFiles};
pub use question::NameHit;
pub use resolved::{IndicatorClass, Resolved, RuleInfo, RuleSource};
pub use settings::{CaseSettings, Limits, OnMining, OnStop, RespondSettings, Settings};

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
    /// The policy file's text, instead of what the file holds now.
    pub text: Option<&'a str>,
    /// The policy in force, if this is a reload: a feed that had indicators must not become empty, nor lose most of them.
    pub previous: Option<&'a Resolved>,
    /// The state directory, where the last good copy of each feed is kept.
    pub state: Option<&'a Path>,
    /// What happens when a feed is worse than before.
    pub feeds: Feeds<'a>,
    /// Where the system describes itself.
    pub system: SystemFiles,
}

/// What is asked of the feeds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Feeds<'a> {
    /// A feed that is gone, empty, expired, badly signed or shrunken is no error where there is a good copy: that is used.
    pub fall_back: bool,
    /// This one is to be taken up: what is wrong with it is an error all the same.
    pub update: Option<&'a str>,
    /// … and it may be empty or shrunken.
    pub force: bool,
    /// What was just fetched for it is read.
    pub incoming: bool,
}

/// Loads a policy, or says everything that is wrong with it.
pub fn load(request: &LoadRequest<'_>) -> Result<Resolved, Vec<PolicyError>> {
    let Some((file, text)) = text_of(request)? else {
        return resolve::resolve(None, "", &written::Written::default(), Vec::new(), request);
    };
    let (written, errors) = written::read(file, &text);
    if errors.iter().any(|e| e.key.is_empty()) {
        return Err(errors);
    }
    resolve::resolve(Some(file), &text, &written, errors, request)
}

/// What came of one feed, for `feed verify`.
#[derive(Clone, Debug)]
pub struct FeedCheck {
    /// What was read, as far as it could be.
    pub report: feed::FeedReport,
    /// Why it would be refused; `None`: it would be used.
    pub why: Option<String>,
}

/// Reads the policy's own feeds, each by itself.
///
/// # Errors
/// What is wrong with the rest of the policy.
pub fn check_feeds(request: &LoadRequest<'_>) -> Result<Vec<FeedCheck>, Vec<PolicyError>> {
    let Some((file, text)) = text_of(request)? else { return Ok(Vec::new()) };
    let (written, errors) = written::read(file, &text);
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(resolve::check_feeds(file, &written, request))
}

/// The policy file and its text; `None` if there is none.
fn text_of<'a>(request: &LoadRequest<'a>) -> Result<Option<(&'a Path, String)>, Vec<PolicyError>> {
    let default = Path::new(DEFAULT_FILE);
    let Some(file) = request.file.or_else(|| default.exists().then_some(default)) else { return Ok(None) };
    let fail = |problem: String, remedy: &str| {
        vec![PolicyError {
            file: file.to_owned(),
            place: Place::default(),
            key: String::new(),
            problem,
            remedy: remedy.to_owned(),
        }]
    };
    if let Some(text) = request.text {
        return Ok(Some((file, text.to_owned())));
    }
    let bytes = feed::content::open(file, FILE_MAX).map_err(|(problem, _)| {
        fail(problem, "name a readable policy file with --config, or move long lists into a feed")
    })?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
        fail(format!("line {line} is not UTF-8"), "save the file as UTF-8 text")
    })?;
    Ok(Some((file, text)))
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
        let scripts = (!self.files.is_empty()).then_some((Class::Script, 0, self.protected_rule));
        let exempt: Vec<_> =
            self.allowed.ids.iter().copied().chain(cgroups).chain(programs).chain(scripts).collect();
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

//! Cgroups that may reach protected destinations only, until they are released or their time is over. Kept over a restart
//! of the daemon, as long as they exist.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use miner_guard_common::abi::verdict::Mode;
use serde::{Deserialize, Serialize};

use super::{RunOptions, cases::now_ms, start::Guard};
use crate::{
    api::control::{CommandError, Isolated, Isolation, IsolationRequest},
    event::{
        case::store::boot_id,
        clock::monotonic_ns,
        enrich::{cgroup, proc_root::ProcRoot},
        model::Action,
    },
    kernel::{KernelError, isolate, pins::Instance},
};

/// Isolated at once at most.
const MOST: usize = 1024;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Confined {
    /// v2 id.
    id: u64,
    /// Its directory.
    path: PathBuf,
    /// Until then, milliseconds since 1970; `None`: until it is released.
    until_ms: Option<u64>,
    /// Who wanted it.
    why: String,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    boot: String,
    cgroups: Vec<Confined>,
}

/// All that are isolated, and the programs that make them so.
pub struct Isolations {
    programs: isolate::Isolator,
    cgroups: Vec<Confined>,
    file: PathBuf,
}

impl Isolations {
    /// Those of before that are still there, isolated anew under this instance.
    pub fn start(options: &RunOptions, instance: &Instance) -> Result<Self, KernelError> {
        let file = options.state_dir.join("isolated.json");
        let mut all = Self { programs: isolate::Isolator::default(), cgroups: kept(&file), file };
        for c in &all.cgroups {
            match all.programs.isolate(instance, &c.path, c.id) {
                // It went meanwhile.
                Err(_) if !exists(c) => {}
                done => done?,
            }
        }
        Ok(all)
    }

    /// All, for the API.
    pub fn list(&self) -> Vec<Isolated> {
        let until = |ms: u64| Timestamp::from_millisecond(ms.try_into().ok()?).ok().map(|t| t.to_string());
        let shown = |c: &Confined| Isolated {
            cgroup: c.path.display().to_string(),
            until: c.until_ms.and_then(until),
            why: c.why.clone(),
        };
        self.cgroups.iter().map(shown).collect()
    }

    fn keep(&self) {
        let kept = Kept { boot: boot_id(), cgroups: self.cgroups.clone() };
        let written = self.file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            let new = self.file.with_extension("new");
            let file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            serde_json::to_writer(file, &kept)?;
            fs::rename(new, &self.file)
        });
        if let Err(e) = written {
            tracing::warn!("isolation is not kept over a restart: {}: {e}", self.file.display());
        }
    }
}

fn kept(file: &Path) -> Vec<Confined> {
    let Ok(text) = fs::read(file) else { return Vec::new() };
    match serde_json::from_slice::<Kept>(&text) {
        Ok(kept) if kept.boot == boot_id() => kept.cgroups.into_iter().filter(exists).take(MOST).collect(),
        Ok(_) => Vec::new(),
        Err(e) => {
            tracing::error!("{}: {e}; cgroups isolated before are not isolated now", file.display());
            Vec::new()
        }
    }
}

/// An id is never given to another cgroup within a boot.
fn exists(c: &Confined) -> bool {
    fs::metadata(&c.path).is_ok_and(|m| m.ino() == c.id)
}

impl Guard {
    /// Isolates the cgroup of a pid, or a cgroup by its path.
    pub(super) fn isolate(
        &mut self,
        wanted: &IsolationRequest,
        why: &str,
    ) -> Result<Isolation, CommandError> {
        let (id, path) = self.find_cgroup(&wanted.target)?;
        self.may_isolate(&path)?;
        let seconds = wanted.seconds.unwrap_or(self.policy.settings.respond.isolate_s);
        let until_ms = (seconds > 0).then(|| now_ms().saturating_add(seconds.saturating_mul(1_000)));
        let before = self.isolated.cgroups.iter().position(|c| c.id == id);
        match before.and_then(|at| self.isolated.cgroups.get_mut(at)) {
            // Asked for again: the longer time counts, unless a person says how long.
            Some(known) => {
                let longer = known.until_ms.is_some() && until_ms.is_none_or(|ms| Some(ms) > known.until_ms);
                if wanted.seconds.is_some() || longer {
                    known.until_ms = until_ms;
                }
            }
            None => {
                if self.isolated.cgroups.len() >= MOST {
                    return Err(CommandError::Request(format!(
                        "{MOST} cgroups are isolated already; release some with `miner-guard release`"
                    )));
                }
                let done = self.isolated.programs.isolate(&self.instance, &path, id);
                done.map_err(|e| CommandError::Kernel(e.to_string()))?;
                self.isolated.cgroups.push(Confined {
                    id,
                    path: path.clone(),
                    until_ms,
                    why: why.to_owned(),
                });
                let what = match self.mode {
                    Mode::Enforce => "may reach protected destinations only",
                    Mode::Audit => "would be confined to protected destinations; in audit that is only told",
                };
                self.news(Action::CgroupIsolated, format!("{} {what}", path.display()), vec![why.to_owned()]);
            }
        }
        self.isolated.keep();
        Ok(self.isolation(&path, true, before.is_none()))
    }

    /// Lets it reach others again.
    pub(super) fn release(&mut self, target: &str) -> Result<Isolation, CommandError> {
        // One that has gone meanwhile, too.
        let known = self.isolated.cgroups.iter().find(|c| c.path == Path::new(target)).map(|c| c.id);
        let (id, path) = match known {
            Some(id) => (id, PathBuf::from(target)),
            None => self.find_cgroup(target)?,
        };
        let changed = self.set_free(|c| c.id == id, "it was released")?;
        Ok(self.isolation(&path, false, changed))
    }

    /// Releases each that is meant; whether there was one.
    fn set_free(&mut self, meant: impl Fn(&Confined) -> bool, why: &str) -> Result<bool, CommandError> {
        let (free, stay) = std::mem::take(&mut self.isolated.cgroups).into_iter().partition(meant);
        self.isolated.cgroups = stay;
        let mut outcome = Ok(());
        for c in &free {
            if let Err(e) = isolate::release(&self.instance, c.id) {
                outcome = Err(CommandError::Kernel(e.to_string()));
                self.isolated.cgroups.push(c.clone());
                continue;
            }
            let text = format!("{} may reach others again: {why}", c.path.display());
            self.news(Action::CgroupReleased, text, Vec::new());
        }
        if !free.is_empty() {
            self.isolated.keep();
        }
        outcome.map(|()| !free.is_empty())
    }

    /// Once a second: those whose time is over, and those that have gone.
    pub(super) fn expire_isolation(&mut self) {
        let now = now_ms();
        let over = |c: &Confined| c.until_ms.is_some_and(|ms| ms <= now);
        for (over, why) in
            [(&over as &dyn Fn(&Confined) -> bool, "its time is over"), (&|c| !exists(c), "it is gone")]
        {
            if self.isolated.cgroups.iter().any(over)
                && let Err(e) = self.set_free(over, why)
            {
                tracing::warn!("{e}");
            }
        }
    }

    fn isolation(&self, path: &Path, isolated: bool, changed: bool) -> Isolation {
        Isolation {
            cgroup: path.display().to_string(),
            isolated,
            enforced: isolated && self.mode == Mode::Enforce,
            changed,
            all: self.isolated.list(),
        }
    }

    fn find_cgroup(&self, target: &str) -> Result<(u64, PathBuf), CommandError> {
        let root = &self.preflight.cgroup_root;
        let path = match target.strip_prefix("pid:").unwrap_or(target).parse::<u32>() {
            Ok(pid) => {
                let path = cgroup::directory(root, pid, &ProcRoot::default());
                path.ok_or_else(|| CommandError::Request(format!("there is no process {pid}")))?
            }
            Err(_) if Path::new(target).starts_with(root) => PathBuf::from(target),
            Err(_) => root.join(target.trim_start_matches('/')),
        };
        let path = fs::canonicalize(&path).unwrap_or(path);
        let meta = fs::metadata(&path).ok().filter(|m| m.is_dir() && path.starts_with(root));
        let id = meta.map(|m| m.ino()).ok_or_else(|| {
            CommandError::Request(format!(
                "`{target}` is no running pid and no cgroup below {}",
                root.display()
            ))
        })?;
        Ok((id, path))
    }

    /// Not everything, and not the guard itself.
    fn may_isolate(&self, path: &Path) -> Result<(), CommandError> {
        let own = cgroup::directory(&self.preflight.cgroup_root, std::process::id(), &ProcRoot::default());
        let refuse =
            |why: &str| Err(CommandError::Request(format!("{} is not isolated: {why}", path.display())));
        if path == self.preflight.cgroup_root {
            refuse("it is the whole host")
        } else if own.is_some_and(|own| own.starts_with(path)) {
            refuse("the guard itself is in it")
        } else if !path.starts_with(&self.guarded.path) {
            refuse("this guard does not answer for it (see `status`)")
        } else {
            Ok(())
        }
    }

    /// Isolates where a case or a rule asks for it: whether that is enforced, and what came of it in words.
    pub(super) fn isolate_for(&mut self, target: String, why: &str) -> (bool, String) {
        match self.isolate(&IsolationRequest { target, seconds: None }, why) {
            Ok(done) => (done.enforced, format!("isolated {}", done.cgroup)),
            Err(e) => (false, format!("not isolated: {e}")),
        }
    }

    /// What a rule wants isolated.
    pub(super) fn isolate_by_rule(&mut self) {
        for (id, why) in self.teller.cases.take_to_isolate() {
            let path = self.teller.enricher.cgroup_path(id, monotonic_ns());
            let (done, said) = match path {
                Some(path) => self.isolate_for(path, &why),
                None => (false, format!("not isolated: cgroup {id} is gone")),
            };
            if !done {
                tracing::warn!("{why}: {said}");
            }
        }
    }
}

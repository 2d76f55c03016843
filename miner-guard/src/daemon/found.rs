//! What watching a running program found → an event, and evidence of a case: what is done about it is done there.

use std::path::Path;

use miner_guard_common::abi::policy::Class;

use super::{DaemonError, start::Guard, watch::Watch};
use crate::{
    event::{
        decode::Decision,
        model::{Action, Event},
    },
    identify::cpu::{Found, Hint, track::Settings},
    kernel::hooks::Object,
    kernel::load::State,
    policy::{Resolved, cgroups},
};

pub(super) fn settings(policy: &Resolved) -> Settings {
    Settings { sustain: std::time::Duration::from_secs(policy.settings.runtime.sustain_s) }
}

impl Guard {
    /// Starts watching what runs, where the kernel can and the policy wants it.
    pub(super) fn watch(&mut self, report: impl Fn(Found) + Send + 'static) -> Result<(), DaemonError> {
        let Some(runtime) = self.runtime.take() else { return Ok(()) };
        if !self.policy.settings.runtime.enabled {
            for (hook, state) in &mut self.hooks {
                if hook.object == Object::Runtime && *state == State::Attached {
                    *state = State::Unavailable("the policy turns it off ([runtime] enabled = false)".into());
                }
            }
            return Ok(());
        }
        let watch = Watch::start(runtime, settings(&self.policy), report)
            .map_err(|e| DaemonError::Io("starting the watching thread", e))?;
        self.watching = Some(watch);
        Ok(())
    }

    /// Tells what was found of a process.
    pub(super) fn found(&mut self, found: Found) {
        let Some(hint) = found.hint else {
            tracing::debug!(pid = found.pid, evidence = ?found.evidence, "not enough to tell");
            return;
        };
        if self.exempt(&found) {
            tracing::debug!(pid = found.pid, "exempt");
            return;
        }
        let action = match hint {
            Hint::Mining => Action::Mining,
            Hint::HashingHeavy => Action::HashingHeavy,
        };
        let head = Decision::about(found.pid, found.tid, found.uid, found.cgroup, found.time_ns, self.mode);
        let source = self.teller.source_of(&head);
        let evidence = found.evidence.iter().map(|e| e.text.clone()).collect();
        let at = self.teller.wall(found.time_ns);
        let mut event = Event::of_running(at, self.teller.host(), action, &head, source, evidence);
        self.teller.cases.join(&mut event, &found.evidence);
        self.teller.write(event);
    }

    /// Whether the allowlist names the process, by its user, group, cgroup or program.
    fn exempt(&self, found: &Found) -> bool {
        let allowed = &self.policy.allowed;
        let proc = Path::new("/proc").join(found.pid.to_string());
        let gid = std::fs::read_to_string(proc.join("status")).ok().and_then(|text| {
            let line = text.lines().find_map(|l| l.strip_prefix("Gid:"))?.to_owned();
            line.split_whitespace().next()?.parse::<u64>().ok()
        });
        let listed = |class, id: u64| allowed.ids.iter().any(|(c, i, _)| *c == class && *i == id);
        if listed(Class::Uid, found.uid.into()) || gid.is_some_and(|gid| listed(Class::Gid, gid)) {
            return true;
        }
        let rules = self.file_rules.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if super::inspect::exempt(&rules, &proc.join("exe")) {
            return true;
        }
        let exempt = cgroups::find(&self.preflight.cgroup_root, &allowed.tasks);
        !exempt.is_empty()
            && within(&self.preflight.cgroup_root, &proc, |id| exempt.iter().any(|(e, _)| *e == id))
    }
}

/// Whether the process is in a cgroup whose id, or that of one above it, is `wanted`.
fn within(root: &Path, proc: &Path, wanted: impl Fn(u64) -> bool) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let text = std::fs::read_to_string(proc.join("cgroup")).unwrap_or_default();
    let Some(path) = text.lines().find_map(|l| l.strip_prefix("0::/")) else { return false };
    let dir = root.join(path);
    dir.ancestors()
        .take_while(|d| d.starts_with(root))
        .any(|d| std::fs::metadata(d).is_ok_and(|m| wanted(m.ino())))
}

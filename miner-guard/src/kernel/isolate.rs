//! Isolated cgroups: programs of their own hang on them, so that nobody else pays. Their links are pinned: they outlive
//! the daemon, its policies, and its crash.

use std::{fs::File, path::Path};

use aya::Ebpf;

use super::{
    KernelError,
    hooks::{Hook, ISOLATING},
    load,
    pins::Instance,
};

/// The programs, once they are loaded.
#[derive(Default)]
pub struct Isolator(Option<Ebpf>);

impl Isolator {
    /// Confines the cgroup of this id to protected destinations: all of it, or nothing on an error.
    pub fn isolate(&mut self, instance: &Instance, cgroup: &Path, id: u64) -> Result<(), KernelError> {
        let dir = File::open(cgroup).map_err(|e| KernelError::io("opening the cgroup", cgroup, e))?;
        let ebpf = match &mut self.0 {
            Some(ebpf) => ebpf,
            none => none.insert(load::isolating(instance)?),
        };
        for hook in ISOLATING {
            let link = load::attach(ebpf, hook, &dir);
            if let Err(e) = link.and_then(|link| load::pin(link, &name(id, hook), instance)) {
                let _ = release(instance, id);
                return Err(e);
            }
        }
        Ok(())
    }
}

/// Lets the cgroup of this id reach others again.
pub fn release(instance: &Instance, id: u64) -> Result<(), KernelError> {
    ISOLATING.iter().try_for_each(|hook| instance.unlink(&name(id, hook)).map(drop))
}

fn name(id: u64, hook: &Hook) -> String {
    format!("isolate-{id}-{}", hook.name)
}

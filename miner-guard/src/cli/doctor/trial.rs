//! The whole road from object files to a proof, in a scratch cgroup and with pins of its own: nobody else is asked
//! anything, and nothing stays.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use miner_guard_common::{abi::verdict::Mode, table::SipKey};

use crate::{
    kernel::{
        KernelError, canary,
        cgroup::{Guarded, Scratch},
        hooks::Hook,
        load::{self, State},
        pins::Pins,
        preflight::Preflight,
        tables::Tables,
    },
    policy::compile::{Canary, CompileRequest, Listed, compile},
};

/// What became of the hooks, in the order of attachment.
pub(super) type States = Vec<(&'static Hook, State)>;

/// Removes the pins of the trial, whatever came of it.
struct Cleared(Pins);

impl Drop for Cleared {
    fn drop(&mut self) {
        // Whatever stays here checks an empty cgroup that is gone.
        let _ = self.0.remove(false);
    }
}

/// Pins beside those of the guard: `…/miner-guard-doctor-<pid>`.
fn beside(pin_dir: &Path) -> PathBuf {
    let mut name = pin_dir.file_name().map_or_else(|| OsString::from("miner-guard"), OsString::from);
    name.push(format!("-doctor-{}", std::process::id()));
    pin_dir.with_file_name(name)
}

/// Loads, attaches, and proves.
///
/// # Errors
/// What the kernel refused; then nothing is proven.
pub(super) fn run(pin_dir: &Path, preflight: &Preflight) -> Result<(States, canary::Proof), KernelError> {
    let name = format!("miner-guard-doctor-{}", std::process::id());
    let home = Scratch::create(&preflight.cgroup_root, &name)?;
    let guarded = Guarded::open(&preflight.cgroup_root, Some(Path::new(&name)))?;
    let inner = Scratch::create(&guarded.path, "canary")?;
    let cleared = Cleared(Pins::at(&beside(pin_dir)));

    let instance = cleared.0.create()?;
    let programs = load::load(preflight, &instance, &guarded)?;
    let mut tables = Tables::open(&instance)?;
    let canary = Canary { cgroup: inner.id, address: canary::ADDRESS.into(), port: canary::PORT };
    // No name and no IPv6 address is listed: nobody can gain by knowing the key.
    let request =
        CompileRequest { generation: 1, mode: Mode::Audit, key: SipKey(0, 0), canary: Some(canary) };
    let image = compile(&Listed::default(), &request).map_err(|e| KernelError::Refused {
        what: "compiling the trial policy".into(),
        why: e.to_string(),
    })?;
    let blocks = u32::try_from(image.len()).unwrap_or(u32::MAX);
    tables.publish(blocks, |memory| image.write(memory))?;
    let states = programs.attach(preflight, &instance, &guarded)?;
    let proof = canary::prove(&mut tables, &inner)?;
    drop((inner, home));
    Ok((states.hooks, proof))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trial_never_pins_where_the_guard_does() {
        let at = beside(Path::new("/sys/fs/bpf/miner-guard"));
        assert_eq!(at.parent(), Some(Path::new("/sys/fs/bpf")));
        assert!(at.to_string_lossy().starts_with("/sys/fs/bpf/miner-guard-doctor-"));
        assert!(!at.starts_with("/sys/fs/bpf/miner-guard"));
    }
}

//! Who is never killed: init, the kernel, the guard's own, and whom the allowlist exempts.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use miner_guard_common::abi::{policy::Class, verdict::Verdict};

use super::rules::FileRules;
use crate::{
    event::enrich::{ancestry::stat_of, cgroup, proc_root::ProcRoot},
    policy::{Resolved, cgroups},
};

/// What a process is compared with.
#[derive(Clone, Debug)]
pub struct Spare {
    /// The policy in force.
    pub policy: Arc<Resolved>,
    /// Its rules on files.
    pub rules: Arc<FileRules>,
    /// Root of the cgroup hierarchy.
    pub cgroups: PathBuf,
}

impl Spare {
    /// Why this process must not be killed.
    pub fn why(&self, pid: u32) -> Option<String> {
        let proc = ProcRoot::default();
        if pid <= 1 || pid == std::process::id() {
            return Some(format!("pid {pid} is never killed"));
        }
        if stat_of(&proc, pid).is_some_and(|s| s.kernel) {
            return Some("it is a thread of the kernel".to_owned());
        }
        let exe = proc.of(pid, "exe");
        let file = |path: &Path| fs::metadata(path).map(|m| (m.dev(), m.ino())).ok();
        if file(&exe).is_some_and(|id| Some(id) == file(Path::new("/proc/self/exe"))) {
            return Some("it is the guard's own".to_owned());
        }
        self.exempt(pid, &exe, &proc).map(|rule| {
            let id = self.policy.rule(rule).map_or_else(|| "an allow rule".to_owned(), |r| r.id.clone());
            format!("it is exempt ({id})")
        })
    }

    fn exempt(&self, pid: u32, exe: &Path, proc: &ProcRoot) -> Option<u32> {
        let allowed = &self.policy.allowed;
        let status = proc.read(pid, "status", 16 << 10).unwrap_or_default();
        let status = String::from_utf8_lossy(&status).into_owned();
        let id = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|l| l.strip_prefix(name))?;
            line.split_ascii_whitespace().next()?.parse().ok()
        };
        for (class, name) in [(Class::Uid, "Uid:"), (Class::Gid, "Gid:")] {
            let Some(id) = id(name) else { continue };
            if let Some((.., rule)) = allowed.ids.iter().find(|(c, i, _)| *c == class && *i == id) {
                return Some(*rule);
            }
        }
        self.by_cgroup(pid, proc).or_else(|| {
            let path = fs::read_link(exe).ok()?;
            let listed = self.rules.look_up(&path, &File::open(exe).ok()?)?;
            (listed.verdict == Verdict::Allow).then_some(listed.rule)
        })
    }

    fn by_cgroup(&self, pid: u32, proc: &ProcRoot) -> Option<u32> {
        let exempt = cgroups::find(&self.cgroups, &self.policy.allowed.tasks);
        if exempt.is_empty() {
            return None;
        }
        let text = proc.read(pid, "cgroup", cgroup::LIMIT)?;
        let path = String::from_utf8_lossy(cgroup::v2_path(&text)?).into_owned();
        let mut at = self.cgroups.clone();
        for part in path.split('/').filter(|p| !p.is_empty()) {
            at.push(part);
            let id = fs::metadata(&at).map(|m| m.ino()).ok()?;
            if let Some((_, rule)) = exempt.iter().find(|(i, _)| *i == id) {
                return Some(*rule);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{self, LoadRequest};

    fn spare(config: &str) -> Spare {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        fs::write(&file, format!("builtin = false\n{config}")).unwrap();
        let request = LoadRequest { file: Some(&file), ..LoadRequest::default() };
        let policy = policy::load(&request).unwrap();
        let rules = Arc::new(FileRules::of(&policy));
        Spare { policy: Arc::new(policy), rules, cgroups: "/sys/fs/cgroup".into() }
    }

    #[test]
    fn init_the_kernel_and_the_guard_are_spared_and_a_stranger_is_not() {
        let spare = spare("");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(spare.why(child.id()), None);
        assert!(spare.why(1).is_some() && spare.why(std::process::id()).is_some());
        if stat_of(&ProcRoot::default(), 2).is_some_and(|s| s.kernel) {
            assert_eq!(spare.why(2).unwrap(), "it is a thread of the kernel");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn whom_the_allowlist_exempts_is_spared() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let exe = fs::read_link(format!("/proc/{}/exe", child.id())).unwrap();
        let own = fs::metadata(format!("/proc/{}", child.id())).unwrap().uid();
        for config in
            [format!("[[allow]]\nexe = \"{}\"\n", exe.display()), format!("[[allow]]\nuser = \"{own}\"\n")]
        {
            assert_eq!(spare(&config).why(child.id()).unwrap(), "it is exempt (allow 1)", "{config}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

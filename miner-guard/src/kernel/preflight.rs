//! What can this kernel do, and if not, why not.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    KernelError, btf,
    hooks::{Hook, Object},
};

/// What was found.
#[derive(Clone, Debug)]
pub struct Preflight {
    /// `uname -r`
    pub release: String,
    /// Active LSMs, comma-separated; empty if securityfs is not there.
    pub lsm: String,
    /// Lockdown state in force, such as `integrity`.
    pub lockdown: String,
    /// Mount point of the cgroup v2 hierarchy.
    pub cgroup_root: PathBuf,
}

/// Whether this process may ask the kernel for anything here. Asked first, or the first file that is root's would be
/// named as the trouble.
///
/// # Errors
/// [`KernelError::NotPermitted`].
pub fn permitted() -> Result<(), KernelError> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(KernelError::NotPermitted) }
}

impl Preflight {
    /// Looks at the running kernel. Changes nothing, but mounts bpffs or securityfs where they are missing
    /// (`mount` is false: only looks).
    pub fn look(pin_dir: &Path, mount: bool) -> Result<Self, KernelError> {
        permitted()?;
        if !Path::new(btf::VMLINUX).exists() {
            return Err(KernelError::Unsupported {
                what: format!("it shows no BTF ({} is missing)", btf::VMLINUX),
                remedy: "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian 11, RHEL 8.2, Ubuntu 20.10 and later have it)".into(),
            });
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo")
            .map_err(|e| KernelError::io("reading", Path::new("/proc/self/mountinfo"), e))?;
        let cgroup_root = mount_of(&mounts, "cgroup2").ok_or_else(|| KernelError::Unsupported {
            what: "no cgroup v2 hierarchy is mounted".into(),
            remedy: "mount one (`mount -t cgroup2 none /sys/fs/cgroup/unified`), or boot with systemd.unified_cgroup_hierarchy=1".into(),
        })?;
        ensure_mounted(&mounts, mount, "bpf", "/sys/fs/bpf").map_err(|why| KernelError::Unsupported {
            what: format!("no BPF file system for {}: {why}", pin_dir.display()),
            remedy: "mount it: `mount -t bpf bpf /sys/fs/bpf`".into(),
        })?;
        if !under_bpffs(pin_dir) {
            return Err(KernelError::Unsupported {
                what: format!("{} is not on a BPF file system", pin_dir.display()),
                remedy: "choose a --pin-dir below /sys/fs/bpf".into(),
            });
        }
        // Without securityfs the LSM list is unknown and the LSM hooks are left out: not fatal.
        let _ = ensure_mounted(&mounts, mount, "securityfs", "/sys/kernel/security");
        Ok(Self {
            release: rustix::system::uname().release().to_string_lossy().into_owned(),
            lsm: read_trimmed("/sys/kernel/security/lsm"),
            lockdown: chosen(&read_trimmed("/sys/kernel/security/lockdown")),
            cgroup_root,
        })
    }

    /// Whether the hook can run here; if not, why not.
    pub fn can_run(&self, hook: &Hook) -> Result<(), String> {
        match hook.object {
            Object::Net
            | Object::Egress
            | Object::Exec
            | Object::Answers
            | Object::Frames
            | Object::Isolate
            | Object::Options => Ok(()),
            Object::Runtime if std::env::consts::ARCH != "x86_64" => {
                Err(format!("only code of x86-64 is understood, and this is {}", std::env::consts::ARCH))
            }
            Object::Runtime => Ok(()),
            Object::Lsm if self.lsm.is_empty() => {
                Err("the list of active LSMs cannot be read (securityfs is not mounted)".into())
            }
            Object::Lsm if self.lsm.split(',').any(|l| l == "bpf") => Ok(()),
            Object::Lsm => Err(format!(
                "`bpf` is not among the active LSMs ({}): a program would attach and never fire; boot with lsm={},bpf",
                self.lsm, self.lsm
            )),
        }
    }
}

/// Mount point of the first file system of this type, from `/proc/self/mountinfo`.
pub fn mount_of(mountinfo: &str, kind: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        (right.split(' ').next()? == kind).then_some(())?;
        Some(PathBuf::from(left.split(' ').nth(4)?))
    })
}

fn ensure_mounted(mountinfo: &str, mount: bool, kind: &str, at: &str) -> Result<(), String> {
    if mount_of(mountinfo, kind).is_some() {
        return Ok(());
    }
    if !mount {
        return Err("not mounted".into());
    }
    rustix::mount::mount(kind, at, kind, rustix::mount::MountFlags::empty(), None)
        .map_err(|e| format!("mounting it at {at} failed: {e}"))
}

/// Whether the nearest existing directory lies on bpffs.
fn under_bpffs(dir: &Path) -> bool {
    const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
    let existing = dir.ancestors().find(|d| d.exists()).unwrap_or(Path::new("/"));
    rustix::fs::statfs(existing).is_ok_and(|s| s.f_type == BPF_FS_MAGIC)
}

fn read_trimmed(path: &str) -> String {
    fs::read_to_string(path).map(|s| s.trim().to_owned()).unwrap_or_default()
}

/// `none [integrity] confidentiality` → `integrity`
fn chosen(list: &str) -> String {
    list.split_once('[').and_then(|(_, r)| r.split_once(']')).map(|(c, _)| c.to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup2_mount_is_found_among_hybrid_ones() {
        let info = "30 24 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                    41 24 0:37 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_of(info, "cgroup2"), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(mount_of(info, "bpf"), None);
    }

    #[test]
    fn the_lockdown_state_in_force_is_the_bracketed_one() {
        assert_eq!(chosen("none [integrity] confidentiality"), "integrity");
        assert_eq!(chosen(""), "");
    }
}

//! cgroup path → container, systemd unit, Kubernetes pod, batch job.
//!
//! The path is made by the runtime, the service manager or the batch system, not by the process; but root in a
//! delegated cgroup may name its directories as it likes. Hence the strict shapes: an id is 64 hex digits.

use crate::event::model::{Container, lossy};

/// Where a process belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Container, if in one.
    pub container: Option<Container>,
    /// The innermost systemd service or scope.
    pub unit: Option<String>,
    /// `slurm:JOBID`.
    pub job: Option<String>,
    /// Kubernetes pod uid, with dashes.
    pub pod: Option<String>,
}

/// Reads a path such as `/system.slice/docker-<id>.scope`.
#[must_use]
pub fn of(path: &[u8]) -> Place {
    let mut place = Place::default();
    let (mut before, mut slurm) = (b"".as_slice(), false);
    for part in path.split(|b| *b == b'/').filter(|p| !p.is_empty()) {
        slurm |= contains(part, b"slurm");
        if let Some(job) = part.strip_prefix(b"job_").filter(|j| slurm && digits(j)) {
            place.job = Some(format!("slurm:{}", lossy(job)));
        }
        if part.ends_with(b".service") || part.ends_with(b".scope") {
            place.unit = Some(lossy(part));
        }
        if let Some(pod) = pod(part) {
            place.pod = Some(pod);
        }
        if let Some(container) = container(part, before) {
            place.container = Some(container);
        }
        before = part;
    }
    place
}

fn container(part: &[u8], before: &[u8]) -> Option<Container> {
    let name = part.strip_suffix(b".scope").unwrap_or(part);
    // `kubepods-….slice:cri-containerd:<id>` is a systemd path that the runtime did not resolve.
    let at = name.iter().rposition(|b| *b == b'-' || *b == b':').map_or(0, |at| at + 1);
    let (prefix, id) = name.split_at_checked(at)?;
    if id.len() != 64 || !id.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b)) {
        return None;
    }
    let prefix = prefix.strip_suffix(b"-").or(prefix.strip_suffix(b":")).unwrap_or(prefix);
    let runtime = match prefix.rsplit(|b| *b == b':').next().unwrap_or_default() {
        b"docker" => Some("docker"),
        b"cri-containerd" | b"nerdctl" | b"containerd" => Some("containerd"),
        b"libpod" => Some("podman"),
        b"crio" => Some("cri-o"),
        // Monitors of a container, outside of it.
        b"libpod-conmon" | b"crio-conmon" => return None,
        b"" if before == b"docker" => Some("docker"),
        b"" if before == b"libpod_parent" => Some("podman"),
        _ => None,
    };
    Some(Container { id: lossy(id), runtime })
}

/// `kubepods-burstable-pod0123…_….slice` (systemd) or `pod0123…-…` (cgroupfs).
fn pod(part: &[u8]) -> Option<String> {
    let name = part.strip_suffix(b".slice").unwrap_or(part);
    let uid = match name.strip_prefix(b"pod") {
        Some(uid) => uid,
        None if name.starts_with(b"kubepods") => {
            let at = name.windows(4).rposition(|w| w == b"-pod")?;
            name.get(at + 4..)?
        }
        None => return None,
    };
    // A uuid, or for a static pod the 32 hex digits of a hash.
    let shape =
        matches!(uid.len(), 32 | 36) && uid.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b'_' | b'-'));
    shape.then(|| lossy(uid).replace('_', "-"))
}

fn digits(bytes: &[u8]) -> bool {
    (1..=20).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_digit)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;

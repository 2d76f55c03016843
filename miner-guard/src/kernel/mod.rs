//! The kernel side, as the daemon holds it: the only user of aya.
//!
//! [`preflight`] (what can this kernel do) → [`load`] (objects with offsets from [`btf`]) → [`tables`] (first
//! generation) → attach and pin ([`pins`]) → [`canary`] (proof). [`hooks`] is the one table of programs.

pub mod btf;
pub mod canary;
pub mod cgroup;
pub mod frames;
pub mod hooks;
mod interfaces;
pub mod isolate;
pub mod learned;
mod links;
pub mod load;
mod namespaces;
mod netlink;
pub mod pins;
pub mod preflight;
pub mod queues;
pub mod ring;
pub mod runtime;
pub mod sockets;
pub mod tables;

/// What can go wrong between the daemon and the kernel. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Not root.
    #[error("this needs root (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN): start it with sudo")]
    NotPermitted,
    /// The kernel lacks something without which nothing can be enforced.
    #[error("this kernel cannot run the guard: {what}; {remedy}")]
    Unsupported {
        /// What is missing.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// Another guard holds the lock.
    #[error(
        "another guard already runs on {pin_dir} (lock {lock}): stop it, or give this one its own --pin-dir, --socket and --state-dir"
    )]
    AlreadyRunning {
        /// Its pin directory.
        pin_dir: String,
        /// The lock file.
        lock: String,
    },
    /// Pins of another version.
    #[error(
        "{path} holds the pins of another miner-guard (ABI {found}, this one has {own}): its programs still enforce; remove them with `miner-guard unload --all`"
    )]
    OtherAbi {
        /// The directory.
        path: String,
        /// The version in its name.
        found: String,
        /// This version.
        own: u32,
    },
    /// A file could not be used.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The kernel refused an object, a program or a map.
    #[error("{what}: {why}")]
    Refused {
        /// What was tried.
        what: String,
        /// The kernel's words, with the verifier's last lines.
        why: String,
    },
}

impl KernelError {
    pub(crate) fn io(what: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io { what, path: path.display().to_string(), source }
    }

    pub(crate) fn refused(what: impl Into<String>, why: impl std::error::Error) -> Self {
        // aya keeps the verifier's words in the source chain.
        let mut text = why.to_string();
        let mut at = why.source();
        while let Some(e) = at {
            let more = e.to_string();
            if !text.contains(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            at = e.source();
        }
        // The verifier said nothing where the kernel refused before it.
        let why =
            text.trim_end().trim_end_matches("Verifier output:").trim_end_matches(['.', ' ']).to_owned();
        Self::Refused { what: what.into(), why }
    }
}

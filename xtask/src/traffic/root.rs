//! The programs that a room runs: Debian's, unpacked in the cache.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{apt::Apt, cache};

/// Debian's suite.
pub const SUITE: &str = "trixie";

/// Servers and clients. What they depend on comes with them.
const PACKAGES: &[&str] = &[
    "apt",
    "bash",
    "bind9-dnsutils",
    "coreutils",
    "curl",
    "dash",
    "diffutils",
    "dnsmasq-base",
    "dpkg",
    "fcgiwrap",
    "findutils",
    "fuse3",
    "git",
    "grep",
    "gzip",
    "iperf3",
    "libc-bin",
    "memcached",
    "mosquitto",
    "mosquitto-clients",
    "nats-server",
    "nginx",
    "openmpi-bin",
    "openssh-client",
    "openssh-server",
    "openssl",
    "postgresql-17",
    "python3",
    "python3-aiosmtpd",
    "python3-grpcio",
    "python3-mpi4py",
    "python3-websockets",
    "redis-server",
    "redis-tools",
    "rsync",
    "sed",
    "sshfs",
    "tar",
    "util-linux",
    "wrk",
];

/// Users that packages' scripts would make.
const PASSWD: &str = "root:x:0:0:root:/work:/bin/bash\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n\
    postgres:x:101:101::/work:/bin/bash\n_apt:x:42:65534::/nonexistent:/usr/sbin/nologin\n\
    nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nshadow:x:42:\npostgres:x:101:\nnogroup:x:65534:\n";
const SHADOW: &str = "root:*:1::::::\nsshd:*:1::::::\npostgres:*:1::::::\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n";

/// A root directory with the programs.
pub struct Root(PathBuf);

impl Root {
    /// Fetches and unpacks them, unless an earlier run did.
    ///
    /// # Errors
    /// Without apt, or where a package cannot be fetched.
    pub fn ensure() -> Result<Self> {
        let dir = cache::dir()?.join("traffic");
        // Another list of packages is another root.
        let sum = PACKAGES.iter().flat_map(|p| p.bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        let root = dir.join(format!("{SUITE}-{sum:016x}"));
        if root.is_dir() {
            return Ok(Self(root));
        }
        eprintln!(
            "traffic: fetching {} packages of Debian {SUITE} and what they need (once)",
            PACKAGES.len()
        );
        let apt = Apt::open(&[SUITE])?;
        let made = dir.join(format!("{SUITE}.{}", std::process::id()));
        let done = apt
            .unpack_with_dependencies(PACKAGES, &made)
            .with_context(|| format!("apt-get said of the package lists:\n{}", apt.log()))
            .and_then(|()| furnish(&made));
        // Renamed into place as a whole: an interrupted fetch leaves nothing that looks complete.
        if let Err(error) = done.and_then(|()| Ok(fs::rename(&made, &root)?)) {
            if made.is_dir() {
                fs::remove_dir_all(&made)?;
            }
            // Another run may have been faster.
            if !root.is_dir() {
                return Err(error);
            }
        }
        Ok(Self(root))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// What no program of these needs: half of the files.
const NEEDLESS: [&str; 6] = [
    "usr/share/doc",
    "usr/share/i18n",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/lintian",
];

/// Writes what an installation would have written.
fn furnish(root: &Path) -> Result<()> {
    for dir in NEEDLESS.map(|dir| root.join(dir)).iter().filter(|dir| dir.is_dir()) {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    for dir in
        ["proc", "dev", "tmp", "run", "mnt", "work", "etc", "var/lib/dpkg/info", "var/lib/dpkg/updates"]
    {
        fs::create_dir_all(root.join(dir))?;
    }
    for (file, text) in [
        ("etc/passwd", PASSWD),
        ("etc/group", GROUP),
        ("etc/shadow", SHADOW),
        ("etc/nsswitch.conf", NSSWITCH),
        ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("etc/resolv.conf", "nameserver 127.0.0.1\n"),
        ("var/lib/dpkg/status", ""),
    ] {
        fs::write(root.join(file), text).with_context(|| format!("cannot write {file}"))?;
    }
    Ok(())
}

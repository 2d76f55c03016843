//! Debian's compilers and packers in a root directory of their own: the same on every machine, and nothing is installed.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{apt::Apt, shell};

const SUITE: &str = "trixie";
/// Compilers, what xmrig is built with, RandomX's library, the packer, and the peer that `scan` is compared with.
const PACKAGES: &[&str] = &[
    "g++",
    "make",
    "cmake",
    "patch",
    "tar",
    "xz-utils",
    "dash",
    "coreutils",
    "sed",
    "libuv1-dev",
    "libfmt-dev",
    "rapidjson-dev",
    "librandomx-dev",
    "upx-ucl",
    "yara",
];

/// The root directory. What its programs work on lies below [`Builder::work`].
pub struct Builder {
    root: PathBuf,
}

impl Builder {
    /// Fetches and unpacks it, unless it is there.
    pub fn open(root: &Path) -> Result<Self> {
        if !root.join("usr/bin/upx-ucl").is_file() {
            eprintln!("eval: fetching compilers and packers of Debian {SUITE} (once)");
            let made = root.with_extension(std::process::id().to_string());
            let apt = Apt::open(&[SUITE])?;
            apt.unpack_with_dependencies(PACKAGES, &made)
                .with_context(|| format!("apt-get said of the package lists:\n{}", apt.log()))?;
            for dir in ["dev", "tmp", "work"] {
                fs::create_dir_all(made.join(dir))?;
            }
            // What the scripts of the packages would have done.
            for (link, to) in [("cc", "gcc"), ("c++", "g++")] {
                let link = made.join("usr/bin").join(link);
                if !link.exists() {
                    symlink(to, link)?;
                }
            }
            let null = rustix::fs::makedev(1, 3);
            let mode = rustix::fs::Mode::from_raw_mode(0o666);
            rustix::fs::mknodat(
                rustix::fs::CWD,
                made.join("dev/null"),
                rustix::fs::FileType::CharacterDevice,
                mode,
                null,
            )
            .context("cannot make dev/null")?;
            fs::rename(&made, root).with_context(|| format!("cannot create {}", root.display()))?;
        }
        Ok(Self { root: root.to_owned() })
    }

    /// A directory that its programs see as `/work`.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// A file outside as its programs see it; it must lie within the root.
    pub fn inside(&self, path: &Path) -> Result<PathBuf> {
        let path = path.strip_prefix(&self.root).context("not within the builder's root")?;
        Ok(Path::new("/").join(path))
    }

    /// A file of its own, as seen from outside.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// One of its programs, with its own libraries, that sees this machine's files.
    pub fn outside(&self, program: &str) -> Command {
        let mut command = Command::new(self.root.join("usr/lib64/ld-linux-x86-64.so.2"));
        command
            .arg("--library-path")
            .arg(self.root.join("usr/lib/x86_64-linux-gnu"))
            .arg(self.root.join(program));
        command
    }

    /// One of its programs, with an environment of its own.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.root).arg(program);
        command.env_clear().env("PATH", "/usr/bin:/usr/sbin").env("HOME", "/tmp").env("LC_ALL", "C");
        command
    }

    /// Runs a shell script inside; what it wrote is part of the error.
    pub fn script(&self, script: &str) -> Result<()> {
        shell::capture(self.command("/bin/sh").args(["-ec", script])).map(drop)
    }
}

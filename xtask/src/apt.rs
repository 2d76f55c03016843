//! apt with a configuration of its own: other suites are read without a change to this system's sources or lists.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{cache, shell};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";

/// Package lists of some Debian suites, in a directory that goes away with this value.
pub struct Apt {
    dir: PathBuf,
    architecture: &'static str,
    log: String,
}

/// Which package lists.
#[derive(Clone, Copy)]
pub struct Lists<'s> {
    /// Debian's suites.
    pub suites: &'s [&'s str],
    /// Debian's name of an architecture.
    pub architecture: &'static str,
    /// The lists of sources too.
    pub sources: bool,
}

impl Apt {
    /// Fetches the package lists of `suites` from the mirror that this system uses.
    ///
    /// # Errors
    /// Without apt or Debian's keyring. A suite that the mirror lacks is no error here: its packages are then absent.
    pub fn open(suites: &[&str]) -> Result<Self> {
        Self::open_lists(Lists { suites, architecture: "amd64", sources: false })
    }

    /// The same for other lists.
    ///
    /// # Errors
    /// As [`Apt::open`].
    pub fn open_lists(lists: Lists<'_>) -> Result<Self> {
        if shell::find("apt-get").is_none() || shell::find("dpkg-deb").is_none() {
            bail!(
                "apt-get and dpkg-deb fetch Debian's packages and are not here: copy the cache directory from a \
                 Debian machine and name it in MINER_GUARD_CACHE"
            );
        }
        if !Path::new(KEYRING).is_file() {
            bail!("{KEYRING} is missing: install debian-archive-keyring");
        }
        let dir = cache::dir()?.join(format!("apt.{}.{}", lists.architecture, std::process::id()));
        let mut apt = Self { dir, architecture: lists.architecture, log: String::new() };
        for sub in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(apt.dir.join(sub))
                .with_context(|| format!("cannot create {}", apt.dir.display()))?;
        }
        fs::write(apt.dir.join("status"), "")?;
        let mirror = mirror();
        let kinds = if lists.sources { &["deb", "deb-src"][..] } else { &["deb"] };
        let sources: String = lists
            .suites
            .iter()
            .flat_map(|suite| kinds.iter().map(move |kind| (suite, kind)))
            .map(|(suite, kind)| {
                format!("{kind} [arch={} signed-by={KEYRING}] {mirror} {suite} main\n", lists.architecture)
            })
            .collect();
        fs::write(apt.dir.join("sources.list"), sources)?;
        let update = apt.command("apt-get").arg("update").output().context("cannot start apt-get")?;
        apt.log =
            [update.stdout, update.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        Ok(apt)
    }

    /// What the fetching of the lists said, for error messages.
    pub fn log(&self) -> &str {
        self.log.trim_end()
    }

    /// The names of the packages that begin with `prefix`.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let text = shell::capture(self.command("apt-cache").args(["pkgnames", prefix]))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Downloads a package, checked against the archive's signature, and unpacks it without installing it.
    pub fn unpack(&self, package: &str) -> Result<PathBuf> {
        let download = self.dir.join(format!("{package}.download"));
        fs::create_dir_all(&download)?;
        shell::capture(self.command("apt-get").current_dir(&download).args(["download", package]))?;
        let deb =
            fs::read_dir(&download)?.next().with_context(|| format!("apt-get left no file of {package}"))?;
        let unpacked = self.dir.join(package);
        extract(&deb?.path(), &unpacked)?;
        fs::remove_dir_all(&download)?;
        Ok(unpacked)
    }

    /// Where [`Apt::download`] leaves files; it goes away with this value.
    pub fn downloads(&self) -> PathBuf {
        self.dir.join("downloads")
    }

    /// Downloads packages, checked like [`Apt::unpack`]: all or none.
    pub fn download(&self, packages: &[String]) -> Result<()> {
        let to = self.downloads();
        fs::create_dir_all(&to)?;
        shell::capture(self.command("apt-get").current_dir(&to).arg("download").args(packages)).map(drop)
    }

    /// Downloads the files of a source package, checked like [`Apt::unpack`], into `to`.
    pub fn source(&self, package: &str, to: &Path) -> Result<()> {
        fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
        shell::capture(self.command("apt-get").current_dir(to).args(["source", "--download-only", package]))
            .map(drop)
    }

    /// Downloads packages and all that they depend on, checked like [`Apt::unpack`], and unpacks them into one root in
    /// which their programs run. Nothing is installed, and no script of a package runs.
    pub fn unpack_with_dependencies(&self, packages: &[&str], root: &Path) -> Result<()> {
        // No package counts as installed here, so that apt brings every one.
        let mut install = self.command("apt-get");
        install.args(["install", "--yes", "--quiet", "--download-only", "--no-install-recommends"]);
        shell::capture(install.args(packages))?;
        fs::create_dir_all(root).with_context(|| format!("cannot create {}", root.display()))?;
        for entry in fs::read_dir(self.dir.join("archives"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                extract(&path, root)?;
                fs::remove_file(&path)?;
            }
        }
        // The links that an installed system has: programs name their loader below /lib64.
        for name in ["bin", "lib", "lib64", "sbin"] {
            if root.join("usr").join(name).is_dir() && !root.join(name).exists() {
                std::os::unix::fs::symlink(Path::new("usr").join(name), root.join(name))?;
            }
        }
        Ok(())
    }

    /// An apt program that knows only this directory. Proxy settings of the system still hold.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let dir = self.dir.display();
        for option in [
            format!("Dir::Etc::sourcelist={dir}/sources.list"),
            "Dir::Etc::sourceparts=-".to_owned(),
            "Dir::Etc::preferences=-".to_owned(),
            "Dir::Etc::preferencesparts=-".to_owned(),
            format!("Dir::State={dir}"),
            format!("Dir::State::lists={dir}/lists"),
            format!("Dir::State::status={dir}/status"),
            format!("Dir::Cache={dir}"),
            format!("Dir::Log={dir}"),
            format!("APT::Architecture={}", self.architecture),
            format!("APT::Architectures={}", self.architecture),
            "Acquire::Languages=none".to_owned(),
            // Icons and software-centre data are half of what would be fetched.
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            // The user _apt cannot write below a home directory.
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }
}

/// Unpacks a package's files.
pub fn extract(deb: &Path, to: &Path) -> Result<()> {
    shell::capture(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(to)).map(drop)
}

impl Drop for Apt {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            eprintln!("cannot remove {}: {error}", self.dir.display());
        }
    }
}

/// The mirror that this system has its own Debian packages from, as apt itself says.
fn mirror() -> String {
    let mut ask = Command::new("apt-get");
    ask.args([
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Created-By: Packages",
        "Origin: Debian",
        "Label: Debian",
    ]);
    let answer = shell::capture(&mut ask).unwrap_or_default();
    let usable = |uri: &&str| uri.starts_with("http") && !uri.contains(char::is_whitespace);
    answer.lines().find(usable).unwrap_or(DEFAULT_MIRROR).trim_end_matches('/').to_owned()
}

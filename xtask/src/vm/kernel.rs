//! The kernels of the matrix: which Debian package each comes in, and its image and modules in the cache.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{apt::Apt, cache};

/// A kernel series and where Debian has it.
pub struct Kernel {
    /// The series, as `--kernel` takes it.
    pub name: &'static str,
    /// Debian's suites that may carry it.
    suites: &'static [&'static str],
    /// How the names of its packages begin; the first one that exists is taken.
    packages: &'static [&'static str],
}

/// The oldest kernel that the guard promises to run on, two that are widespread, and the newest.
const KERNELS: &[Kernel] = &[
    Kernel { name: "5.10", suites: &["bullseye"], packages: &["linux-image-5.10."] },
    Kernel { name: "6.1", suites: &["bookworm"], packages: &["linux-image-6.1."] },
    Kernel { name: "6.12", suites: &["trixie"], packages: &["linux-image-6.12."] },
    // From 7.x on the image lies in linux-binary; linux-image is then only a name that depends on it.
    Kernel { name: "7.2", suites: &["sid", "forky"], packages: &["linux-binary-7.2.", "linux-image-7.2."] },
];

/// The kernels with these names, or all when there are none.
pub fn choose(names: &[String]) -> Result<Vec<&'static Kernel>> {
    if names.is_empty() {
        return Ok(KERNELS.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            KERNELS.iter().find(|kernel| kernel.name == name).with_context(|| {
                let known: Vec<_> = KERNELS.iter().map(|kernel| kernel.name).collect();
                format!("no kernel {name} in the matrix; there are {}", known.join(", "))
            })
        })
        .collect()
}

/// Modules that the guard or its tests make use of, and every distribution has: the socket diagnosis, what filters hang on
/// before 6.6, and interfaces to send by; in the order in which they are to be loaded.
const MODULES: [&str; 5] = ["inet_diag", "tcp_diag", "sch_ingress", "cls_bpf", "veth"];

/// A kernel in the cache.
pub struct Fetched {
    /// Its image.
    pub image: PathBuf,
    /// A directory with its [`MODULES`], each name with its place in the order before it.
    pub modules: PathBuf,
}

impl Fetched {
    fn of(kernel: &Kernel, cache: &Path) -> Self {
        let place = cache.join(kernel.name);
        Self { image: place.join("vmlinuz"), modules: place.join("modules") }
    }

    /// An image alone, or with fewer modules, is what earlier versions of this program left.
    fn is_whole(&self) -> bool {
        let modules = fs::read_dir(&self.modules).map_or(0, Iterator::count);
        self.image.is_file() && modules == MODULES.len()
    }
}

/// Sees to it that each kernel is in the cache, and gives them in the same order.
pub fn fetch(kernels: &[&Kernel]) -> Result<Vec<Fetched>> {
    let cache = cache::dir()?.join("kernels");
    let absent: Vec<_> = kernels.iter().filter(|kernel| !Fetched::of(kernel, &cache).is_whole()).collect();
    if !absent.is_empty() {
        let mut suites: Vec<_> = absent.iter().flat_map(|kernel| kernel.suites.iter().copied()).collect();
        suites.dedup();
        eprintln!("vm: fetching the package lists of Debian {} (once)", suites.join(", "));
        let apt = Apt::open(&suites)?;
        for kernel in absent {
            fetch_one(kernel, &apt, &cache)
                .with_context(|| format!("cannot fetch kernel {}", kernel.name))?;
        }
    }
    Ok(kernels.iter().map(|kernel| Fetched::of(kernel, &cache)).collect())
}

fn fetch_one(kernel: &Kernel, apt: &Apt, cache: &Path) -> Result<()> {
    let mut found = None;
    for prefix in kernel.packages {
        let names = apt.names(prefix)?;
        found = found.or_else(|| newest(names));
    }
    let Some(package) = found else {
        bail!(
            "none of Debian {} has a package {}*-cloud-amd64 any more. apt-get said:\n{}",
            kernel.suites.join(", "),
            kernel.packages[0],
            apt.log()
        );
    };
    eprintln!("vm: fetching {package}");
    let unpacked = apt.unpack(&package)?;
    let vmlinuz = find_image(&unpacked)?.with_context(|| format!("{package} holds no vmlinuz"))?;
    // Renamed into place as a whole: an interrupted fetch leaves nothing that looks like a kernel.
    fs::create_dir_all(cache)?;
    let made = cache.join(format!("{}.{}", kernel.name, std::process::id()));
    fs::create_dir_all(&made)?;
    fs::copy(&vmlinuz, made.join("vmlinuz"))?;
    fs::write(made.join("package"), format!("{package}\n"))?;
    copy_modules(&modules_beside(apt, &package, unpacked)?, &made.join("modules"))
        .with_context(|| format!("cannot find the modules of {package}"))?;
    let place = cache.join(kernel.name);
    if place.is_dir() && !Fetched::of(kernel, cache).is_whole() {
        fs::remove_dir_all(&place)?;
    }
    if let Err(error) = fs::rename(&made, &place) {
        fs::remove_dir_all(&made)?;
        // Another run may have been faster.
        if !Fetched::of(kernel, cache).is_whole() {
            return Err(error).with_context(|| format!("cannot create {}", place.display()));
        }
    }
    Ok(())
}

/// Where a kernel's modules are: with the image, or in a package of their own where the image is in `linux-binary`.
fn modules_beside(apt: &Apt, package: &str, unpacked: PathBuf) -> Result<PathBuf> {
    match package.strip_prefix("linux-binary-") {
        Some(rest) => apt.unpack(&format!("linux-modules-{rest}")),
        None => Ok(unpacked),
    }
}

/// Copies the [`MODULES`] of an unpacked package, as `0-inet_diag.ko` or, where they are compressed, `0-inet_diag.ko.xz`.
fn copy_modules(unpacked: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for (order, module) in MODULES.iter().enumerate() {
        let files = format!("{module}.ko");
        let is_it = |name: &str| name == files || name.strip_suffix(".xz") == Some(files.as_str());
        let from = find(unpacked, &is_it)?.with_context(|| format!("there is no {files}"))?;
        let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
        fs::copy(&from, to.join(format!("{order}-{name}")))?;
    }
    Ok(())
}

/// A file below `dir` by its name.
fn find(dir: &Path, is_it: &dyn Fn(&str) -> bool) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let found = if entry.file_type()?.is_dir() {
            find(&entry.path(), is_it)?
        } else {
            entry.file_name().to_str().is_some_and(is_it).then(|| entry.path())
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The package of the highest version among the signed cloud kernels.
fn newest(names: Vec<String>) -> Option<String> {
    names.into_iter().filter(|name| name.ends_with("-cloud-amd64")).max_by_key(|name| numbers(name))
}

/// All numbers of a name, in order: Debian's versions compare by them within one series.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// The kernel's image under /boot or, from 7.x on, /usr/lib/modules/VERSION/vmlinuz.
fn find_image(unpacked: &Path) -> Result<Option<PathBuf>> {
    let mut places = vec![unpacked.join("boot")];
    let modules = unpacked.join("usr/lib/modules");
    if modules.is_dir() {
        for entry in fs::read_dir(modules)? {
            places.push(entry?.path());
        }
    }
    for place in places.iter().filter(|place| place.is_dir()) {
        for entry in fs::read_dir(place)? {
            let path = entry?.path();
            if path.is_file()
                && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
            {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_newest_package_is_chosen_by_number() {
        let found = newest(names(&["linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-50-cloud-amd64"]));
        assert_eq!(found.as_deref(), Some("linux-image-6.1.0-50-cloud-amd64"));
    }

    #[test]
    fn debug_and_unsigned_packages_are_passed_over() {
        let found = newest(names(&[
            "linux-image-6.12.107+deb13-cloud-amd64-dbg",
            "linux-image-6.12.107+deb13-cloud-amd64-unsigned",
            "linux-image-6.12.94+deb13-cloud-amd64",
            "linux-image-6.12.107+deb13-amd64",
        ]));
        assert_eq!(found.as_deref(), Some("linux-image-6.12.94+deb13-cloud-amd64"));
        assert_eq!(newest(Vec::new()), None);
    }

    #[test]
    fn an_unknown_kernel_is_answered_with_those_there_are() {
        let error = choose(&names(&["4.19"])).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("5.10, 6.1, 6.12, 7.2"), "{error}");
    }
}

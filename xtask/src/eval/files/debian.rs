//! Honest programs: Debian's packages, unpacked and never installed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::apt::{self, Apt};

/// Names of packages by suite: `[suite]`, then a name each line; a name with a `*` stands for the newest that fits.
const PACKAGES: &str = include_str!("packages.txt");
/// Downloaded together: one refusal costs no more than these.
const BATCH: usize = 40;

/// Unpacked packages: a directory for each suite, in it one for each package.
pub struct Tree {
    /// The directory.
    pub path: PathBuf,
    /// Packages in it.
    pub packages: usize,
    /// Names that the archive does not have.
    pub absent: Vec<String>,
}

/// Fetches and unpacks what is not there yet.
pub fn unpack(dir: &Path) -> Result<Tree> {
    let mut tree = Tree { path: dir.to_owned(), packages: 0, absent: Vec::new() };
    for (suite, names) in suites() {
        let place = dir.join(suite);
        fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
        let absent = place.join(".absent");
        let wanted: Vec<_> =
            names.iter().filter(|name| !place.join(name.replace('*', "")).is_dir()).collect();
        let known_absent = fs::read_to_string(&absent).unwrap_or_default();
        let wanted: Vec<_> =
            wanted.into_iter().filter(|name| !known_absent.lines().any(|line| line == **name)).collect();
        if !wanted.is_empty() {
            eprintln!("eval: fetching {} packages of Debian {suite} (once)", wanted.len());
            let apt = Apt::open(&[suite])?;
            let mut lacking = known_absent;
            let mut found: Vec<(String, String)> = Vec::new();
            for name in wanted {
                match package(&apt, name)? {
                    Some(package) => found.push((package, name.replace('*', ""))),
                    None => lacking.push_str(&format!("{name}\n")),
                }
            }
            for batch in found.chunks(BATCH) {
                fetch(&apt, batch, &place)?;
            }
            fs::write(&absent, &lacking)?;
        }
        tree.absent.extend(fs::read_to_string(&absent).unwrap_or_default().lines().map(str::to_owned));
        tree.packages += fs::read_dir(&place)?.flatten().filter(|entry| entry.path().is_dir()).count();
    }
    Ok(tree)
}

fn suites() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut suites: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in PACKAGES.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match (line.strip_prefix('[').and_then(|line| line.strip_suffix(']')), suites.last_mut()) {
            (Some(suite), _) => suites.push((suite, Vec::new())),
            (None, Some((_, names))) => names.push(line),
            (None, None) => {}
        }
    }
    suites
}

/// The package of this name, if the archive has one to download.
fn package(apt: &Apt, name: &str) -> Result<Option<String>> {
    let (start, end) = name.split_once('*').unwrap_or((name, ""));
    let fits = |found: &String| {
        if name.contains('*') {
            found.ends_with(end) && !found.contains("-cloud") && !found.contains("-rt")
        } else {
            found == name
        }
    };
    Ok(apt.names(start)?.into_iter().filter(fits).max_by_key(|found| (found.len(), found.clone())))
}

/// Downloads and unpacks some packages, each by itself if not all can be had together.
fn fetch(apt: &Apt, batch: &[(String, String)], place: &Path) -> Result<()> {
    let names: Vec<_> = batch.iter().map(|(package, _)| package.clone()).collect();
    let all = apt.download(&names);
    for (package, dir) in batch {
        if all.is_err()
            && let Err(error) = apt.download(std::slice::from_ref(package))
        {
            // A name without a package of its own, as of one that others provide.
            eprintln!("eval: {package} is left out: {error:#}");
            continue;
        }
        let prefix = format!("{package}_");
        let deb = fs::read_dir(apt.downloads())?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
            .with_context(|| format!("apt-get left no file of {package}"))?;
        let made = place.join(format!(".{package}"));
        apt::extract(&deb, &made)?;
        fs::remove_file(&deb)?;
        fs::rename(&made, place.join(dir))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_names_packages_and_none_twice() {
        let suites = suites();
        assert!(suites.len() >= 2);
        for (suite, mut names) in suites {
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!((names.len(), names.is_empty()), (all, false), "{suite}");
        }
    }
}

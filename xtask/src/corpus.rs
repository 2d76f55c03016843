//! Real miners to test with: Debian's xmrig and the libraries that it needs, unpacked and never installed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{apt::Apt, cache};

/// Debian's suites that have the miner. Each brings its own libraries: a root directory for each.
pub const SUITES: [&str; 2] = ["trixie", "sid"];
/// What is looked for in a root that is whole.
const MINER: &str = "usr/bin/xmrig";
/// Parts of packages that no program needs to run.
const NEEDLESS: [&str; 3] = ["usr/share", "etc", "var"];

/// A directory with a root for each suite, in the cache. A suite that cannot be fetched is named, and left out;
/// `None` when there is none at all. The tests that need one are then skipped, and say so.
///
/// # Errors
/// When the cache cannot be written.
pub fn miners() -> Result<Option<PathBuf>> {
    let dir = cache::dir()?.join("miners");
    let mut any = false;
    for suite in SUITES {
        let root = dir.join(suite);
        if !root.join(MINER).is_file()
            && let Err(error) = fetch(suite, &root)
        {
            eprintln!(
                "corpus: xmrig of Debian {suite} could not be fetched, its tests are skipped: {error:#}"
            );
            continue;
        }
        any = true;
    }
    Ok(any.then_some(dir))
}

fn fetch(suite: &str, root: &Path) -> Result<()> {
    eprintln!(
        "corpus: fetching xmrig of Debian {suite} and its libraries, to be analysed and stopped (once)"
    );
    let apt = Apt::open(&[suite])?;
    let made = root.with_file_name(format!("{suite}.{}", std::process::id()));
    apt.unpack_with_dependencies(&["xmrig"], &made)
        .with_context(|| format!("apt-get said of the package lists:\n{}", apt.log()))?;
    for part in NEEDLESS {
        let part = made.join(part);
        if part.is_dir() {
            fs::remove_dir_all(&part).with_context(|| format!("cannot remove {}", part.display()))?;
        }
    }
    // Renamed into place as a whole: an interrupted fetch leaves nothing that looks complete.
    if let Err(error) = fs::rename(&made, root) {
        fs::remove_dir_all(&made)?;
        // Another run may have been faster.
        if !root.join(MINER).is_file() {
            return Err(error).with_context(|| format!("cannot create {}", root.display()));
        }
    }
    Ok(())
}

//! Where things that are fetched once are kept: outside the tree, so that a clean clone has them too.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// `MINER_GUARD_CACHE`, or `miner-guard` under the user's cache directory.
pub fn dir() -> Result<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = var("MINER_GUARD_CACHE")
        .or_else(|| Some(var("XDG_CACHE_HOME")?.join("miner-guard")))
        .or_else(|| Some(var("HOME")?.join(".cache/miner-guard")))
        .context("no cache directory: set MINER_GUARD_CACHE to one")?;
    std::fs::create_dir_all(&dir)
        .with_context(|| format!("cannot create the cache directory {}", dir.display()))?;
    Ok(dir)
}

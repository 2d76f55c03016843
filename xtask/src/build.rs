//! `cargo xtask build`: one self-contained release binary, the eBPF objects inside.

use std::path::PathBuf;

use anyhow::Result;

use crate::{setup, shell};

/// Sets up what is missing, then builds.
pub fn main() -> Result<()> {
    let binary = release()?;
    println!("{}", binary.display());
    Ok(())
}

/// A guard that is built already, or else the release build.
pub fn given(guard: Option<&PathBuf>) -> Result<PathBuf> {
    guard.cloned().map_or_else(release, Ok)
}

/// Builds the release binary and gives its path.
pub fn release() -> Result<PathBuf> {
    setup::ensure(setup::For::Build)?;
    shell::run(shell::cargo().args(["build", "--release", "--package", "miner-guard"]))?;
    Ok(shell::target_dir().join("release/miner-guard"))
}

//! `cargo xtask build`: one self-contained release binary, the eBPF objects inside.

use std::path::PathBuf;

use anyhow::Result;

use crate::{setup, shell};

/// Arguments of `cargo xtask build`.
#[derive(clap::Args)]
pub struct Args {
    /// With YARA rules of the site; some minutes longer
    #[arg(long)]
    yara: bool,
}

/// Sets up what is missing, then builds.
pub fn main(args: &Args) -> Result<()> {
    let binary = with(if args.yara { &["--features", "yara"] } else { &[] })?;
    println!("{}", binary.display());
    Ok(())
}

/// A guard that is built already, or else the release build.
pub fn given(guard: Option<&PathBuf>) -> Result<PathBuf> {
    guard.cloned().map_or_else(release, Ok)
}

/// Builds the release binary and gives its path.
pub fn release() -> Result<PathBuf> {
    with(&[])
}

fn with(features: &[&str]) -> Result<PathBuf> {
    setup::ensure(setup::For::Build)?;
    shell::run(shell::cargo().args(["build", "--release", "--package", "miner-guard"]).args(features))?;
    Ok(shell::target_dir().join("release/miner-guard"))
}

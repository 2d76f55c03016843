//! `cargo xtask run`: from a fresh machine to a running guard.

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use crate::{build, shell};

/// Arguments of `cargo xtask run`.
#[derive(clap::Args)]
pub struct Args {
    /// Arguments for `miner-guard run`; without `--mode` or `--config` the guard only audits
    #[arg(last = true)]
    guard: Vec<String>,
}

/// Builds, then becomes the guard, so that signals and the exit status are its own.
pub fn main(args: &Args) -> Result<()> {
    let binary = build::release()?;
    let mut command = shell::as_root(binary);
    command.arg("run");
    let chosen = |arg: &String| {
        ["--mode", "--config"].iter().any(|flag| arg == flag || arg.starts_with(&format!("{flag}=")))
    };
    if !args.guard.iter().any(chosen) {
        command.args(["--mode", "audit"]);
    }
    command.args(&args.guard);
    eprintln!("  $ {}", shell::show(&command));
    Err(command.exec()).with_context(|| format!("cannot start `{}`", shell::show(&command)))
}

//! `cargo xtask test`: everything that must hold.

use anyhow::Result;

use crate::{setup, shell};

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Only tests whose name contains this; the checks of format and lints are left out
    filter: Option<String>,
}

/// Cheap checks first, so that a slip is known in a minute.
pub fn main(args: &Args) -> Result<()> {
    setup::ensure(setup::For::Test)?;
    if args.filter.is_none() {
        shell::run(shell::cargo().args(["fmt", "--all", "--check"]))?;
        let mut clippy = shell::cargo();
        clippy.args(["clippy", "--workspace", "--exclude", "miner-guard-ebpf", "--all-targets"]);
        shell::run(clippy.args(["--", "--deny", "warnings"]))?;
    }
    let mut test = shell::cargo();
    test.args(["test", "--workspace", "--exclude", "miner-guard-ebpf", "--exclude", "miner-guard-tests"]);
    shell::run(test.args(["--no-fail-fast", "--"]).args(&args.filter))
}

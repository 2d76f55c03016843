//! `cargo xtask test`: everything that must hold.

use std::process::Command;

use anyhow::Result;

use crate::{binaries::Binaries, corpus, coverage, setup, shell, vm};

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Leave out the VM matrix
    #[arg(long)]
    no_vm: bool,
    /// Only tests whose name contains this; the checks of format and lints are left out
    filter: Option<String>,
}

/// Cheap checks first, so that a slip is known in a minute. Each stage ends the run when it fails.
pub fn main(args: &Args) -> Result<()> {
    setup::ensure(setup::For::Test)?;
    if args.filter.is_none() {
        stage("format and lints");
        shell::run(shell::cargo().args(["fmt", "--all", "--check"]))?;
        let mut clippy = shell::cargo();
        clippy.args(["clippy", "--workspace", "--exclude", "miner-guard-ebpf", "--all-targets"]);
        shell::run(clippy.args(["--", "--deny", "warnings"]))?;
    }

    stage("unit, doc and property tests");
    let mut test = shell::cargo();
    test.args(["test", "--workspace", "--exclude", "miner-guard-ebpf", "--exclude", "miner-guard-tests"]);
    shell::run(test.args(["--no-fail-fast", "--"]).args(&args.filter))?;

    if args.filter.is_none() {
        stage("the feature `yara`, off by default: lints, and the tests of it");
        let yara = ["--package", "miner-guard", "--features", "yara"];
        let mut clippy = shell::cargo();
        clippy.arg("clippy").args(yara).args(["--all-targets", "--", "--deny", "warnings"]);
        shell::run(&mut clippy)?;
        shell::run(shell::cargo().arg("test").args(yara).args(["--lib", "--", "yara", "rule_of_the_site"]))?;
    }

    stage("end to end, on this kernel");
    let binaries = Binaries::build()?;
    let mut native: Command = shell::as_root("env");
    native.arg(format!("MINER_GUARD_BIN={}", binaries.guard.display()));
    if let Some(corpus) = corpus::miners()? {
        native.arg(format!("MINER_GUARD_CORPUS={}", corpus.display()));
    }
    if args.filter.is_none() {
        native.arg(format!("{}={}", coverage::FILE, coverage::native_file()?.display()));
    }
    shell::run(native.arg(&binaries.tests).args(&args.filter))?;

    if args.no_vm {
        eprintln!("the VM matrix was left out");
        return Ok(());
    }
    stage("end to end, VM matrix");
    vm::matrix(&vm::Args::all(args.filter.as_deref()), &binaries)
}

fn stage(name: &str) {
    eprintln!("\n== {name}");
}

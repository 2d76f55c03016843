//! The static binaries of the end-to-end tests: one build runs on this machine and in every virtual machine.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::shell;

/// The guard and its end-to-end tests, both without shared libraries.
pub struct Binaries {
    /// `miner-guard`.
    pub guard: PathBuf,
    /// The `e2e` test program.
    pub tests: PathBuf,
    /// Files that the tests look at, if there are any.
    pub corpus: Option<PathBuf>,
}

const TARGET: &str = "x86_64-unknown-linux-gnu";

impl Binaries {
    /// Builds both, in a target directory of their own so that no other build is undone by the flags.
    pub fn build() -> Result<Self> {
        let guard = build(&["build", "--package", "miner-guard", "--bin", "miner-guard"], "miner-guard")?;
        let tests = build(&["test", "--no-run", "--package", "miner-guard-tests", "--test", "e2e"], "e2e")?;
        Ok(Self { guard, tests, corpus: None })
    }
}

/// Runs one cargo build and gives the path of the program called `name` that it made.
fn build(what: &[&str], name: &str) -> Result<PathBuf> {
    let mut command = shell::cargo();
    command.args(what).args(["--profile", "e2e", "--target", TARGET]);
    command.arg("--target-dir").arg(shell::target_dir().join("static"));
    // The flag goes to programs for this target only: a build script or a proc macro cannot be static. In the
    // environment RUSTFLAGS would override it.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
        .args(["--config", &format!("target.{TARGET}.rustflags=[\"-C\", \"target-feature=+crt-static\"]")]);
    eprintln!("  $ {}", shell::show(&command));
    command.args(["--message-format", "json-render-diagnostics"]).stderr(std::process::Stdio::inherit());
    let output = command.output().context("cannot start cargo")?;
    anyhow::ensure!(output.status.success(), "`{}` failed: {}", shell::show(&command), output.status);
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo built no program called {name}"))
}

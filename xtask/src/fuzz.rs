//! `cargo xtask fuzz`: every reader of hostile bytes against libFuzzer, on the stable compiler.
//!
//! The coverage comes from LLVM's own pass, which stable rustc can be told to run: no nightly, no cargo-fuzz. The
//! parsers hold no unsafe code, so that an address sanitizer would find nothing there; overflow checks and debug
//! assertions are on (`fuzz/Cargo.toml`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{setup, shell};

/// Arguments of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub struct Args {
    /// Only this target [default: all of fuzz/fuzz_targets]
    target: Option<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Afterwards add inputs that reach new code to the committed corpus
    #[arg(long)]
    grow: bool,
}

/// Longest input: more than any reader's own bound that is worth reaching in a short run.
const LONGEST: &str = "-max_len=8192";
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// What libFuzzer needs of the compiler: counters on every edge, and the operands of comparisons.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
];

/// Builds, runs each target for its time, and fails when one crashed.
pub fn main(args: &Args) -> Result<()> {
    let dir = shell::root().join("fuzz");
    let targets = targets(&dir, args.target.as_deref())?;
    // The targets of the daemon's readers build the daemon, kernel programs included.
    let guard = targets.iter().any(|t| t.guard);
    if guard {
        setup::ensure(setup::For::Build)?;
    }
    ensure!(
        shell::find("c++").or_else(|| shell::find("g++")).is_some(),
        "libFuzzer is C++ and there is no c++ on PATH: apt-get install g++"
    );
    let built = build(&dir, &targets, guard)?;
    let mut crashed = Vec::new();
    for target in &targets {
        let start = Instant::now();
        if !run(&dir, &built, target, args.seconds)? {
            crashed.push(target.name.as_str());
        }
        eprintln!("fuzz: {}: {} s", target.name, start.elapsed().as_secs());
    }
    if args.grow {
        targets.iter().try_for_each(|target| grow(&dir, &built, target))?;
    }
    if !crashed.is_empty() {
        bail!("crashed: {}; what did it is in fuzz/artifacts", crashed.join(", "));
    }
    eprintln!("fuzz: {} targets, {} s each, no crash", targets.len(), args.seconds);
    Ok(())
}

struct Target {
    name: String,
    /// It reads with the daemon's library, not with the parsers alone.
    guard: bool,
}

/// The files of `fuzz/fuzz_targets`, by name.
fn targets(dir: &Path, only: Option<&str>) -> Result<Vec<Target>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir.join("fuzz_targets")).context("cannot read fuzz/fuzz_targets")? {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|n| n.to_str()) else { continue };
        let guard = fs::read_to_string(&path)?.contains("use miner_guard::");
        all.push(Target { name: name.to_owned(), guard });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(only) = only {
        let names: Vec<String> = all.iter().map(|t| t.name.clone()).collect();
        all.retain(|t| t.name == only);
        ensure!(!all.is_empty(), "no target `{only}`; there are {}", names.join(", "));
    }
    Ok(all)
}

/// Builds the targets and gives the directory that they are in.
fn build(dir: &Path, targets: &[Target], guard: bool) -> Result<PathBuf> {
    let target_dir = dir.join("target");
    let flags: Vec<String> = COVERAGE.iter().map(|f| format!("\"{f}\"")).collect();
    let mut command = shell::cargo();
    command.args(["build", "--release", "--target", TARGET]);
    command.arg("--manifest-path").arg(dir.join("Cargo.toml")).arg("--target-dir").arg(&target_dir);
    // For the targets alone, not for build scripts. In the environment RUSTFLAGS would override it.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command.args(["--config", &format!("target.{TARGET}.rustflags=[{}]", flags.join(","))]);
    if guard {
        command.args(["--features", "guard"]);
    }
    for target in targets {
        command.args(["--bin", &target.name]);
    }
    shell::run(&mut command)?;
    Ok(target_dir.join(TARGET).join("release"))
}

/// What was found on this machine lies apart from the committed corpus.
fn found(dir: &Path, target: &Target) -> PathBuf {
    dir.join("target/corpus").join(&target.name)
}

/// Whether it ended without a crash.
fn run(dir: &Path, built: &Path, target: &Target, seconds: u32) -> Result<bool> {
    let artifacts = dir.join("artifacts").join(&target.name);
    let (found, seeds) = (found(dir, target), dir.join("corpus").join(&target.name));
    for path in [&artifacts, &found, &seeds] {
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
    }
    let mut command = Command::new(built.join(&target.name));
    command.arg(format!("-max_total_time={seconds}")).arg(LONGEST);
    command.args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1"]);
    command.arg(format!("-artifact_prefix={}/", artifacts.display())).arg(&found).arg(&seeds);
    eprintln!("  $ {}", shell::show(&command));
    let status = command.status().with_context(|| format!("cannot start the target {}", target.name))?;
    Ok(status.success())
}

/// Adds to the committed corpus what reaches code that nothing in it reaches.
fn grow(dir: &Path, built: &Path, target: &Target) -> Result<()> {
    let mut command = Command::new(built.join(&target.name));
    command.args(["-merge=1", LONGEST]).arg(dir.join("corpus").join(&target.name)).arg(found(dir, target));
    shell::run(&mut command)
}

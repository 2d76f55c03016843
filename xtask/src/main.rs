//! The project's own tasks: `cargo xtask --help`.
//!
//! One file (or folder) per command. They share [`shell`], which runs other programs and says which, [`cache`], [`apt`],
//! the static [`binaries`], and the [`corpus`] of real miners.

mod apt;
mod bench;
mod binaries;
mod build;
mod cache;
mod corpus;
mod coverage;
mod eval;
mod fuzz;
mod run;
mod setup;
mod shell;
mod test;
mod traffic;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set up, build, run and test miner-guard")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the build needs; each step is skipped when it is done
    Setup(setup::Args),
    /// Build one self-contained target/release/miner-guard
    Build(build::Args),
    /// Set up, build, and start the guard on this host in audit mode; arguments after `--` go to `miner-guard run`
    Run(run::Args),
    /// Set up and run every test: unit, doc, property, end to end, and the VM matrix
    Test(test::Args),
    /// Run the end-to-end tests on Debian's kernels under QEMU
    Vm(vm::Args),
    /// Run the readers of hostile bytes against libFuzzer; fails on a crash
    Fuzz(fuzz::Args),
    /// Write docs/coverage.md from what the tests last saw here and in each virtual machine
    Coverage(coverage::Args),
    /// Measure the guard beside its peers, and write docs/benchmarks.md
    Bench(bench::Args),
    /// Say how well miners are told from everything else, and write the pages docs/detection-*.md
    Eval(eval::Args),
    /// Let ordinary protocols run under the guard: each works, and nothing is told. Writes docs/traffic.md
    Traffic(traffic::Args),
    /// What `bench` measures with: one process for each configuration
    #[command(hide = true)]
    BenchWorker(bench::worker::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Setup(args) => setup::main(&args),
        Task::Build(args) => build::main(&args),
        Task::Run(args) => run::main(&args),
        Task::Test(args) => test::main(&args),
        Task::Vm(args) => vm::main(&args),
        Task::Fuzz(args) => fuzz::main(&args),
        Task::Coverage(args) => coverage::main(&args),
        Task::Bench(args) => bench::main(&args),
        Task::Eval(args) => eval::main(&args),
        Task::Traffic(args) => traffic::main(&args),
        Task::BenchWorker(args) => bench::worker::main(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

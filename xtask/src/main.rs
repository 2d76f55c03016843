//! The project's own tasks: `cargo xtask --help`.
//!
//! One file (or folder) per command. [`shell`] runs other programs and says which.

mod build;
mod run;
mod setup;
mod shell;
mod test;

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
    Build,
    /// Set up, build, and start the guard on this host in audit mode; arguments after `--` go to `miner-guard run`
    Run(run::Args),
    /// Set up and run every test: unit, doc, property, end to end, and the VM matrix
    Test(test::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Setup(args) => setup::main(&args),
        Task::Build => build::main(),
        Task::Run(args) => run::main(&args),
        Task::Test(args) => test::main(&args),
    }
}

//! `cargo xtask eval`: how well miners are told from everything else, and what is missed.

mod files;
mod runtime;

use anyhow::Result;

/// Arguments of `cargo xtask eval`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Programs that run: proof-of-work libraries on made-up input, and ordinary work. Writes docs/detection-runtime.md
    Runtime(runtime::Args),
    /// What watching programs costs, as the kernel counts it and in pairs of runs; for the same page. Runs hackbench and the
    /// HPC Challenge where Debian's rt-tests and hpcc are installed
    Cost(runtime::cost::Args),
    /// Files: every miner that Debian and crates.io hold, in many disguises, and over 10,000 other programs and libraries
    /// of Debian. Writes docs/detection-static.md
    Static(files::Args),
}

/// Runs an evaluation.
pub fn main(args: &Args) -> Result<()> {
    match &args.what {
        What::Runtime(args) => runtime::main(args),
        What::Cost(args) => runtime::cost::main(args),
        What::Static(args) => files::main(args),
    }
}

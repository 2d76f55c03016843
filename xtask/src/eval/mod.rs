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
    /// Files: every miner that Debian and crates.io hold, in many disguises, and over 10,000 other programs and libraries
    /// of Debian. Writes docs/detection-static.md
    Static(files::Args),
}

/// Runs an evaluation.
pub fn main(args: &Args) -> Result<()> {
    match &args.what {
        What::Runtime(args) => runtime::main(args),
        What::Static(args) => files::main(args),
    }
}

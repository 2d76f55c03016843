//! `cargo xtask eval`: how well miners are told from everything else, and what is missed.

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
}

/// Runs an evaluation.
pub fn main(args: &Args) -> Result<()> {
    match &args.what {
        What::Runtime(args) => runtime::main(args),
    }
}

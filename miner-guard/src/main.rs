//! The `miner-guard` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    miner_guard::cli::main()
}

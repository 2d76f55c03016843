//! The `miner-guard` command.
fn main() {}

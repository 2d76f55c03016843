//! End-to-end tests: one promise per file, each test a sentence.
//!
//! The same program runs on this machine and, as /init, in virtual machines with other kernels.

mod machine;

use libtest_mimic::{Arguments, Trial};
use miner_guard_tests::init;

fn main() -> std::process::ExitCode {
    if init::is_init() {
        init::main();
    }
    let mut arguments = Arguments::from_args();
    // Tests share the machine: pinned programs, cgroups, loopback addresses.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, cases()).exit_code()
}

fn cases() -> Vec<Trial> {
    machine::cases()
}

//! End-to-end tests: one promise per file, each test a sentence.
//!
//! The same program runs on this machine and, as /init, in virtual machines with other kernels. It is also each process
//! that tries a route.

mod bad_input;
mod commands;
mod connect_routes;
mod crash;
mod doctor;
mod exec_stop;
mod flood;
mod hostile_names;
mod machine;
mod miner;
mod payloads;
mod policy_swap;
mod runtime;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use miner_guard_tests::{busy, case, coverage, init, route, sandbox, work};

fn main() -> ExitCode {
    if init::is_init() {
        init::main();
    }
    if work::serve() || route::serve() || busy::serve() {
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    // Tests share the machine: cgroups, loopback addresses, and in a virtual machine the kernel.
    arguments.test_threads = Some(1);
    if !arguments.list
        && let Err(error) = sandbox::enter()
    {
        eprintln!("cannot make a sandbox for the tests: {error:#}");
        return ExitCode::FAILURE;
    }
    let conclusion = libtest_mimic::run(&arguments, cases());
    if !arguments.list {
        case::tell_times();
        coverage::write();
    }
    conclusion.exit_code()
}

/// All of them, wherever they run: what a kind of machine cannot show or need not repeat it says itself.
fn cases() -> Vec<Trial> {
    [
        machine::cases(),
        doctor::cases(),
        connect_routes::cases(),
        exec_stop::cases(),
        policy_swap::cases(),
        crash::cases(),
        bad_input::cases(),
        commands::cases(),
        flood::cases(),
        hostile_names::cases(),
        miner::cases(),
        runtime::cases(),
        payloads::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

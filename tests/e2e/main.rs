//! End-to-end tests: one promise per file, each test a sentence.
//!
//! The same program runs on this machine and, as /init, in virtual machines with other kernels. It is also each process
//! that tries a route.

mod bad_input;
mod benign;
mod cases;
mod closed;
mod commands;
mod connect_routes;
mod crash;
mod doctor;
mod exec_stop;
mod feeds;
mod flood;
mod frames;
mod hostile_names;
mod identification;
mod isolate;
mod learned;
mod machine;
mod malformed;
mod miner;
mod names;
mod options;
mod payloads;
mod policy_swap;
mod runtime;
mod yara;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use miner_guard_tests::{
    busy, case, coverage, dialogue, init, malformed as malformed_packets, options as socket_options,
    questions, route, sandbox, work,
};

fn main() -> ExitCode {
    if init::is_init() {
        init::main();
    }
    if work::serve()
        || route::serve()
        || malformed_packets::serve()
        || busy::serve()
        || dialogue::serve()
        || questions::serve()
        || socket_options::serve()
    {
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

/// What differs most between kernels: in a virtual machine the others are left out unless `--include-ignored` is given,
/// because a guard takes long to start there.
fn kernel_cases() -> Vec<Trial> {
    [machine::cases(), doctor::cases(), connect_routes::cases(), exec_stop::cases()]
        .into_iter()
        .flatten()
        .collect()
}

fn further_cases() -> Vec<Trial> {
    [
        policy_swap::cases(),
        crash::cases(),
        frames::cases(),
        bad_input::cases(),
        feeds::cases(),
        commands::cases(),
        flood::cases(),
        hostile_names::cases(),
        identification::cases(),
        learned::cases(),
        miner::cases(),
        runtime::cases(),
        payloads::cases(),
        names::cases(),
        benign::cases(),
        cases::cases(),
        closed::cases(),
        malformed::cases(),
        isolate::cases(),
        options::cases(),
        yara::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn cases() -> Vec<Trial> {
    let further = further_cases().into_iter().map(|trial| trial.with_ignored_flag(case::in_vm()));
    kernel_cases().into_iter().chain(further).collect()
}

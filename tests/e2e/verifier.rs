//! The verifier of every kernel of the matrix accepts the programs, and far from its limit: a kernel update that checks
//! a little differently must not lock the guard out.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case, in_vm},
    cgroup::Cgroup,
    guard::Post,
    sys::bpf,
};

/// Instructions that the verifier may look at: a quarter of its limit of a million.
const BUDGET: u64 = 250_000;

pub fn cases() -> Vec<Trial> {
    vec![case("the_verifier_needs_a_quarter_of_its_limit_at_most", the_verifier_stays_within_budget)]
}

fn the_verifier_stays_within_budget() -> Result<Done> {
    if !in_vm() {
        return Ok(Done::Skipped("other guards' programs on this machine would be counted".into()));
    }
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "")?;
    let guard = post.start("audit")?;
    let programs = bpf::programs()?;
    let counts: Vec<_> = programs.iter().filter_map(|program| program.number("verified_insns")).collect();
    guard.stop()?;
    ensure!(!programs.is_empty(), "a guard runs and the kernel holds no program");
    if counts.is_empty() {
        return Ok(Done::Skipped(
            "this kernel does not tell how many instructions were checked (5.16)".into(),
        ));
    }
    println!("verified instructions: {counts:?}");
    ensure!(counts.iter().all(|count| *count <= BUDGET), "more than {BUDGET}: {counts:?}");
    Ok(Done::Passed)
}

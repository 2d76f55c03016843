//! The machine that the other tests stand on has what they need.

use std::{fs, net::UdpSocket};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case, in_vm},
    sandbox::SECOND_V6_LOOPBACK,
};

pub fn cases() -> Vec<Trial> {
    vec![
        case("the_kernel_describes_its_types", the_kernel_describes_its_types),
        case("the_vm_has_the_lsm_list_it_was_started_with", the_vm_has_the_lsm_list_it_was_started_with),
        case("loopback_works_in_both_families", loopback_works_in_both_families),
    ]
}

fn the_kernel_describes_its_types() -> Result<Done> {
    let btf = fs::read("/sys/kernel/btf/vmlinux").context("no BTF: the guard cannot find its offsets")?;
    ensure!(btf.starts_with(&0xeb9f_u16.to_le_bytes()), "/sys/kernel/btf/vmlinux is no BTF");
    Ok(Done::Passed)
}

fn the_vm_has_the_lsm_list_it_was_started_with() -> Result<Done> {
    if !in_vm() {
        return Ok(Done::Skipped("only a virtual machine is started by us".into()));
    }
    let asked = fs::read_to_string("/proc/cmdline")?;
    let asked = asked.split_whitespace().find_map(|word| word.strip_prefix("lsm=")).context("no lsm=")?;
    let active = fs::read_to_string("/sys/kernel/security/lsm")?;
    let has_bpf = |list: &str| list.trim().split(',').any(|name| name == "bpf");
    ensure!(has_bpf(asked) == has_bpf(&active), "asked for {asked}, active are {active}");
    Ok(Done::Passed)
}

fn loopback_works_in_both_families() -> Result<Done> {
    UdpSocket::bind(("127.66.66.66", 0)).context("127.66.66.66")?;
    UdpSocket::bind(("::1", 0)).context("::1")?;
    UdpSocket::bind((SECOND_V6_LOOPBACK, 0)).with_context(|| SECOND_V6_LOOPBACK.to_string())?;
    Ok(Done::Passed)
}

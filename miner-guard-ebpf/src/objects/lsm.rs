//! Object `mg-lsm`: where `bpf` is among the active LSMs.
#![no_std]
#![no_main]
#![allow(missing_docs, reason = "the macros generate the public entry points")]

use aya_ebpf::{macros::lsm, programs::LsmContext};
use miner_guard_ebpf::hooks::exec;

#[lsm(hook = "bprm_check_security")]
pub fn mg_bprm_check(ctx: LsmContext) -> i32 {
    // int bprm_check_security(struct linux_binprm *bprm), then the verdict of the program before this one.
    let (bprm, before): (u64, i32) = (ctx.arg(0), ctx.arg(1));
    if before != 0 { before } else { exec::check(bprm) }
}

#[lsm(hook = "mmap_file")]
pub fn mg_mmap_file(ctx: LsmContext) -> i32 {
    // int mmap_file(struct file *file, unsigned long reqprot, unsigned long prot, unsigned long flags)
    const PROT_EXEC: u64 = 4;
    let (file, prot, before): (u64, u64, i32) = (ctx.arg(0), ctx.arg(2), ctx.arg(4));
    if before != 0 {
        before
    } else if file == 0 || prot & PROT_EXEC == 0 {
        0
    } else {
        exec::mapped(file)
    }
}

miner_guard_ebpf::object!();

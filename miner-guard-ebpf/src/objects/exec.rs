//! Object `mg-exec`: the exec tracepoint, for every kernel.
#![no_std]
#![no_main]
#![allow(missing_docs, reason = "the macros generate the public entry points")]

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use miner_guard_ebpf::hooks::exec;

#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn mg_exec(ctx: RawTracePointContext) -> i32 {
    // TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
    exec::started(ctx.arg(0), ctx.arg(2));
    0
}

miner_guard_ebpf::object!();

//! Object `mg-runtime`: what processes do while they run. Its programs and tables belong to the daemon and end with it.
#![no_std]
#![no_main]
#![allow(missing_docs, reason = "the macros generate the public entry points")]

use aya_ebpf::{
    macros::{btf_tracepoint, perf_event},
    programs::{BtfTracePointContext, PerfEventContext},
};
use miner_guard_ebpf::hooks::{fpu, sample};

#[btf_tracepoint(function = "x86_fpu_regs_deactivated")]
pub fn mg_fpu(ctx: BtfTracePointContext) -> i32 {
    // TP_PROTO(struct fpu *fpu)
    fpu::deactivated(ctx.arg(0));
    0
}

#[perf_event]
pub fn mg_sample(ctx: PerfEventContext) -> i32 {
    sample::taken(&ctx);
    0
}

miner_guard_ebpf::object!();

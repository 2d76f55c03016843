//! The clock of a CPU, or of a suspect's thread, has ticked: what code runs?

use aya_ebpf::programs::PerfEventContext;

use crate::{policy, watch};

/// The idle task, kernel threads, and threads that are in the kernel are passed over.
#[inline(always)]
pub fn taken(ctx: &PerfEventContext) {
    if watch::process() == 0 {
        return;
    }
    if let Some(ip) = user_ip(ctx)
        && policy::in_scope()
    {
        watch::send(0, ip);
    }
}

/// Where the interrupted thread was, if in user space.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
fn user_ip(ctx: &PerfEventContext) -> Option<u64> {
    // SAFETY: the verifier allows 8-byte loads of the registers in this context; the kernel fills them.
    let (ip, cs) = unsafe { ((*ctx.ctx).regs.rip, (*ctx.ctx).regs.cs) };
    // The privilege level: 3 is user space.
    (cs & 3 == 3).then_some(ip)
}

/// Code of other processors is not read.
#[cfg(not(bpf_target_arch = "x86_64"))]
#[inline(always)]
fn user_ip(_: &PerfEventContext) -> Option<u64> {
    None
}

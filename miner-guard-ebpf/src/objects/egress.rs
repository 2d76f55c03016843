//! Object `mg-egress`: packets on their way out.
#![no_std]
#![no_main]
#![allow(missing_docs, reason = "the macros generate the public entry points")]

use aya_ebpf::{macros::cgroup_skb, programs::SkBuffContext};
use miner_guard_ebpf::hooks::egress;

#[cgroup_skb(egress)]
pub fn mg_egress(ctx: SkBuffContext) -> i32 {
    egress::sent(&ctx)
}

miner_guard_ebpf::object!();

//! Object `mg-answers`: packets from name servers.
#![no_std]
#![no_main]
#![allow(missing_docs, reason = "the macros generate the public entry points")]

use aya_ebpf::{macros::cgroup_skb, programs::SkBuffContext};
use miner_guard_ebpf::hooks::ingress;

#[cgroup_skb(ingress)]
pub fn mg_ingress(ctx: SkBuffContext) -> i32 {
    ingress::received(&ctx)
}

miner_guard_ebpf::object!();

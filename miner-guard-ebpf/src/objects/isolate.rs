//! Object `mg-isolate`: the programs that are hung on an isolated cgroup.
#![no_std]
#![no_main]
#![allow(missing_docs, reason = "the macros generate the public entry points")]

use aya_ebpf::{
    macros::{cgroup_skb, cgroup_sock_addr},
    programs::{SkBuffContext, SockAddrContext},
};
use miner_guard_common::abi::connect::Op;
use miner_guard_ebpf::hooks::{egress, isolated};

#[cgroup_sock_addr(connect4)]
pub fn mg_isolate_c4(ctx: SockAddrContext) -> i32 {
    isolated::v4(&ctx, Op::Connect)
}

#[cgroup_sock_addr(connect6)]
pub fn mg_isolate_c6(ctx: SockAddrContext) -> i32 {
    isolated::v6(&ctx, Op::Connect)
}

#[cgroup_sock_addr(sendmsg4)]
pub fn mg_isolate_s4(ctx: SockAddrContext) -> i32 {
    isolated::v4(&ctx, Op::Sendmsg)
}

#[cgroup_sock_addr(sendmsg6)]
pub fn mg_isolate_s6(ctx: SockAddrContext) -> i32 {
    isolated::v6(&ctx, Op::Sendmsg)
}

#[cgroup_skb(egress)]
pub fn mg_isolate_out(ctx: SkBuffContext) -> i32 {
    egress::isolated::sent(&ctx)
}

miner_guard_ebpf::object!();

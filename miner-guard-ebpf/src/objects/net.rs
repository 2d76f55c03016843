//! Object `mg-net`: socket address hooks.
#![no_std]
#![no_main]
#![allow(missing_docs, reason = "the macros generate the public entry points")]

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};
use miner_guard_common::abi::connect::Op;
use miner_guard_ebpf::hooks::connect;

#[cgroup_sock_addr(connect4)]
pub fn mg_connect4(ctx: SockAddrContext) -> i32 {
    connect::v4(&ctx, Op::Connect)
}

#[cgroup_sock_addr(connect6)]
pub fn mg_connect6(ctx: SockAddrContext) -> i32 {
    connect::v6(&ctx, Op::Connect)
}

#[cgroup_sock_addr(sendmsg4)]
pub fn mg_sendmsg4(ctx: SockAddrContext) -> i32 {
    connect::v4(&ctx, Op::Sendmsg)
}

#[cgroup_sock_addr(sendmsg6)]
pub fn mg_sendmsg6(ctx: SockAddrContext) -> i32 {
    connect::v6(&ctx, Op::Sendmsg)
}

miner_guard_ebpf::object!();

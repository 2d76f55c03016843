//! Object `mg-options`: options that are set on sockets.
#![no_std]
#![no_main]
#![allow(missing_docs, reason = "the macros generate the public entry points")]

use aya_ebpf::{macros::cgroup_sockopt, programs::SockoptContext};
use miner_guard_ebpf::hooks::option;

#[cgroup_sockopt(setsockopt)]
pub fn mg_setsockopt(ctx: SockoptContext) -> i32 {
    option::set(&ctx)
}

miner_guard_ebpf::object!();

//! Object `mg-frames`: what leaves by an interface, for the frames of packet sockets.
#![no_std]
#![no_main]
#![allow(missing_docs, reason = "the macros generate the public entry points")]

use aya_ebpf::{EbpfContext as _, macros::classifier, programs::TcContext};
use miner_guard_ebpf::hooks::frame::{self, Link};

#[classifier]
pub fn mg_frame(ctx: TcContext) -> i32 {
    frame::sent(ctx.as_ptr().cast(), Link::Ethernet)
}

#[classifier]
pub fn mg_frame_bare(ctx: TcContext) -> i32 {
    frame::sent(ctx.as_ptr().cast(), Link::Bare)
}

miner_guard_ebpf::object!();

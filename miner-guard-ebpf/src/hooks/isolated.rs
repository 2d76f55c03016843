//! The hooks of an isolated cgroup: `connect()` and datagrams, to protected destinations only. Its packets: see
//! [`super::egress::isolated`].

use aya_ebpf::programs::SockAddrContext;
use miner_guard_common::{
    abi::{connect::Op, record::Loss},
    table::Destination,
};

use super::connect;
use crate::{
    emit,
    policy::{isolated, questions::NoPolicy},
    verdict,
};

/// `connect4`, `sendmsg4`.
#[inline(always)]
pub fn v4(ctx: &SockAddrContext, op: Op) -> i32 {
    ask(ctx, connect::to_v4(ctx), op)
}

/// `connect6`, `sendmsg6`.
#[inline(always)]
pub fn v6(ctx: &SockAddrContext, op: Op) -> i32 {
    ask(ctx, connect::to_v6(ctx), op)
}

#[inline(always)]
fn ask(ctx: &SockAddrContext, to: Destination, op: Op) -> i32 {
    const GO_ON: i32 = 1;
    match isolated::reach(&to) {
        Ok(None) => GO_ON,
        Ok(Some(d)) => {
            connect::report(ctx, &to, op, &d);
            verdict::socket(&d)
        }
        Err(NoPolicy) => {
            emit::lost(Loss::NoPolicy);
            GO_ON
        }
    }
}

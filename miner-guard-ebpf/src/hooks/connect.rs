//! `connect()`, and datagrams sent without it: may this socket reach this destination?
//!
//! Fails open when there is no policy (counted), closed for what the policy denies.

use aya_ebpf::programs::SockAddrContext;
use miner_guard_common::{
    abi::{
        connect::{Connect, Op},
        record::{Kind, Loss},
        verdict::Verdict,
    },
    table::{Address, Destination},
};

use crate::{
    emit,
    policy::{self, questions::NoPolicy},
    verdict::{self, Decision},
};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// `connect4`, `sendmsg4`.
#[inline(always)]
pub fn v4(ctx: &SockAddrContext, op: Op) -> i32 {
    ask(ctx, to_v4(ctx), op)
}

/// `connect6`, `sendmsg6`: an IPv4-mapped address is the IPv4 address.
#[inline(always)]
pub fn v6(ctx: &SockAddrContext, op: Op) -> i32 {
    ask(ctx, to_v6(ctx), op)
}

/// Where an IPv4 socket wants to go.
#[inline(always)]
pub(super) fn to_v4(ctx: &SockAddrContext) -> Destination {
    // SAFETY: the verifier allows 4-byte loads of these context members; the kernel fills them for IPv4.
    let (address, port) = unsafe { ((*ctx.sock_addr).user_ip4, (*ctx.sock_addr).user_port) };
    Destination { address: Address::v4(address), port: port_of(port) }
}

/// Where an IPv6 socket wants to go.
#[inline(always)]
pub(super) fn to_v6(ctx: &SockAddrContext) -> Destination {
    // SAFETY: as in `to_v4`, for IPv6.
    let (a, port) = unsafe {
        let s = ctx.sock_addr;
        ([(*s).user_ip6[0], (*s).user_ip6[1], (*s).user_ip6[2], (*s).user_ip6[3]], (*s).user_port)
    };
    Destination { address: Address::v6(a), port: port_of(port) }
}

/// The context keeps the port in network byte order, in the low 16 bits.
#[inline(always)]
fn port_of(user_port: u32) -> u16 {
    u16::from_be(user_port as u16)
}

#[inline(always)]
fn ask(ctx: &SockAddrContext, to: Destination, op: Op) -> i32 {
    const GO_ON: i32 = 1;
    match policy::reach(&to) {
        Ok(None) => GO_ON,
        Ok(Some(d)) => {
            report(ctx, &to, op, &d);
            verdict::socket(&d)
        }
        Err(NoPolicy) => {
            emit::lost(Loss::NoPolicy);
            GO_ON
        }
    }
}

/// Only destinations that are listed come here: what it costs, an ordinary connect does not pay.
#[inline(always)]
pub(super) fn report(ctx: &SockAddrContext, to: &Destination, op: Op, d: &Decision) {
    if d.verdict == Verdict::Allow {
        return;
    }
    let Some(suppressed) = emit::admit(Kind::Connect) else { return };
    // SAFETY: a 4-byte load of a context member.
    let protocol = unsafe { (*ctx.sock_addr).protocol } as u8;
    emit::send::<Connect>(emit::Wake::Soon, Loss::RingConnect, |r| {
        emit::head(&mut r.head, Kind::Connect, d, suppressed);
        (r.address, r.family) = match to.address.is_v4() {
            Some(v4) => ([v4.to_be(), 0, 0, 0], AF_INET),
            None => (to.address.words(), AF_INET6),
        };
        r.port = to.port;
        r.protocol = protocol;
        r.op = op as u8;
        r.pad = 0;
    });
}

//! A packet on its way out: the backstop for every road that passes no `connect()`, and the reader of what is asked
//! and said: DNS questions, TLS server names, the opening of a mining protocol.
//!
//! ```text
//! settled socket ───────────────────────────────► pass        (one look-up)
//! flow ─► judge: is the destination listed? ─► drop
//!      ─► glance: a plain question for what nobody lists ─► pass
//!      ─► question: any other one ─┐
//!      ─► stream: first payload ───┴► name, protocol ─► drop, or pass
//! ```
//!
//! What would multiply in the verifier stands apart in [`step`]. Fails open for what cannot be read (counted), closed
//! for what is denied.

pub mod flow;
mod glance;
pub mod isolated;
mod judge;
pub mod owner;
mod question;
mod said;
pub mod step;
mod stream;
pub mod tell;

use aya_ebpf::programs::SkBuffContext;
use miner_guard_common::{
    abi::{
        record::Loss,
        socket::{CUT, OWNED, STREAM, stage},
    },
    parse::ip::protocol,
};

use crate::{
    emit,
    packet::{Common, Packet},
    policy::packets::Epoch,
    sockets,
};
use flow::{Flow, Span};
use step::Event;

/// The packet goes on.
pub const PASS: i32 = 1;
/// It does not; whoever sends it gets EPERM where the kernel has somebody to tell.
const DROP: i32 = 0;

/// `cgroup_skb/egress`.
#[inline(always)]
pub fn sent(ctx: &SkBuffContext) -> i32 {
    let packet = Packet::of(ctx);
    let Some(sk) = packet.common() else { return PASS };
    let Some(epoch) = Epoch::current() else {
        emit::lost(Loss::NoPolicy);
        return PASS;
    };
    if is_settled(sk, epoch) {
        return PASS;
    }
    let goes = step::goes(packet.context());
    let may_pass = match goes.what() {
        Goes::NOWHERE => false,
        Goes::ASKING => glance::is_harmless(packet.context(), goes.at(), goes.left()) || may_say(packet),
        Goes::SPEAKING => may_say(packet),
        _ => true,
    };
    if may_pass { PASS } else { DROP }
}

/// What there is to say of where a packet goes, as one number.
#[derive(Clone, Copy)]
struct Goes(u64);

impl Goes {
    /// It may not go there.
    const NOWHERE: u8 = 0;
    /// It may, and says nothing that would be read.
    const SILENTLY: u8 = 1;
    /// It may, if what it says may be said.
    const SPEAKING: u8 = 2;
    /// The same, and it is a datagram to a name server.
    const ASKING: u8 = 3;

    #[inline(always)]
    const fn only(what: u8) -> Self {
        Self(what as u64)
    }

    /// It may, if what it says may be said.
    #[inline(always)]
    const fn with(flow: &Flow) -> Self {
        match (flow.asks(), flow.speaks()) {
            (true, _) => Self(Span::of(flow.payload, flow.len & 0xff_ffff).0 << 8 | Self::ASKING as u64),
            (_, true) => Self::only(Self::SPEAKING),
            (_, false) => Self::only(Self::SILENTLY),
        }
    }

    #[inline(always)]
    const fn what(self) -> u8 {
        self.0 as u8
    }

    /// Where the message begins.
    #[inline(always)]
    const fn at(self) -> u32 {
        Span(self.0 >> 8).at()
    }

    /// How long it is.
    #[inline(always)]
    const fn left(self) -> u32 {
        Span(self.0 >> 8).left()
    }
}

/// Whether the packet may go where it goes.
#[inline(always)]
fn goes(packet: Packet) -> Goes {
    let (Some(sk), Some(epoch), Some(flow)) = (packet.socket(), Epoch::current(), Flow::read(packet)) else {
        return Goes::only(Goes::SILENTLY);
    };
    // Most sockets that ask a name server ask once: making them a memory costs more than the question.
    if flow.asks()
        && !sk.is_raw()
        && sockets::known(sk.common()).is_none()
        && judge::nothing_listed(packet, &flow)
    {
        return Goes::with(&flow);
    }
    let Some(state) = sockets::state(packet, sk) else {
        emit::lost(Loss::SocketTable);
        return Goes::only(Goes::SILENTLY);
    };
    if sk.is_stream() {
        state.get().flags |= STREAM;
    }
    if flow.opens() {
        // The socket may have had another connection before.
        state.get().stage = stage::FRESH;
        state.get().flags &= !CUT;
    }
    let print = epoch.fingerprint(flow.high, flow.low, flow.port);
    let new = state.get().passed != print;
    let unowned = state.get().stage != stage::QUIET && state.get().flags & OWNED == 0;
    // Whoever opens a connection, or first writes to it, owns what is read of it. The owner of anything else is looked for
    // once something is listed: it goes out on its owner's time.
    if flow.protocol == protocol::TCP && (new || unowned) {
        step::owner(packet.context(), flow.is_written());
    }
    if new && !judge::passes(packet, sk, state, print, &flow) {
        return Goes::only(Goes::NOWHERE);
    }
    Goes::with(&flow)
}

/// Whether it may say what it says: reads its payload stretch by stretch.
#[inline(always)]
fn may_say(packet: Packet) -> bool {
    /// The largest packet before segmentation, in stretches, and one more for each of a few names that end one early.
    const STRETCHES: u32 = 65_536 / step::STRETCH + 4;
    let context = packet.context();
    let span = step::payload(context);
    if span.is_refused() {
        return false;
    }
    let (mut at, mut left) = (span.at(), span.left());
    if left == 0 {
        return true;
    }
    let mut outcome = PASS as u32;
    let mut stretch = 0;
    while stretch < STRETCHES {
        stretch += 1;
        let step = step::read(context, at, left);
        at = at.wrapping_add(Event::read(step));
        left = left.saturating_sub(Event::read(step));
        if Event::of(step) != Event::MORE {
            outcome = step::passes(context, Event::of(step));
            if Event::of(step) != Event::NAME {
                break;
            }
        }
        if left == 0 || outcome == DROP as u32 {
            break;
        }
    }
    step::end(context, outcome);
    outcome != DROP as u32
}

/// Which part of a packet is to be read.
#[inline(always)]
fn payload(packet: Packet) -> Span {
    let (Some(sk), Some(flow)) = (packet.socket(), Flow::read(packet)) else { return Span::NOTHING };
    let Some(state) = sockets::state(packet, sk) else { return Span::NOTHING };
    match flow.protocol {
        protocol::TCP => stream::payload(packet, state, &flow),
        protocol::UDP if flow.port == question::PORT => question::payload(packet, sk, state, &flow),
        _ => Span::NOTHING,
    }
}

/// What follows from what was read, or from its refusal.
#[inline(always)]
fn end(packet: Packet, outcome: u32) {
    let Some(sk) = packet.socket() else { return };
    let Some(state) = sockets::state(packet, sk) else { return };
    match state.get().stage {
        stage::DATAGRAM => question::end(packet, sk),
        _ => stream::end(sk, state, outcome),
    }
}

/// A connection whose destination was judged under this policy, and of which nothing is to be read: no more, or, at the end
/// that only listens, not yet. Most packets end here.
#[inline(always)]
fn is_settled(sk: Common, epoch: Epoch) -> bool {
    let Some(to) = sk.connected_to() else { return false };
    let Some(known) = sockets::known(sk) else { return false };
    let known = known.get();
    known.flags & (CUT | STREAM) == STREAM
        && known.passed == epoch.fingerprint(to.high, to.low, to.port)
        && (known.stage == stage::QUIET || known.stage == stage::FRESH && sk.is_silent())
}

//! The payload of a connection: TLS, DNS over TCP, or perhaps a mining protocol. Read as it is sent, in whatever pieces.

use miner_guard_common::{
    abi::socket::{CUT, Socket, stage},
    parse::{
        bytes::Bytes as _,
        dns::Questions,
        stratum::Stratum,
        tcp::{self, Fresh},
        tls::Hello,
    },
};

use super::{
    flow::{Flow, Span},
    question, step,
};
use crate::{
    packet::{Packet, Sock},
    sockets::{self, Slot},
};

/// Content type of a TLS handshake: how a ClientHello begins.
const HANDSHAKE: u8 = 22;

/// What is new in the segment, if the stream is still being read.
#[inline(always)]
pub fn payload(packet: Packet, state: Slot<Socket>, flow: &Flow) -> Span {
    // A connection that ends must be able to say so.
    if flow.len == 0 || flow.flags & tcp::RST != 0 {
        return Span::NOTHING;
    }
    let state = state.get();
    if state.flags & CUT != 0 {
        return Span::REFUSED;
    }
    if state.stage == stage::QUIET {
        return Span::NOTHING;
    }
    let sequence = flow.sequence.wrapping_add(u32::from(flow.flags & tcp::SYN != 0));
    if state.stage == stage::FRESH {
        state.next = sequence;
    }
    let skip = match tcp::fresh(state.next, sequence, flow.len) {
        Fresh::Nothing => return Span::NOTHING,
        Fresh::From(skip) => skip,
        Fresh::Gap => {
            // Something was sent before the guard watched.
            state.stage = stage::FRESH;
            state.next = sequence;
            0
        }
    };
    let (at, left) = (flow.payload.wrapping_add(skip), flow.len.saturating_sub(skip));
    if state.stage == stage::FRESH {
        begin(packet, state, flow, at);
    }
    Span::of(at, left)
}

/// What it is to be read as: the first byte tells.
#[inline(always)]
fn begin(packet: Packet, state: &mut Socket, flow: &Flow, at: u32) {
    let [first] = packet.array(at as usize).unwrap_or([0]);
    // A message over TCP stands behind its length, and no question is longer than this.
    if flow.port == question::PORT && first < 0x20 {
        state.questions = Questions::stream();
        state.stage = stage::DNS;
    } else if first == HANDSHAKE {
        state.hello = Hello::default();
        state.stage = stage::TLS;
    } else {
        state.stratum = Stratum::default();
        state.stage = stage::STRATUM;
    }
}

/// What was read is refused, or ends the reading.
#[inline(always)]
pub fn end(sk: Sock, state: Slot<Socket>, outcome: u32) {
    let state = state.get();
    if outcome == 0 {
        state.flags |= CUT;
    }
    if outcome == step::LAST {
        state.stage = stage::QUIET;
    }
    if outcome != step::ON {
        sockets::end_reading(sk);
    }
}

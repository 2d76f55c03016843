//! A DNS question in a datagram: refused at once, before anybody answers it.

use miner_guard_common::{
    abi::{
        record::Loss,
        socket::{Socket, stage},
    },
    parse::dns::Questions,
};

use super::flow::{Flow, Span};
use crate::{
    emit,
    packet::{Packet, Sock},
    policy::{packets, questions},
    sockets::{self, Slot},
};

/// Where resolvers listen, the local ones too.
pub const PORT: u16 = 53;

/// The message, if there are names to look for.
#[inline(always)]
pub fn payload(packet: Packet, sk: Sock, state: Slot<Socket>, flow: &Flow) -> Span {
    if flow.len == 0 || !questions::lists_names() {
        return Span::NOTHING;
    }
    let Some(reading) = sockets::reading(packet, sk) else {
        emit::lost(Loss::SocketTable);
        return Span::NOTHING;
    };
    sockets::enter(&raw mut reading.get().users);
    if reading.get().users != 1 {
        // Another thread reads into the same room at this moment: see `Reading::users`. Resolvers ask again.
        sockets::leave(&raw mut reading.get().users);
        return if packets::enforcing() { Span::REFUSED } else { Span::NOTHING };
    }
    state.get().stage = stage::DATAGRAM;
    reading.get().questions = Questions::datagram();
    reading.get().name.clear();
    Span::of(flow.payload, flow.len)
}

/// The message was read.
#[inline(always)]
pub fn end(packet: Packet, sk: Sock) {
    if let Some(reading) = sockets::reading(packet, sk) {
        sockets::leave(&raw mut reading.get().users);
    }
}

//! What was read in a payload: what it deserves, and what becomes of the packet.

use miner_guard_common::{
    abi::{
        packet::Subject,
        socket::stage,
        verdict::{Reason, Verdict},
    },
    parse::stratum::Role,
    table::{Address, Answer, Destination, Details, Listed},
};

use super::{
    flow::Flow,
    step::{self, Event, Told},
};
use crate::{
    packet::Packet,
    policy::{
        Generation,
        packets::{STALE, UNSURE},
        questions,
    },
    sockets,
    verdict::packed,
};

/// Whether a packet may pass in which `event` was read. It is told where it is not just allowed.
#[inline(always)]
pub fn passes(packet: Packet, event: u32) -> bool {
    // Between the question and the decision another policy may come into force; hardly twice.
    let mut decision = decide(packet, event);
    if decision == STALE {
        decision = decide(packet, event);
    }
    if decision == 0 || decision == UNSURE || decision == STALE {
        return true;
    }
    let subject = match event {
        Event::NAME => asked(packet),
        Event::NAMELESS => Subject::NoServerName,
        _ => Subject::Protocol,
    };
    step::tell(packet.context(), decision, Told::of(subject as u8));
    !packed::enforced(decision)
}

#[inline(always)]
fn decide(packet: Packet, event: u32) -> u64 {
    let listed = match event {
        Event::NAME => named(packet),
        Event::NAMELESS => nameless(packet),
        Event::FOUND => spoken(packet),
        _ => 0,
    };
    if listed == 0 {
        return 0;
    }
    if stage_of(packet) == stage::DATAGRAM {
        step::owner(packet.context(), true);
    }
    step::decide(packet.context(), listed)
}

#[inline(always)]
fn stage_of(packet: Packet) -> u8 {
    packet.socket().and_then(|sk| sockets::state(packet, sk)).map_or(stage::FRESH, |state| state.get().stage)
}

/// Where the name stood.
#[inline(always)]
fn asked(packet: Packet) -> Subject {
    if stage_of(packet) == stage::TLS { Subject::ServerName } else { Subject::DnsQuestion }
}

/// What is listed of the name that the socket has read, unless it is allowed.
#[inline(always)]
fn named(packet: Packet) -> u64 {
    match step::named(packet.context()) {
        0 => 0,
        _ if step::name_allowed(packet.context()) != 0 => 0,
        answer => answer,
    }
}

/// A ClientHello without a readable name is evidence where only pools are called, and where a denied name led somebody.
#[inline(always)]
fn nameless(packet: Packet) -> u64 {
    let Some(flow) = Flow::read(packet) else { return 0 };
    let to = Destination { address: Address::from_halves(flow.high, flow.low), port: flow.port };
    questions::nameless(&to).0
}

/// A mining protocol was recognised.
#[inline(always)]
fn spoken(packet: Packet) -> u64 {
    let state = packet.socket().and_then(|sk| sockets::state(packet, sk));
    let Some(finding) = state.and_then(|s| s.get().stratum.finding()) else { return 0 };
    let (verdict, reason) = match finding.role {
        Role::Opening | Role::Submit => (Verdict::Deny, Reason::Protocol),
        Role::Server => (Verdict::Alert, Reason::PoolServer),
        Role::Follower => (Verdict::Alert, Reason::Protocol),
    };
    let Some(generation) = Generation::current() else { return 0 };
    let Some(details) = Details::read(&generation) else { return 0 };
    Listed::of(&Answer { rule: 0, verdict, reason }).at(details.generation()).0
}

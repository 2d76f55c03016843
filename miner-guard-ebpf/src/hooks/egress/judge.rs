//! Is the destination of a packet denied?

use miner_guard_common::{
    abi::{packet::Subject, socket::Socket},
    parse::ip::protocol,
    table::{Address, Destination, Listed},
};

use super::{
    flow::Flow,
    step::{self, Told},
};
use crate::{
    packet::{Packet, Sock},
    policy::{
        packets::{STALE, UNSURE},
        questions,
    },
    sockets::Slot,
    verdict::packed,
};

/// Whether the packet may go where it goes. Asked once for each socket, destination and generation, whose fingerprint
/// is `print`.
#[inline(always)]
pub fn passes(packet: Packet, sk: Sock, state: Slot<Socket>, print: u64, flow: &Flow) -> bool {
    let to = Destination { address: Address::from_halves(flow.high, flow.low), port: flow.port };
    // Between the question and the decision another policy may come into force; hardly twice.
    let mut decision = decide(packet, sk, &to, flow);
    if decision == STALE {
        decision = decide(packet, sk, &to, flow);
    }
    if packed::enforced(decision) {
        step::tell(packet.context(), decision, Told::of(Subject::Destination as u8));
        return false;
    }
    if decision == UNSURE || decision == STALE {
        return true;
    }
    // `connect()` has told of a connection that only now opens.
    if decision != 0 && state.get().told != print && !flow.opens() {
        step::tell(packet.context(), decision, Told::of(Subject::Destination as u8));
    }
    if decision != 0 {
        state.get().told = print;
    }
    state.get().passed = print;
    true
}

/// Whether nothing is listed for the address that it goes to.
#[inline(always)]
pub fn nothing_listed(packet: Packet, flow: &Flow) -> bool {
    let to = Destination { address: Address::from_halves(flow.high, flow.low), port: flow.port };
    let listed = questions::address_listed(&to);
    questions::or_learned(listed, &to.address, || packet.cgroup()) == Listed::NOTHING
}

/// 0 if nothing is listed, or what is listed does not count here.
#[inline(always)]
fn decide(packet: Packet, sk: Sock, to: &Destination, flow: &Flow) -> u64 {
    // A port alone says nothing of an answer to whoever called this machine from it.
    let asked =
        if flow.opens() || sk.is_raw() { questions::listed(to) } else { questions::address_listed(to) };
    match questions::or_learned(asked, &to.address, || packet.cgroup()).found() {
        Some(listed) if !questions::protected(to) => {
            if flow.protocol != protocol::TCP {
                step::owner(packet.context(), flow.is_written());
            }
            step::decide(packet.context(), listed.0)
        }
        _ => 0,
    }
}

//! A frame on its way out of an interface, past all that hangs on sockets: a packet socket (AF_PACKET) hands it over as it is.
//!
//! Every packet of the host comes by here. Those of any other kind of socket have been judged where they were sent, and those
//! of none are forwarded for somebody whose exemption nobody knows here: both go on at once. What is left is read as it
//! stands, whatever the kernel was told that it is.

use aya_ebpf::bindings::__sk_buff;
use miner_guard_common::{
    abi::{
        packet::{FRAME, Subject},
        record::Loss,
    },
    parse::{ip::protocol, link},
    table::{Address, Destination},
};

use super::egress::{
    flow::{Flow, Transport},
    owner, step, tell,
};
use crate::{
    emit,
    packet::{NETWORK, Packet},
    policy::{
        self,
        packets::{Epoch, STALE, UNSURE},
        questions,
    },
    sockets,
    verdict::packed,
};

/// `TC_ACT_UNSPEC`, which is `TCX_NEXT`: whoever else hangs on the interface is asked.
const NEXT: i32 = -1;
/// `TC_ACT_SHOT`: the sender gets ENOBUFS.
const DROP: i32 = 2;

/// What the frames of an interface begin with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// An Ethernet header.
    Ethernet,
    /// Nothing, or what only the kernel knows.
    Bare,
}

/// tc, at egress.
#[inline(always)]
pub fn sent(skb: *mut __sk_buff, link: Link) -> i32 {
    if !Packet::new(skb).is_frame() {
        return NEXT;
    }
    let passes = match link {
        Link::Ethernet => frame_ethernet(skb),
        Link::Bare => frame_bare(skb),
    };
    if passes == 0 { DROP } else { NEXT }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn frame_ethernet(skb: *mut __sk_buff) -> u32 {
    let packet = Packet::new(skb);
    if !policy::has_in_scope(packet) {
        return 1;
    }
    // Not IP: nothing is listed for it.
    let Some(at) = link::ip_at(&packet) else { return 1 };
    concluded(skb, at, frame_decides(skb, at))
}

/// Read both ways: where a program writes the link's header itself, it may look like an IP header.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn frame_bare(skb: *mut __sk_buff) -> u32 {
    if !policy::has_in_scope(Packet::new(skb)) {
        return 1;
    }
    let decision = frame_decides(skb, NETWORK);
    if packed::enforced(decision) {
        return concluded(skb, NETWORK, decision);
    }
    let first = frame_decides(skb, 0);
    if first != 0 { concluded(skb, 0, first) } else { concluded(skb, NETWORK, decision) }
}

/// Whether it passes.
#[inline(always)]
fn concluded(skb: *mut __sk_buff, at: u32, decision: u64) -> u32 {
    if decision == 0 {
        return 1;
    }
    frame_tell(skb, at, decision);
    u32::from(!packed::enforced(decision))
}

/// What is decided of it, if its IP header lies at this place: [`packed`], 0 if nothing.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn frame_decides(skb: *mut __sk_buff, at: u32) -> u64 {
    let packet = Packet::framed(skb, at);
    if Epoch::current().is_none() {
        emit::lost(Loss::NoPolicy);
        return 0;
    }
    let Some(flow) = read(packet, at) else { return 0 };
    // Between the question and the decision another policy may come into force; hardly twice.
    let mut decision = decide(packet, &flow);
    if decision == STALE {
        decision = decide(packet, &flow);
    }
    if decision == UNSURE || decision == STALE { 0 } else { decision }
}

#[inline(always)]
fn read(packet: Packet, at: u32) -> Option<Flow> {
    Flow::with(packet, || Transport(frame_transport(packet.context(), at)))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn frame_transport(skb: *mut __sk_buff, at: u32) -> u64 {
    Transport::find(Packet::framed(skb, at)).0
}

/// 0 if nothing is listed, or what is listed does not count here.
#[inline(always)]
fn decide(packet: Packet, flow: &Flow) -> u64 {
    let to = Destination { address: Address::from_halves(flow.high, flow.low), port: flow.port };
    // A port alone says nothing of an answer to whoever called this machine from it.
    let answers = flow.protocol == protocol::TCP && !flow.opens();
    let asked = if answers { questions::address_listed(&to) } else { questions::listed(&to) };
    match questions::or_learned(asked, &to.address, || packet.cgroup()).found() {
        Some(listed) if !questions::protected(&to) => {
            frame_owner(packet.context());
            step::decide(packet.context(), listed.0)
        }
        _ => 0,
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn frame_owner(skb: *mut __sk_buff) -> u32 {
    let packet = Packet::new(skb);
    if let Some(state) = packet.socket().and_then(|sk| sockets::state(packet, sk)) {
        owner::of_frame(packet, state);
    }
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn frame_tell(skb: *mut __sk_buff, at: u32, decision: u64) -> u32 {
    let packet = Packet::framed(skb, at);
    let subject = Subject::Destination as u8;
    tell::send_with(packet, packed::unpack(decision), subject, FRAME, || read(packet, at));
    0
}

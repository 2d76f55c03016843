//! A packet on its way out of an isolated cgroup: of connections that were open before, raw sockets, and answers to
//! whoever calls from outside.

use aya_ebpf::{bindings::__sk_buff, programs::SkBuffContext};
use miner_guard_common::{
    abi::packet::Subject,
    table::{Address, Destination},
};

use super::{
    DROP, PASS,
    flow::Flow,
    step::{self, Told},
};
use crate::{
    packet::Packet,
    policy::{isolated, packets::STALE, questions},
    verdict::packed,
};

/// `cgroup_skb/egress` of an isolated cgroup.
#[inline(always)]
pub fn sent(ctx: &SkBuffContext) -> i32 {
    // The verifier must see that only 0 and 1 come out; without the barrier the mask is optimised away.
    core::hint::black_box(step_isolated(Packet::of(ctx).context()) as i32) & (DROP | PASS)
}

/// Whether the packet may go.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_isolated(skb: *mut __sk_buff) -> u32 {
    let packet = Packet::new(skb);
    let Some(flow) = Flow::read(packet) else { return 1 };
    let to = Destination { address: Address::from_halves(flow.high, flow.low), port: flow.port };
    if packet.socket().is_none() || questions::protected(&to) {
        return 1;
    }
    // Between the question and the decision another policy may come into force; hardly twice.
    let mut decision = decide(skb);
    if decision == STALE {
        decision = decide(skb);
    }
    if !packed::enforced(decision) {
        // In audit, `connect()` has told of it.
        return 1;
    }
    step::tell(skb, decision, Told::of(Subject::Destination as u8));
    0
}

#[inline(always)]
fn decide(skb: *mut __sk_buff) -> u64 {
    isolated::packet().map_or(0, |answer| step::decide(skb, answer.0))
}

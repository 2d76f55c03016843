//! A packet on its way to a socket: does it come from a name server?
//!
//! Every packet pays for the question, so it is asked of bytes in place and costs next to nothing beyond the hook itself; only
//! answers are copied. Nothing is ever stopped here. IPv6 extension headers are not looked behind: answers have none.

use aya_ebpf::{
    EbpfContext as _, bindings::__sk_buff, btf_maps::RingBuf, macros::btf_map, programs::SkBuffContext,
};
use miner_guard_common::{
    abi::{
        answer::{Answer, DNS_PORT, PACKET, RING_BYTES},
        record::Loss,
    },
    parse::bytes::Bytes as _,
};

use crate::{emit, packet::Packet};

#[btf_map]
static ANSWERS: RingBuf<[u8; 0], { RING_BYTES as usize }> = RingBuf::new();

const PASS: i32 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// `cgroup_skb/ingress`.
#[inline(always)]
pub fn received(ctx: &SkBuffContext) -> i32 {
    if is_answer(ctx.as_ptr().cast()) {
        copy(Packet::of(ctx));
    }
    PASS
}

/// Whether the packet's source port is that of a name server.
#[inline(always)]
fn is_answer(skb: *mut __sk_buff) -> bool {
    const V6_PORT: usize = 40;
    // SAFETY: members that the verifier lets programs of this kind read.
    let (data, end) = unsafe { ((*skb).data as usize, (*skb).data_end as usize) };
    let port = DNS_PORT.to_be();
    if data + V6_PORT + 2 <= end {
        // SAFETY: the comparison above shows the verifier, and us, that these bytes are there.
        let (first, v4, v6, v4_port, v6_port) = unsafe {
            let at = |n: usize| core::ptr::read((data + n) as *const u8);
            let half = |n: usize| core::ptr::read_unaligned((data + n) as *const u16);
            (at(0), at(9), at(6), half(20), half(V6_PORT))
        };
        return match first {
            0x45 => v4_port == port && (v4 == UDP || v4 == TCP),
            _ if first >> 4 == 6 => v6_port == port && (v6 == UDP || v6 == TCP),
            _ if first >> 4 == 4 => {
                (v4 == UDP || v4 == TCP)
                    && port_at(Packet::new(skb), usize::from(first & 15) * 4) == Some(port)
            }
            _ => false,
        };
    }
    false
}

/// Behind IPv4 options.
#[inline(always)]
fn port_at(packet: Packet, at: usize) -> Option<u16> {
    packet.array(at).map(u16::from_ne_bytes)
}

#[inline(always)]
fn copy(packet: Packet) {
    let Some(mut entry) = ANSWERS.reserve_untyped::<Answer>(0) else { return emit::lost(Loss::RingAnswer) };
    let out: *mut Answer = entry.as_mut_ptr();
    let len = packet.len();
    let len = if len < PACKET as u32 { len } else { PACKET as u32 };
    // SAFETY: the reservation is as large as an Answer, and every bit pattern is one; what `len` does not cover is the ring's own
    // old bytes, which the reader passes over.
    let out = unsafe { &mut *out };
    out.cgroup = packet.cgroup();
    out.uid = packet.uid();
    out.len = len;
    if packet.copy(0, len, &mut out.packet) { entry.submit(0) } else { entry.discard(0) }
}

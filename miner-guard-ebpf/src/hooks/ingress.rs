//! A packet on its way to a socket: does it come from a name server?
//!
//! Every packet pays for the question, so it is asked of bytes in place and costs next to nothing beyond the hook itself; only
//! answers are copied. Nothing is ever stopped here. IPv6 extension headers are not looked behind: answers have none.

use aya_ebpf::{
    EbpfContext as _,
    bindings::__sk_buff,
    btf_maps::RingBuf,
    helpers::generated::{bpf_get_socket_uid, bpf_skb_cgroup_id, bpf_skb_load_bytes},
    macros::btf_map,
    programs::SkBuffContext,
};
use miner_guard_common::abi::{
    answer::{Answer, DNS_PORT, PACKET, RING_BYTES},
    record::Loss,
};

use crate::emit;

#[btf_map]
static ANSWERS: RingBuf<[u8; 0], { RING_BYTES as usize }> = RingBuf::new();

const PASS: i32 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// `cgroup_skb/ingress`.
#[inline(always)]
pub fn received(ctx: &SkBuffContext) -> i32 {
    let skb: *mut __sk_buff = ctx.as_ptr().cast();
    if is_answer(skb) {
        copy(skb);
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
                (v4 == UDP || v4 == TCP) && port_at(skb, u32::from(first & 15) * 4) == Some(port)
            }
            _ => false,
        };
    }
    false
}

/// Behind IPv4 options.
#[inline(always)]
fn port_at(skb: *mut __sk_buff, at: u32) -> Option<u16> {
    let mut port = 0u16;
    // SAFETY: `port` has room for its two bytes; the helper checks the source.
    let rc = unsafe { bpf_skb_load_bytes(skb.cast(), at, (&raw mut port).cast(), 2) };
    (rc == 0).then_some(port)
}

#[inline(always)]
fn copy(skb: *mut __sk_buff) {
    // SAFETY: a member that the verifier lets programs of this kind read.
    let len = unsafe { (*skb).len };
    // The verifier wants to see that it is neither 0 nor more than there is room for.
    let len = core::hint::black_box(if len < PACKET as u32 { len } else { PACKET as u32 });
    if len == 0 || len > PACKET as u32 {
        return;
    }
    let Some(mut entry) = ANSWERS.reserve_untyped::<Answer>(0) else { return emit::lost(Loss::RingAnswer) };
    let out: *mut Answer = entry.as_mut_ptr();
    // SAFETY: the reservation is as large as an Answer; what `len` does not cover is the ring's own old bytes, which the reader
    // passes over. The helpers take the context itself, and check what they read.
    let rc = unsafe {
        (*out).cgroup = bpf_skb_cgroup_id(skb);
        (*out).uid = bpf_get_socket_uid(skb);
        (*out).len = len;
        bpf_skb_load_bytes(skb.cast(), 0, (&raw mut (*out).packet).cast(), len)
    };
    if rc == 0 { entry.submit(0) } else { entry.discard(0) }
}

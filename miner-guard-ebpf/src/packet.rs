//! The door to packets: every byte is copied out by a helper that checks its place.

use core::mem::MaybeUninit;

use aya_ebpf::{
    EbpfContext as _,
    bindings::{__sk_buff, bpf_sock},
    check_bounds_signed,
    helpers::generated::{
        bpf_get_socket_cookie, bpf_get_socket_uid, bpf_sk_fullsock, bpf_skb_ancestor_cgroup_id,
        bpf_skb_cgroup_id, bpf_skb_load_bytes, bpf_skb_load_bytes_relative, bpf_tcp_sock,
    },
    programs::SkBuffContext,
};
use miner_guard_common::{parse::bytes::Bytes, table::Address};

use crate::task::CGROUP_DEPTH;

/// A packet on its way out, from its IP header on.
#[derive(Clone, Copy)]
pub struct Packet {
    skb: *mut __sk_buff,
    /// Where the IP header lies.
    at: u32,
}

/// Instead of a place: where the kernel takes the IP header to be.
pub const NETWORK: u32 = 1 << 31;

/// The socket that sends it, a full one.
#[derive(Clone, Copy)]
pub struct Sock(*mut bpf_sock);

/// The same before anybody has asked whether it is a full one, which is a call: what every socket has can be read of it.
#[derive(Clone, Copy)]
pub struct Common(*mut bpf_sock);

/// `SOCK_STREAM`
const STREAM: u32 = 1;
/// `SOCK_RAW`
const RAW: u32 = 3;
/// `TCP_SYN_SENT`: the connection is about to be opened.
const SYN_SENT: u32 = 2;
const AF_INET6: u32 = 10;

/// What a socket is connected to.
pub struct Peer {
    /// High and low 64 bits of the address; IPv4 as `::ffff:a.b.c.d`.
    pub high: u64,
    /// See `high`.
    pub low: u64,
    /// Host byte order.
    pub port: u16,
}

impl Packet {
    /// The packet that a hook was given.
    #[inline(always)]
    pub fn of(ctx: &SkBuffContext) -> Self {
        Self::new(ctx.as_ptr().cast())
    }

    /// The packet of a step of our own, which was given the context as it is.
    #[inline(always)]
    pub const fn new(skb: *mut __sk_buff) -> Self {
        Self::framed(skb, 0)
    }

    /// A packet in a frame, with its IP header at `at`, or [`NETWORK`].
    #[inline(always)]
    pub const fn framed(skb: *mut __sk_buff, at: u32) -> Self {
        Self { skb, at }
    }

    /// What steps are given.
    #[inline(always)]
    pub const fn context(self) -> *mut __sk_buff {
        self.skb
    }

    /// Whether a packet socket sends it. Asked of every packet of the host: a few instructions, and no call.
    #[inline(always)]
    pub fn is_frame(self) -> bool {
        const AF_PACKET: u32 = 17;
        // SAFETY: members that the verifier lets programs of this kind read, the second of a socket that is not null.
        unsafe {
            let sk = (*self.skb).__bindgen_anon_2.sk;
            !sk.is_null() && (*sk).family == AF_PACKET
        }
    }

    /// Bytes from the IP header on, as many as there are in the whole packet.
    #[inline(always)]
    pub fn len(self) -> u32 {
        // SAFETY: a member that the verifier lets programs of this kind read.
        unsafe { (*self.skb).len }
    }

    /// The socket, if any sends it.
    #[inline(always)]
    pub fn common(self) -> Option<Common> {
        // SAFETY: as above; the verifier makes us ask whether it is null.
        let sk = unsafe { (*self.skb).__bindgen_anon_2.sk };
        if sk.is_null() { None } else { Some(Common(sk)) }
    }

    /// The socket; `None` for a packet that no full socket sends.
    #[inline(always)]
    pub fn socket(self) -> Option<Sock> {
        // SAFETY: a socket is what the helper wants, and not null.
        let full = unsafe { bpf_sk_fullsock(self.common()?.0) };
        if full.is_null() { None } else { Some(Sock(full)) }
    }

    /// Cookie of the socket, as `sock_diag` knows it.
    #[inline(always)]
    pub fn cookie(self) -> u64 {
        // SAFETY: the context itself is what the helper wants.
        unsafe { bpf_get_socket_cookie(self.skb.cast()) }
    }

    /// cgroup v2 id of the socket's owner.
    #[inline(always)]
    pub fn cgroup(self) -> u64 {
        // SAFETY: as above.
        unsafe { bpf_skb_cgroup_id(self.skb) }
    }

    /// The same of the cgroup above it at `level`, from the root (0) down; 0 if there is none.
    #[inline(always)]
    pub fn ancestor(self, level: i32) -> u64 {
        // SAFETY: as above.
        unsafe { bpf_skb_ancestor_cgroup_id(self.skb, level) }
    }

    /// Asks `hit` for the id of each cgroup above the socket's and its own, from the root down; true once `hit` is.
    #[inline(always)]
    pub fn any_cgroup(self, mut hit: impl FnMut(u64) -> bool) -> bool {
        let mut level = 0;
        while level < CGROUP_DEPTH as i32 {
            let id = self.ancestor(level);
            level += 1;
            if id == 0 {
                break;
            }
            if hit(id) {
                return true;
            }
        }
        false
    }

    /// Source address, words in network byte order; an IPv4 address is the first, the rest 0.
    #[inline(always)]
    pub fn source(self) -> [u32; 4] {
        match self.array::<1>(0) {
            Some([first]) if first >> 4 == 6 => self.words(8),
            _ => [self.array(12).map_or(0, u32::from_ne_bytes), 0, 0, 0],
        }
    }

    #[inline(always)]
    fn words(self, at: usize) -> [u32; 4] {
        let word = |i: usize| self.array(at + 4 * i).map_or(0, u32::from_ne_bytes);
        [word(0), word(1), word(2), word(3)]
    }

    /// User of the socket.
    #[inline(always)]
    pub fn uid(self) -> u32 {
        // SAFETY: as above.
        unsafe { bpf_get_socket_uid(self.skb) }
    }

    /// Copies `n` bytes at `at` to the front of `out`.
    #[inline(always)]
    pub fn copy<const N: usize>(self, at: u32, n: u32, out: &mut [u8; N]) -> bool {
        // In the very instructions that the verifier understands: the compiler has its own way to compare.
        if !check_bounds_signed(i64::from(n), 1, N as i64) {
            return false;
        }
        // SAFETY: `out` has room for `n`.
        unsafe { self.load(at, out.as_mut_ptr().cast(), n) }
    }

    /// The same to the front of words, the first byte lowest.
    #[inline(always)]
    pub fn copy_words<const N: usize>(self, at: u32, n: u32, out: &mut [u64; N]) -> bool {
        if !check_bounds_signed(i64::from(n), 1, 8 * N as i64) {
            return false;
        }
        // SAFETY: `out` has room for `n`, and any bytes are words.
        unsafe { self.load(at, out.as_mut_ptr().cast(), n) }
    }

    /// # Safety
    /// At `out` there must be room for `n` bytes; when this is true all are written.
    #[inline(always)]
    unsafe fn load(self, at: u32, out: *mut core::ffi::c_void, n: u32) -> bool {
        /// `BPF_HDR_START_NET`
        const START_NETWORK: u32 = 1;
        // SAFETY: the caller answers for `out`; the helpers check the source.
        let rc = unsafe {
            if self.at & NETWORK == 0 {
                bpf_skb_load_bytes(self.skb.cast(), self.at.wrapping_add(at), out, n)
            } else {
                bpf_skb_load_bytes_relative(self.skb.cast(), at, out, n, START_NETWORK)
            }
        };
        rc == 0
    }
}

impl Bytes for Packet {
    #[inline(always)]
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut out = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: `out` is `N` bytes.
        let there = unsafe { self.load(at as u32, out.as_mut_ptr().cast(), N as u32) };
        // SAFETY: all of them are written.
        if there { Some(unsafe { out.assume_init() }) } else { None }
    }
}

impl Common {
    /// What storage helpers want; they have nothing for a socket that is not a full one.
    #[inline(always)]
    pub const fn as_ptr(self) -> *mut bpf_sock {
        self.0
    }

    /// The peer of a stream socket that is not just opening a connection.
    #[inline(always)]
    pub fn connected_to(self) -> Option<Peer> {
        // SAFETY: members of any socket, which the verifier lets programs read.
        let (state, family, port, v4, v6) = unsafe {
            let s = self.0;
            let a = [(*s).dst_ip6[0], (*s).dst_ip6[1], (*s).dst_ip6[2], (*s).dst_ip6[3]];
            ((*s).state, (*s).family, (*s).dst_port as u16, (*s).dst_ip4, a)
        };
        if state == SYN_SENT {
            return None;
        }
        // A v4-mapped peer is in the IPv4 member too; in the other one it is as the program gave it.
        let address = if family == AF_INET6 { Address::v6(v6) } else { Address::v4(v4) };
        let (high, low) = address.halves();
        Some(Peer { high, low, port: u16::from_be(port) })
    }

    /// Whether a TCP socket has said nothing yet: what it sends now, too, is without payload. (The kernel counts a segment
    /// before it hands it on.)
    #[inline(always)]
    pub fn is_silent(self) -> bool {
        // SAFETY: a socket, which is what the helper wants.
        let tcp = unsafe { bpf_tcp_sock(self.0) };
        // SAFETY: not null, and a member that the verifier lets programs read.
        !tcp.is_null() && unsafe { (*tcp).data_segs_out } == 0
    }
}

impl Sock {
    /// What storage helpers want.
    #[inline(always)]
    pub const fn as_ptr(self) -> *mut bpf_sock {
        self.0
    }

    /// The same socket.
    #[inline(always)]
    pub const fn common(self) -> Common {
        Common(self.0)
    }

    /// Whether it is a connection, whose packets all go to one peer.
    #[inline(always)]
    pub fn is_stream(self) -> bool {
        self.kind() == STREAM
    }

    /// Whether the program writes its own headers.
    #[inline(always)]
    pub fn is_raw(self) -> bool {
        self.kind() == RAW
    }

    #[inline(always)]
    fn kind(self) -> u32 {
        // SAFETY: a member of a full socket, which the verifier lets programs read.
        unsafe { (*self.0).type_ }
    }
}

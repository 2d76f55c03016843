//! What is remembered of sockets, in their own storage.

use aya_ebpf::{
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    btf_maps::{LruHashMap, SkStorage},
    helpers::generated::{bpf_sk_storage_delete, bpf_sk_storage_get},
    macros::btf_map,
};
use miner_guard_common::abi::socket::{Reading, Socket};

use crate::packet::{Common, Packet, Sock};

#[btf_map]
static SOCKETS: SkStorage<Socket> = SkStorage::new();

#[btf_map]
static READING: SkStorage<Reading> = SkStorage::new();

/// Sockets that have no room for storage: what a socket may hold is bounded, and its owner can fill it with filters of
/// its own. By cookie; the oldest goes.
#[btf_map]
static SPARE_SOCKETS: LruHashMap<u64, Socket, 1024> = LruHashMap::new();

#[btf_map]
static SPARE_READING: LruHashMap<u64, Reading, 1024> = LruHashMap::new();

static NO_SOCKET: [u64; size_of::<Socket>() / 8] = [0; _];
static NO_READING: [u64; size_of::<Reading>() / 8] = [0; _];

const CREATE: u32 = BPF_SK_STORAGE_GET_F_CREATE;

/// Where a value lies. Handed on as an address, never as a reference: a step that is called meanwhile finds the same
/// memory by itself.
pub struct Slot<T>(*mut T);

impl<T> Clone for Slot<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<T> {}

impl<T> Slot<T> {
    /// `at` is null or a value of a map.
    #[inline(always)]
    pub(crate) fn new(at: *mut T) -> Option<Self> {
        if at.is_null() { None } else { Some(Self(at)) }
    }

    /// The value, for the moment.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the value is not in the slot")]
    pub fn get(&self) -> &mut T {
        // SAFETY: not null, and the value's memory, which the verifier knows. Packets of one stream are sent under its
        // lock, one after another; what two senders of one datagram socket can spoil is said at `Reading::users`. No
        // caller keeps it over a step.
        unsafe { &mut *self.0 }
    }
}

/// aya offers this for sockets of `connect` hooks only.
#[inline(always)]
fn get<T>(map: *const SkStorage<T>, sk: *mut bpf_sock, flags: u32) -> Option<Slot<T>> {
    // SAFETY: the address of a map's definition, which the loader turns into the map, and a socket. The storage
    // lives as long as the socket, which the program's caller holds.
    let at = unsafe {
        bpf_sk_storage_get(map.cast_mut().cast(), sk.cast(), core::ptr::null_mut(), u64::from(flags))
    };
    Slot::new(at.cast())
}

#[inline(always)]
fn spare<T>(map: &'static LruHashMap<u64, T, 1024>, packet: Packet, zero: *const T) -> Option<Slot<T>> {
    let cookie = packet.cookie();
    if map.get_ptr_mut(&cookie).is_none() {
        // SAFETY: `zero` is as large as a value, and zeros are one.
        let _ = map.insert(&cookie, unsafe { &*zero }, 0);
    }
    // Entries of a preallocated table stay mapped.
    map.get_ptr_mut(&cookie).and_then(Slot::new)
}

/// The state of a socket that has its own storage, if it has any.
#[inline(always)]
pub fn known(sk: Common) -> Option<Slot<Socket>> {
    get(&raw const SOCKETS, sk.as_ptr(), 0)
}

/// The state of a socket; a new one is all zero. `None`: there is no memory for it.
#[inline(always)]
pub fn state(packet: Packet, sk: Sock) -> Option<Slot<Socket>> {
    match get(&raw const SOCKETS, sk.as_ptr(), CREATE) {
        Some(s) => Some(s),
        None => spare(&SPARE_SOCKETS, packet, NO_SOCKET.as_ptr().cast()),
    }
}

/// The name that is read from a socket; a new one is all zero. `None`: there is no memory for it.
#[inline(always)]
pub fn reading(packet: Packet, sk: Sock) -> Option<Slot<Reading>> {
    match get(&raw const READING, sk.as_ptr(), CREATE) {
        Some(r) => Some(r),
        None => spare(&SPARE_READING, packet, NO_READING.as_ptr().cast()),
    }
}

/// Says that nothing more is read from a socket.
#[inline(always)]
pub fn end_reading(sk: Sock) {
    // SAFETY: the address of a map's definition, and a full socket. What is not there cannot be deleted: no harm.
    unsafe { bpf_sk_storage_delete((&raw const READING).cast_mut().cast(), sk.as_ptr().cast()) };
}

/// Counts a sender in: a sender that then counts more than one must leave what it finds alone.
#[inline(always)]
pub fn enter(users: *mut u64) {
    add(users, 1);
}

/// Counts a sender out.
#[inline(always)]
pub fn leave(users: *mut u64) {
    add(users, u64::MAX);
}

/// Atomic: two processors may be at it. `fetch_add` would be an instruction that 5.10 lacks.
#[inline(always)]
fn add(at: *mut u64, n: u64) {
    // SAFETY: an addition in the map's memory.
    unsafe { core::arch::asm!("lock *(u64 *)({at} + 0) += {n}", at = in(reg) at, n = in(reg) n) };
}

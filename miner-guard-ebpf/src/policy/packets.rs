//! What the policy makes of a packet: there is no task to ask, but the socket and what it remembers of its owner.

use miner_guard_common::{
    abi::{
        policy::Class,
        socket::{EXEMPT_OWNER, OWNED},
        verdict::{Mode, Reason, Verdict},
    },
    table::Listed,
};

use super::{Generation, Stamp, questions};
use crate::{packet::Packet, sockets, verdict::packed};

/// No decision: the owner, who may be exempt, is not known. The packet passes, and the next one is asked again.
pub const UNSURE: u64 = 1 << 63;
/// No decision: the answer is of another policy than the one in force. Ask again.
pub const STALE: u64 = 1 << 62;

/// A secret odd number. Set by the loader.
#[unsafe(no_mangle)]
static PRINT: u64 = 1;

/// What a socket remembers a policy by: which one it is since the guard started. One word of memory, because every packet
/// of every socket asks for it.
#[derive(Clone, Copy)]
pub struct Epoch(u32);

impl Epoch {
    /// Of the policy in force; `None` before there is one.
    #[inline(always)]
    pub fn current() -> Option<Self> {
        match Generation::epoch() {
            0 => None,
            n => Some(Self(n)),
        }
    }

    /// A number for a destination under this policy: one word, so that it is written at once. Nobody without the
    /// secret can find two destinations with the same one; two in the same half never have it.
    #[inline(always)]
    pub fn fingerprint(self, high: u64, low: u64, port: u16) -> u64 {
        // SAFETY: a read of our own static; volatile because the loader replaces it after compilation.
        let secret = unsafe { core::ptr::read_volatile(&raw const PRINT) };
        let address = (high.wrapping_mul(secret) ^ low).wrapping_mul(secret);
        address.wrapping_add(u64::from(port) << 48).wrapping_add(self.0.into())
    }
}

/// Whether the policy in force is enforced.
#[inline(always)]
pub fn enforcing() -> bool {
    Stamp::now().is_some_and(|now| matches!(now.mode, Mode::Enforce))
}

/// What becomes of a packet for which something is listed, as [`packed`]; 0 if nothing.
#[inline(always)]
pub fn decide(packet: Packet, listed: Listed) -> u64 {
    let Some(now) = Stamp::now() else { return 0 };
    if !listed.is_of(now.generation) {
        return STALE;
    }
    let Some(verdict) = listed.verdict() else { return 0 };
    if listed.rule() != 0 && listed.rule() == now.canary_rule {
        let here = packet.cgroup() == now.canary_cgroup;
        return if here { packed::pack(listed.rule(), Verdict::Deny, Reason::Canary as u8, true) } else { 0 };
    }
    match owner_exempt(packet) {
        Some(true) => 0,
        None => UNSURE,
        Some(false) => {
            let enforced = verdict.stops() && matches!(now.mode, Mode::Enforce);
            packed::pack(listed.rule(), verdict, listed.reason(), enforced)
        }
    }
}

/// Whether the owner of a packet's socket is on the allowlist; `None` if that cannot be known.
#[inline(always)]
fn owner_exempt(packet: Packet) -> Option<bool> {
    let state = packet.socket().and_then(|sk| sockets::state(packet, sk))?;
    let state = state.get();
    if questions::has(Class::Cgroup) && packet.any_cgroup(questions::exempt_cgroup) {
        return Some(true);
    }
    if state.flags & EXEMPT_OWNER != 0 || questions::has(Class::Uid) && questions::exempt_user(state.uid) {
        return Some(true);
    }
    if state.flags & OWNED == 0 {
        return if questions::has(Class::Gid) || questions::has(Class::Exe) { None } else { Some(false) };
    }
    Some(questions::has(Class::Gid) && questions::exempt_group(state.gid))
}

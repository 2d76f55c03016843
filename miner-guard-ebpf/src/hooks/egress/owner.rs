//! Who sends: the process that is running, if it is the one.

use miner_guard_common::abi::{
    policy::Class,
    socket::{EXEMPT_OWNER, OWNED, Socket},
};

use crate::{
    packet::Packet,
    policy::questions,
    sockets::Slot,
    task::{self, Ptr},
};

/// Reads the owner anew. The kernel also sends by itself, on any task's time: only a packet that something was written
/// for, from the socket's own cgroup, is taken for its owner's. An owner once known stays until then.
#[inline(always)]
pub fn refresh(packet: Packet, state: Slot<Socket>, writes: bool) {
    let cgroup = packet.cgroup();
    if writes && task::cgroup(Ptr::current()) == Some(cgroup) && take(state, cgroup) {
        return;
    }
    let state = state.get();
    if state.flags & OWNED == 0 {
        state.uid = packet.uid();
        state.cgroup = cgroup;
    }
}

/// The same of a frame, which is sent on its sender's own time: where nobody of the socket's cgroup ever sent, whoever
/// runs now is the one.
#[inline(always)]
pub fn of_frame(packet: Packet, state: Slot<Socket>) {
    refresh(packet, state, true);
    if state.get().flags & OWNED == 0 {
        take(state, packet.cgroup());
    }
}

/// The process that is running is the owner of a socket of this cgroup; whether that could be read.
#[inline(always)]
fn take(state: Slot<Socket>, cgroup: u64) -> bool {
    let Some(([pid, tid, uid, gid], comm)) = task::who(Ptr::current()) else { return false };
    let state = state.get();
    (state.pid, state.tid, state.uid, state.gid) = (pid, tid, uid, gid);
    state.comm = comm;
    state.cgroup = cgroup;
    state.flags = state.flags & !EXEMPT_OWNER | OWNED;
    if questions::has(Class::Exe) && questions::program_exempt() {
        state.flags |= EXEMPT_OWNER;
    }
    true
}

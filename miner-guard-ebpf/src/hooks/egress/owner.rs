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
    let state = state.get();
    let cgroup = packet.cgroup();
    if writes
        && task::cgroup(Ptr::current()) == Some(cgroup)
        && let Some(([pid, tid, uid, gid], comm)) = task::who(Ptr::current())
    {
        (state.pid, state.tid, state.uid, state.gid) = (pid, tid, uid, gid);
        state.comm = comm;
        state.cgroup = cgroup;
        state.flags = state.flags & !EXEMPT_OWNER | OWNED;
        if questions::has(Class::Exe) && questions::program_exempt() {
            state.flags |= EXEMPT_OWNER;
        }
    } else if state.flags & OWNED == 0 {
        state.uid = packet.uid();
        state.cgroup = cgroup;
    }
}

//! Records to user space. One wakes the daemon, those that follow soon do not: it looks again by its own clock. A full ring
//! is counted, never silent; a flood from one process is counted into its next record, so that nobody can starve the
//! interesting event.

use aya_ebpf::{
    btf_maps::{LruHashMap, PerCpuArray, RingBuf},
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
        bpf_get_smp_processor_id, bpf_ktime_get_ns,
        generated::{bpf_get_current_comm, bpf_jiffies64},
    },
    macros::btf_map,
};
use miner_guard_common::abi::record::{
    FLOOD_BURST, FLOOD_WINDOW_NS, Flood, FloodKey, Head, Kind, LOSS_SLOTS, Loss, RING_BYTES, WAKE_GAP_NS,
};

use crate::verdict::Decision;

#[btf_map]
static RING: RingBuf<[u8; 0], { RING_BYTES as usize }> = RingBuf::new();

#[btf_map]
static LOSS: PerCpuArray<u64, { LOSS_SLOTS as usize }> = PerCpuArray::new();

#[btf_map]
static FLOOD: LruHashMap<FloodKey, Flood, 4096> = LruHashMap::new();

/// When this CPU last woke the daemon, nanoseconds.
#[btf_map]
static WOKEN: PerCpuArray<u64, 1> = PerCpuArray::new();

const BPF_RB_NO_WAKEUP: u64 = 1;
const BPF_RB_FORCE_WAKEUP: u64 = 2;

/// Counts a loss.
#[inline(always)]
pub fn lost(why: Loss) {
    if let Some(n) = LOSS.get_ptr_mut(why as u32) {
        // SAFETY: this CPU's slot; programs of one CPU do not interleave within an addition that matters more
        // than one count.
        unsafe { *n += 1 };
    }
}

/// When this CPU last read the clock.
#[repr(C)]
#[derive(Clone, Copy)]
struct Tick {
    jiffies: u64,
    ns: u64,
}

#[btf_map]
static TICK: PerCpuArray<Tick, 1> = PerCpuArray::new();

/// `CLOCK_MONOTONIC` as of this tick of the kernel's timer, or a little later: reading the clock itself is a call, and
/// a window of a second needs no better.
#[inline(always)]
fn about_now() -> u64 {
    // SAFETY: the helper has no preconditions.
    let jiffies = unsafe { bpf_jiffies64() };
    // SAFETY: the same.
    let now = || unsafe { bpf_ktime_get_ns() };
    let Some(tick) = TICK.get_ptr_mut(0) else { return now() };
    // SAFETY: this CPU's slot. A program that interrupts another one there leaves a time of the same tick or the next.
    unsafe {
        if (*tick).jiffies != jiffies {
            *tick = Tick { jiffies, ns: now() };
        }
        (*tick).ns
    }
}

/// Whether the current process may send another record now, and how many it was not allowed to send before.
#[inline(always)]
pub fn admit(kind: Kind) -> Option<u32> {
    admit_as((bpf_get_current_pid_tgid() >> 32) as u32, kind)
}

/// The same for a process that is not the current one.
#[inline(always)]
pub fn admit_as(pid: u32, kind: Kind) -> Option<u32> {
    let now = about_now();
    let key = FloodKey { pid, kind: kind as u32 };
    let Some(f) = FLOOD.get_ptr_mut(&key) else {
        // An LRU table is never full; should the kernel refuse all the same, the record is sent.
        let _ = FLOOD.insert(&key, &Flood { since_ns: now, sent: 1, held: 0 }, 0);
        return Some(0);
    };
    // SAFETY: entries of a preallocated LRU table stay mapped; a race can at worst misplace a count.
    unsafe {
        // Signed: another CPU may have read the clock a moment later in the same tick.
        if now.wrapping_sub((*f).since_ns).cast_signed() >= FLOOD_WINDOW_NS.cast_signed() {
            let held = (*f).held;
            *f = Flood { since_ns: now, sent: 1, held: 0 };
            return Some(held);
        }
        if (*f).sent < FLOOD_BURST {
            (*f).sent += 1;
            return Some(0);
        }
        (*f).held += 1;
    }
    lost(Loss::Aggregated);
    None
}

/// Fills the head of a record in place but for who did it.
#[inline(always)]
pub fn decided(out: &mut Head, kind: Kind, d: &Decision, suppressed: u32) {
    out.kind = kind as u8;
    out.verdict = d.verdict as u8;
    out.enforced = u8::from(d.enforced);
    out.reason = d.reason;
    out.rule = d.rule;
    out.generation = d.generation;
    // SAFETY: the helpers have no preconditions.
    (out.time_ns, out.cpu) = unsafe { (bpf_ktime_get_ns(), bpf_get_smp_processor_id()) };
    out.suppressed = suppressed;
    out.mode = d.mode as u32;
    out.pad = 0;
}

/// Fills the head of a record in place: the current task did it.
#[inline(always)]
pub fn head(out: &mut Head, kind: Kind, d: &Decision, suppressed: u32) {
    decided(out, kind, d, suppressed);
    // SAFETY: the helpers have no preconditions.
    unsafe {
        let pid_tgid = bpf_get_current_pid_tgid();
        let uid_gid = bpf_get_current_uid_gid();
        out.cgroup = bpf_get_current_cgroup_id();
        out.pid = (pid_tgid >> 32) as u32;
        out.tid = pid_tgid as u32;
        out.uid = uid_gid as u32;
        out.gid = (uid_gid >> 32) as u32;
        // Writes all 16 bytes, zeros if it fails.
        bpf_get_current_comm(out.comm.as_mut_ptr().cast(), out.comm.len() as u32);
    }
}

/// When the daemon has to know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// At once: it may have to kill.
    Now,
    /// At once, or within two milliseconds if this CPU has just woken it.
    Soon,
}

/// Reserves a record, lets `fill` write it in place, and sends it.
#[inline(always)]
pub fn send<T: 'static>(wake: Wake, why: Loss, fill: impl FnOnce(&mut T)) {
    let Some(mut entry) = RING.reserve_untyped::<T>(0) else { return lost(why) };
    // SAFETY: the reservation is as large as T; `fill` writes every field that the receiver reads, and the
    // record types have no padding.
    fill(unsafe { &mut *entry.as_mut_ptr() });
    entry.submit(if wakes(wake) { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP });
}

/// Whether this record wakes the daemon.
#[inline(always)]
fn wakes(wake: Wake) -> bool {
    let Some(woken) = WOKEN.get_ptr_mut(0) else { return true };
    // SAFETY: the helper has no preconditions; the slot is this CPU's. A program that interrupts another one there leaves a
    // time that is right for both.
    unsafe {
        let now = bpf_ktime_get_ns();
        if wake == Wake::Soon && now.wrapping_sub(*woken) < WAKE_GAP_NS {
            return false;
        }
        *woken = now;
    }
    true
}

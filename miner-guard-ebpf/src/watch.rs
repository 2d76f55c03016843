//! What the runtime hooks keep and send. Not pinned: it informs the daemon and ends with it.

use aya_ebpf::{
    btf_maps::{Array, LruHashMap, RingBuf},
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
        bpf_get_smp_processor_id, bpf_ktime_get_ns, generated::bpf_ringbuf_query,
    },
    macros::btf_map,
};
use miner_guard_common::abi::{
    record::Loss,
    runtime::{CODE, MODES, RING_BYTES, ROUNDING, ROUNDING_ENTRIES, Rounding, Sample, bit},
};

use crate::{emit, policy, task};

#[btf_map]
static SAMPLES: RingBuf<[u8; 0], { RING_BYTES as usize }> = RingBuf::new();

/// By process.
#[btf_map]
static MODES_OF: LruHashMap<u32, Rounding, ROUNDING_ENTRIES> = LruHashMap::new();

/// A bit of 64 for each process in `MODES_OF`, by [`bit`]: a thread that rounds to nearest costs no look-up, unless its
/// process may be one of them.
#[btf_map]
static WATCHING: Array<u64, 1> = Array::new();

const BPF_RB_NO_WAKEUP: u64 = 1;
const BPF_RB_FORCE_WAKEUP: u64 = 2;
const BPF_RB_AVAIL_DATA: u64 = 0;

/// The process that runs now.
#[inline(always)]
pub fn process() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// Which processes may be known to use other rounding modes than to nearest.
#[inline(always)]
pub fn watched() -> u64 {
    // SAFETY: the value of an array map stays mapped; one word, read whole.
    WATCHING.get(0).map_or(0, |n| unsafe { core::ptr::read_volatile(n) })
}

/// Counts a rounding mode of the current process. To nearest is counted only of a process that was seen in another.
#[inline(always)]
pub fn count(mode: usize, watched: u64) {
    let pid = process();
    let new = watched & bit(pid) == 0;
    if new && mode & (MODES - 1) == 0 {
        return;
    }
    if new && let Some(n) = WATCHING.get_ptr_mut(0) {
        // SAFETY: as in `watched`. Two CPUs that do this at once may lose a bit of one; its next switch sets it again.
        unsafe { core::ptr::write_volatile(n, core::ptr::read_volatile(n) | bit(pid)) };
    }
    if let Some(known) = MODES_OF.get_ptr_mut(&pid) {
        // SAFETY: entries of a preallocated LRU table stay mapped; a race of two threads of the process can lose one
        // count of many. The mask keeps the index in bounds.
        unsafe {
            if (*known).outside == 0 {
                (*known).counts[mode & (MODES - 1)] += 1;
                (*known).last_ns = bpf_ktime_get_ns();
            }
        }
        return;
    }
    if mode & (MODES - 1) == 0 {
        return;
    }
    let outside = !policy::in_scope();
    // SAFETY: the helpers have no preconditions.
    let (now, cgroup) = unsafe { (bpf_ktime_get_ns(), bpf_get_current_cgroup_id()) };
    let mut first = Rounding {
        counts: [0; MODES],
        last_ns: now,
        cgroup,
        uid: bpf_get_current_uid_gid() as u32,
        outside: u32::from(outside),
    };
    first.counts[mode & (MODES - 1)] = 1;
    // An LRU table is never full; should the kernel refuse all the same, the next switch tries again.
    let _ = MODES_OF.insert(&pid, &first, 0);
    if !outside {
        send(ROUNDING, 0);
    }
}

/// Sends where the current task is. `ip` is a user address.
#[inline(always)]
pub fn send(flags: u32, ip: u64) {
    let Some(mut entry) = SAMPLES.reserve_untyped::<Sample>(0) else { return emit::lost(Loss::RingSample) };
    // SAFETY: the reservation is as large as a Sample, every field of which is written below.
    let out = unsafe { &mut *entry.as_mut_ptr() };
    let pid_tgid = bpf_get_current_pid_tgid();
    // SAFETY: the helpers have no preconditions.
    unsafe {
        out.time_ns = bpf_ktime_get_ns();
        out.cgroup = bpf_get_current_cgroup_id();
        out.cpu = bpf_get_smp_processor_id();
    }
    out.ip = ip;
    out.pid = (pid_tgid >> 32) as u32;
    out.tid = pid_tgid as u32;
    out.uid = bpf_get_current_uid_gid() as u32;
    out.flags = flags;
    if flags & ROUNDING == 0 {
        out.len = task::code(ip, &mut out.code);
    } else {
        out.len = 0;
        // Word by word: the compiler would call memset for the array.
        let words = out.code.as_mut_ptr().cast::<u64>();
        for i in 0..CODE / 8 {
            // SAFETY: within the array, which begins at a multiple of 8 in the record.
            unsafe { core::ptr::write_volatile(words.add(i), 0) };
        }
    }
    // SAFETY: the address of a ring buffer's definition, which the loader turns into the map.
    let half = || unsafe { bpf_ringbuf_query((&raw const SAMPLES).cast_mut().cast(), BPF_RB_AVAIL_DATA) } > RING_BYTES / 2;
    entry.submit(if flags & ROUNDING != 0 || half() { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP });
}

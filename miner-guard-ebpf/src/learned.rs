//! What was learned of an address: from the answers to denied names, and from confirmed miners.

use aya_ebpf::{
    btf_maps::{Array, HashMap},
    helpers::bpf_ktime_get_ns,
    macros::btf_map,
};
use miner_guard_common::{
    abi::{
        learned::{ENTRIES, EVERYONE, Filter, LearnedKey, LearnedValue, SUSPECT, bit, is_set, words},
        verdict::{Reason, Verdict},
    },
    table::{Address, Answer},
};

/// Only the daemon writes here. Not allocated ahead: it is nearly always nearly empty.
#[btf_map]
static LEARNED: HashMap<LearnedKey, LearnedValue, { ENTRIES }, 1> = HashMap::new();

#[btf_map]
static LEARNED_FILTER: Array<Filter, 1> = Array::new();

/// Whether it is worth asking [`denied`]: an empty table costs one word, an address that nobody learned one bit more.
#[inline(always)]
pub fn may_be_denied(address: &Address) -> bool {
    let Some(filter) = LEARNED_FILTER.get(0) else { return false };
    filter.any_denied != 0 && is_set(&filter.denied, bit(&words(address)))
}

/// Whether the address is denied to a cgroup (its v2 id), or to everyone.
#[inline(always)]
pub fn denied(address: &Address, cgroup: u64) -> Option<Answer> {
    let address = words(address);
    match row(address, cgroup) {
        None => row(address, EVERYONE),
        found => found,
    }
}

/// By which rule the address is suspect, whoever goes there; `None` if it is not.
#[inline(always)]
pub fn suspect(address: &Address) -> Option<Answer> {
    let filter = LEARNED_FILTER.get(0)?;
    if filter.any_suspect == 0 {
        return None;
    }
    let address = words(address);
    if is_set(&filter.suspect, bit(&address)) { row(address, SUSPECT) } else { None }
}

#[inline(always)]
fn row(address: [u32; 4], cgroup: u64) -> Option<Answer> {
    // SAFETY: the fields are copied out at once. A concurrent update by the daemon can mix two rows of the same
    // address, each of which was right a moment ago.
    let found = unsafe { LEARNED.get(&LearnedKey { address, cgroup }) }?;
    // SAFETY: the helper has no preconditions.
    if found.until_ns < unsafe { bpf_ktime_get_ns() } {
        return None;
    }
    Some(Answer { rule: found.rule, verdict: Verdict::from_byte(found.verdict)?, reason: Reason::Learned })
}

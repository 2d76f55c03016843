//! Questions to the current generation.

use aya_ebpf::{
    bindings::{BPF_F_INNER_MAP, BPF_F_MMAPABLE},
    btf_maps::{Array, ArrayOfMaps},
    helpers::{bpf_get_current_cgroup_id, bpf_get_current_uid_gid},
    macros::btf_map,
};
use miner_guard_common::{
    abi::{
        file::{EXEMPT, FileVerdict},
        policy::{Block, Class},
        verdict::{Mode, Reason, Verdict},
    },
    table::{self, Answer, Blocks, Destination, Details, Header},
};

use crate::{
    files,
    task::{self, Ptr},
    verdict::Decision,
};

/// The values are arrays, and not [`Block`]s, in the map's BTF: 5.15 to 6.2 take a new generation, which is made without
/// BTF, only if it looks like this template, and they see a difference where the template's value is a struct.
type Image = Array<[u32; 16], 2, { (BPF_F_MMAPABLE | BPF_F_INNER_MAP) as usize }>;

/// One slot: replacing what it holds replaces the whole policy at once.
#[btf_map]
static POLICY: ArrayOfMaps<Image, 1> = ArrayOfMaps::new();

/// cgroup id that the guard is confined to, 0 for the whole host. Set by the loader. Hooks that attach to a cgroup
/// do not need it.
#[unsafe(no_mangle)]
static SCOPE: u64 = 0;

/// The policy in force.
pub struct Generation(&'static Image);

impl Generation {
    /// `None` before the daemon has published the first one.
    #[inline(always)]
    pub fn current() -> Option<Self> {
        POLICY.get(0).map(Self)
    }
}

impl Blocks for Generation {
    #[inline(always)]
    fn block(&self, index: u32) -> Option<&Block> {
        // SAFETY: a Block is repr(C) around exactly this array. The values of an mmap-able array map begin on a page and
        // are 64 bytes each, so that a Block's alignment holds too.
        self.0.get(index).map(|words| unsafe { &*core::ptr::from_ref(words).cast::<Block>() })
    }
}

/// What becomes of a socket that wants to reach a destination: `None` if nothing is to be done or said.
#[inline(always)]
pub fn reach(generation: &Generation, to: &Destination) -> Option<Decision> {
    let header = Header::read(generation)?;
    let answer = table::destination(generation, &header, to)?;
    listed(generation, &header, to, &answer)
}

/// The rest of the verdict order, for destinations that are listed: exemption and protection cost an ordinary
/// connect nothing.
#[inline(always)]
fn listed(
    generation: &Generation,
    header: &Header<'_>,
    to: &Destination,
    answer: &Answer,
) -> Option<Decision> {
    let details = Details::read(generation)?;
    if answer.rule == details.canary_rule() {
        return canary(&details, header, answer.rule);
    }
    if exempt(generation, header) || table::protected(generation, header, to).is_some() {
        return None;
    }
    Some(Decision {
        verdict: answer.verdict,
        enforced: answer.verdict.stops() && header.mode() == Mode::Enforce,
        reason: answer.reason as u8,
        rule: answer.rule,
        generation: details.generation(),
        mode: header.mode(),
    })
}

/// The reserved destination is denied in the canary's cgroup, in either mode, and is ordinary everywhere else.
#[inline(always)]
fn canary(details: &Details<'_>, header: &Header<'_>, rule: u32) -> Option<Decision> {
    // SAFETY: the helper has no preconditions.
    let here = unsafe { bpf_get_current_cgroup_id() };
    if details.canary_cgroup() == 0 || here != details.canary_cgroup() {
        return None;
    }
    Some(Decision {
        verdict: Verdict::Deny,
        enforced: true,
        reason: Reason::Canary as u8,
        rule,
        generation: details.generation(),
        mode: header.mode(),
    })
}

/// Whether the current task is on the allowlist: by user, group, cgroup, or the program it runs.
#[inline(always)]
fn exempt(generation: &Generation, header: &Header<'_>) -> bool {
    let uid_gid = bpf_get_current_uid_gid();
    if table::exempt_uid(generation, header, uid_gid as u32).is_some()
        || table::exempt_gid(generation, header, (uid_gid >> 32) as u32).is_some()
    {
        return true;
    }
    if header.has(Class::Cgroup)
        && task::any_cgroup(Ptr::current(), |id| table::exempt_cgroup(generation, header, id).is_some())
    {
        return true;
    }
    header.has(Class::Exe)
        && task::exe_of(Ptr::current())
            .and_then(task::identity)
            .and_then(|(id, _)| files::consequence_of(&id))
            .is_some_and(|v| v.flags & EXEMPT != 0)
}

/// What becomes of a program whose file is known.
#[inline(always)]
pub fn file(generation: &Generation, known: &FileVerdict, verdict: Verdict) -> Option<Decision> {
    let header = Header::read(generation)?;
    let details = Details::read(generation)?;
    let (enforced, reason) = if known.reason == Reason::Canary as u8 {
        // SAFETY: the helper has no preconditions.
        (unsafe { bpf_get_current_cgroup_id() == details.canary_cgroup() }, known.reason)
    } else if exempt(generation, &header) {
        // Said also of a file not known yet: whoever identifies it must not stop this process.
        (false, Reason::Exempt as u8)
    } else {
        (verdict.stops() && header.mode() == Mode::Enforce, known.reason)
    };
    Some(Decision {
        verdict,
        enforced,
        reason,
        rule: known.rule,
        generation: details.generation(),
        mode: header.mode(),
    })
}

/// Whether the guard answers for this task.
#[inline(always)]
pub fn in_scope(task: Ptr) -> bool {
    // SAFETY: a read of our own static; volatile because the loader replaces it after compilation.
    let scope = unsafe { core::ptr::read_volatile(&raw const SCOPE) };
    scope == 0 || task::any_cgroup(task, |id| id == scope)
}

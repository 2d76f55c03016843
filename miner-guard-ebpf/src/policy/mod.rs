//! What the policy in force makes of an attempt. [`questions`] asks the tables.
//!
//! A program may ask several questions, and each looks for the policy itself: what it decides is the answer of one
//! policy all the same. The kernel waits for every program that runs when the slot of the policy is replaced, before it
//! lets it be replaced again: one run meets at most one replacement. If the first and the last thing that were read are of one
//! generation, so is everything between; if not, asking again is asking the new one.

pub mod isolated;
pub mod packets;
pub mod questions;

use aya_ebpf::{
    bindings::{BPF_F_INNER_MAP, BPF_F_MMAPABLE},
    btf_maps::{Array, ArrayOfMaps},
    helpers::bpf_get_current_cgroup_id,
    macros::btf_map,
};
use miner_guard_common::{
    abi::{
        file::FileVerdict,
        policy::Block,
        verdict::{Mode, Reason, Verdict},
    },
    table::{Blocks, Destination, Details, Header},
};

use crate::verdict::Decision;
use questions::{Listed, NoPolicy};

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

/// What a decision needs of the policy besides an answer.
struct Stamp {
    generation: u64,
    mode: Mode,
    canary_rule: u32,
    canary_cgroup: u64,
}

impl Stamp {
    #[inline(always)]
    fn now() -> Result<Self, NoPolicy> {
        let generation = Generation::current().ok_or(NoPolicy)?;
        let mode = Header::read(&generation).ok_or(NoPolicy)?.mode();
        let details = Details::read(&generation).ok_or(NoPolicy)?;
        Ok(Self {
            generation: details.generation(),
            mode,
            canary_rule: details.canary_rule(),
            canary_cgroup: details.canary_cgroup(),
        })
    }
}

/// What becomes of a socket that wants to reach a destination: `None` if nothing is to be done or said.
///
/// Exemption and protection are asked of what is listed only: an ordinary connect does not pay for them.
#[inline(always)]
pub fn reach(to: &Destination) -> Result<Option<Decision>, NoPolicy> {
    let Some(listed) = questions::or_learned(questions::listed(to)?, &to.address, here) else {
        return Ok(None);
    };
    let excused = questions::exempt() || questions::protected(to);
    let now = Stamp::now()?;
    if listed.is_of(now.generation) {
        return Ok(decide(listed, excused, &now));
    }
    let Some(listed) = questions::or_learned(questions::listed(to)?, &to.address, here) else {
        return Ok(None);
    };
    let excused = questions::exempt() || questions::protected(to);
    Ok(decide(listed, excused, &now))
}

#[inline(always)]
fn decide(listed: Listed, excused: bool, now: &Stamp) -> Option<Decision> {
    let verdict = listed.verdict()?;
    let mut decision = Decision {
        verdict,
        enforced: verdict.stops() && now.mode == Mode::Enforce,
        reason: listed.reason(),
        rule: listed.rule(),
        generation: now.generation,
        mode: now.mode,
    };
    if listed.rule() != now.canary_rule {
        return if excused { None } else { Some(decision) };
    }
    // The reserved destination is denied in the canary's cgroup, in either mode, and is ordinary everywhere else.
    if now.canary_cgroup == 0 || here() != now.canary_cgroup {
        return None;
    }
    (decision.verdict, decision.enforced, decision.reason) = (Verdict::Deny, true, Reason::Canary as u8);
    Some(decision)
}

/// The current task's cgroup.
#[inline(always)]
fn here() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_cgroup_id() }
}

/// What becomes of a program whose file is known.
#[inline(always)]
pub fn file(known: &FileVerdict, verdict: Verdict) -> Result<Decision, NoPolicy> {
    let before = Stamp::now()?;
    let mut exempt = questions::exempt();
    let now = Stamp::now()?;
    if before.generation != now.generation {
        exempt = questions::exempt();
    }
    let (enforced, reason) = if known.reason == Reason::Canary as u8 {
        (here() == now.canary_cgroup, known.reason)
    } else if exempt {
        // Said also of a file not known yet: whoever identifies it must not stop this process.
        (false, Reason::Exempt as u8)
    } else {
        (verdict.stops_program() && now.mode == Mode::Enforce, known.reason)
    };
    Ok(Decision { verdict, enforced, reason, rule: known.rule, generation: now.generation, mode: now.mode })
}

/// Whether the guard answers for the current task.
#[inline(always)]
pub fn in_scope() -> bool {
    // SAFETY: a read of our own static; volatile because the loader replaces it after compilation.
    let scope = unsafe { core::ptr::read_volatile(&raw const SCOPE) };
    scope == 0 || questions::in_cgroup(scope)
}

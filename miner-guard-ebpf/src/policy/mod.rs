//! What the policy in force makes of an attempt. [`questions`] asks the tables.
//!
//! A program asks several questions, and each looks for the policy itself: what it decides is the answer of one policy all
//! the same. The daemon replaces a policy in two calls of the kernel: one fills the slot that is not in force, then the
//! epoch is raised, and the other empties the slot that was. Each of the two waits for all programs that run. So one run
//! meets at most one replacement, and sees it by the epoch, before or after; asking again is then asking the new policy alone.
//! (Reads are not reordered on x86-64. Elsewhere a system call lies between the raising and the emptying, much longer
//! than any processor reads ahead.)

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
        policy::{Block, HEAD_BLOCKS},
        verdict::{Mode, Reason, Verdict},
    },
    table::{self, Blocks, Destination, Details, Header, Listed},
};

use crate::{packet::Packet, verdict::Decision};
use questions::NoPolicy;

/// The values are arrays, and not [`Block`]s, in the map's BTF: 5.15 to 6.2 take a new generation, which is made without
/// BTF, only if it looks like this template, and they see a difference where the template's value is a struct.
type Image = Array<[u32; 16], 2, { (BPF_F_MMAPABLE | BPF_F_INNER_MAP) as usize }>;

/// A table for each slot.
#[btf_map]
static POLICY: ArrayOfMaps<Image, 2> = ArrayOfMaps::new();

/// For each slot a copy of the table's first blocks. The kernel looks an index of an ordinary array up in line; in a table of
/// any size it calls a function for it, which is most of what a look-up costs.
#[btf_map]
static HEADS: Array<[u32; 16 * HEAD_BLOCKS as usize], 2> = Array::new();

/// How many policies there have been; the lowest bit says which slot is in force.
#[btf_map]
static EPOCH: Array<u32, 1> = Array::new();

/// cgroup id that the guard is confined to, 0 for the whole host. Set by the loader. Hooks that attach to a cgroup
/// do not need it.
#[unsafe(no_mangle)]
static SCOPE: u64 = 0;

/// The policy in force.
pub struct Generation {
    image: &'static Image,
    head: &'static [Block; HEAD_BLOCKS as usize],
}

impl Generation {
    /// Changes when another policy comes into force.
    #[inline(always)]
    fn epoch() -> u32 {
        // SAFETY: the entry is there as long as the program; volatile because the daemon changes it.
        EPOCH.get_ptr(0).map_or(0, |n| unsafe { n.read_volatile() })
    }

    /// `None` before the daemon has published the first one.
    #[inline(always)]
    pub fn current() -> Option<Self> {
        Self::of(Self::epoch())
    }

    /// The one of an epoch that has just been read.
    #[inline(always)]
    fn of(epoch: u32) -> Option<Self> {
        let slot = epoch & 1;
        let image = POLICY.get(slot)?;
        // SAFETY: two Blocks are repr(C) around exactly this array, whose entries lie on multiples of 8 bytes.
        let head = unsafe { &*core::ptr::from_ref(HEADS.get(slot)?).cast() };
        Some(Self { image, head })
    }
}

impl Blocks for Generation {
    #[inline(always)]
    fn block(&self, index: u32) -> Option<&Block> {
        // SAFETY: a Block is repr(C) around exactly this array. The values of an mmap-able array map begin on a page and
        // are 64 bytes each, so that a Block's alignment holds too.
        self.image.get(index).map(|words| unsafe { &*core::ptr::from_ref(words).cast::<Block>() })
    }

    #[inline(always)]
    fn head(&self) -> Option<&Block> {
        Some(&self.head[0])
    }

    #[inline(always)]
    fn details(&self) -> Option<&Block> {
        Some(&self.head[1])
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
    fn now() -> Option<Self> {
        let generation = Generation::current()?;
        let mode = Header::read(&generation)?.mode();
        let details = Details::read(&generation)?;
        Some(Self {
            generation: details.generation(),
            mode,
            canary_rule: details.canary_rule(),
            canary_cgroup: details.canary_cgroup(),
        })
    }
}

/// What becomes of a socket that wants to reach a destination: `None` if nothing is to be done or said.
#[inline(always)]
pub fn reach(to: &Destination) -> Result<Option<Decision>, NoPolicy> {
    let before = Generation::epoch();
    let mut found = consider(before, to);
    let after = Generation::epoch();
    if after != before {
        found = consider(after, to);
    }
    if found.listed == Listed::NOTHING {
        return Ok(None);
    }
    // No verdict has the number that stands for "no policy".
    let verdict = found.listed.verdict().ok_or(NoPolicy)?;
    let mode = if found.enforce { Mode::Enforce } else { Mode::Audit };
    let (rule, generation) = (found.listed.rule(), found.generation);
    if found.canary {
        let (verdict, reason) = (Verdict::Deny, Reason::Canary as u8);
        return Ok(Some(Decision { verdict, enforced: true, reason, rule, generation, mode }));
    }
    let enforced = verdict.stops() && found.enforce;
    Ok(Some(Decision { verdict, enforced, reason: found.listed.reason(), rule, generation, mode }))
}

/// What there is to say of a destination. Every field is always written, unlike those of an enum: the verifier asks.
struct Found {
    listed: Listed,
    canary: bool,
    enforce: bool,
    generation: u64,
}

impl Found {
    const NOTHING: Self = Self { listed: Listed::NOTHING, canary: false, enforce: false, generation: 0 };
    const NO_POLICY: Self = Self { listed: questions::NO_POLICY, ..Self::NOTHING };
}

/// Exemption and protection are asked of what is listed only: an ordinary connect does not pay for them.
#[inline(always)]
fn consider(epoch: u32, to: &Destination) -> Found {
    let Some(generation) = Generation::of(epoch) else { return Found::NO_POLICY };
    let Some(header) = Header::read(&generation) else { return Found::NO_POLICY };
    let mut listed = match to.address.is_v4() {
        Some(v4) => table::quick4(&generation, &header, v4, to.port),
        None => Listed::ASK,
    };
    if listed == Listed::ASK {
        listed = questions::listed(to);
    }
    listed = questions::or_learned(listed, &to.address, here);
    if listed == Listed::NOTHING {
        return Found::NOTHING;
    }
    let Some(details) = Details::read(&generation) else { return Found::NO_POLICY };
    // The reserved destination is denied in the canary's cgroup, in either mode, and is ordinary everywhere else.
    let canary = listed.rule() == details.canary_rule();
    if canary && (details.canary_cgroup() == 0 || here() != details.canary_cgroup()) {
        return Found::NOTHING;
    }
    let excused = !canary
        && (header.exempts() && questions::exempt()
            || details.may_protect(&to.address) && questions::protected(to));
    if excused {
        return Found::NOTHING;
    }
    Found { listed, canary, enforce: header.mode() == Mode::Enforce, generation: details.generation() }
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
    let stops = u64::from(verdict.stops_program());
    let before = Generation::epoch();
    let mut found = mg_file(known.reason.into(), stops);
    if Generation::epoch() != before {
        found = mg_file(known.reason.into(), stops);
    }
    if found == 0 {
        return Err(NoPolicy);
    }
    Ok(Decision {
        verdict,
        enforced: found & file::ENFORCED != 0,
        reason: (found >> file::REASON) as u8,
        rule: known.rule,
        generation: found >> file::GENERATION,
        mode: if found & file::ENFORCE != 0 { Mode::Enforce } else { Mode::Audit },
    })
}

/// What [`mg_file`] gives: 0 if there is no policy.
mod file {
    pub const KNOWN: u64 = 1;
    pub const ENFORCED: u64 = 2;
    /// The mode.
    pub const ENFORCE: u64 = 4;
    pub const REASON: u32 = 8;
    pub const GENERATION: u32 = 16;
}

/// A global function, so that the verifier looks at it once, and at no field that the compiler left unwritten.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn mg_file(reason: u64, stops: u64) -> u64 {
    let Some(policy) = Generation::current() else { return 0 };
    let Some(header) = Header::read(&policy) else { return 0 };
    let Some(details) = Details::read(&policy) else { return 0 };
    let enforces = header.mode() == Mode::Enforce;
    let (enforced, reason) = if reason == Reason::Canary as u64 {
        (here() == details.canary_cgroup(), reason)
    } else if header.exempts() && questions::exempt() {
        // Said also of a file not known yet: whoever identifies it must not stop this process.
        (false, Reason::Exempt as u64)
    } else {
        (stops != 0 && enforces, reason)
    };
    file::KNOWN
        | if enforced { file::ENFORCED } else { 0 }
        | if enforces { file::ENFORCE } else { 0 }
        | (reason & 0xff) << file::REASON
        | details.generation() << file::GENERATION
}

/// Whether the guard answers for the current task.
#[inline(always)]
pub fn in_scope() -> bool {
    scope() == 0 || questions::in_cgroup(scope())
}

/// The same for what a socket sends.
#[inline(always)]
pub fn has_in_scope(packet: Packet) -> bool {
    scope() == 0 || packet.any_cgroup(|id| id == scope())
}

#[inline(always)]
fn scope() -> u64 {
    // SAFETY: a read of our own static; volatile because the loader replaces it after compilation.
    unsafe { core::ptr::read_volatile(&raw const SCOPE) }
}

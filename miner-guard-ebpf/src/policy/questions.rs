//! The questions that cost the verifier most, as *global functions*: it checks each once, for any arguments, and knows
//! nothing of the answer at the call. Inlined, it followed every way through one question into every way through the
//! next (871 k of its million instructions for a single hook on 6.1).
//!
//! 5.10 lets them take numbers and give a number, no more. So each looks for the policy in force itself, and a policy may
//! come into force between two of them: [`Listed::is_of`] is how [`super::reach`] notices.

use aya_ebpf::helpers::bpf_get_current_uid_gid;
use miner_guard_common::{
    abi::{
        file::EXEMPT,
        policy::{Class, TAG_VALUE},
        verdict::{Reason, Verdict},
    },
    table::{self, Address, Answer, Destination, Details, Header},
};

use super::Generation;
use crate::{
    files, learned,
    task::{self, Ptr},
};

/// No policy, or one that cannot be read.
pub struct NoPolicy;

/// What is listed for a destination, and which generation says so, in 64 bits.
#[derive(Clone, Copy)]
pub struct Listed(u64);

impl Listed {
    const VERDICT: u32 = 26;
    const REASON: u32 = 29;
    const EPOCH: u32 = 34;
    /// Instead of an answer: there is no policy. No answer looks like this, because no verdict is 7.
    const NO_POLICY: u64 = u64::MAX;

    /// An answer of this generation.
    #[inline(always)]
    pub fn of(answer: &Answer, generation: u64) -> Self {
        Self(Self::pack(answer, generation))
    }

    /// What [`Self::bits`] gave; `None` for 0, which is nothing.
    #[inline(always)]
    pub fn from_bits(bits: u64) -> Option<Self> {
        if bits == 0 || bits == Self::NO_POLICY { None } else { Some(Self(bits)) }
    }

    /// As a number, never 0: for steps of a program, which hand each other numbers.
    #[inline(always)]
    pub fn bits(self) -> u64 {
        self.0
    }

    #[inline(always)]
    fn pack(answer: &Answer, generation: u64) -> u64 {
        u64::from(answer.rule & TAG_VALUE)
            | (answer.verdict as u64) << Self::VERDICT
            | (answer.reason as u64) << Self::REASON
            | generation << Self::EPOCH
    }

    /// Index of the rule.
    #[inline(always)]
    pub fn rule(self) -> u32 {
        self.0 as u32 & TAG_VALUE
    }

    /// The verdict, `None` for one that this side does not know.
    #[inline(always)]
    pub fn verdict(self) -> Option<Verdict> {
        Verdict::from_byte((self.0 >> Self::VERDICT) as u8 & 7)
    }

    /// [`miner_guard_common::abi::verdict::Reason`]
    #[inline(always)]
    pub fn reason(self) -> u8 {
        (self.0 >> Self::REASON) as u8 & 31
    }

    /// Whether it is of this generation: by the low bits of its number, which two in a row do not share.
    #[inline(always)]
    pub fn is_of(self, generation: u64) -> bool {
        self.0 >> Self::EPOCH == (generation << Self::EPOCH) >> Self::EPOCH
    }
}

/// Besides a port: nothing is asked for the port alone.
const NOT_ALONE: u64 = 1 << 16;

/// What is listed for a destination, whoever wants to go there; `None` if nothing is.
#[inline(always)]
pub fn listed(to: &Destination) -> Result<Option<Listed>, NoPolicy> {
    listed_with(to, 0)
}

/// The same, without asking for the port alone.
#[inline(always)]
pub fn address_listed(to: &Destination) -> Result<Option<Listed>, NoPolicy> {
    listed_with(to, NOT_ALONE)
}

#[inline(always)]
fn listed_with(to: &Destination, how: u64) -> Result<Option<Listed>, NoPolicy> {
    let (high, low) = to.address.halves();
    match mg_listed(high, low, u64::from(to.port) | how) {
        0 => Ok(None),
        Listed::NO_POLICY => Err(NoPolicy),
        packed => Ok(Some(Listed(packed))),
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn mg_listed(high: u64, low: u64, port: u64) -> u64 {
    let Some(generation) = Generation::current() else { return Listed::NO_POLICY };
    let Some(header) = Header::read(&generation) else { return Listed::NO_POLICY };
    let to = Destination { address: Address::from_halves(high, low), port: port as u16 };
    let answer = if port & NOT_ALONE == 0 {
        table::destination(&generation, &header, &to)
    } else {
        table::address(&generation, &header, &to)
    };
    let Some(answer) = answer else { return 0 };
    Details::read(&generation).map_or(0, |details| Listed::pack(&answer, details.generation()))
}

/// What was learned of an address, for a cgroup (its v2 id: asked for only when somebody is denied an address like this one),
/// unless something that is listed for the address itself stops already. It goes before a port that is listed alone.
#[inline(always)]
pub fn or_learned(listed: Option<Listed>, address: &Address, cgroup: impl FnOnce() -> u64) -> Option<Listed> {
    let by_address = |l: Listed| l.reason() != Reason::Port as u8 && l.verdict().is_some_and(Verdict::stops);
    if listed.is_some_and(by_address) || !learned::may_be_denied(address) {
        return listed;
    }
    let (high, low) = address.halves();
    Listed::from_bits(mg_learned(high, low, cgroup())).or(listed)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn mg_learned(high: u64, low: u64, cgroup: u64) -> u64 {
    let answer = || {
        let answer = learned::denied(&Address::from_halves(high, low), cgroup)?;
        let generation = Generation::current()?;
        Some(Listed::pack(&answer, Details::read(&generation)?.generation()))
    };
    answer().unwrap_or(0)
}

/// What a ClientHello without a readable name deserves at a destination: `None` but where only pools are called.
#[inline(always)]
pub fn nameless(to: &Destination) -> Option<Listed> {
    let (high, low) = to.address.halves();
    Listed::from_bits(mg_nameless(high, low, to.port.into()))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn mg_nameless(high: u64, low: u64, port: u64) -> u64 {
    let answer = || {
        let generation = Generation::current()?;
        let header = Header::read(&generation)?;
        let listed = match learned::suspect(&Address::from_halves(high, low)) {
            None => table::port(&generation, &header, port as u16)?,
            Some(suspect) => suspect,
        };
        let answer = Answer { verdict: Verdict::Alert, reason: Reason::NoServerName, ..listed };
        Some(Listed::pack(&answer, Details::read(&generation)?.generation()))
    };
    answer().unwrap_or(0)
}

/// Whether a destination is protected or allowed, whatever is listed for it.
#[inline(always)]
pub fn protected(to: &Destination) -> bool {
    let (high, low) = to.address.halves();
    mg_protected(high, low) != 0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn mg_protected(high: u64, low: u64) -> u64 {
    let rule = || {
        let generation = Generation::current()?;
        let header = Header::read(&generation)?;
        let to = Destination { address: Address::from_halves(high, low), port: 0 };
        table::protected(&generation, &header, &to)
    };
    rule().map_or(0, u64::from)
}

/// Whether a cgroup is on the allowlist, by its v2 id alone: for hooks that know the socket's cgroup and no task. A task or
/// socket is exempt if its cgroup or one above it is.
#[inline(always)]
pub fn exempt_cgroup(id: u64) -> bool {
    mg_exempt_number(Class::Cgroup as u64, id) != 0
}

/// Whether a user is on the allowlist, by its id in the initial user namespace.
#[inline(always)]
pub fn exempt_user(id: u32) -> bool {
    mg_exempt_number(Class::Uid as u64, id.into()) != 0
}

/// The same of a group.
#[inline(always)]
pub fn exempt_group(id: u32) -> bool {
    mg_exempt_number(Class::Gid as u64, id.into()) != 0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn mg_exempt_number(class: u64, n: u64) -> u64 {
    let rule = || {
        let generation = Generation::current()?;
        let header = Header::read(&generation)?;
        table::exempt_number(&generation, &header, class as u8, n)
    };
    rule().map_or(0, u64::from)
}

/// Whether the current task is on the allowlist: by user, group, cgroup, or the program it runs.
#[inline(always)]
pub fn exempt() -> bool {
    mg_exempt() != 0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn mg_exempt() -> u64 {
    let Some(generation) = Generation::current() else { return 0 };
    let Some(header) = Header::read(&generation) else { return 0 };
    let uid_gid = bpf_get_current_uid_gid();
    if header.has(Class::Uid) && mg_exempt_number(Class::Uid as u64, u64::from(uid_gid as u32)) != 0 {
        return 1;
    }
    if header.has(Class::Gid) && mg_exempt_number(Class::Gid as u64, uid_gid >> 32) != 0 {
        return 1;
    }
    if header.has(Class::Cgroup) && task::any_cgroup(Ptr::current(), exempt_cgroup) {
        return 1;
    }
    u64::from(header.has(Class::Exe) && program_exempt())
}

/// Whether the program that runs now is on the allowlist.
#[inline(always)]
pub fn program_exempt() -> bool {
    task::exe_of(Ptr::current())
        .and_then(task::identity)
        .and_then(|(id, _)| files::consequence_of(&id))
        .is_some_and(|known| known.flags & EXEMPT != 0)
}

/// Whether the policy has keys of this class.
#[inline(always)]
pub fn has(class: Class) -> bool {
    Generation::current().is_some_and(|g| Header::read(&g).is_some_and(|h| h.has(class)))
}

/// Whether the current task is in the cgroup `scope` or below it.
#[inline(always)]
pub fn in_cgroup(scope: u64) -> bool {
    mg_in_cgroup(scope) != 0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn mg_in_cgroup(scope: u64) -> u64 {
    u64::from(task::any_cgroup(Ptr::current(), |id| id == scope))
}

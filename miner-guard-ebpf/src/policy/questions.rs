//! The questions that cost the verifier most, as *global functions*: it checks each once, for any arguments, and knows
//! nothing of the answer at the call. Inlined, it followed every way through one question into every way through the
//! next (871 k of its million instructions for a single hook on 6.1).
//!
//! 5.10 lets them take numbers and give a number, no more. So each looks for the policy in force itself, see [`super`].

use aya_ebpf::helpers::bpf_get_current_uid_gid;
use miner_guard_common::{
    abi::{
        file::EXEMPT,
        policy::Class,
        verdict::{Reason, Verdict},
    },
    table::{self, Address, Answer, Destination, Details, Header, Listed},
};

use super::Generation;
use crate::{
    files, learned,
    task::{self, Ptr},
};

/// No policy, or one that cannot be read.
pub struct NoPolicy;

/// Instead of what is listed: there is no policy. No answer looks like this, because no verdict is 7.
pub const NO_POLICY: Listed = Listed(u64::MAX);

/// Besides a port: nothing is asked for the port alone.
const NOT_ALONE: u64 = 1 << 16;

/// What is listed for a destination, whoever wants to go there, and of which generation; or [`NO_POLICY`].
#[inline(always)]
pub fn listed(to: &Destination) -> Listed {
    let (high, low) = to.address.halves();
    Listed(mg_listed(high, low, to.port.into()))
}

/// The same, without asking for the port alone.
#[inline(always)]
pub fn address_listed(to: &Destination) -> Listed {
    let (high, low) = to.address.halves();
    Listed(mg_listed(high, low, u64::from(to.port) | NOT_ALONE))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn mg_listed(high: u64, low: u64, port: u64) -> u64 {
    let Some(generation) = Generation::current() else { return NO_POLICY.0 };
    let Some(header) = Header::read(&generation) else { return NO_POLICY.0 };
    let to = Destination { address: Address::from_halves(high, low), port: port as u16 };
    let answer = if port & NOT_ALONE == 0 {
        table::destination(&generation, &header, &to)
    } else {
        table::address(&generation, &header, &to)
    };
    let Some(answer) = answer else { return 0 };
    Details::read(&generation).map_or(0, |details| Listed::of(&answer).at(details.generation()).0)
}

/// The tag under the key of a name, 0 if none or if there is no policy.
#[inline(always)]
pub fn tag_of(key: u64) -> u32 {
    mg_tag_of(key)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn mg_tag_of(key: u64) -> u32 {
    let Some(generation) = Generation::current() else { return 0 };
    let Some(header) = Header::read(&generation) else { return 0 };
    table::by_key(&generation, &header, key)
}

/// What was learned of an address, for a cgroup (its v2 id: asked for only when somebody is denied an address like this one),
/// unless something that is listed for the address itself stops already. It goes before a port that is listed alone.
#[inline(always)]
pub fn or_learned(listed: Listed, address: &Address, cgroup: impl FnOnce() -> u64) -> Listed {
    let by_address = listed.reason() != Reason::Port as u8 && listed.verdict().is_some_and(Verdict::stops);
    if by_address || listed == NO_POLICY || !learned::may_be_denied(address) {
        return listed;
    }
    let (high, low) = address.halves();
    let learned = Listed(mg_learned(high, low, cgroup()));
    if learned == Listed::NOTHING { listed } else { learned }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn mg_learned(high: u64, low: u64, cgroup: u64) -> u64 {
    let answer = || {
        let answer = learned::denied(&Address::from_halves(high, low), cgroup)?;
        let generation = Generation::current()?;
        Some(Listed::of(&answer).at(Details::read(&generation)?.generation()).0)
    };
    answer().unwrap_or(0)
}

/// What a ClientHello without a readable name deserves at a destination: nothing but where only pools are called.
#[inline(always)]
pub fn nameless(to: &Destination) -> Listed {
    let (high, low) = to.address.halves();
    Listed(mg_nameless(high, low, to.port.into()))
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
        Some(Listed::of(&answer).at(Details::read(&generation)?.generation()).0)
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

/// Whether the policy denies names: there is no reason to read one otherwise.
#[inline(always)]
pub fn lists_names() -> bool {
    has(Class::Domain) || has(Class::DomainBelow)
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

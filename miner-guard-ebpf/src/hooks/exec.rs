//! A program begins to run: is its file known, and as what?

use miner_guard_common::abi::{
    exec::{ARGS_TRUNCATED, Exec, FIRST_SEEN, FROM_LSM, UNLINKED},
    file::{FileId, FileVerdict, LOADER},
    policy::Class,
    record::{Kind, Loss},
    verdict::Verdict,
};

use crate::{
    emit, files,
    policy::{
        self,
        questions::{self, NoPolicy},
    },
    task::{self, Ptr},
    verdict::{self, Decision},
};

/// `sched_process_exec`: the program is loaded, its first user instruction has not run. Known miners get SIGKILL
/// here; a file seen for the first time goes on and is reported for identification (fail-open for the unknown).
#[inline(always)]
pub fn started(task: u64, bprm: u64) {
    let bprm = Ptr::new(bprm);
    let Some((id, unlinked)) = task::file_of_bprm(bprm).and_then(task::identity) else {
        return emit::lost(Loss::KernelRead);
    };
    let known = files::verdict_of(&id);
    let clean = known.is_some_and(|v| v.verdict == Verdict::Allow as u8 && v.flags & LOADER == 0);
    // The interpreter is known; its script may be listed.
    if clean && !(questions::has(Class::Script) && task::is_script(bprm)) {
        return;
    }
    if !policy::in_scope() {
        return;
    }
    let Ok(decision) = decide(known.as_ref()) else { return emit::lost(Loss::NoPolicy) };
    verdict::exec(&decision);
    let mut flags = if unlinked { UNLINKED } else { 0 };
    if known.is_none() {
        flags |= FIRST_SEEN;
    }
    report(Ptr::new(task), bprm, &id, flags, &decision);
}

/// `bprm_check_security`: the same before the old program is given up, so that `execve` itself fails.
#[inline(always)]
pub fn check(bprm: u64) -> i32 {
    let bprm = Ptr::new(bprm);
    let Some((id, unlinked)) = task::file_of_bprm(bprm).and_then(task::identity) else {
        emit::lost(Loss::KernelRead);
        return 0;
    };
    refuse(&id, FROM_LSM | if unlinked { UNLINKED } else { 0 }, Some(bprm))
}

/// `mmap_file` for execution: a miner given to `ld.so` is never executed by the kernel, only mapped.
#[inline(always)]
pub fn mapped(file: u64) -> i32 {
    match task::identity(Ptr::new(file)) {
        Some((id, unlinked)) => refuse(&id, FROM_LSM | if unlinked { UNLINKED } else { 0 }, None),
        None => 0,
    }
}

#[inline(always)]
fn refuse(id: &FileId, flags: u32, bprm: Option<Ptr>) -> i32 {
    let Some(known) = files::consequence_of(id) else { return 0 };
    if Verdict::from_byte(known.verdict).is_none_or(|v| !v.stops()) {
        return 0;
    }
    if !policy::in_scope() {
        return 0;
    }
    let Ok(decision) = decide(Some(&known)) else {
        emit::lost(Loss::NoPolicy);
        return 0;
    };
    // In audit the program goes on, and `started` reports it: one event, not two.
    if decision.enforced {
        report(Ptr::current(), bprm.unwrap_or(Ptr::new(0)), id, flags, &decision);
    }
    verdict::lsm(&decision)
}

#[inline(always)]
fn decide(known: Option<&FileVerdict>) -> Result<Decision, NoPolicy> {
    // An unknown file, or a verdict that this side does not know: it runs, and is reported.
    const UNKNOWN: FileVerdict = FileVerdict { verdict: 0, reason: 0, flags: 0, rule: 0, version: 0, pad: 0 };
    let known = known.unwrap_or(&UNKNOWN);
    policy::file(known, Verdict::from_byte(known.verdict).unwrap_or(Verdict::Allow))
}

#[inline(always)]
fn report(task: Ptr, bprm: Ptr, id: &FileId, flags: u32, d: &Decision) {
    let loaders_and_new = d.verdict == Verdict::Allow;
    let suppressed = if loaders_and_new {
        0
    } else {
        match emit::admit(Kind::Exec) {
            Some(n) => n,
            None => return,
        }
    };
    emit::send::<Exec>(emit::Wake::Now, Loss::RingExec, |r| {
        emit::head(&mut r.head, Kind::Exec, d, suppressed);
        r.file = *id;
        r.ppid = task::parent(task);
        r.filename_len = task::filename(bprm, &mut r.filename);
        let (len, more) = task::arguments(task, &mut r.args);
        r.args_len = len;
        r.flags = flags | if more { ARGS_TRUNCATED } else { 0 };
    });
}

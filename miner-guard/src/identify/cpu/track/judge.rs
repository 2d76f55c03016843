//! From what is remembered of a process to evidence.

use std::time::Duration;

use super::{
    Found, Hint, Settings,
    pool::Pool,
    process::{Process, Window},
};
use crate::identify::{
    Evidence, Kind, Strength,
    cpu::{
        code::Counts,
        look::Look,
        mix,
        rounding::{self, Modes, Signature},
        shape,
    },
};

const SECOND: u64 = 1_000_000_000;
const MEBI: u64 = 1 << 20;
/// Samples in memory without a file before their shape is judged.
const JIT_SAMPLES: usize = 6;
/// Code alone is a reason to look when it was seen for so long.
const HELD_NS: u64 = 10 * SECOND;
/// Samples before it is said that something interprets.
const INTERPRETED: u32 = 12;
/// RandomX keeps 256 MiB at the least, and a test of the floating point unit has no need to.
const CACHE: u64 = 200 * MEBI;
/// Windows before a mix is judged, whatever the time.
const WINDOWS: u64 = 5;
/// A mix holds when so many of its windows, in per cent, show it.
const HOLDS: u64 = 80;
/// More data than this, a second of processor time, and a mapping larger than that, are a reason to hash.
const DATA: u64 = 1_000_000;
const MAPPED: u64 = 64 * MEBI;

/// RandomX, by rounding modes and the shape of its code; alone, or together with others of its pool.
pub(super) fn randomx(
    pid: u32,
    now_ns: u64,
    p: &mut Process,
    pool: Option<&mut Pool>,
    look: &dyn Look,
) -> Option<Found> {
    let made = p.recent.iter().filter(|s| s.made == Some(true)).count();
    let jit = p.recent.iter().filter(|s| s.is_jit()).count();
    let mut shape = made >= JIT_SAMPLES && jit * 2 >= made;
    let Some(since) = p.modes_since else {
        return shape.then(|| jit_alone(pid, now_ns, p)).flatten();
    };
    let (mut modes, mut since, mut together) = (p.modes, since, 1);
    if let Some(pool) = pool {
        // A member that left its modes and code here before it ended.
        if jit > 0 {
            pool.compiles(pid);
        }
        if rounding::judge(&modes) == Signature::Unknown && pool.shared() && all_four(&pool.modes) {
            (modes, since, together) = (pool.modes, pool.since_ns, pool.members.len());
            shape |= pool.compile() >= 3;
        }
    }
    if rounding::judge(&modes) != Signature::RandomX {
        return None;
    }
    let resident = p.memory(pid, now_ns, look).map_or(0, |m| m.resident);
    let roomy = resident >= CACHE;
    // Interpreted RandomX shows no code of its own: the modes alone must be seen four times as often.
    let mining = shape || (roomy && rounding::firm(&modes) && interprets(p));
    let first = match (mining, roomy) {
        (true, _) => p.tell("mining"),
        (false, true) => p.tell("modes"),
        (false, false) => p.tell("modes-weak"),
    };
    if !first {
        return None;
    }
    let [nearest, down, up, zero] = modes;
    let who = match together {
        1 => String::new(),
        n => format!(" by {n} processes of this user and cgroup together"),
    };
    let mut evidence = vec![Evidence::new(
        Kind::RoundingModes,
        if shape || roomy { Strength::Strong } else { Strength::Weak },
        format!(
            "all four SSE rounding modes are used in proportion{who}, as RandomX does and interval arithmetic does not: \
             {nearest} × to nearest, {down} × down, {up} × up, {zero} × to zero when a thread was switched out"
        ),
    )];
    if shape {
        evidence.push(jit_evidence(jit, made));
    }
    if roomy {
        let text =
            format!("{} MiB of memory are resident; RandomX keeps 256 MiB at the least", resident / MEBI);
        evidence.push(Evidence::new(Kind::MemoryShape, Strength::Weak, text));
    }
    Some(found(pid, now_ns, p, mining.then_some(Hint::Mining), evidence, since))
}

/// Whether the newest code mixes bits more than it calculates: an interpreter of RandomX does, whereas a program that has
/// reasons of its own to round in every direction is there for its floating point. Of the interpreter's instructions 5 to 17 %
/// mix bits and 2 % are floating point, of a test of the floating point unit 0 and 3 to 7 %.
fn interprets(p: &Process) -> bool {
    let mut code = Counts::default();
    p.recent.iter().for_each(|s| code += s.counts);
    code.samples >= INTERPRETED && code.mix * 32 >= code.all && code.float <= code.mix
}

/// Where the rounding modes cannot be seen (or have not been yet) the code is a reason to look, no more.
fn jit_alone(pid: u32, now_ns: u64, p: &mut Process) -> Option<Found> {
    let since = p.jit_since.unwrap_or(now_ns);
    if now_ns.saturating_sub(since) < HELD_NS || !p.tell("jit") {
        return None;
    }
    let made = p.recent.iter().filter(|s| s.made == Some(true)).count();
    let jit = p.recent.iter().filter(|s| s.is_jit()).count();
    Some(found(pid, now_ns, p, None, vec![jit_evidence(jit, made)], since))
}

fn jit_evidence(jit: usize, made: usize) -> Evidence {
    let text = format!(
        "{jit} of {made} samples of code in memory without a file have no branch and are full of multiplications, \
         rotations and exclusive ors, as what RandomX's compiler writes"
    );
    Evidence::new(Kind::JitShape, Strength::Medium, text)
}

fn all_four(modes: &Modes) -> bool {
    rounding::judge(modes) == Signature::RandomX
}

/// Any other proof of work, by its mix of instructions, held for long, without data.
pub(super) fn mix(
    pid: u32,
    now_ns: u64,
    p: &mut Process,
    settings: &Settings,
    look: &dyn Look,
) -> Option<Found> {
    let (time_ns, code) = p.full.take()?;
    let sustain_ns = u64::try_from(settings.sustain.as_nanos()).unwrap_or(u64::MAX);
    let features = mix::features(&code);
    let by_mix = mix::log_odds(&features);
    tracing::trace!(pid, cgroup = p.cgroup, by_mix, ?features, "window");
    // Signs of shape add at most so much.
    const REACH: f64 = 7.0;
    if by_mix < -REACH {
        p.judged(Window { time_ns, flagged: false, by_shape: false }, sustain_ns);
        return None;
    }
    let signs = if by_mix >= 0.0 { Vec::new() } else { signs(pid, now_ns, p, &code, look) };
    let odds = by_mix + signs.iter().map(|(weight, _)| weight).sum::<f64>();
    let likely = odds >= 0.0;
    if !likely {
        p.judged(Window { time_ns, flagged: false, by_shape: false }, sustain_ns);
        return None;
    }
    // Data is measured from one such window to the next; the first only begins.
    let usage = look.usage(pid)?;
    let before = p.usage.replace(usage).filter(|u| u.start == usage.start)?;
    let cpu_ms = usage.cpu_ms.saturating_sub(before.cpu_ms).max(1);
    let moved = usage.moved.saturating_sub(before.moved);
    let mapped = p.memory(pid, now_ns, look).map_or(0, |m| m.files);
    let flagged = moved.saturating_mul(1000) / cpu_ms < DATA && mapped < MAPPED;
    p.judged(Window { time_ns, flagged, by_shape: by_mix < 0.0 }, sustain_ns);
    let (since, windows, by_shape) = holds(p, sustain_ns)?;
    if !p.tell("hashing") {
        return None;
    }
    let percent = |share: f64| (share * 100.0).round();
    let mut evidence = vec![Evidence::new(
        Kind::InstructionMix,
        Strength::Strong,
        format!(
            "{windows} windows of {} samples of its code over {} s: {} % of the instructions mix bits as hashes do, {} % \
             branch, {} % are floating point (likelihood {:.2}), and it moved {} kB of data a second of processor time",
            super::process::WINDOW,
            now_ns.saturating_sub(since) / SECOND,
            percent(features[0]),
            percent(features[1]),
            percent(features[2]),
            mix::probability(odds),
            moved / cpu_ms,
        ),
    )];
    if by_shape {
        let text = signs.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("; ");
        evidence.push(Evidence::new(Kind::MemoryShape, Strength::Medium, text));
    }
    Some(found(pid, now_ns, p, Some(Hint::HashingHeavy), evidence, since))
}

fn signs(pid: u32, now_ns: u64, p: &mut Process, code: &Counts, look: &dyn Look) -> Vec<(f64, &'static str)> {
    let looked = p.shape(pid, now_ns, look);
    looked.map(|(memory, manners)| shape::signs(code, memory, manners)).unwrap_or_default()
}

/// Since when the newest windows hold, how many they are, and whether mostly by their shape; `None` while they do not, or
/// not for long enough.
fn holds(p: &Process, sustain_ns: u64) -> Option<(u64, u64, bool)> {
    let (mut n, mut flagged, mut by_shape) = (0, 0, 0);
    for s in p.stretches.iter().rev() {
        n += u64::from(s.windows);
        flagged += u64::from(s.flagged);
        by_shape += u64::from(s.by_shape);
        if n >= WINDOWS && p.judged_ns.saturating_sub(s.from_ns) >= sustain_ns {
            return (flagged * 100 >= n * HOLDS).then_some((s.from_ns, n, by_shape * 2 > flagged));
        }
    }
    None
}

fn found(
    pid: u32,
    now_ns: u64,
    p: &Process,
    hint: Option<Hint>,
    evidence: Vec<Evidence>,
    since: u64,
) -> Found {
    Found {
        pid,
        tid: p.threads.last().map_or(pid, |t| t.tid),
        uid: p.uid,
        cgroup: p.cgroup,
        time_ns: now_ns,
        hint,
        evidence,
        after: Duration::from_nanos(now_ns.saturating_sub(since)),
    }
}

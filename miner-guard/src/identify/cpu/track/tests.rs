//! Processes that do not exist, and a `/proc` that says what the test wants.

use std::cell::Cell;

use miner_guard_common::abi::runtime::CODE;

use super::*;
use crate::identify::cpu::look::{Manners, Memory, Usage};
use crate::identify::{Kind, Strength};

const SECOND: u64 = 1_000_000_000;
/// Where made code lies.
const MADE: u64 = 0x7f00_0000_0000;
const FILE: u64 = 0x5555_0000;

struct Told {
    resident: u64,
    moved_a_second: u64,
    now: Cell<u64>,
    manners: Manners,
    /// Questions so far, each of which may cost milliseconds.
    asked: Cell<u32>,
    /// When its memory is there; before that it has none.
    filled_ns: u64,
    /// How long a question waits for others, who use the processors.
    waits: Duration,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            resident: 300 << 20,
            moved_a_second: 0,
            now: Cell::new(0),
            manners: Manners::default(),
            asked: Cell::new(0),
            filled_ns: 0,
            waits: Duration::ZERO,
        }
    }
}

impl Look for Told {
    fn usage(&self, _: u32) -> Option<Usage> {
        let ms = self.now.get() / 1_000_000;
        Some(Usage { start: 1, cpu_ms: ms, moved: ms * self.moved_a_second / 1000 })
    }
    fn memory(&self, _: u32) -> Option<Memory> {
        self.asked.update(|n| n + 1);
        std::thread::sleep(self.waits);
        Some(Memory {
            made_code: std::iter::once(MADE..MADE + 0x10_0000).collect(),
            resident: if self.now.get() < self.filled_ns { 0 } else { self.resident },
            ..Memory::default()
        })
    }
    fn manners(&self, _: u32) -> Option<Manners> {
        self.asked.update(|n| n + 1);
        Some(self.manners)
    }
}

fn sample(pid: u32, time_ns: u64, ip: u64, code: &[u8]) -> Sample {
    let mut bytes = [0x90; CODE];
    for (to, from) in bytes.iter_mut().zip(code.iter().cycle()) {
        *to = *from;
    }
    Sample {
        time_ns,
        ip,
        cgroup: 7,
        pid,
        tid: pid,
        uid: 1000,
        cpu: 1,
        len: CODE as u32,
        flags: 0,
        code: bytes,
    }
}

/// imul rax, rbx; xor rcx, rax; ror rcx, 9; add rdx, rcx
const JIT: &[u8] = &[0x48, 0x0f, 0xaf, 0xc3, 0x48, 0x31, 0xc1, 0x48, 0xc1, 0xc9, 9, 0x48, 0x01, 0xca];
/// rol eax, 7; xor eax, ecx; mov edx, [rsi]; add eax, edx
const HASH: &[u8] = &[0xc1, 0xc0, 7, 0x31, 0xc8, 0x8b, 0x16, 0x01, 0xd0];
/// cmp [rdi], al; je +0; mov al, [rdi]; inc rdi
const PARSER: &[u8] = &[0x38, 0x07, 0x74, 0, 0x8a, 0x07, 0x48, 0xff, 0xc7];

fn modes(counts: [u32; 4], last_ns: u64) -> Rounding {
    Rounding { counts, last_ns, cgroup: 7, uid: 1000, outside: 0 }
}

fn tracker(sustain_s: u64) -> Tracker {
    Tracker::new(Settings { sustain: Duration::from_secs(sustain_s) }, 1)
}

/// A process that runs `code` for so many seconds, four samples a second; what was found.
fn runs(tracker: &mut Tracker, told: &Told, code: &[u8], seconds: u64) -> Vec<Found> {
    let mut found = Vec::new();
    for quarter in 0..seconds * 4 {
        let now = quarter * SECOND / 4;
        told.now.set(now);
        tracker.sample(&sample(42, now, FILE, code));
        found.extend(tracker.tick(now, told));
    }
    found
}

#[test]
fn rounding_modes_and_code_together_are_mining_at_once() {
    let (mut t, told) = (tracker(120), Told::default());
    for n in 0..10 {
        t.sample(&sample(42, n * SECOND / 49, MADE + 0x100, JIT));
    }
    t.modes(42, &modes([7, 6, 5, 6], SECOND / 2));
    let found = t.tick(SECOND / 2, &told);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].pid, found[0].hint), (42, Some(Hint::Mining)));
    let kinds: Vec<Kind> = found[0].evidence.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [Kind::RoundingModes, Kind::JitShape, Kind::MemoryShape]);
    // Told once.
    t.modes(42, &modes([17, 15, 14, 15], SECOND));
    assert_eq!(t.tick(SECOND, &told), []);
}

#[test]
fn rounding_modes_alone_must_be_seen_often_and_need_the_memory_and_an_interpreter() {
    /// mulsd xmm0, xmm1; addsd xmm0, xmm2; xor eax, ecx
    const FLOAT: &[u8] = &[0xf2, 0x0f, 0x59, 0xc1, 0xf2, 0x0f, 0x58, 0xc2, 0x31, 0xc8];
    for (resident, code, mining) in
        [(300 << 20, HASH, true), (20 << 20, HASH, false), (300 << 20, FLOAT, false)]
    {
        let (mut t, told) = (tracker(120), Told { resident, ..Told::default() });
        let mut hints = Vec::new();
        for n in 1..60_u32 {
            let now = u64::from(n) * SECOND / 20;
            t.modes(42, &modes([n, n, n, n], now));
            t.sample(&sample(42, now, FILE, code));
            hints.extend(t.tick(now, &told).into_iter().map(|f| (3 * n, f.hint)));
        }
        let mines = hints.iter().find(|(_, h)| *h == Some(Hint::Mining));
        assert_eq!(mines.is_some(), mining, "{hints:?}");
        assert!(mines.is_none_or(|(directed, _)| *directed == 60), "{hints:?}");
    }
}

#[test]
fn memory_that_is_filled_after_a_look_is_seen_soon_however_busy_the_machine_is() {
    let filled_ns = SECOND / 2;
    let told = Told { filled_ns, waits: Duration::from_millis(5), ..Told::default() };
    let mut t = tracker(120);
    let found = (1..100).find_map(|n| {
        let now = n * SECOND / 20;
        told.now.set(now);
        if now > filled_ns {
            let each = (now - filled_ns) / (SECOND / 200);
            t.modes(42, &modes([each as u32; 4], now));
        }
        // What fills it looks like made code; what runs then interprets.
        t.sample(&sample(42, now, FILE, if now > filled_ns { HASH } else { JIT }));
        t.tick(now, &told).into_iter().find(|f| f.hint == Some(Hint::Mining)).map(|_| now)
    });
    assert!(told.asked.get() > 1, "it was asked before it was filled");
    assert!(found.is_some_and(|at| at < filled_ns + 3 * SECOND / 2), "{found:?}");
}

#[test]
fn interval_arithmetic_is_nothing_even_in_a_program_that_compiles() {
    let (mut t, told) = (tracker(120), Told::default());
    for second in 1..100 {
        let n = second as u32 * 20;
        t.modes(42, &modes([n, 0, 3 * n, 0], second * SECOND));
        t.sample(&sample(42, second * SECOND, MADE, PARSER));
        assert_eq!(t.tick(second * SECOND, &told), []);
    }
}

#[test]
fn a_miner_that_forks_every_moment_is_found_by_what_its_children_do_together() {
    let (mut t, told) = (tracker(120), Told::default());
    let mut mining = 0;
    for child in 0..20_u32 {
        let now = u64::from(child) * 2 * SECOND;
        let pid = 100 + child;
        t.sample(&sample(pid, now, MADE, JIT));
        t.sample(&sample(pid, now, MADE, JIT));
        let mut counts = [1, 0, 0, 0];
        counts[1 + child as usize % 3] = 2;
        t.modes(pid, &modes(counts, now));
        mining += t.tick(now, &told).iter().filter(|f| f.hint == Some(Hint::Mining)).count();
    }
    assert!(mining > 0);
}

#[test]
fn a_rounding_test_and_a_compiler_of_one_user_are_no_miner_together() {
    let (mut t, told) = (tracker(120), Told::default());
    for n in 1..200_u32 {
        let now = u64::from(n) * SECOND / 30;
        for _ in 0..3 {
            t.sample(&sample(42, now, MADE, JIT));
        }
        t.modes(42, &modes([n / 40, n / 15, n / 15, 0], now));
        t.modes(43, &modes([n, n, n, n], now));
        for found in t.tick(now, &told) {
            assert_eq!(found.hint, None, "{found:?}");
        }
    }
}

#[test]
fn hashing_is_told_when_it_was_sustained_and_moved_no_data() {
    let found = runs(&mut tracker(30), &Told::default(), HASH, 60);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].hint, Some(Hint::HashingHeavy));
    assert!((30..60).contains(&found[0].after.as_secs()), "{found:?}");
    assert_eq!(found[0].evidence[0].strength, Strength::Strong);
    assert_eq!(runs(&mut tracker(70), &Told::default(), HASH, 60), [], "too early");
    let reads = Told { moved_a_second: 50_000_000, ..Told::default() };
    assert_eq!(runs(&mut tracker(30), &reads, HASH, 60), [], "it has data to hash");
}

#[test]
fn hashing_on_all_processors_of_a_large_machine_is_told_too() {
    let (mut t, told) = (tracker(120), Told::default());
    let mut found = Vec::new();
    // 64 processors, four samples of each a second, looked at 32 times a second.
    for n in 0..130 * 32 {
        let now = n * SECOND / 32;
        told.now.set(now);
        (0..8).for_each(|_| t.sample(&sample(42, now, FILE, HASH)));
        found.extend(t.tick(now, &told));
    }
    assert_eq!(found.len(), 1);
    assert!((120..124).contains(&found[0].after.as_secs()), "{found:?}");
}

/// aesenc xmm0, xmm1; three times mov rax, [rsi]; mov rdx, [rdi]; add rax, rdx; mov [rdi], rax; then mulsd xmm0, xmm1;
/// addsd xmm0, xmm2; cmp [rdi], al; je +0
const WAITS: &[u8] = &[
    0x66, 0x0f, 0x38, 0xdc, 0xc1, 0x48, 0x8b, 0x06, 0x48, 0x8b, 0x17, 0x48, 0x01, 0xd0, 0x48, 0x89, 0x07,
    0x48, 0x8b, 0x06, 0x48, 0x8b, 0x17, 0x48, 0x01, 0xd0, 0x48, 0x89, 0x07, 0x48, 0x8b, 0x06, 0x48, 0x8b,
    0x17, 0x48, 0x01, 0xd0, 0x48, 0x89, 0x07, 0xf2, 0x0f, 0x59, 0xc1, 0xf2, 0x0f, 0x58, 0xc2, 0x38, 0x07,
    0x74, 0,
];

#[test]
fn what_waits_for_memory_is_told_by_its_shape_and_not_without() {
    let manners = Manners { threads: 8, pinned: 8, registers: true, huge: 64 << 20, humble: true };
    let miner = Told { manners, ..Told::default() };
    let found = runs(&mut tracker(30), &miner, WAITS, 60);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].hint, Some(Hint::HashingHeavy));
    assert_eq!(found[0].evidence[1].kind, Kind::MemoryShape);
    assert_eq!(runs(&mut tracker(30), &Told::default(), WAITS, 60), []);
}

#[test]
fn a_computation_of_many_threads_that_nearly_hashes_is_asked_about_ever_more_seldom() {
    let (mut t, told) = (tracker(120), Told::default());
    // 64 threads, four samples of each a second.
    for n in 0..600 * 16 {
        let now = n * SECOND / 16;
        told.now.set(now);
        (0..16).for_each(|_| t.sample(&sample(42, now, FILE, WAITS)));
        assert_eq!(t.tick(now, &told), []);
    }
    // Two questions each time: 8 times a minute apart, and a few at first.
    assert!((20..32).contains(&told.asked.get()), "{}", told.asked.get());
}

#[test]
fn hashing_must_hold_for_as_long_as_the_site_wants_be_it_an_hour() {
    let found = runs(&mut tracker(3_600), &Told::default(), HASH, 4_000);
    assert_eq!(found.len(), 1);
    assert!((3_600..4_000).contains(&found[0].after.as_secs()), "{found:?}");
}

#[test]
fn hashing_that_stops_now_and_then_is_not_sustained() {
    let (mut t, told) = (tracker(30), Told::default());
    let mut found = Vec::new();
    for quarter in 0..240 {
        let now = quarter * SECOND / 4;
        told.now.set(now);
        // 12 s of hashing, then 4 s of something else: three quarters.
        let code = if quarter % 64 < 48 { HASH } else { PARSER };
        t.sample(&sample(42, now, FILE, code));
        found.extend(t.tick(now, &told));
    }
    assert_eq!(found, []);
}

#[test]
fn a_parser_is_nothing() {
    assert_eq!(runs(&mut tracker(5), &Told::default(), PARSER, 60), []);
}

#[test]
fn a_suspect_is_looked_at_more_closely_for_a_while_and_then_left_alone() {
    let mut t = tracker(120);
    t.sample(&sample(42, SECOND, MADE, JIT));
    t.sample(&sample(43, SECOND, FILE, PARSER));
    let closer = t.closer(SECOND);
    assert_eq!((closer.processes, closer.threads, closer.fresh), (vec![42], vec![42], true));
    for n in 0..112 {
        t.sample(&sample(42, SECOND + n * SECOND / 100, MADE, JIT));
    }
    assert_eq!(t.closer(3 * SECOND).threads, Vec::<u32>::new());
    t.sample(&sample(42, 5 * SECOND, MADE, JIT));
    assert_eq!(t.closer(5 * SECOND).threads, Vec::<u32>::new());
    t.sample(&sample(42, 7 * SECOND, MADE, JIT));
    assert_eq!(t.closer(7 * SECOND).threads, [42]);
    t.sample(&sample(42, 11 * SECOND, MADE, JIT));
    assert!(!t.closer(11 * SECOND).fresh);
    for n in 0..112 {
        t.sample(&sample(42, 12 * SECOND + n * SECOND / 100, MADE, JIT));
    }
    // Twice as long this time.
    t.sample(&sample(42, 18 * SECOND, MADE, JIT));
    assert_eq!(t.closer(18 * SECOND).threads, Vec::<u32>::new());
}

/// A visit of the CPU of each.
#[test]
fn the_longer_a_thread_computes_as_others_do_the_less_often_it_is_disturbed() {
    let mut t = tracker(120);
    let (mut visits, mut young) = ([0; 2], [false; 2]);
    for n in 0..400_u64 {
        let now = SECOND + n * SECOND / 10;
        if n % 3 == 0 {
            t.sample(&sample(43, now, FILE, PARSER));
        }
        let closer = t.closer(now);
        visits[usize::from(n >= 200)] += closer.busy.len();
        young[usize::from(n >= 200)] |= closer.young;
    }
    assert!((60..150).contains(&visits[0]) && (18..=22).contains(&visits[1]), "{visits:?}");
    assert!(young[0] && !young[1], "it has run for long");
    t.sample(&sample(44, 42 * SECOND, FILE, PARSER));
    assert!(t.closer(42 * SECOND).young && !t.closer(60 * SECOND).young, "nothing runs any more");
}

#[test]
fn the_guard_itself_is_not_judged() {
    let mut t = tracker(1);
    t.sample(&sample(1, SECOND, MADE, JIT));
    assert_eq!(t.closer(SECOND), Closer::default());
}

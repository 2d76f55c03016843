use super::*;
use crate::event::{decode::decode, samples};
use proptest::prelude::*;
use zerocopy::IntoBytes;

const SECOND: u64 = 1_000_000_000;

fn connect(pid: u32, to: &str, kernel_counted: u32) -> Record {
    let mut raw = samples::connect(to);
    (raw.head.pid, raw.head.suppressed) = (pid, kernel_counted);
    decode(raw.as_bytes()).unwrap()
}

fn exec(pid: u32, ppid: u32) -> Record {
    let mut raw = samples::exec(b"/tmp/x", &[b"x"]);
    (raw.head.pid, raw.ppid) = (pid, ppid);
    decode(raw.as_bytes()).unwrap()
}

/// Events that a set of emissions accounts for.
fn accounted(out: &[Emission]) -> u64 {
    out.iter().map(|e| 1 + e.suppressed).sum()
}

#[test]
fn the_first_event_is_told_at_once_and_its_equals_are_counted() {
    let mut a = Aggregator::default();
    assert_eq!(a.offer(connect(1, "192.0.2.5:1", 0), 0).unwrap().suppressed, 0);
    for t in 1..1000 {
        assert_eq!(a.offer(connect(1, "192.0.2.5:1", 0), t), None);
    }
    assert_eq!(a.holds(), 999);
    let next = a.offer(connect(1, "192.0.2.5:1", 0), SECOND).unwrap();
    assert_eq!((next.suppressed, next.scope, a.holds()), (999, Scope::Same, 0));
}

#[test]
fn a_flood_that_ends_is_told_by_the_tick_and_only_once() {
    let mut a = Aggregator::default();
    for t in 0..10 {
        a.offer(connect(1, "192.0.2.5:1", 0), t);
    }
    assert_eq!(a.tick(SECOND - 1), []);
    let out = a.tick(SECOND);
    assert_eq!((out.len(), out[0].suppressed), (1, 8));
    assert_eq!(a.tick(5 * SECOND), []);
    assert_eq!(a.holds(), 0);
}

#[test]
fn what_the_kernel_counted_is_added() {
    let mut a = Aggregator::default();
    assert_eq!(a.offer(connect(1, "192.0.2.5:1", 40), 0).unwrap().suppressed, 40);
    a.offer(connect(1, "192.0.2.5:1", 100), 1);
    assert_eq!(a.offer(connect(1, "192.0.2.5:1", 7), SECOND).unwrap().suppressed, 101 + 7);
}

#[test]
fn the_event_of_another_process_is_told_in_the_middle_of_a_flood() {
    let mut a = Aggregator::default();
    let mut told = 0;
    for n in 0..100_000u32 {
        let to = format!("198.51.{}.{}:{}", n / 256 % 256, n % 256, n % 60_000 + 1);
        told += usize::from(a.offer(connect(1, &to, 0), u64::from(n)).is_some());
    }
    assert_eq!(told, PROCESS_RATE.burst as usize);
    assert!(a.offer(connect(2, "192.0.2.5:1", 0), 100_000).is_some());
}

#[test]
fn another_users_event_is_told_in_the_middle_of_a_flood_of_processes() {
    let mut a = Aggregator::default();
    let told = (0..50_000).filter(|n| a.offer(connect(*n, "192.0.2.5:1", 0), 5).is_some()).count();
    assert_eq!(told, CROWD_RATE.burst as usize);
    let mut raw = samples::connect("192.0.2.5:1");
    (raw.head.pid, raw.head.uid) = (7, 2000);
    assert!(a.offer(decode(raw.as_bytes()).unwrap(), 6).is_some());
}

#[test]
fn a_loop_of_short_lived_children_is_one_flood() {
    let mut a = Aggregator::default();
    assert!(a.offer(exec(100, 7), 0).is_some());
    for pid in 101..200 {
        assert_eq!(a.offer(exec(pid, 7), 1), None);
    }
    assert!(a.offer(exec(300, 8), 1).is_some());
    assert_eq!(a.drain().iter().map(|e| e.suppressed).collect::<Vec<_>>(), [98]);
}

#[test]
fn another_verdict_on_the_same_destination_is_another_event() {
    let mut a = Aggregator::default();
    assert!(a.offer(connect(1, "192.0.2.5:1", 0), 0).is_some());
    let mut raw = samples::connect("192.0.2.5:1");
    (raw.head.pid, raw.head.enforced) = (1, 0);
    assert!(a.offer(decode(raw.as_bytes()).unwrap(), 1).is_some());
}

#[test]
fn a_scan_gets_one_summary_a_second_and_what_its_budget_allows() {
    let mut a = Aggregator::default();
    let mut out = Vec::new();
    for n in 0..200_000u64 {
        let now = n * SECOND / 20_000; // ten seconds of 20,000 new destinations each
        let to = format!("198.51.{}.{}:{}", n / 256 % 256, n % 256, n / 65_536 + 1);
        out.extend(a.offer(connect(1, &to, 0), now));
        if n % 5_000 == 0 {
            out.extend(a.tick(now));
        }
    }
    let most = (PROCESS_RATE.burst + 10 * PROCESS_RATE.per_second + 11) as usize;
    assert!(out.len() <= most, "{} events, {most} allowed", out.len());
    assert!(out.iter().any(|e| e.scope == Scope::Process && e.suppressed > 10_000));
    out.extend(a.drain());
    assert_eq!(accounted(&out), 200_000);
}

#[test]
fn memory_stays_bounded_and_nothing_is_forgotten_when_tables_overflow() {
    let mut a = Aggregator::default();
    let mut out = Vec::new();
    for n in 0..300_000u32 {
        let mut raw = samples::connect("192.0.2.5:1");
        (raw.head.pid, raw.head.uid, raw.head.cgroup) = (n % 3_000, n % 1_000, u64::from(n % 7));
        out.extend(a.offer(decode(raw.as_bytes()).unwrap(), u64::from(n) * 1_000));
    }
    out.extend(a.drain());
    assert_eq!(a.holds(), 0);
    assert_eq!(accounted(&out) + a.take_lost(), 300_000);
    assert_eq!(a.take_lost(), 0);
}

#[test]
fn a_clock_that_steps_back_does_no_harm() {
    let mut a = Aggregator::default();
    assert!(a.offer(connect(1, "192.0.2.5:1", 0), 5 * SECOND).is_some());
    assert_eq!(a.offer(connect(1, "192.0.2.5:1", 0), 4 * SECOND), None);
    assert_eq!(a.drain().len(), 1);
}

proptest! {
    #[test]
    fn every_event_is_told_counted_or_said_to_be_lost(
        steps in prop::collection::vec((0u32..5, 0u8..5, 0u32..4, 0u64..400_000_000, any::<bool>()), 1..300),
    ) {
        let mut a = Aggregator::default();
        let (mut now, mut came, mut out) = (0, 0, Vec::new());
        for (pid, host, counted, wait, tick) in steps {
            now += wait;
            came += 1 + u64::from(counted);
            out.extend(a.offer(connect(pid, &format!("192.0.2.{host}:1"), counted), now));
            if tick {
                out.extend(a.tick(now));
            }
            prop_assert_eq!(accounted(&out) + a.holds(), came);
        }
        out.extend(a.drain());
        prop_assert_eq!(accounted(&out) + a.take_lost(), came);
    }
}

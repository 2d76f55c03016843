//! The kernel's monotonic nanoseconds → the wall clock.

use jiff::Timestamp;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// How far the other clocks are ahead of `CLOCK_MONOTONIC`, nanoseconds.
///
/// Read it anew now and then: the wall clock is stepped by an administrator and drawn by NTP, and
/// `CLOCK_BOOTTIME` moves ahead in every suspend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// `CLOCK_REALTIME` − `CLOCK_MONOTONIC`.
    pub realtime_ns: i128,
    /// `CLOCK_BOOTTIME` − `CLOCK_MONOTONIC`.
    pub boottime_ns: i128,
}

impl Clock {
    /// Reads the clocks of this machine.
    #[must_use]
    pub fn read() -> Self {
        let monotonic = ns(clock_gettime(ClockId::Monotonic));
        Self {
            realtime_ns: ns(clock_gettime(ClockId::Realtime)) - monotonic,
            boottime_ns: ns(clock_gettime(ClockId::Boottime)) - monotonic,
        }
    }

    /// Wall clock of a moment of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn wall(&self, monotonic_ns: u64) -> Timestamp {
        timestamp(i128::from(monotonic_ns) + self.realtime_ns)
    }

    /// Wall clock of a moment of `CLOCK_BOOTTIME`, in which `/proc` tells start times.
    #[must_use]
    pub fn wall_of_boottime(&self, boottime_ns: u64) -> Timestamp {
        timestamp(i128::from(boottime_ns) - self.boottime_ns + self.realtime_ns)
    }

    /// `CLOCK_BOOTTIME` of a moment of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn boottime(&self, monotonic_ns: u64) -> i128 {
        i128::from(monotonic_ns) + self.boottime_ns
    }
}

/// `CLOCK_MONOTONIC` now, nanoseconds: the clock of the records.
#[must_use]
pub fn monotonic_ns() -> u64 {
    u64::try_from(ns(clock_gettime(ClockId::Monotonic))).unwrap_or(0)
}

fn ns(t: Timespec) -> i128 {
    i128::from(t.tv_sec) * 1_000_000_000 + i128::from(t.tv_nsec)
}

/// A moment beyond the calendar becomes its edge: an odd clock must not cost the event.
fn timestamp(ns: i128) -> Timestamp {
    Timestamp::from_nanosecond(ns).unwrap_or(if ns < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Clock = Clock { realtime_ns: 1_700_000_000_000_000_000, boottime_ns: 60_000_000_000 };

    #[test]
    fn a_monotonic_moment_becomes_wall_time() {
        assert_eq!(CLOCK.wall(1_500_000_000).to_string(), "2023-11-14T22:13:21.5Z");
    }

    #[test]
    fn a_start_time_counts_the_suspends_out() {
        assert_eq!(CLOCK.wall_of_boottime(61_500_000_000), CLOCK.wall(1_500_000_000));
    }

    #[test]
    fn a_clock_beyond_the_calendar_does_not_panic() {
        let odd = Clock { realtime_ns: i128::from(i64::MAX) * 1_000_000, boottime_ns: 0 };
        assert_eq!(odd.wall(u64::MAX), Timestamp::MAX);
    }

    #[test]
    fn the_wall_clock_of_now_is_now() {
        let gap = Timestamp::now().duration_since(Clock::read().wall(monotonic_ns()));
        assert!(gap.as_secs().abs() < 5, "{gap:?}");
    }
}

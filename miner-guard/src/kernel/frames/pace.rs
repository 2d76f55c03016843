//! When other network namespaces are looked at: at once when something came, and from time to time anyway.

use std::time::{Duration, Instant};

/// At least so long from one look to the next when nothing is known to have come.
const INTERVAL: Duration = Duration::from_secs(5);
/// At most so long: who makes many interfaces would else keep the guard from looking.
const LONGEST: Duration = Duration::from_secs(60);
/// What came is looked at again after this: an interface is made first, then moved to where it belongs.
const AGAIN: Duration = Duration::from_secs(1);
/// Looks take at most a thousandth of a processor; while something comes, a fiftieth.
const SHARE: u32 = 1000;
const SHARE_AT_NEWS: u32 = 50;

/// The pace of looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// When the last one ended, and the processor time that it took.
    ended: Instant,
    took: Duration,
    due: Instant,
    /// Something came since the last one.
    news: bool,
}

impl Pace {
    /// The first look is due now.
    pub(super) fn new(now: Instant) -> Self {
        Self { ended: now, took: Duration::ZERO, due: now, news: false }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// How long until the next one.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now)
    }

    /// Something came.
    pub(super) fn heard(&mut self) {
        self.news = true;
        self.due = self.due.min(self.ended + self.took * SHARE_AT_NEWS);
    }

    /// A look has ended that took this much processor time.
    pub(super) fn looked(&mut self, now: Instant, took: Duration) {
        let wait = match self.news {
            true => took.saturating_mul(SHARE_AT_NEWS).clamp(AGAIN, LONGEST),
            false => took.saturating_mul(SHARE).clamp(INTERVAL, LONGEST),
        };
        *self = Self { ended: now, took, due: now + wait, news: false };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn looks_take_a_thousandth_of_a_processor_and_come_once_a_minute() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert!(pace.is_due(start));
        pace.looked(start, MS);
        assert_eq!(pace.wait(start), INTERVAL);
        pace.looked(start, 20 * MS);
        assert_eq!(pace.wait(start), Duration::from_secs(20));
        pace.looked(start, 100 * MS);
        assert_eq!(pace.wait(start), LONGEST);
        pace.looked(start, 20 * MS);
        assert!(!pace.is_due(start + 19_999 * MS) && pace.is_due(start + 20_000 * MS));
    }

    #[test]
    fn what_comes_is_looked_at_at_once_and_a_second_later() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.looked(start, MS);
        let later = start + 1000 * MS;
        pace.heard();
        assert!(pace.is_due(later));
        pace.looked(later, MS);
        assert_eq!(pace.wait(later), AGAIN);
        pace.looked(later + AGAIN, MS);
        assert_eq!(pace.wait(later + AGAIN), INTERVAL);
    }

    #[test]
    fn news_without_end_take_a_fiftieth() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.looked(start, 100 * MS);
        pace.heard();
        assert_eq!(pace.wait(start), 5000 * MS);
        pace.looked(start + 5000 * MS, 100 * MS);
        pace.heard();
        assert_eq!(pace.wait(start + 5000 * MS), 5000 * MS);
    }
}

//! What a thread takes of a processor: by it, work that repeats is paced, however long it had to wait for others.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What the calling thread has taken so far.
pub fn taken() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

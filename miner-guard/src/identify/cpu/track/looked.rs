//! What `/proc` said of a process, asked again only after a while: what it takes grows with the threads and mappings of the
//! process, and one that computes for days on every processor brings reasons to ask by the dozen a second.

use std::time::Duration;

use crate::processor;

/// Until it is asked again, times what the asking took of a processor: of one process a five-hundredth of it at most. Time spent
/// waiting is not counted: on a busy machine a question would be asked again only long after its answer changed.
const REST: u32 = 500;

/// An answer, and when it is to be asked again.
#[derive(Debug)]
pub(super) struct Looked<T> {
    said: Option<T>,
    again_ns: u64,
    pause_ns: u64,
    longest_ns: u64,
}

impl<T> Looked<T> {
    /// Never asked. After the first time it rests for `pause`, each time twice as long, at most `longest`.
    pub const fn never(pause: Duration, longest: Duration) -> Self {
        let [pause_ns, longest_ns] = [pause.as_nanos() as u64, longest.as_nanos() as u64];
        Self { said: None, again_ns: 0, pause_ns, longest_ns }
    }

    /// The answer, a new one if it is time. `None` if the last question had none.
    pub fn get(&mut self, now_ns: u64, ask: impl FnOnce() -> Option<T>) -> Option<&T> {
        if now_ns >= self.again_ns {
            let begun = processor::taken();
            self.said = ask();
            let took = processor::taken().saturating_sub(begun);
            let rest = u64::try_from(took.saturating_mul(REST).as_nanos()).unwrap_or(u64::MAX);
            self.again_ns = now_ns.saturating_add(rest.max(self.pause_ns));
            self.pause_ns = self.pause_ns.saturating_mul(2).min(self.longest_ns);
        }
        self.said.as_ref()
    }
}

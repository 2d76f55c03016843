//! One table of keys, each with a budget and what it holds back.

use super::WINDOW_NS;
use crate::event::decode::Record;
use lru::LruCache;
use std::{hash::Hash, num::NonZeroUsize};

/// How much a key may tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub burst: u32,
    pub per_second: u32,
}

#[derive(Debug)]
pub(super) struct Slot {
    /// When something of this key was last told, or counts were last taken from it.
    told_ns: u64,
    tokens: u32,
    refilled_ns: u64,
    held: u64,
    last: Option<Record>,
}

impl Slot {
    pub fn due(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.told_ns) >= WINDOW_NS
    }

    /// Counts; the latest record stands for all of them.
    pub fn hold(&mut self, record: Record, weight: u64) {
        self.held += weight;
        self.last = Some(record);
    }

    /// Something of this key is told now: gives what was held and starts anew.
    pub fn tell(&mut self, now_ns: u64) -> u64 {
        self.told_ns = now_ns;
        self.last = None;
        std::mem::take(&mut self.held)
    }

    /// Takes a token, if there is one.
    pub fn spend(&mut self, now_ns: u64, rate: Rate) -> bool {
        let step = WINDOW_NS / u64::from(rate.per_second.max(1));
        let earned = now_ns.saturating_sub(self.refilled_ns) / step;
        if earned > 0 {
            self.tokens =
                rate.burst.min(self.tokens.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)));
            // Whole steps only: the rest of the time earns its token later.
            self.refilled_ns = self.refilled_ns.saturating_add(earned.saturating_mul(step));
        }
        let left = self.tokens.checked_sub(1);
        self.tokens = left.unwrap_or(0);
        left.is_some()
    }

    fn take(&mut self, now_ns: u64) -> Option<(Record, u64)> {
        let record = self.last.take()?;
        Some((record, self.tell(now_ns)))
    }
}

#[derive(Debug)]
pub(super) struct Sieve<K: Hash + Eq> {
    slots: LruCache<K, Slot>,
    rate: Rate,
}

impl<K: Hash + Eq> Sieve<K> {
    pub fn new(capacity: usize, rate: Rate) -> Self {
        // Sparse: an idle guard has no flood and pays for none.
        Self { slots: LruCache::sparse(NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN)), rate }
    }

    pub fn get(&mut self, key: &K) -> Option<&mut Slot> {
        self.slots.get_mut(key)
    }

    /// The slot of a key, made if need be; and what the slot that had to go for it was holding.
    pub fn slot(&mut self, key: K, now_ns: u64) -> (&mut Slot, Option<(Record, u64)>) {
        let evicted = if self.slots.len() >= self.slots.cap().get() && !self.slots.contains(&key) {
            self.slots.pop_lru().and_then(|(_, mut old)| old.take(now_ns))
        } else {
            None
        };
        let rate = self.rate;
        let slot = self.slots.get_or_insert_mut(key, || Slot {
            told_ns: now_ns,
            tokens: rate.burst,
            refilled_ns: now_ns,
            held: 0,
            last: None,
        });
        (slot, evicted)
    }

    /// Takes what is held and due, of every key.
    pub fn take_due(&mut self, now_ns: u64) -> Vec<(Record, u64)> {
        self.slots
            .iter_mut()
            .filter(|(_, slot)| slot.held > 0 && slot.due(now_ns))
            .filter_map(|(_, slot)| slot.take(now_ns))
            .collect()
    }

    /// Takes what is held, due or not, of every key.
    pub fn take_all(&mut self) -> impl Iterator<Item = (Record, u64)> {
        self.slots.iter_mut().filter_map(|(_, slot)| slot.take(slot.told_ns))
    }
}

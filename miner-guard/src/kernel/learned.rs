//! The table of learned addresses, as the daemon holds it.

use std::net::IpAddr;

use aya::maps::{Array, HashMap, Map, MapData};
use miner_guard_common::{
    abi::learned::{BITS, Filter, LearnedKey, LearnedValue, SUSPECT, bit, words},
    table::Address,
};
use zerocopy::FromZeros as _;

use super::{KernelError, pins::Instance, tables::open};

const KEY: usize = size_of::<LearnedKey>();
const VALUE: usize = size_of::<LearnedValue>();
const FILTER: usize = size_of::<Filter>();

/// What the kernel is to know of an address, for one cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A row is new or different.
    Put(LearnedKey, LearnedValue),
    /// A row goes.
    Remove(LearnedKey),
}

/// The key of an address for a cgroup.
#[must_use]
pub fn key(address: IpAddr, cgroup: u64) -> LearnedKey {
    LearnedKey { address: words(&Address::from(address)), cgroup }
}

/// `LEARNED` and the filter before it.
pub struct LearnedTable {
    rows: HashMap<MapData, [u8; KEY], [u8; VALUE]>,
    filter: Array<MapData, [u8; FILTER]>,
}

impl LearnedTable {
    /// Opens the pinned maps of an instance that was just loaded.
    pub fn open(instance: &Instance) -> Result<Self, KernelError> {
        Ok(Self {
            rows: open(instance, "LEARNED", Map::HashMap)?,
            filter: open(instance, "LEARNED_FILTER", Map::Array)?,
        })
    }

    /// Makes the changes, then the filter of `all` keys, those of the changes included. A row that the kernel refuses
    /// is told by the error, after the others are made.
    pub fn apply(
        &mut self,
        changes: &[Change],
        all: impl Iterator<Item = LearnedKey>,
    ) -> Result<(), KernelError> {
        let mut outcome = Ok(());
        for change in changes {
            let done = match change {
                Change::Put(key, value) => self.rows.insert(bytes::<KEY>(key), bytes::<VALUE>(value), 0),
                // Gone already is what was wanted.
                Change::Remove(key) => self.rows.remove(&bytes::<KEY>(key)).or(Ok(())),
            };
            if let Err(e) = done {
                outcome = Err(KernelError::refused("recording a learned address", e));
            }
        }
        // The value is copied over the old one: a bit that stays is set at every moment.
        let filter = filter(all);
        let set = self.filter.set(0, bytes::<FILTER>(&*filter), 0);
        set.map_err(|e| KernelError::refused("writing the filter of learned addresses", e)).and(outcome)
    }
}

fn bytes<const N: usize>(of: &(impl zerocopy::IntoBytes + zerocopy::Immutable)) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(of.as_bytes());
    out
}

fn filter(all: impl Iterator<Item = LearnedKey>) -> Box<Filter> {
    let mut filter = Box::new(Filter::new_zeroed());
    for key in all {
        let (any, half) = match key.cgroup {
            SUSPECT => (&mut filter.any_suspect, &mut filter.suspect),
            _ => (&mut filter.any_denied, &mut filter.denied),
        };
        *any = 1;
        let bit = bit(&key.address) % BITS;
        if let Some(word) = half.get_mut(bit as usize / 32) {
            *word |= 1 << (bit % 32);
        }
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::*;
    use miner_guard_common::abi::learned::is_set;

    #[test]
    fn the_filter_knows_what_is_denied_from_what_is_suspect() {
        let (a, b) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        let filter = filter([key(a, 7), key(b, SUSPECT)].into_iter());
        let set = |half, address| is_set(half, bit(&key(address, 0).address));
        assert_eq!((filter.any_denied, filter.any_suspect), (1, 1));
        assert!(set(&filter.denied, a) && !set(&filter.denied, b));
        assert!(set(&filter.suspect, b) && !set(&filter.suspect, a));
    }

    #[test]
    fn an_empty_table_has_an_empty_filter() {
        assert_eq!(*filter(std::iter::empty()), Filter::new_zeroed());
    }
}

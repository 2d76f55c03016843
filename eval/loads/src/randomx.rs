//! RandomX, by the reference library.

use randomx_rs::{RandomXCache, RandomXDataset, RandomXFlag, RandomXVM};

use crate::Until;

pub const NAMES: &[&str] = &["randomx-light", "randomx-full", "randomx-softaes", "randomx-interpreted"];

/// Prepares cache and data set, which takes a second or two, and gives the work.
///
/// The full data set is 2 GiB and takes minutes to compute: here all but its end stays empty. The work reads it the same.
pub fn find(name: &str, _seconds: f64) -> Option<Box<dyn Fn(Until) + Send + Sync>> {
    let fast = RandomXFlag::get_recommended_flags();
    let flags = match name {
        "randomx-light" => fast | RandomXFlag::FLAG_JIT | RandomXFlag::FLAG_HARD_AES,
        "randomx-full" => fast | RandomXFlag::FLAG_JIT | RandomXFlag::FLAG_HARD_AES | RandomXFlag::FLAG_FULL_MEM,
        "randomx-softaes" => RandomXFlag::FLAG_JIT,
        "randomx-interpreted" => RandomXFlag::FLAG_HARD_AES,
        _ => return None,
    };
    let cache = RandomXCache::new(flags, b"made up").ok()?;
    let dataset = if flags.contains(RandomXFlag::FLAG_FULL_MEM) {
        let items = RandomXDataset::count().ok()?;
        Some(RandomXDataset::new(flags, cache.clone(), items - 1000).ok()?)
    } else {
        None
    };
    // The handles are used by one thread each; the memory behind them is only read.
    struct Shared(RandomXCache, Option<RandomXDataset>);
    // SAFETY: each thread clones the handles and makes a machine of its own; cache and data set are not written any more.
    unsafe impl Send for Shared {}
    // SAFETY: as above.
    unsafe impl Sync for Shared {}
    let shared = Shared(cache, dataset);
    Some(Box::new(move |mut until: Until| {
        let shared = &shared;
        let cache = (!flags.contains(RandomXFlag::FLAG_FULL_MEM)).then(|| shared.0.clone());
        let Ok(machine) = RandomXVM::new(flags, cache, shared.1.clone()) else { return };
        crate::begins();
        let mut n = 0_u64;
        while until.more() {
            n += 1;
            let _ = std::hint::black_box(machine.calculate_hash(&n.to_le_bytes()));
        }
    }))
}

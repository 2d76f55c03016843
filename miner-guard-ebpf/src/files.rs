//! What is known of executable files, by identity.

use aya_ebpf::{
    btf_maps::{HashMap, LruHashMap},
    macros::btf_map,
};
use miner_guard_common::abi::file::{FileId, FileVerdict};

/// Files with consequences (stopped, exempt, loaders). Never evicted: a flood of new files cannot wash a verdict out.
#[btf_map]
static FILES: HashMap<FileId, FileVerdict, 65536, 1> = HashMap::new();

/// Files found clean. Evicted by age: an evicted file is identified again.
#[btf_map]
static CLEAN: LruHashMap<FileId, FileVerdict, 32768> = LruHashMap::new();

/// What is known of the file: `None` for one never seen.
#[inline(always)]
pub fn verdict_of(id: &FileId) -> Option<FileVerdict> {
    // SAFETY: the value is copied out at once. A concurrent update by the daemon can tear it between two
    // verdicts of the same file, each of which was valid a moment ago.
    if let Some(v) = unsafe { FILES.get(id) } {
        return Some(*v);
    }
    // SAFETY: as above.
    unsafe { CLEAN.get(id) }.copied()
}

/// Like [`verdict_of`], without asking for clean files.
#[inline(always)]
pub fn consequence_of(id: &FileId) -> Option<FileVerdict> {
    // SAFETY: as in `verdict_of`.
    unsafe { FILES.get(id) }.copied()
}

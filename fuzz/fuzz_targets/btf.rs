//! A kernel's types: no panic, and an end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miner_guard::kernel::btf::Btf;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(btf) = Btf::parse(bytes) {
        let _ = btf.offsets();
        let _ = btf.offset("task_struct", "tgid");
    }
});

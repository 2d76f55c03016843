//! The identification of program files: no panic, and an end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miner_guard::identify::Identifier;
use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    sync::LazyLock,
};

static IDENTIFIER: LazyLock<Identifier> = LazyLock::new(Identifier::new);
/// In memory, without a name.
static FILE: LazyLock<File> = LazyLock::new(|| {
    let path = format!("/dev/shm/miner-guard-fuzz-{}", std::process::id());
    let file = File::options().read(true).write(true).create_new(true).open(&path).expect("a file in memory");
    std::fs::remove_file(path).expect("its name can go");
    file
});

fuzz_target!(|program: &[u8]| {
    FILE.set_len(0).expect("it can be cut");
    FILE.write_all_at(program, 0).expect("it can be written");
    let _ = IDENTIFIER.identify(&FILE);
});

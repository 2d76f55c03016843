//! Captures and event files, replayed against a policy: no panic, and no more packets than the file can hold.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miner_guard::{
    policy::{self, LoadRequest, Resolved},
    replay::{judge::Judge, replay},
};
use std::sync::LazyLock;

static POLICY: LazyLock<Resolved> = LazyLock::new(|| {
    // Forced, since the resolver of this machine may be in it. Without the embedded feeds: what is found costs time that reading should have.
    let text = "builtin = false\n[[rule]]\nid = \"r\"\nip = [\"10.0.0.0/8\"]\nforce = true\n[[rule]]\nid = \"n\"\ndomain = [\"*.example.com\"]\n";
    let file = Some(std::path::Path::new("fuzz.toml"));
    policy::load(&LoadRequest { file, text: Some(text), ..LoadRequest::default() }).expect("a good policy")
});

fuzz_target!(|file: &[u8]| {
    let mut judge = Judge::new(&POLICY).expect("it can be laid out");
    if let Ok(summary) = replay(file, &mut judge, |_| Ok(())) {
        assert!(summary.read <= file.len() as u64);
    }
});

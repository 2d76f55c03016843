//! The whole way, on ELF files made here from the published constants.

use super::*;
use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Instant,
};

/// The first bytes of an ELF file without segments, then the given parts at odd offsets.
pub fn elf(parts: &[&[u8]]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64, 0);
    file[16] = 2;
    file[18] = 62;
    for part in parts {
        file.extend([0x55; 37]);
        file.extend_from_slice(part);
    }
    file.extend([0x55; 37]);
    file
}

pub fn randomx() -> Vec<u8> {
    // AesGenerator1R's four keys and AesHash1R's states, as the specification prints them.
    let hex = "53a5ac6d096671622b55b5db1749f4b407af7c6d0d716a8478d325174edca10d\
               f162123fc67e949f4f79c0f445e3203e3581ef6a7c31bab1884c311654911649";
    let mut bytes: Vec<u8> =
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
    for state in [0xd7983aad_cc82db47_9fa856de_92b52c0du128, 0xace78057_f59e125a_15c7b798_338d996e] {
        bytes.extend(state.to_le_bytes());
    }
    bytes
}

pub const CLIENT: &[&[u8]] = &[b"stratum+tcp://", b"donate-level", b"mining.submit", b"10s/60s/15m"];

fn identify(bytes: &[u8]) -> Result<Finding, Skip> {
    let mut file = tempfile();
    file.write_all(bytes).unwrap();
    Identifier::new().identify(&file)
}

fn class(bytes: &[u8]) -> Class {
    identify(bytes).unwrap().class
}

fn tempfile() -> File {
    File::from(rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap())
}

fn with(parts: &[&[u8]], more: &[&[u8]]) -> Vec<u8> {
    elf(&[parts, more].concat())
}

#[test]
fn a_file_without_signs_is_clean() {
    let finding = identify(&elf(&[b"hello, world"])).unwrap();
    assert_eq!((finding.class, finding.evidence.len()), (Class::Clean, 0));
}

#[test]
fn randomx_and_a_client_together_are_a_miner() {
    let finding = identify(&with(&[&randomx()], CLIENT)).unwrap();
    assert_eq!(finding.class, Class::MinerBinary);
    assert!(finding.evidence.iter().any(|e| e.text.contains("AesGenerator1R key 0 at 0x65")), "{finding:?}");
    assert!(finding.evidence.iter().any(|e| e.text.contains("\"stratum+tcp\" at 0x")), "{finding:?}");
}

#[test]
fn randomx_without_a_client_is_hashing_heavy() {
    assert_eq!(class(&elf(&[&randomx()])), Class::HashingHeavy);
}

#[test]
fn a_client_without_an_algorithm_is_clean() {
    assert_eq!(class(&elf(CLIENT)), Class::Clean);
}

#[test]
fn a_few_constants_by_chance_are_not_randomx() {
    assert_eq!(class(&elf(&[&randomx()[..16 * 5]])), Class::Clean);
}

#[test]
fn randomx_with_the_prefetcher_registers_is_a_miner_without_any_word() {
    let registers: Vec<u8> =
        [0xc0011020u32, 0xc0011021, 0xc0011022].iter().flat_map(|r| r.to_le_bytes()).collect();
    assert_eq!(class(&elf(&[&randomx(), &registers])), Class::MinerBinary);
    assert_eq!(class(&elf(&[&registers])), Class::Clean);
}

#[test]
fn registers_far_apart_mean_nothing() {
    let far = [0x55; 4096];
    let parts = [0xc0011020u32, 0xc0011021, 0xc0011022].map(u32::to_le_bytes);
    let file = elf(&[&randomx(), &parts[0], &far, &parts[1], &far, &parts[2]]);
    assert_eq!(class(&file), Class::HashingHeavy);
}

#[test]
fn a_program_linked_with_the_randomx_library_is_hashing_heavy() {
    assert_eq!(class(&elf(&[b"librandomx.so.0\0randomx_create_vm\0"])), Class::HashingHeavy);
    assert_eq!(class(&elf(&[b"librandomx.so.0\0"])), Class::Clean);
    assert_eq!(class(&with(&[b"librandomx.so.0\0randomx_create_vm\0"], CLIENT)), Class::MinerBinary);
}

#[test]
fn the_name_of_a_proof_of_work_alone_is_no_algorithm() {
    assert_eq!(class(&elf(&[b"HiddenServiceProofOfWorkHash"])), Class::Clean);
    let states = [1242148031264380989u64, 4239941492252378377].map(u64::to_le_bytes);
    assert_eq!(class(&elf(&[&states[0], &states[1]])), Class::HashingHeavy);
}

#[test]
fn a_script_with_the_words_of_a_miner_is_weak_evidence_and_no_more() {
    let script = b"#!/bin/sh\nexec ./x -o stratum+tcp://$POOL --donate-level 1 --nicehash\n";
    let finding = identify(script).unwrap();
    assert_eq!(finding.class, Class::Suspect);
    assert!(finding.evidence.iter().all(|e| e.strength == Strength::Weak), "{finding:?}");
    let all = [b"#!/bin/sh\n".to_vec(), randomx(), CLIENT.concat()].concat();
    assert_eq!(class(&all), Class::Suspect);
    assert!(matches!(identify(b"#!/bin/sh\nsystemctl stop xmrig\n"), Err(Skip::NotElf)));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_skipped() {
    let path = directory("changing").join("x");
    fs::write(&path, elf(&[b"hello"])).unwrap();
    let file = File::open(&path).unwrap();
    let source = Source::new(&file).unwrap();
    assert!(!source.changed().unwrap());
    fs::write(&path, elf(&[b"hello, world"])).unwrap();
    assert!(source.changed().unwrap());
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn a_file_whose_mode_changes_while_it_is_read_is_judged_if_a_process_runs_it() {
    let path = directory("restless").join("x");
    fs::write(&path, [elf(&[]), vec![0x55; 16 << 20], randomx()].concat()).unwrap();
    let (changes, over) = (AtomicU32::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
                changes.fetch_add(1, Ordering::Relaxed);
            }
        });
        while changes.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        let identifier = Identifier::new();
        let (as_file, as_program) =
            (identifier.identify_path(&path, None), identifier.identify_program(&path, None));
        over.store(true, Ordering::Relaxed);
        assert!(matches!(as_file, Err(Skip::Changed)), "{as_file:?}");
        assert!(matches!(as_program, Ok(Finding { class: Class::HashingHeavy, changed: true, .. })));
    });
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn families_of_different_coins_make_a_miner_without_any_word() {
    let kawpow: Vec<u8> = b"rAVENCOINKAWPOW".iter().flat_map(|&c| u32::from(c).to_le_bytes()).collect();
    assert_eq!(class(&elf(&[&kawpow])), Class::HashingHeavy);
    assert_eq!(class(&elf(&[&randomx(), &kawpow])), Class::MinerBinary);
}

#[test]
fn a_sign_across_two_reads_is_found() {
    for shift in 0..40 {
        let mut file = elf(&[]);
        file.resize(256 * 1024 - 20 - shift, 0x55);
        file.extend(randomx());
        assert_eq!(class(&file), Class::HashingHeavy, "{shift}");
    }
}

#[test]
fn a_sparse_file_of_four_gibibytes_is_read_where_it_has_data() {
    let file = tempfile();
    let head = elf(&[]);
    std::os::unix::fs::FileExt::write_all_at(&file, &head, 0).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &randomx(), 3 << 30).unwrap();
    file.set_len(4 << 30).unwrap();
    let start = Instant::now();
    let finding = Identifier::new().identify(&file).unwrap();
    assert_eq!((finding.class, finding.complete), (Class::HashingHeavy, true));
    assert!(start.elapsed().as_secs() < 20, "holes are read: {:?}", start.elapsed());
}

#[test]
fn what_cannot_be_read_is_skipped_with_its_reason() {
    let identifier = Identifier::new();
    let directory = directory("skips");
    let fifo = directory.join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    fs::write(directory.join("empty"), b"").unwrap();
    fs::write(directory.join("text"), b"#!/bin/sh\n").unwrap();
    let mut core = elf(&[]);
    core[16] = 4;
    fs::write(directory.join("core"), core).unwrap();
    let reason = |path: PathBuf| identifier.identify_path(&path, None).unwrap_err().to_string();
    assert_eq!(reason(fifo), "not a regular file");
    assert_eq!(reason(directory.clone()), "not a regular file");
    assert_eq!(reason("/dev/zero".into()), "not a regular file");
    assert_eq!(reason("/proc/self/mem".into()), "empty");
    assert_eq!(reason(directory.join("empty")), "empty");
    assert_eq!(reason(directory.join("text")), "not an ELF file");
    assert_eq!(reason(directory.join("core")), "a core dump");
    assert!(reason(directory.join("none")).starts_with("cannot be read: "));
    fs::remove_dir_all(directory).unwrap();
}

proptest::proptest! {
    #[test]
    fn any_elf_file_is_identified_or_skipped(
        mut bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..4096),
        headers in 0u8..8,
        magic: bool,
    ) {
        if magic && bytes.len() > 64 {
            bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
            bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
            bytes[54..58].copy_from_slice(&[56, 0, headers, 0]);
        }
        let found = identify(&bytes);
        proptest::prop_assert!(found.is_err() || magic || bytes.starts_with(b"#!"));
    }
}

/// A new directory for one test.
pub fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("miner-guard-identify-{name}-{}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path
}

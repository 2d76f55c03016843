//! What starting a program costs.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{
    Bench, connect,
    guard::{self, Guard},
    page::{Page, Table, ns},
    place::Cgroup,
    stats::{Random, added, median},
    worker::{Mode, Worker},
};

const CALLS: u32 = 100;
const ROUNDS: usize = 40;

/// Writes a static program that ends at once: 64 bytes of ELF header, one program header, three instructions.
pub fn tiny(dir: &Path) -> Result<PathBuf> {
    #[cfg(target_arch = "x86_64")]
    // mov eax, 60 (exit); xor edi, edi; syscall
    const CODE: (u16, &[u8]) = (62, &[0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]);
    #[cfg(target_arch = "aarch64")]
    // mov x0, 0; mov x8, 93 (exit); svc 0
    const CODE: (u16, &[u8]) = (183, &[0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4]);
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let (machine, code) = CODE;
    let length = HEADERS + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend([2, machine].iter().flat_map(|v: &u16| v.to_le_bytes()));
    elf.extend(1u32.to_le_bytes());
    elf.extend([BASE + HEADERS, 64, 0].iter().flat_map(|v: &u64| v.to_le_bytes()));
    elf.extend(0u32.to_le_bytes());
    elf.extend([64u16, 56, 1, 0, 0, 0].iter().flat_map(|v| v.to_le_bytes()));
    elf.extend([1u32, 5].iter().flat_map(|v| v.to_le_bytes()));
    elf.extend([0, BASE, BASE, length, length, 0x1000].iter().flat_map(|v: &u64| v.to_le_bytes()));
    elf.extend(code);
    let path = dir.join("tiny");
    fs::write(&path, elf)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Measures, and adds the table and budget to the page.
pub fn run(bench: &Bench, dial: &Path, page: &mut Page) -> Result<()> {
    eprintln!("bench: starting programs");
    let cgroup = Cgroup::new("exec")?;
    let mut worker = Worker::start(connect::plain(bench), dial, &bench.tiny, &cgroup)?;
    const NAMES: [&str; 3] = ["none", "none, again (A/A)", "guard"];
    let mut samples: [Vec<f64>; 3] = Default::default();
    let mut order = [0, 1, 2];
    let mut random = Random::new(17);
    for _ in 0..ROUNDS {
        random.shuffle(&mut order);
        for i in order {
            // The exec hook sees every process of the machine, guarded or not: without the guard it must be away.
            let start = || Guard::start(&bench.guard, bench.scratch.path(), "exec", &cgroup, guard::BUILTIN);
            let guard = (i == 2).then(start).transpose()?;
            // Either way once before, so that the file is known to the guard and the caches have settled.
            worker.batch(Mode::Exec, CALLS / 2)?;
            let (ns, failed) = worker.batch(Mode::Exec, CALLS)?;
            anyhow::ensure!(failed == 0, "{failed} programs were not run to their end");
            samples[i].push(ns);
            guard.map_or(Ok(()), Guard::stop)?;
        }
    }
    let mut table = Table::new(&["configuration", "median", "added", "ratio"]);
    for (name, values) in NAMES.iter().zip(&samples) {
        let a = added(values, &samples[0]);
        table.row([
            (*name).to_owned(),
            ns(median(values)),
            format!("{:+.1} µs [{:+.1} … {:+.1}]", a.median / 1e3, a.low / 1e3, a.high / 1e3),
            format!("×{:.3}", a.ratio),
        ]);
    }
    page.section(
        "fork and exec of a known program",
        "`posix_spawn` of a static program of 129 bytes, and waiting for its end: 100 a batch, one batch of each a round. The guard \
         is started before its batch and stopped after it, because its exec hook sees the whole machine.",
        &table,
    );
    page.budget(
        "fork+exec of a known file",
        "≤ 1.02 of no guard",
        added(&samples[2], &samples[0]).ratio,
        1.02,
        "×",
    );
    Ok(())
}

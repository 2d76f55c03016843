//! Builds the kernel programs for `bpfel-unknown-none` and leaves the objects in `OUT_DIR`, where
//! `kernel::load` embeds them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow};
use object::build::elf::Builder;

/// Overrides the choice: a rustup toolchain name, or a directory with `bin/` and `lib/rustlib`.
const OVERRIDE: &str = "MINER_GUARD_BPF_TOOLCHAIN";
const TARGET: &str = "bpfel-unknown-none";
/// The crates that use unstable features (`asm_experimental_arch` in `aya_ebpf`).
const UNSTABLE: &str = "aya_ebpf,aya_log_ebpf,miner_guard_ebpf,mg_net,mg_exec,mg_lsm,mg_egress,mg_runtime,mg_answers,mg_frames,mg_isolate,mg_options";

/// A toolchain that can build for [`TARGET`].
struct Toolchain {
    name: String,
    /// It ships `core` for the target, so that `core` need not be built.
    prebuilt: bool,
}

fn sysroot(toolchain: &str) -> Option<PathBuf> {
    let out = Command::new("rustup").args(["run", toolchain, "rustc", "--print", "sysroot"]).output().ok()?;
    out.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&out.stdout).trim()))
}

fn has_core(root: &Path) -> bool {
    root.join("lib/rustlib").join(TARGET).join("lib").is_dir()
}

fn pick() -> Result<Toolchain> {
    println!("cargo:rerun-if-env-changed={OVERRIDE}");
    if let Ok(name) = env::var(OVERRIDE) {
        let prebuilt = sysroot(&name).is_some_and(|r| has_core(&r));
        return Ok(Toolchain { name, prebuilt });
    }
    if has_core(Path::new("/usr")) {
        return Ok(Toolchain { name: "/usr".into(), prebuilt: true });
    }
    if let Some(root) = sysroot("nightly")
        && root.join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file()
    {
        return Ok(Toolchain { name: "nightly".into(), prebuilt: false });
    }
    Err(anyhow!(
        "no Rust toolchain here can build for {TARGET}: run `cargo xtask setup`, or install a nightly with \
         `rustup toolchain install nightly -c rust-src`, or name one in {OVERRIDE}"
    ))
}

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=../miner-guard-common/src");
    let toolchain = pick()?;
    if toolchain.prebuilt {
        // A stable compiler needs leave for the unstable features. Naming the crates, instead of "1", keeps
        // aya-build from adding `-Z build-std`, which would want the sources of `core`.
        // SAFETY: a build script is single-threaded here.
        unsafe { env::set_var("RUSTC_BOOTSTRAP", UNSTABLE) };
    }
    let ebpf = aya_build::Package {
        name: "miner-guard-ebpf",
        root_dir: "../miner-guard-ebpf",
        ..Default::default()
    };
    aya_build::build_ebpf([ebpf], aya_build::Toolchain::Custom(&toolchain.name))
        .context("building the kernel programs (is bpf-linker installed? `cargo xtask setup` does it)")?;
    let out = env::var_os("OUT_DIR").context("cargo names no OUT_DIR")?;
    for entry in fs::read_dir(&out)? {
        let path = entry?.path();
        // The target directory of the build lies there too.
        if path.is_file() && path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"mg-")) {
            strip(&path).with_context(|| format!("stripping {}", path.display()))?;
        }
    }
    Ok(())
}

/// Takes out what a debugger wants and no loader reads. BTF is made from it, so that it cannot be left out before; it is nine
/// tenths of an object, and would lie in the daemon's memory.
fn strip(path: &Path) -> Result<()> {
    let bytes = fs::read(path)?;
    let mut elf = Builder::read(bytes.as_slice())?;
    for section in &mut elf.sections {
        let name = section.name.as_slice();
        section.delete = name.starts_with(b".debug") || name.starts_with(b".rel.debug");
    }
    elf.delete_orphans();
    // LLVM keeps the names of sections among those of symbols; this writer wants them apart.
    let names = elf.sections.add();
    names.name = b".shstrtab".as_slice().into();
    names.sh_type = object::elf::SHT_STRTAB;
    names.data = object::build::elf::SectionData::SectionString;
    let mut stripped = Vec::new();
    elf.write(&mut stripped)?;
    Ok(fs::write(path, stripped)?)
}

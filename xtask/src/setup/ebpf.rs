//! The eBPF side of the toolchain: a compiler with a core library for the target, and bpf-linker.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// The version of bpf-linker that setup installs; a newer one that is already here is kept.
pub const LINKER_VERSION: &str = "0.13.0";
/// Why bpf-linker is needed.
pub const LINKER_WHY: &str = "links the kernel programs into objects with BTF";
/// Where Debian's LLVM 22 has its programs.
pub const LLVM_BIN: &str = "/usr/lib/llvm-22/bin";
/// What brings a fitting compiler where no distribution package does.
pub const NIGHTLY: &str = "rustup toolchain install nightly --component rust-src";

/// The toolchain that miner-guard/build.rs will choose: the same order of the same places.
pub fn toolchain() -> Option<String> {
    if let Ok(named) = std::env::var("MINER_GUARD_BPF_TOOLCHAIN") {
        return Some(named);
    }
    let nightly =
        Command::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"]).output().ok();
    let sysroot =
        nightly.filter(|output| output.status.success()).and_then(|o| String::from_utf8(o.stdout).ok());
    if sysroot.is_some_and(|dir| {
        Path::new(dir.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file()
    }) {
        return Some("nightly".to_owned());
    }
    Path::new("/usr/lib/rustlib/bpfel-unknown-none/lib").is_dir().then(|| "/usr".to_owned())
}

/// Whether bpf-linker is absent, or older than [`LINKER_VERSION`].
pub fn linker_is_missing() -> bool {
    let Some(path) = linker() else { return true };
    let version = shell::capture(Command::new(path).arg("--version")).unwrap_or_default();
    !version.split_whitespace().any(|word| at_least(word, LINKER_VERSION))
}

/// Installs bpf-linker with cargo, unless it is here.
///
/// # Errors
/// When it cannot be built, or is not on PATH afterwards.
pub fn ensure_linker() -> Result<()> {
    if !linker_is_missing() {
        return Ok(());
    }
    eprintln!("setup: bpf-linker {LINKER_VERSION}: {LINKER_WHY}; built with cargo, about a minute");
    let mut path = vec![PathBuf::from(LLVM_BIN)];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let path = std::env::join_paths(path).context("PATH cannot be extended")?;
    let mut install = shell::cargo();
    install.args(["install", "bpf-linker", "--version", &format!("={LINKER_VERSION}")]);
    install.args(["--no-default-features", "--features", "llvm-22", "--locked"]);
    shell::run(install.env("PATH", path))?;
    if linker_is_missing() {
        bail!("bpf-linker is installed but not on PATH: add cargo's bin directory (~/.cargo/bin) to it");
    }
    Ok(())
}

fn linker() -> Option<PathBuf> {
    shell::find("bpf-linker")
}

/// Compares dotted numbers; a word that is none is not at least anything.
fn at_least(word: &str, least: &str) -> bool {
    let numbers = |text: &str| text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>();
    match (numbers(word), numbers(least)) {
        (Some(word), Some(least)) => word >= least,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::at_least;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(at_least("0.13.0", "0.13.0"));
        assert!(at_least("0.13.1", "0.13.0"));
        assert!(at_least("1.0.0", "0.13.0"));
        assert!(!at_least("0.9.15", "0.13.0"));
    }

    #[test]
    fn a_word_that_is_no_version_is_not_new_enough() {
        assert!(!at_least("bpf-linker", "0.13.0"));
        assert!(!at_least("", "0.13.0"));
    }
}

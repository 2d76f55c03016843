//! What has to be on the machine, how to see that it is, and what brings it on each distribution.

use std::{fmt::Write as _, path::Path};

use super::{For, distro::Distro, ebpf};
use crate::shell;

/// One need: a check, and the packages that meet it.
pub struct Package {
    /// What is looked for.
    pub what: &'static str,
    /// Why it is needed.
    pub why: &'static str,
    /// From which purpose on it is needed.
    purpose: For,
    here: fn() -> bool,
    /// The packages of Debian 12 (main and its security suite).
    pub debian: &'static [&'static str],
    fedora: &'static str,
    arch: &'static str,
    suse: &'static str,
    alpine: &'static str,
}

const PACKAGES: &[Package] = &[
    Package {
        what: "a C compiler and the C library's headers",
        why: "links every Rust program, and compiles the C parts of some crates",
        purpose: For::Build,
        here: || shell::find("cc").is_some() && Path::new("/usr/include/stdlib.h").exists(),
        debian: &["gcc", "libc6-dev"],
        fedora: "gcc glibc-devel",
        arch: "gcc glibc",
        suse: "gcc glibc-devel",
        alpine: "build-base",
    },
    Package {
        what: "a Rust compiler that can build for bpfel-unknown-none",
        why: "compiles the kernel programs; stable toolchains of rustup have no core library for that target",
        purpose: For::Build,
        here: || ebpf::toolchain().is_some(),
        debian: &["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"],
        fedora: ebpf::NIGHTLY,
        arch: ebpf::NIGHTLY,
        suse: ebpf::NIGHTLY,
        alpine: ebpf::NIGHTLY,
    },
    Package {
        what: "LLVM 22 for development",
        why: "bpf-linker links the kernel programs with it, and must be at least as new as the compiler",
        purpose: For::Build,
        // Only the building of bpf-linker asks for it.
        here: || !ebpf::linker_is_missing() || Path::new(ebpf::LLVM_BIN).join("llvm-config").exists(),
        debian: &[
            "llvm-22-dev",
            "libclang-22-dev",
            "libpolly-22-dev",
            "g++",
            "pkg-config",
            "zlib1g-dev",
            "libzstd-dev",
        ],
        fedora: "llvm-devel llvm-static clang-devel polly-devel gcc-c++ pkgconf zlib-devel libzstd-devel",
        arch: "llvm clang polly pkgconf zlib zstd",
        suse: "llvm-devel llvm-polly-devel clang-devel gcc-c++ pkgconf zlib-devel libzstd-devel",
        alpine: "llvm22-dev llvm22-static clang22-dev pkgconf zlib-dev zstd-dev",
    },
    Package {
        what: "qemu-system-x86_64",
        why: "boots the kernels of the VM matrix",
        purpose: For::Test,
        here: || shell::find("qemu-system-x86_64").is_some(),
        debian: &["qemu-system-x86"],
        fedora: "qemu-system-x86-core",
        arch: "qemu-system-x86",
        suse: "qemu-x86",
        alpine: "qemu-system-x86_64",
    },
];

/// The needs of `purpose` that are not met here.
pub fn missing(purpose: For) -> Vec<&'static Package> {
    PACKAGES.iter().filter(|package| package.purpose <= purpose && !(package.here)()).collect()
}

/// What to type on a distribution that setup does not install on.
pub fn instructions(distro: Distro, missing: &[&Package]) -> String {
    let (install, names): (&str, fn(&Package) -> String) = match distro {
        Distro::Debian | Distro::Other => ("apt-get install", |package| package.debian.join(" ")),
        Distro::Fedora => ("dnf install", |package| package.fedora.to_owned()),
        Distro::Arch => ("pacman -S --needed", |package| package.arch.to_owned()),
        Distro::Suse => ("zypper install", |package| package.suse.to_owned()),
        Distro::Alpine => ("apk add", |package| package.alpine.to_owned()),
    };
    let mut text = String::from("setup installs packages on Debian only. ");
    text.push_str(match distro {
        Distro::Other => "This is a system it does not know; there, find what Debian 12 calls:\n",
        _ => "Run these, then the same command again:\n",
    });
    for package in missing {
        let names = names(package);
        let line = if names == ebpf::NIGHTLY { names } else { format!("{install} {names}") };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {line}\n      # {}: {}", package.what, package.why);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_distribution_is_told_its_own_package_names() {
        let all: Vec<_> = PACKAGES.iter().collect();
        let text = instructions(Distro::Fedora, &all);
        assert!(text.contains("dnf install gcc glibc-devel\n"), "{text}");
        assert!(text.contains("\n  rustup toolchain install nightly"), "{text}");
        assert!(!text.contains("apt-get"), "{text}");
    }

    #[test]
    fn an_unknown_distribution_is_told_what_to_look_for() {
        let all: Vec<_> = PACKAGES.iter().collect();
        let text = instructions(Distro::Other, &all);
        assert!(text.contains("does not know") && text.contains("libstd-rust-web-dev-bpf"), "{text}");
    }
}

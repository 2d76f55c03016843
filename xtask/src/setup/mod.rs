//! `cargo xtask setup`: what the build and the tests need, and why.
//!
//! A step is a check and a remedy. The remedy runs only where the check fails, so that a second run changes nothing.

mod distro;
mod ebpf;
mod packages;

use anyhow::{Result, bail};

use crate::shell;
use distro::Distro;
use packages::Package;

/// Arguments of `cargo xtask setup`.
#[derive(clap::Args)]
pub struct Args {
    /// Only say what is missing; exit 1 when something is
    #[arg(long)]
    check: bool,
    /// Also what `cargo xtask test` needs
    #[arg(long)]
    test: bool,
}

/// What a setup is made for. Each includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum For {
    /// `cargo xtask build` and `run`.
    Build,
    /// `cargo xtask test` and `vm`.
    Test,
}

/// Installs, or with `--check` only reports.
pub fn main(args: &Args) -> Result<()> {
    let purpose = if args.test { For::Test } else { For::Build };
    if !args.check {
        ensure(purpose)?;
        eprintln!("setup: everything is here");
        return Ok(());
    }
    let (missing, linker) = (packages::missing(purpose), ebpf::linker_is_missing());
    for package in &missing {
        println!("missing: {} ({})", package.what, package.why);
    }
    if linker {
        println!("missing: bpf-linker {} ({})", ebpf::LINKER_VERSION, ebpf::LINKER_WHY);
    }
    if !missing.is_empty() || linker {
        bail!("not set up: run `cargo xtask setup`");
    }
    println!("everything is here");
    Ok(())
}

/// Sees to it that everything for `purpose` is there; silent when it is.
///
/// # Errors
/// On a distribution without apt: the packages to install, by name.
pub fn ensure(purpose: For) -> Result<()> {
    let missing = packages::missing(purpose);
    if !missing.is_empty() {
        install(&missing, purpose)?;
    }
    if purpose >= For::Test {
        rustup_components()?;
    }
    ebpf::ensure_linker()
}

fn install(missing: &[&Package], purpose: For) -> Result<()> {
    let distro = Distro::of_this_machine();
    if distro != Distro::Debian {
        bail!("{}", packages::instructions(distro, missing));
    }
    for package in missing {
        eprintln!("setup: {}: {}", package.debian.join(" "), package.why);
    }
    let names = missing.iter().flat_map(|package| package.debian);
    let apt = || {
        let mut command = shell::as_root("env");
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]);
        command
    };
    shell::run(apt().arg("update"))?;
    shell::run(apt().args(["install", "--yes", "--no-install-recommends"]).args(names))?;
    let still = packages::missing(purpose);
    if let Some(package) = still.first() {
        bail!("{} is installed, yet {} is still not there", package.debian.join(" "), package.what);
    }
    Ok(())
}

/// rustup's minimal profile comes without these; a compiler that is not rustup's has to bring them itself.
fn rustup_components() -> Result<()> {
    for (tool, component) in [("cargo-fmt", "rustfmt"), ("cargo-clippy", "clippy")] {
        let works = shell::capture(shell::cargo().args([&tool["cargo-".len()..], "--version"])).is_ok();
        if !works {
            eprintln!("setup: {component}: `cargo xtask test` checks with it");
            shell::run(std::process::Command::new("rustup").args(["component", "add", component]))?;
        }
    }
    Ok(())
}

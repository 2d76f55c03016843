//! `cargo xtask vm`: the end-to-end tests on other kernels, each with and without `bpf` in the LSM list.
//!
//! [`kernel`] fetches, [`initramfs`] packs, [`machine`] boots, [`console`] reads what happened. Needs neither root nor a
//! network once the kernels are cached.

mod console;
mod initramfs;
mod kernel;
mod machine;

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{binaries::Binaries, coverage, setup, shell};
use console::Ran;
use kernel::Kernel;
use machine::{Accel, Machine};

/// Arguments of `cargo xtask vm`.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Only this kernel (5.10, 6.1, 6.12, 7.2); may be given several times
    #[arg(long)]
    kernel: Vec<String>,
    /// Only with (on) or only without (off) `bpf` in the LSM list
    #[arg(long)]
    lsm: Option<Lsm>,
    /// How the processor is provided. KVM is not the default because a /dev/kvm that opens may still hang (nested)
    #[arg(long, default_value = "tcg")]
    accel: Accel,
    /// The most seconds one virtual machine may run
    #[arg(long, default_value_t = 420)]
    timeout: u64,
    /// Arguments for the end-to-end binary: a filter, or any option of a libtest program
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    tests: Vec<String>,
}

impl Args {
    /// The whole matrix, running only tests whose name contains `filter`.
    pub fn all(filter: Option<&str>) -> Self {
        Self { timeout: 420, tests: filter.map(str::to_owned).into_iter().collect(), ..Self::default() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Lsm {
    On,
    Off,
}

/// Builds the static binaries, then runs the matrix.
pub fn main(args: &Args) -> Result<()> {
    setup::ensure(setup::For::Test)?;
    matrix(args, &Binaries::build()?)
}

/// Boots every machine that `args` choose, as many at once as there are processors, and reports each.
///
/// # Errors
/// When a kernel cannot be fetched, or a machine does not report that all its tests passed.
pub fn matrix(args: &Args, binaries: &Binaries) -> Result<()> {
    let kernels = kernel::choose(&args.kernel)?;
    let fetched = kernel::fetch(&kernels)?;
    let logs = shell::target_dir().join("vm");
    std::fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
    let initramfs = logs.join("initramfs.cpio");
    let modules =
        kernels.iter().zip(&fetched).map(|(kernel, fetched)| (kernel.name, fetched.modules.as_path()));
    initramfs::write(&initramfs, &initramfs::contents(binaries, modules)?)?;

    let mut machines: Vec<Machine> = Vec::new();
    for (kernel, fetched) in kernels.iter().zip(&fetched) {
        for lsm in [Lsm::Off, Lsm::On] {
            if args.lsm.is_none_or(|only| only == lsm) {
                machines.push(Machine {
                    name: name(kernel, lsm),
                    image: fetched.image.clone(),
                    initramfs: initramfs.clone(),
                    lsm: lsm == Lsm::On,
                    accel: args.accel,
                    timeout: Duration::from_secs(args.timeout),
                    tests: args.tests.clone(),
                });
            }
        }
    }
    eprintln!("vm: {} machines, logs in {}", machines.len(), logs.display());
    let started = Instant::now();
    let failed = run_all(&machines, &logs);
    eprintln!("vm: {} machines in {} s", machines.len(), started.elapsed().as_secs());
    if failed.is_empty() {
        return Ok(());
    }
    let (count, of, logs) = (failed.len(), machines.len(), logs.display());
    bail!("{count} of {of} virtual machines failed (logs: {logs}):\n{}", failed.join("\n"));
}

/// Runs the machines from one queue; a line of each that failed.
fn run_all(machines: &[Machine], logs: &Path) -> Vec<String> {
    let queue = Mutex::new(machines.iter());
    let failed = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(machines.len());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(machine) = next else { break };
                    let started = Instant::now();
                    let ran = machine.run(logs).and_then(|ran| {
                        if machine.tests.iter().all(|argument| argument == "--include-ignored") {
                            coverage::keep(&machine.name, &ran.console)?;
                        }
                        Ok(ran)
                    });
                    let ran = ran.unwrap_or_else(|error| Ran::unstarted(format!("{error:#}")));
                    // One lock around the report keeps the lines of two machines apart.
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.extend(console::report(&machine.name, &ran, started.elapsed()));
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The names of all machines of the matrix.
pub fn names() -> Vec<String> {
    let kernels = kernel::choose(&[]).unwrap_or_default();
    kernels.iter().flat_map(|kernel| [Lsm::Off, Lsm::On].map(|lsm| name(kernel, lsm))).collect()
}

fn name(kernel: &Kernel, lsm: Lsm) -> String {
    format!("{}-lsm-{}", kernel.name, if lsm == Lsm::On { "on" } else { "off" })
}

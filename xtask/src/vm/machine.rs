//! One virtual machine, from the start of QEMU to its end.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::console::{self, Outcome, Ran};

/// How the processor is provided.
#[derive(Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Accel {
    /// QEMU translates: slow, and works everywhere.
    #[default]
    Tcg,
    /// The hardware runs it.
    Kvm,
}

/// What to boot, and with which tests.
pub struct Machine {
    /// Names the logs and the line of the report.
    pub name: String,
    /// The kernel.
    pub image: PathBuf,
    /// The archive with /init.
    pub initramfs: PathBuf,
    /// Whether `bpf` is in the list of active LSMs.
    pub lsm: bool,
    /// How the processor is provided.
    pub accel: Accel,
    /// After this the machine is killed.
    pub timeout: Duration,
    /// Arguments of /init.
    pub tests: Vec<String>,
}

impl Machine {
    /// Runs the machine. One that dies before /init has written a line is tried a second time: the emulator failed
    /// then, not the guard.
    pub fn run(&self, logs: &Path) -> Result<Ran> {
        let ran = self.run_once(logs)?;
        if matches!(ran.outcome, Outcome::Unbooted(_)) {
            eprintln!("vm {}: the kernel died before /init ran; once more", self.name);
            return self.run_once(logs);
        }
        Ok(ran)
    }

    /// Boots, reads the console to its end or the timeout, and judges.
    ///
    /// Two serial lines keep the kernel's messages (`NAME.kernel.log`) out of the tests' lines (`NAME.log`).
    fn run_once(&self, logs: &Path) -> Result<Ran> {
        let kernel_log = logs.join(format!("{}.kernel.log", self.name));
        let log = logs.join(format!("{}.log", self.name));
        let mut file = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut qemu = Running(self.command(&kernel_log).spawn().context(
            "cannot start setpriv (util-linux) with qemu-system-x86_64: run `cargo xtask setup --test`",
        )?);
        let lines = lines_of(&mut qemu.0)?;
        let deadline = Instant::now() + self.timeout;
        let mut output = String::new();
        let timed_out = loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    file.write_all(line.as_bytes())
                        .with_context(|| format!("cannot write {}", log.display()))?;
                    output.push_str(&line);
                }
                Err(RecvTimeoutError::Disconnected) => break false,
                Err(RecvTimeoutError::Timeout) => break true,
            }
        };
        let processor = processor_time(qemu.0.id());
        drop(qemu);
        let kernel = fs::read(&kernel_log).unwrap_or_default();
        let outcome =
            console::judge(&output, &String::from_utf8_lossy(&kernel), timed_out, !self.tests.is_empty());
        Ok(Ran { outcome, processor, console: output })
    }

    fn command(&self, kernel_log: &Path) -> Command {
        // QEMU must not outlive this program, however it ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
        match self.accel {
            // One thread: with more, a processor may run code that another one is patching, and the kernel dies of a
            // half-written instruction. No cmpxchg16b: QEMU 7.2 leaves garbage in the flags after it, and an interrupt
            // at that moment is a double fault (22 of 50 boots of 6.12 under load with it, 0 of 50 without).
            Accel::Tcg => command.args(["-accel", "tcg,thread=single", "-cpu", "qemu64,-cx16"]),
            Accel::Kvm => command.args(["-accel", "kvm", "-cpu", "host"]),
        };
        command.args([
            "-m",
            "1G",
            "-smp",
            "2",
            "-display",
            "none",
            "-no-reboot",
            "-nodefaults",
            "-no-user-config",
        ]);
        command.arg("-serial").arg(format!("file:{}", kernel_log.display()));
        command.args(["-serial", "stdio"]);
        command.arg("-kernel").arg(&self.image).arg("-initrd").arg(&self.initramfs);
        command.arg("-append").arg(self.kernel_command_line());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command
    }

    fn kernel_command_line(&self) -> String {
        // Debian's own list differs by kernel and has `bpf` in it from 6.1 on: both cases are named in full.
        let lsm = if self.lsm { "lockdown,capability,bpf" } else { "lockdown,capability" };
        // oops=panic and panic=-1 with -no-reboot end QEMU when the kernel or /init dies. On a busy host the kernel may find that no
        // timer interrupt came in time, and panic: no_timer_check. After `--` come the arguments of /init.
        format!("console=ttyS0 oops=panic panic=-1 no_timer_check lsm={lsm} -- {}", self.tests.join(" "))
    }
}

/// What a process used of the processors so far: what it would take on a machine of its own. Unlike the time on the
/// clock it does not grow with what else runs here.
fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name, which may hold anything but ends with the last bracket: user and system time are the 12th and 13th.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    let a_second = rustix::param::clock_ticks_per_second();
    Duration::from_millis(ticks * 1000 / a_second.max(1))
}

/// Ends QEMU in any case: also when the caller returns early.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines of the tests' console, each with its end, until QEMU closes it.
fn lines_of(qemu: &mut Child) -> Result<mpsc::Receiver<String>> {
    let stdout = qemu.stdout.take().context("QEMU has no stdout")?;
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            // A terminal line ends in CR LF.
            let text = String::from_utf8_lossy(&line).replace('\r', "");
            line.clear();
            if send.send(text).is_err() {
                break;
            }
        }
    });
    Ok(receive)
}

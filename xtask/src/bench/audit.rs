//! What starting a program costs under fapolicyd and under auditd with an execve rule.
//!
//! Only with `--audit`, and last: once audit has been on, the kernel makes an audit context for every new process until
//! the next boot, unless a rule says `never,task`. That rule is what this leaves behind. fapolicyd sits in a mount
//! namespace of its own, so that it judges nothing of the host.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Bench,
    page::{Page, Table, ns},
    place::Cgroup,
    stats::{Random, added, median},
    worker::{Mode, Worker},
};
use crate::shell;

const CALLS: u32 = 100;
const ROUNDS: usize = 40;
const PATIENCE: Duration = Duration::from_secs(30);
/// What upstream calls "known-libs", its default.
const FAPOLICYD_RULES: [&str; 11] = [
    "10-languages",
    "20-dracut",
    "21-updaters",
    "30-patterns",
    "40-bad-elf",
    "41-shared-obj",
    "42-trusted-elf",
    "70-trusted-lang",
    "72-shell",
    "90-deny-execute",
    "95-allow-open",
];

/// Measures what is installed, and adds the table to the page.
pub fn run(bench: &mut Bench, dial: &Path, page: &mut Page) -> Result<()> {
    eprintln!("bench: starting programs under fapolicyd and auditd");
    let mut table = Table::new(&["configuration", "median", "added", "ratio"]);
    if shell::find("fapolicyd").is_some() && Path::new(SAMPLES).is_dir() {
        fapolicyd(bench, dial, &mut table).context("with fapolicyd")?;
    } else {
        bench.skipped.push("fapolicyd: it is not installed (apt-get install fapolicyd)".into());
    }
    if shell::find("auditd").is_some() && shell::find("auditctl").is_some() {
        auditd(bench, dial, &mut table).context("with auditd")?;
    } else {
        bench.skipped.push("auditd: it is not installed (apt-get install auditd)".into());
    }
    page.section(
        "fork and exec under fapolicyd and auditd",
        "The same batches as above, each tool beside a worker without it in the same rounds. fapolicyd: permissive, upstream's \
         rules for known libraries, trust database of two files, in a mount namespace of its own. auditd: backlog of 8192, the \
         rule `-a always,exit -F arch=b64 -S execve`; its base is `-a never,task`, which is as if audit had never been on.",
        &table,
    );
    Ok(())
}

/// Interleaved rounds; `enter` puts a configuration in force before its batch.
fn rounds(
    workers: &mut [Worker],
    of: &[usize],
    mut enter: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<Vec<f64>>> {
    let mut samples = vec![Vec::new(); of.len()];
    let mut order: Vec<usize> = (0..of.len()).collect();
    let mut random = Random::new(23);
    for _ in 0..ROUNDS {
        random.shuffle(&mut order);
        for &i in &order {
            enter(i)?;
            let worker = workers.get_mut(of[i]).context("no such worker")?;
            let (ns, failed) = worker.batch(Mode::Exec, CALLS)?;
            ensure!(failed == 0, "{failed} programs were not run to their end");
            samples[i].push(ns);
        }
    }
    Ok(samples)
}

fn rows(table: &mut Table, names: &[&str], samples: &[Vec<f64>]) {
    let Some(base) = samples.first() else { return };
    for (name, values) in names.iter().zip(samples) {
        let a = added(values, base);
        table.row([
            (*name).to_owned(),
            ns(median(values)),
            format!("{:+.1} µs [{:+.1} … {:+.1}]", a.median / 1e3, a.low / 1e3, a.high / 1e3),
            format!("×{:.3}", a.ratio),
        ]);
    }
}

const SAMPLES: &str = "/usr/share/fapolicyd/sample-rules";

fn fapolicyd(bench: &Bench, dial: &Path, table: &mut Table) -> Result<()> {
    let daemon = Fapolicyd::start(bench)?;
    let cgroup = Cgroup::new("fapolicyd")?;
    let mut private = Command::new("unshare");
    private.args(["--mount", "--propagation", "private"]).arg(&bench.worker);
    let mut watched = Command::new("nsenter");
    watched.args(["--mount", "--target", &daemon.pid.to_string()]).arg(&bench.worker);
    let mut workers = [
        Worker::start(private, dial, &bench.tiny, &cgroup)?,
        Worker::start(watched, dial, &bench.tiny, &cgroup)?,
    ];
    let samples = rounds(&mut workers, &[0, 1], |_| Ok(()))?;
    rows(table, &["none, own mount namespace", "fapolicyd"], &samples);
    Ok(())
}

/// A running fapolicyd; it is stopped with this value.
struct Fapolicyd {
    pid: u32,
}

/// fapolicyd has no option for it.
const PID_FILE: &str = "/run/fapolicyd.pid";

impl Fapolicyd {
    fn start(bench: &Bench) -> Result<Self> {
        ensure!(!Path::new(PID_FILE).exists(), "{PID_FILE} is there: a fapolicyd runs on this machine");
        let dir = bench.scratch.path().join("fapolicyd");
        let sub = |name: &str| -> Result<PathBuf> {
            let path = dir.join(name);
            fs::create_dir_all(&path)?;
            Ok(path)
        };
        let (etc, var, run) = (sub("etc")?, sub("var")?, sub("run")?);
        sub("etc/rules.d")?;
        sub("etc/trust.d")?;
        let mut rules = String::new();
        for name in FAPOLICYD_RULES {
            let from = Path::new(SAMPLES).join(format!("{name}.rules"));
            let text =
                fs::read_to_string(&from).with_context(|| format!("cannot read {}", from.display()))?;
            fs::write(etc.join("rules.d").join(format!("{name}.rules")), &text)?;
            let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            rules.extend(lines.flat_map(|line| [line, "\n"]));
        }
        fs::write(etc.join("compiled.rules"), rules)?;
        fs::write(
            etc.join("fapolicyd.conf"),
            "permissive = 1\nnice_val = 14\nq_size = 800\nuid = 0\ngid = 0\ndo_stat_report = 0\n\
             detailed_report = 0\ndb_max_size = 100\nsubj_cache_size = 1549\nobj_cache_size = 8191\n\
             watch_fs = ext4,tmpfs,xfs,btrfs,overlay\ntrust = file\nintegrity = none\n\
             syslog_format = rule,dec,perm,auid,pid,exe,:,path,ftype,trust\n",
        )?;
        let mut trust = String::new();
        for file in [&bench.tiny, &bench.worker] {
            let sum = shell::capture(Command::new("sha256sum").arg(file))?;
            let sum = sum.split_whitespace().next().context("sha256sum said nothing")?;
            trust.push_str(&format!("{} {} {sum}\n", file.display(), fs::metadata(file)?.len()));
        }
        fs::write(etc.join("fapolicyd.trust"), trust)?;
        let binds: String =
            [(&etc, "/etc/fapolicyd"), (&var, "/var/lib/fapolicyd"), (&run, "/run/fapolicyd")]
                .iter()
                .map(|(from, to)| format!("mkdir -p {to}; mount --bind {} {to}; ", from.display()))
                .collect();
        // It goes to the background itself and keeps the namespace.
        let script = format!("set -e; {binds} exec fapolicyd --permissive --no-details");
        shell::capture(Command::new("unshare").args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            &script,
        ]))?;
        let pid =
            until("fapolicyd did not start", || fs::read_to_string(PID_FILE).ok()?.trim().parse().ok())?;
        let daemon = Self { pid };
        until("fapolicyd watches nothing", || {
            let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).ok()?.flatten();
            let mut texts = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
            texts.any(|text| text.contains("fanotify mnt_id")).then_some(())
        })?;
        Ok(daemon)
    }
}

impl Drop for Fapolicyd {
    fn drop(&mut self) {
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended already.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let gone = || (!Path::new(&format!("/proc/{}", self.pid)).exists()).then_some(());
        if let Err(error) = until("fapolicyd does not stop", gone) {
            eprintln!("{error:#}");
        }
        // It leaves its file when it has no right to remove it.
        let _ = fs::remove_file(PID_FILE);
    }
}

fn until<T>(otherwise: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        ensure!(Instant::now() < end, "{otherwise} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const RULE: [&str; 6] = ["-a", "always,exit", "-F", "arch=b64", "-S", "execve"];

fn auditd(bench: &Bench, dial: &Path, table: &mut Table) -> Result<()> {
    let cgroup = Cgroup::new("auditd")?;
    let command = Command::new(&bench.worker);
    let mut workers = [Worker::start(command, dial, &bench.tiny, &cgroup)?];
    let daemon = Auditd::start(bench.scratch.path())?;
    let samples = rounds(&mut workers, &[0, 0, 0], |i| {
        // What the batch before left over must not be paid by this one.
        until("auditd does not keep up", || {
            let status = auditctl(&["-s"]).ok()?;
            status.lines().any(|line| line == "backlog 0").then_some(())
        })?;
        auditctl(&["-D"])?;
        match i {
            0 => auditctl(&["-a", "never,task"]).map(drop),
            1 => Ok(()),
            _ => auditctl(&RULE).map(drop),
        }
    })?;
    drop(daemon);
    rows(table, &["auditd, `never,task`", "auditd, no rule", "auditd, execve rule"], &samples);
    Ok(())
}

fn auditctl(arguments: &[&str]) -> Result<String> {
    shell::capture(Command::new("auditctl").args(arguments))
}

/// A running auditd with its log in the bench's directory; with this value it ends, and audit is switched off.
struct Auditd(Child);

impl Auditd {
    fn start(scratch: &Path) -> Result<Self> {
        let dir = scratch.join("audit");
        fs::create_dir_all(dir.join("plugins.d"))?;
        fs::write(
            dir.join("auditd.conf"),
            format!(
                "log_file = {0}/audit.log\nlog_format = RAW\nlog_group = root\nplugin_dir = {0}/plugins.d\n\
                 write_logs = yes\nflush = INCREMENTAL_ASYNC\nfreq = 50\nmax_log_file = 64\nnum_logs = 2\n\
                 max_log_file_action = ROTATE\nspace_left = 75\nspace_left_action = SYSLOG\n\
                 admin_space_left = 50\nadmin_space_left_action = SUSPEND\n",
                dir.display()
            ),
        )?;
        let mut command = Command::new("auditd");
        command.args(["-n", "-s", "enable", "-c"]).arg(&dir);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let daemon = Self(child);
        let pid = format!("pid {}", daemon.0.id());
        until("auditd did not start", || {
            auditctl(&["-s"]).ok()?.lines().any(|line| line == pid).then_some(())
        })?;
        auditctl(&["-b", "8192"])?;
        Ok(daemon)
    }
}

impl Drop for Auditd {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        // It may have ended already.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
        // Off, and no audit context for processes to come: else each exec would be slower until the next boot.
        for arguments in [&["-D"][..], &["-e", "0"], &["-a", "never,task"]] {
            if let Err(error) = auditctl(arguments) {
                eprintln!("{error:#}");
            }
        }
    }
}

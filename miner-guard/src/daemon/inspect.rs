//! A program was started whose file is not known: what is it?
//!
//! Runs on its own thread, so that reading a large file never delays the next record. Fails open: a file that
//! cannot be read runs, and is looked at again at its next start.

use std::{
    fs::{self, File},
    os::{
        fd::AsRawFd as _,
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use miner_guard_common::abi::{
    file::{EXEMPT, FileId, FileVerdict, LOADER},
    verdict::{Mode, Reason, Verdict},
};

use super::rules::FileRules;
use crate::{
    event::{decode::ExecRecord, enrich::proc_root::ProcRoot, model::Finding},
    identify::{self, Class, Digests, Identifier, hex},
    kernel::canary::file_id,
    respond::{
        bundle::Captured,
        kill::{NotKilled, kill},
    },
};

/// Starts waiting to be inspected: more than this are let go and counted.
const QUEUE: usize = 4096;

/// What came of an inspection.
#[derive(Debug)]
pub struct Inspected {
    /// The start that was inspected.
    pub record: Box<ExecRecord>,
    /// What to remember of which file; nothing of a file that is not surely the one that was started.
    pub remember: Vec<(FileId, FileVerdict)>,
    /// What to tell; `None` for a clean file.
    pub finding: Option<Finding>,
    /// Index of the rule that decided, 0 for the guard's own identification.
    pub rule: u32,
    /// What was taken of the process before it was killed.
    pub captured: Option<Box<Captured>>,
}

/// The inspecting threads.
#[derive(Debug)]
pub struct Inspectors {
    queue: mpsc::SyncSender<Box<ExecRecord>>,
}

/// What the threads share with the daemon: replaced at a reload.
pub type SharedRules = Arc<Mutex<Arc<FileRules>>>;

impl Inspectors {
    /// Starts the threads. `report` is called on them.
    pub fn start(
        rules: SharedRules,
        report: impl Fn(Inspected) + Send + Clone + 'static,
    ) -> std::io::Result<Self> {
        let (queue, take) = mpsc::sync_channel::<Box<ExecRecord>>(QUEUE);
        let take = Arc::new(Mutex::new(take));
        let identifier = Arc::new(Identifier::new());
        let threads = thread::available_parallelism().map_or(1, |n| n.get().min(4));
        for n in 0..threads {
            let (take, rules, report, identifier) =
                (take.clone(), rules.clone(), report.clone(), identifier.clone());
            thread::Builder::new().name(format!("inspect-{n}")).spawn(move || {
                loop {
                    let next = take.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(record) = next else { return };
                    let now = rules.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    report(inspect(&identifier, &now, record));
                }
            })?;
        }
        Ok(Self { queue })
    }

    /// Hands a start to the threads; gives it back if too many wait.
    pub fn submit(&self, record: Box<ExecRecord>) -> Result<(), Box<ExecRecord>> {
        self.queue.try_send(record).map_err(|e| match e {
            mpsc::TrySendError::Full(r) | mpsc::TrySendError::Disconnected(r) => r,
        })
    }
}

/// What was decided of a file.
struct Judged {
    verdict: Verdict,
    reason: Reason,
    rule: u32,
    evidence: Vec<String>,
    sha256: Option<String>,
}

fn inspect(identifier: &Identifier, rules: &FileRules, record: Box<ExecRecord>) -> Inspected {
    let pid = record.head.pid;
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let exe = proc.join("exe");
    // The process may be gone, or run another program by now: then the path it gave is tried, and only the same
    // file counts.
    let Some(started) = open(&exe).filter(|f| same(&record.file, f)).or_else(|| named(&proc, &record)) else {
        return Inspected { record, remember: Vec::new(), finding: None, rule: 0, captured: None };
    };
    let loaded = is_loader(&started).then(|| loaded_file(&proc, &record));
    let (judged, remember) = match &loaded {
        None => {
            let judged = judge(identifier, rules, &started);
            let known = judged.to_keep();
            (judged, vec![(&started, record.file, known)])
        }
        Some(target) => {
            let loader = FileVerdict { flags: LOADER, ..Judged::clean().to_keep() };
            let mut remember = vec![(&started, record.file, loader)];
            let judged = match target {
                Some(file) => judge(identifier, rules, file),
                None => Judged::clean(),
            };
            if let (true, Some(file)) = (judged.verdict.stops(), target)
                && let Ok(meta) = file.metadata()
            {
                remember.push((file, file_id(&meta), judged.to_keep()));
            }
            (judged, remember)
        }
    };
    let remember =
        remember.into_iter().filter(|(f, ..)| keeps_its_identity(f)).map(|(_, id, v)| (id, v)).collect();
    let mut captured = None;
    let finding = (judged.verdict != Verdict::Allow).then(|| {
        let exempt = record.head.reason == Reason::Exempt;
        let stop =
            judged.verdict.stops() && record.head.mode == Mode::Enforce && !exempt && !record.head.enforced;
        let mut evidence = judged.evidence;
        let is_it = || open(&exe).is_some_and(|f| same(&record.file, &f));
        captured = (stop && is_it()).then(|| Box::new(Captured::of(pid, &ProcRoot::default())));
        let killed = stop
            && match kill(pid, is_it) {
                Ok(()) => true,
                Err(NotKilled::Gone) => false,
                Err(e) => {
                    evidence.push(format!("not killed: {e}"));
                    false
                }
            };
        Finding {
            verdict: if exempt { Verdict::Allow } else { judged.verdict },
            reason: if exempt { Reason::Exempt } else { judged.reason },
            evidence,
            sha256: judged.sha256,
            killed,
        }
    });
    Inspected { record, remember, finding, rule: judged.rule, captured }
}

impl Judged {
    fn clean() -> Self {
        Self { verdict: Verdict::Allow, reason: Reason::None, rule: 0, evidence: Vec::new(), sha256: None }
    }

    fn to_keep(&self) -> FileVerdict {
        FileVerdict {
            verdict: self.verdict as u8,
            reason: self.reason as u8,
            flags: if self.reason == Reason::Exempt { EXEMPT } else { 0 },
            rule: self.rule,
            version: identify::RULES_VERSION,
            pad: 0,
        }
    }
}

fn judge(identifier: &Identifier, rules: &FileRules, file: &File) -> Judged {
    let clean = Judged::clean();
    // Of the open file: the process may be gone, and with it `/proc/PID/exe`.
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default();
    if let Some(listed) = rules.look_up(&path, file) {
        return Judged {
            verdict: listed.verdict,
            reason: listed.reason,
            rule: listed.rule,
            evidence: vec![listed.evidence],
            sha256: listed.sha256,
        };
    }
    match identifier.identify(file) {
        Ok(found) => {
            let (verdict, reason) = match found.class {
                Class::MinerBinary => (Verdict::Deny, Reason::MinerBinary),
                Class::HashingHeavy => (Verdict::Alert, Reason::HashingHeavy),
                // Honest programs are packed too, and honest scripts speak of miners: it runs, unreported.
                Class::Packed | Class::Suspect | Class::Clean => return clean,
            };
            Judged {
                verdict,
                reason,
                evidence: found.evidence.into_iter().map(|e| e.text).collect(),
                sha256: Digests::of(file).ok().map(|d| hex(&d.sha256)),
                ..clean
            }
        }
        // Not an ELF file, or unreadable: nothing is known, so it runs.
        Err(_) => clean,
    }
}

/// What would be decided of a program, and why.
#[derive(Debug)]
pub struct Explained {
    /// What enforce would do.
    pub verdict: Verdict,
    /// Which question decided.
    pub reason: Reason,
    /// Index of the rule, 0 for the guard's own identification.
    pub rule: u32,
    /// Sentences.
    pub evidence: Vec<String>,
}

/// Answers for a file what an inspection would, without consequences.
pub fn explain(rules: &FileRules, path: &Path) -> std::io::Result<Explained> {
    let file = open(path).ok_or_else(|| std::io::Error::other("it cannot be read, or is no regular file"))?;
    let judged = judge(&Identifier::new(), rules, &file);
    let mut evidence = judged.evidence;
    if evidence.is_empty() {
        evidence.push("nothing in it says miner".into());
    }
    Ok(Explained { verdict: judged.verdict, reason: judged.reason, rule: judged.rule, evidence })
}

/// Whether the allowlist names this file, by its path or content.
pub fn exempt(rules: &FileRules, exe: &Path) -> bool {
    let Some(file) = open(exe) else { return false };
    let path = fs::read_link(exe).unwrap_or_default();
    rules.look_up(&path, &file).is_some_and(|listed| listed.reason == Reason::Exempt)
}

/// Opens a program as the kernel sees it; `None` if it is gone or not a regular file.
fn open(path: &Path) -> Option<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits() as i32).open(path).ok()?;
    file.metadata().is_ok_and(|m| m.is_file()).then_some(file)
}

/// The file by the path that was given to `execve`, if it is the one that was started.
fn named(proc: &Path, record: &ExecRecord) -> Option<File> {
    let path = Path::new(std::ffi::OsStr::from_bytes(&record.filename));
    let found = match path.strip_prefix("/") {
        // In the root that the process had, else in ours, which it shares unless it was in a container.
        Ok(inside) => open(&proc.join("root").join(inside)).or_else(|| open(path)),
        Err(_) => open(&proc.join("cwd").join(path)),
    };
    found.filter(|f| same(&record.file, f))
}

/// Whether this is the file that the kernel started. The device is not compared: on overlayfs and btrfs `stat`
/// shows another one than the kernel has. Inode, size and change time to the nanosecond are.
fn same(id: &FileId, file: &File) -> bool {
    let Ok(meta) = file.metadata() else { return false };
    let seen = file_id(&meta);
    (seen.ino, seen.size, seen.ctime_sec, seen.ctime_nsec) == (id.ino, id.size, id.ctime_sec, id.ctime_nsec)
}

/// Whether a verdict may be kept under the file's identity. On FUSE the owner of the mount answers for inode and
/// change time, and can change the bytes behind them; and a file changed twice within a tick of the kernel's clock
/// shows one change time for both.
fn keeps_its_identity(file: &File) -> bool {
    const FUSE_SUPER_MAGIC: i64 = 0x6573_5546;
    const TICK: Duration = Duration::from_millis(100);
    let settled = file.metadata().is_ok_and(|m| {
        let changed = Duration::new(m.ctime().max(0).unsigned_abs(), m.ctime_nsec() as u32);
        SystemTime::now().duration_since(UNIX_EPOCH).is_ok_and(|now| now.saturating_sub(changed) > TICK)
    });
    settled && rustix::fs::fstatfs(file).is_ok_and(|s| s.f_type != FUSE_SUPER_MAGIC)
}

/// Whether this program runs others that it is told to: glibc's and musl's `ld.so`, also renamed.
fn is_loader(file: &File) -> bool {
    use std::os::unix::fs::FileExt as _;
    // They are small; a larger file is not one of them.
    const LARGEST: u64 = 4 << 20;
    /// Exported by glibc's and musl's loader.
    const NAMES: [&[u8]; 2] = [b"_rtld_global", b"__dls2b"];
    let Ok(size) = file.metadata().map(|m| m.size()) else { return false };
    if size == 0 || size > LARGEST {
        return false;
    }
    let mut bytes = vec![0; size as usize];
    if file.read_exact_at(&mut bytes, 0).is_err() {
        return false;
    }
    exports(&bytes, &NAMES).unwrap_or(false)
}

/// Whether an ELF file without interpreter (a program that merely uses the loader has one) defines a dynamic symbol
/// of one of these names.
fn exports(bytes: &[u8], names: &[&[u8]]) -> object::Result<bool> {
    use object::{
        Endianness,
        elf::{FileHeader64, PT_INTERP},
        read::elf::{FileHeader as _, ProgramHeader as _, Sym as _},
    };
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    if header.program_headers(endian, bytes)?.iter().any(|p| p.p_type(endian) == PT_INTERP) {
        return Ok(false);
    }
    let symbols = header.sections(endian, bytes)?.symbols(endian, bytes, object::elf::SHT_DYNSYM)?;
    Ok(symbols.iter().any(|s| {
        !s.is_undefined(endian) && s.name(endian, symbols.strings()).is_ok_and(|n| names.contains(&n))
    }))
}

/// The program that a loader was told to run: its first argument that is no option.
fn loaded_file(proc: &Path, record: &ExecRecord) -> Option<File> {
    /// Options of ld.so that take a value as the next argument.
    const WITH_VALUE: [&[u8]; 6] = [
        b"--library-path",
        b"--inhibit-rpath",
        b"--audit",
        b"--preload",
        b"--argv0",
        b"--glibc-hwcaps-prepend",
    ];
    let mut args = record.args.iter().skip(1);
    let target = loop {
        let arg = args.next()?;
        if WITH_VALUE.contains(&arg.as_slice()) {
            args.next();
        } else if !arg.starts_with(b"-") {
            break Path::new(std::ffi::OsStr::from_bytes(arg));
        }
    };
    match target.strip_prefix("/") {
        // When the process is gone its root is too: ours is the same, unless it was in a container.
        Ok(inside) => open(&proc.join("root").join(inside)).or_else(|| open(target)),
        Err(_) => open(&proc.join("cwd").join(target)),
    }
}

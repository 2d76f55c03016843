//! The files of a start: which one the kernel runs, which one a loader or an interpreter was given, and whether it is
//! still the same.

use std::{
    fs::File,
    os::{
        fd::AsRawFd as _,
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use miner_guard_common::abi::file::FileId;

use crate::{daemon::rules::FileRules, event::decode::ExecRecord, kernel::canary::file_id, regular};

/// Opens a program as the kernel sees it; `None` if it is gone or not a regular file.
pub fn open(path: &Path) -> Option<File> {
    Some(regular::open(path).ok()??.0)
}

/// The file by the path that was given to `execve`, if it is the one that was started.
pub fn named(proc: &Path, record: &ExecRecord) -> Option<File> {
    let path = Path::new(std::ffi::OsStr::from_bytes(&record.filename));
    inside(proc, path).filter(|f| same(&record.file, f))
}

/// Whether this is the file that the kernel started. The device is not compared: on overlayfs and btrfs `stat`
/// shows another one than the kernel has. Inode, size and change time to the nanosecond are.
pub fn same(id: &FileId, file: &File) -> bool {
    let Ok(meta) = file.metadata() else { return false };
    let seen = file_id(&meta);
    (seen.ino, seen.size, seen.ctime_sec, seen.ctime_nsec) == (id.ino, id.size, id.ctime_sec, id.ctime_nsec)
}

/// Whether this is the program that the kernel started, when it is what the process still runs. Its change time is not asked: a
/// program that is deleted or renamed while it runs has another one, but its bytes cannot be written meanwhile.
pub fn still_runs(id: &FileId, file: &File) -> bool {
    file.metadata().is_ok_and(|meta| {
        let seen = file_id(&meta);
        (seen.ino, seen.size) == (id.ino, id.size)
    })
}

/// Tells whether the bytes of a file are those that were run, now that they were read: what nobody runs any more may have been
/// written anew meanwhile, and is another program then.
pub struct Ran {
    id: FileId,
    /// When the file was last written, if the process ran it when this was asked: before the reading. (Whoever sets that time
    /// back after he wrote is taken for the one who ran it. It was his file.)
    written: Option<SystemTime>,
}

impl Ran {
    /// `running`: the file, if the process runs it.
    pub fn of(id: &FileId, running: Option<&File>) -> Self {
        Self { id: *id, written: running.and_then(written) }
    }

    /// The file is the same to the nanosecond; or it was run, and was not written since or is run still: deleted, renamed or of
    /// another mode. `runs` is asked last.
    pub fn these(&self, file: &File, runs: impl FnOnce() -> bool) -> bool {
        same(&self.id, file) || self.written.is_some() && (written(file) == self.written || runs())
    }
}

fn written(file: &File) -> Option<SystemTime> {
    file.metadata().ok()?.modified().ok()
}

/// A file's identity from before it was read, under which a verdict may be kept if it is the same afterwards.
#[derive(Debug)]
pub struct Settled(FileId);

impl Settled {
    /// To be asked before reading. `None` where the bytes can change and the identity not: on FUSE the owner of the
    /// mount answers for inode and change time, and a file that is changed twice within a tick of the kernel's clock
    /// shows one change time for both.
    pub fn of(file: &File) -> Option<Self> {
        const FUSE_SUPER_MAGIC: i64 = 0x6573_5546;
        const TICK: Duration = Duration::from_millis(100);
        let meta = file.metadata().ok()?;
        let changed = Duration::new(meta.ctime().max(0).unsigned_abs(), meta.ctime_nsec() as u32);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let on_fuse = rustix::fs::fstatfs(file).ok()?.f_type == FUSE_SUPER_MAGIC;
        (now.saturating_sub(changed) > TICK && !on_fuse).then(|| Self(file_id(&meta)))
    }

    /// The identity, if the file still has it now that it was read.
    pub fn still(self, file: &File) -> Option<FileId> {
        (file_id(&file.metadata().ok()?) == self.0).then_some(self.0)
    }
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

/// What a program was given to run.
#[derive(Debug)]
pub enum Given {
    /// An ordinary program.
    Nothing,
    /// The program is a dynamic loader: the program that it loads, if it can be found.
    ToLoader(Option<File>),
    /// The program is an interpreter: its script.
    ToInterpreter(File),
}

/// Finds what the started program was given to run.
///
/// A script's file is not part of the record: the kernel has let go of it by then. Its path is, and is opened again.
/// Who can put another file there in between could as well have given the script to the interpreter by another name.
pub fn given(proc: &Path, record: &ExecRecord, started: &File, rules: &FileRules) -> Given {
    if is_loader(started) {
        return Given::ToLoader(argument(record).and_then(|target| inside(proc, target)));
    }
    if let Some(script) = script(proc, record) {
        return Given::ToInterpreter(script);
    }
    // `sh script`: looked at only where a script is listed that this interpreter runs.
    if rules.is_interpreter(&path(started))
        && let Some(script) = argument(record).and_then(|target| inside(proc, target))
    {
        return Given::ToInterpreter(script);
    }
    Given::Nothing
}

/// The script that was started, if it was one.
pub fn script(proc: &Path, record: &ExecRecord) -> Option<File> {
    let path = Path::new(std::ffi::OsStr::from_bytes(&record.filename));
    inside(proc, path).filter(|f| !same(&record.file, f) && is_script(f))
}

/// Where an open file is, by the kernel's word.
pub fn path(file: &File) -> PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default()
}

fn is_script(file: &File) -> bool {
    use std::os::unix::fs::FileExt as _;
    let mut magic = [0; 2];
    file.read_exact_at(&mut magic, 0).is_ok() && magic == *b"#!"
}

/// The first argument that is no option.
fn argument(record: &ExecRecord) -> Option<&Path> {
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
    loop {
        let arg = args.next()?;
        if WITH_VALUE.contains(&arg.as_slice()) {
            args.next();
        } else if !arg.starts_with(b"-") {
            return Some(Path::new(std::ffi::OsStr::from_bytes(arg)));
        }
    }
}

/// Opens a file by the name that a process has for it.
fn inside(proc: &Path, name: &Path) -> Option<File> {
    // What the kernel calls a script that was started by its descriptor: the process's own, not ours.
    if let Ok(descriptor) = name.strip_prefix("/dev/fd") {
        return open(&proc.join("fd").join(descriptor));
    }
    match name.strip_prefix("/") {
        // When the process is gone its root is too: ours is the same, unless it was in a container.
        Ok(inside) => open(&proc.join("root").join(inside)).or_else(|| open(name)),
        Err(_) => open(&proc.join("cwd").join(name)),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn program(name: &str) -> (PathBuf, File, FileId) {
        let path = std::env::temp_dir().join(format!("mg-ran-{}-{name}", std::process::id()));
        fs::write(&path, "as it was run").unwrap();
        let file = File::open(&path).unwrap();
        let id = file_id(&file.metadata().unwrap());
        (path, file, id)
    }

    #[test]
    fn a_program_that_ended_and_was_written_anew_is_not_what_was_run() {
        let (path, file, id) = program("anew");
        let (ran, gone) = (Ran::of(&id, Some(&file)), Ran::of(&id, None));
        assert!(
            ran.these(&file, || panic!("asked in vain")) && gone.these(&file, || panic!("asked in vain"))
        );
        // Until the clock of the file system has gone on.
        while written(&file) == ran.written {
            File::options()
                .write(true)
                .truncate(true)
                .open(&path)
                .unwrap()
                .write_all(b"something else")
                .unwrap();
        }
        assert!(!ran.these(&file, || false) && !gone.these(&file, || true));
        assert!(ran.these(&file, || true), "nobody can write to what is run");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_program_that_is_deleted_or_gets_another_mode_is_what_was_run() {
        let (path, file, id) = program("mode");
        let (ran, gone) = (Ran::of(&id, Some(&file)), Ran::of(&id, None));
        while same(&id, &file) {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        }
        assert!(ran.these(&file, || false));
        assert!(!gone.these(&file, || false), "it was not seen running, and is another one");
        fs::remove_file(path).unwrap();
        assert!(ran.these(&file, || false));
    }
}

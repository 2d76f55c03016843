//! A real miner, Debian's xmrig, is stopped when it starts and named; in audit it connects, and that is told.
//!
//! It never works: the listener closes at once and serves no job, it runs as nobody in a network namespace with nothing
//! but `lo`, and it is killed after its event. The packages are unpacked, never installed.

use std::{
    ffi::CString,
    fs, io,
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case},
    cgroup::Cgroup,
    guard::{Guard, Post},
    listener::Listener,
    program, sys,
};
use serde_json::Value;

/// A directory with an unpacked root for each suite, in which xmrig and all that it needs is.
const CORPUS: &str = "MINER_GUARD_CORPUS";
const SUITES: [&str; 2] = ["trixie", "sid"];
/// Where it is told to connect: a listed address on loopback.
const POOL: &str = "127.66.66.66:3333";
const POLICY: &str = "[[rule]]\nid = \"pool\"\nip = [\"127.66.66.66\"]\naction = \"deny\"\n";

/// What was done to the miner's file.
#[derive(Clone, Copy)]
enum Disguise {
    None,
    Renamed,
    /// Without its section headers, and renamed.
    Stripped,
}

pub fn cases() -> Vec<Trial> {
    let mut cases = Vec::new();
    for suite in SUITES {
        for (how, disguise) in
            [("", Disguise::None), ("renamed_", Disguise::Renamed), ("stripped_", Disguise::Stripped)]
        {
            cases.push(case(&format!("the_{how}xmrig_of_{suite}_is_stopped_and_named"), move || {
                with_miner(suite, disguise, stopped)
            }));
            cases
                .push(case(&format!("in_audit_the_{how}xmrig_of_{suite}_connects_and_is_told"), move || {
                    with_miner(suite, disguise, told)
                }));
        }
    }
    cases
}

fn with_miner(suite: &str, disguise: Disguise, test: fn(&Miner) -> Result<()>) -> Result<Done> {
    let Some(corpus) = std::env::var_os(CORPUS) else {
        return Ok(Done::Skipped(format!(
            "{CORPUS} names no directory with unpacked miners: `cargo xtask test` fetches them"
        )));
    };
    let root = PathBuf::from(corpus).join(suite);
    if !root.join("usr/bin/xmrig").is_file() {
        return Ok(Done::Skipped(format!("no xmrig of {suite}: `cargo xtask test` could not fetch it")));
    }
    let miner = Miner::disguised(&root, disguise)
        .with_context(|| format!("with the miner below {}", root.display()))?;
    test(&miner)?;
    Ok(Done::Passed)
}

/// A copy of the miner in the root where its libraries are. The copy is in a file system of the test's own.
struct Miner {
    root: PathBuf,
    /// As seen from inside.
    path: PathBuf,
}

impl Miner {
    fn disguised(root: &Path, disguise: Disguise) -> Result<Self> {
        let inside = root.join("tmp");
        fs::create_dir_all(&inside)?;
        sys::mount("tmpfs", &inside, "tmpfs").context("cannot mount")?;
        let mut bytes = fs::read(root.join("usr/bin/xmrig"))?;
        let name = match disguise {
            Disguise::None => "xmrig",
            Disguise::Renamed => "kworker",
            Disguise::Stripped => {
                strip(&mut bytes)?;
                "kworker"
            }
        };
        let miner = Self { root: root.to_owned(), path: Path::new("/tmp").join(name) };
        program::write(&inside.join(name), &bytes)?;
        Ok(miner)
    }

    /// The miner, told to connect to the pool, as nobody.
    fn command(&self, cgroup: &Cgroup) -> Result<Command> {
        let mut command = cgroup.command(&self.path)?;
        command.args(["-o", POOL, "-u", "x", "--donate-level", "0", "--no-color", "-t", "1"]);
        command.env_clear();
        let root = CString::new(self.root.as_os_str().as_bytes())?;
        // SAFETY: between fork and exec only system calls are made, with strings that exist: no allocation, no lock.
        unsafe {
            command.pre_exec(move || {
                if libc::chroot(root.as_ptr()) != 0 || libc::chdir(c"/".as_ptr()) != 0 {
                    return Err(io::Error::last_os_error());
                }
                sys::set_user(65534)
            });
        }
        Ok(command)
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        if let Err(error) = sys::unmount(&self.root.join("tmp")) {
            eprintln!("cannot unmount the miner's directory: {error}");
        }
    }
}

/// Cuts the section headers off, which lie at the end of the file.
fn strip(elf: &mut Vec<u8>) -> Result<()> {
    let field = elf.get(0x28..0x30).context("no ELF header")?;
    let sections = usize::try_from(u64::from_le_bytes(field.try_into()?))?;
    ensure!(sections > 0x40 && sections < elf.len(), "no section headers");
    elf.truncate(sections);
    elf[0x28..0x30].fill(0);
    // How large, how many, and which one has their names.
    elf[0x3a..0x40].fill(0);
    Ok(())
}

fn exec_event(guard: &mut Guard) -> Result<Value> {
    guard.wait_event(|event| event["miner_guard"]["reason"] == "miner-binary")
}

/// The first time it is killed once it is known for what it is; the second time it never begins.
fn stopped(miner: &Miner) -> Result<()> {
    let cgroup = Cgroup::new()?;
    let pool = Listener::at(POOL.parse()?)?;
    let post = Post::at(&cgroup, POLICY)?;
    let mut guard = post.start("enforce")?;
    for stopped_by in ["daemon", "kernel"] {
        let run = program::run(&mut miner.command(&cgroup)?)?;
        eprintln!("{}, by the {stopped_by}: {:?} after {:?}", miner.path.display(), run.end, run.after);
        ensure!(run.was_stopped(), "it was not stopped: {run:?}");
        ensure!(stopped_by == "daemon" || run.silent, "it ran: {run:?}");
        let event = exec_event(&mut guard)?;
        let about = &event["miner_guard"];
        ensure!(about["enforced"] == true && about["verdict"] == "deny", "{event}");
        ensure!(about["stopped_by"] == stopped_by, "not by the {stopped_by}: {event}");
        ensure!(event["file"]["path"] == miner.path.display().to_string(), "not named: {event}");
        ensure!(event["process"]["args"].to_string().contains(POOL), "without its arguments: {event}");
    }
    ensure!(pool.connections() == 0, "it got through");
    guard.stop()?;
    Ok(())
}

fn told(miner: &Miner) -> Result<()> {
    let cgroup = Cgroup::new()?;
    let pool = Listener::at(POOL.parse()?)?;
    let post = Post::at(&cgroup, POLICY)?;
    let mut guard = post.start("audit")?;
    let mut child =
        miner.command(&cgroup)?.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let result = (|| {
        pool.next_connection()?;
        let (mut exec, mut connect) = (None, None);
        guard.each_event(|event| {
            match event["miner_guard"]["op"].as_str() {
                Some("exec") => exec = Some(event),
                Some("connect") => connect = Some(event),
                _ => {}
            }
            exec.is_some() && connect.is_some()
        })?;
        for (event, reason) in [(exec, "miner-binary"), (connect, "address")] {
            let event = event.context("no event")?;
            let about = &event["miner_guard"];
            ensure!(about["reason"] == reason, "{event}");
            ensure!(about["verdict"] == "deny" && about["enforced"] == false, "{event}");
            ensure!(about["mode"] == "audit", "{event}");
        }
        Ok(())
    })();
    // Whatever came of it: it is not left running.
    child.kill()?;
    child.wait()?;
    result?;
    guard.stop()?;
    Ok(())
}

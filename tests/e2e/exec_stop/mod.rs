//! A listed program is stopped however it is started: before its first instruction once its file is known, soon after
//! when the file is seen for the first time. In audit it runs, and the event says what enforce would have done.

mod site;

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, Shared, sharing},
    coverage::{self, Outcome},
    program::{self, End, Run},
};
use serde_json::Value;
use site::{Rule, SLEEP, Site};

/// The loaders of glibc and musl that may be here.
const LOADERS: [&str; 4] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
];

/// In this order: those in audit switch the mode.
const TESTS: &[Shared<Site>] = &[
    ("a_program_listed_by_path_never_runs", by_path),
    ("a_program_listed_by_sha256_is_stopped", |site| {
        first_and_known(site, "sha256", "`execve` of a known file", Rule::Sha256, by_name)
    }),
    ("a_program_listed_by_md5_is_stopped", |site| {
        first_and_known(site, "md5", "`execve` of a known file", Rule::Md5, by_name)
    }),
    ("a_listed_program_is_stopped_when_started_by_its_descriptor", |site| {
        first_and_known(site, "fexecve", "`fexecve` of a known file", Rule::Sha256, |site, file| {
            let mut command = site.command(file)?;
            program::by_descriptor(&mut command, &File::open(file)?)?;
            Ok(command)
        })
    }),
    ("a_listed_program_is_stopped_when_started_from_an_open_directory", |site| {
        first_and_known(site, "execveat", "`execveat` of a known file", Rule::Sha256, |site, file| {
            let mut command = site.command(file)?;
            let directory = File::open(file.parent().context("no parent")?)?;
            program::in_directory(&mut command, &directory, Path::new(file.file_name().context("no name")?))?;
            Ok(command)
        })
    }),
    ("a_listed_program_is_stopped_as_the_interpreter_of_a_script", |site| {
        first_and_known(
            site,
            "interpreter",
            "a known file as interpreter of a `#!` script",
            Rule::Sha256,
            |site, file| {
                let script = site.post.path("script");
                if !script.exists() {
                    program::write(&script, format!("#!{}\n", file.display()).as_bytes())?;
                }
                site.command(&script)
            },
        )
    }),
    ("a_listed_program_is_stopped_after_it_was_deleted", deleted),
    ("a_listed_program_is_stopped_that_is_deleted_as_soon_as_it_runs", deleted_at_once),
    ("a_listed_program_is_stopped_although_its_mode_is_changed_all_the_while", restless),
    ("a_listed_program_is_stopped_in_memory", in_memory),
    ("a_listed_program_is_stopped_when_given_to_the_loader", given_to_the_loader),
    ("a_copy_of_a_listed_program_is_stopped", copied),
    ("a_program_changed_in_place_is_looked_at_again", changed_in_place),
    ("an_allowed_program_runs_although_it_is_listed", allowed),
    ("a_program_that_nothing_lists_runs", unlisted),
    ("in_audit_a_program_listed_by_path_runs_and_is_told", |site| audited(site, Rule::Path)),
    ("in_audit_a_program_listed_by_sha256_runs_and_is_told", |site| audited(site, Rule::Sha256)),
    ("in_audit_a_program_listed_by_md5_runs_and_is_told", |site| audited(site, Rule::Md5)),
];

pub fn cases() -> Vec<Trial> {
    sharing(|| Site::new("enforce"), |site| site.guard.stop().map(drop), TESTS)
}

fn by_name(site: &Site, file: &Path) -> Result<Command> {
    site.command(file)
}

fn sha256_of(path: &Path) -> Result<String> {
    Ok(Rule::Sha256.value(path, &fs::read(path)?))
}

fn check_event(event: &Value, rule: Rule) -> Result<()> {
    ensure!(event["rule"]["id"] == rule.id(), "rule: {event}");
    ensure!(event["miner_guard"]["reason"] == rule.reason(), "reason: {event}");
    Ok(())
}

/// Its path is known before anybody runs it.
fn by_path(site: &mut Site) -> Result<Done> {
    let file = site.post.path("path");
    for time in ["the first", "the second"] {
        let run = program::run(&mut site.command(&file)?)?;
        ensure!(run.never_ran(), "{time} time: {run:?}");
        let event = site.event(fs::metadata(&file)?.ino(), "")?;
        check_event(&event, Rule::Path)?;
        ensure!(event["miner_guard"]["stopped_by"] == "kernel", "{time} time: {event}");
    }
    tell("listed by its path, from the first start on", Outcome::Stopped);
    Ok(Done::Passed)
}

/// What came of a way to start a listed program.
fn tell(route: &str, outcome: Outcome) {
    let why = match outcome {
        Outcome::Detected => "identified, reported and killed by the daemon",
        _ => "",
    };
    coverage::tell("program", route, outcome, why);
}

/// The first start ends soon, the second never begins.
fn first_and_known(
    site: &mut Site,
    name: &str,
    route: &str,
    rule: Rule,
    start: fn(&Site, &Path) -> Result<Command>,
) -> Result<Done> {
    let file = site.post.path(name);
    let (inode, sha256) = (fs::metadata(&file)?.ino(), sha256_of(&file)?);
    let first = program::run(&mut start(site, &file)?)?;
    check_first(name, &first)?;
    let event = site.event(inode, &sha256)?;
    check_event(&event, rule)?;
    ensure!(event["miner_guard"]["stopped_by"] == "daemon", "the first time: {event}");
    let second = program::run(&mut start(site, &file)?)?;
    ensure!(second.never_ran(), "the second time: {second:?}");
    let event = site.event(inode, &sha256)?;
    check_event(&event, rule)?;
    ensure!(event["miner_guard"]["stopped_by"] == "kernel", "the second time: {event}");
    tell("a file never seen before, however started", Outcome::Detected);
    tell(route, Outcome::Stopped);
    Ok(Done::Passed)
}

fn check_first(name: &str, run: &Run) -> Result<()> {
    ensure!(run.end == End::Killed, "the first time: {run:?}");
    eprintln!("{name}: seen for the first time, dead {:?} after fork()", run.after);
    Ok(())
}

fn deleted(site: &mut Site) -> Result<Done> {
    let path = site.post.path("deleted");
    let sha256 = sha256_of(&path)?;
    let file = File::open(&path)?;
    fs::remove_file(&path)?;
    let name = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
    let first = program::run(&mut site.command(&name)?)?;
    check_first("deleted", &first)?;
    check_event(&site.event(file.metadata()?.ino(), &sha256)?, Rule::Sha256)?;
    let second = program::run(&mut site.command(&name)?)?;
    // Deleting changed the file a moment ago: it may not be remembered yet.
    ensure!(second.was_stopped(), "the second time: {second:?}");
    check_event(&site.event(file.metadata()?.ino(), &sha256)?, Rule::Sha256)?;
    tell("a file that was deleted", Outcome::Detected);
    Ok(Done::Passed)
}

/// As droppers do. Deleting it changes the file, and so its identity, before anybody has looked at it.
fn deleted_at_once(site: &mut Site) -> Result<Done> {
    let path = site.post.path("vanishing");
    let (inode, sha256) = (fs::metadata(&path)?.ino(), sha256_of(&path)?);
    let run = program::run_and(&mut site.command(&path)?, || Ok(fs::remove_file(&path)?))?;
    check_first("deleted at once", &run)?;
    check_event(&site.event(inode, &sha256)?, Rule::Sha256)?;
    tell("a file that was deleted", Outcome::Detected);
    Ok(Done::Passed)
}

/// Its change time moves at each change of the mode, its bytes cannot while it runs: it is no moving target.
fn restless(site: &mut Site) -> Result<Done> {
    let path = site.post.path("restless");
    let (inode, sha256) = (fs::metadata(&path)?.ino(), sha256_of(&path)?);
    let (file, over) = (File::open(&path)?, AtomicBool::new(false));
    let run = thread::scope(|scope| {
        let changes = scope.spawn(|| {
            let mut changes = 0_u64;
            while !over.load(Ordering::Relaxed) {
                file.set_permissions(fs::Permissions::from_mode(0o755))?;
                changes += 1;
            }
            Ok::<_, io::Error>(changes)
        });
        let run = site.command(&path).and_then(|mut command| program::run(&mut command));
        over.store(true, Ordering::Relaxed);
        let changes = changes.join().map_err(|_| anyhow!("the thread that changes the mode panicked"))??;
        ensure!(changes > 0, "nobody changed the mode");
        run
    })?;
    check_first("restless", &run)?;
    check_event(&site.event(inode, &sha256)?, Rule::Sha256)?;
    tell("its mode changed all the while", Outcome::Detected);
    Ok(Done::Passed)
}

/// Each start is of a new file.
fn in_memory(site: &mut Site) -> Result<Done> {
    let path = site.post.path("memory");
    let (bytes, sha256) = (fs::read(&path)?, sha256_of(&path)?);
    for _ in 0..2 {
        let file = program::in_memory(&bytes)?;
        let mut command = site.command(&path)?;
        program::by_descriptor(&mut command, &file)?;
        check_first("memory", &program::run(&mut command)?)?;
        check_event(&site.event(file.metadata()?.ino(), &sha256)?, Rule::Sha256)?;
    }
    tell("memfd", Outcome::Detected);
    Ok(Done::Passed)
}

/// The kernel executes the loader, and only maps the program.
fn given_to_the_loader(site: &mut Site) -> Result<Done> {
    let Some(loader) = LOADERS.iter().map(Path::new).find(|path| path.exists() && Path::new(SLEEP).exists())
    else {
        return Ok(Done::Skipped("there is no dynamic loader on this machine".into()));
    };
    let path = site.post.path("loaded");
    let sha256 = sha256_of(&path)?;
    let inode = fs::metadata(&path)?.ino();
    let mut outcome = Outcome::Detected;
    // Where the bpf LSM is active the loader cannot map a known program, says so and ends, unless the daemon, to which
    // every start of a loader is told, was quicker: only one of several starts need show it.
    for time in 0..16 {
        let run = program::run(site.command(loader)?.arg(&path).arg("3600"))?;
        let refused = !run.printed && matches!(run.end, End::Exited(status) if status != program::DONE);
        ensure!(run.end == End::Killed || (time > 0 && refused), "start {time}: {run:?}");
        site.event(inode, &sha256)?;
        if refused {
            outcome = Outcome::Stopped;
            break;
        }
    }
    tell("a known file given to `ld.so`", outcome);
    // The loader itself is no miner.
    let run = program::run(site.command(loader)?.arg(site.post.path("unlisted")))?;
    ensure!(run.was_let_go(), "another program, given to the loader: {run:?}");
    Ok(Done::Passed)
}

fn copied(site: &mut Site) -> Result<Done> {
    let (from, to) = (site.post.path("copied"), site.post.path("copy"));
    let run = program::run(&mut site.command(&from)?)?;
    ensure!(run.was_stopped(), "the original: {run:?}");
    fs::copy(&from, &to)?;
    let inode = fs::metadata(&to)?.ino();
    ensure!(inode != fs::metadata(&from)?.ino(), "the copy has the same inode");
    let inode = inode.to_string();
    check_first("copy", &program::run(&mut site.command(&to)?)?)?;
    let event = site.guard.wait_event(|event| event["file"]["inode"] == inode)?;
    check_event(&event, Rule::Sha256)?;
    tell("copied to a new inode", Outcome::Detected);
    Ok(Done::Passed)
}

/// The same inode, path and size: only the change time tells.
fn changed_in_place(site: &mut Site) -> Result<Done> {
    let path = site.post.path("in-place");
    for _ in 0..2 {
        let run = program::run(&mut site.command(&path)?)?;
        ensure!(run.was_let_go(), "before the change: {run:?}");
    }
    let inode = fs::metadata(&path)?.ino();
    let mut file = File::options().write(true).truncate(true).open(&path)?;
    file.write_all(&fs::read(site.post.path("changed"))?)?;
    drop(file);
    ensure!(fs::metadata(&path)?.ino() == inode, "the file was not changed in place");
    check_first("changed in place", &program::run(&mut site.command(&path)?)?)?;
    check_event(&site.event(inode, "")?, Rule::Sha256)?;
    tell("changed in place after its verdict", Outcome::Detected);
    // No test can fail here: there is nothing that would see it.
    coverage::tell("program", "injected into a running process", Outcome::Open, "nothing watches for it");
    Ok(Done::Passed)
}

fn allowed(site: &mut Site) -> Result<Done> {
    let path = site.post.path("allowed");
    for time in ["the first", "the second"] {
        let run = program::run(&mut site.command(&path)?)?;
        ensure!(run.was_let_go(), "{time} time: {run:?}");
    }
    // The hash still stops its copy: it is the path that is allowed.
    let copy = site.post.path("allowed-copy");
    fs::copy(&path, &copy)?;
    program::run(&mut site.command(&copy)?)?;
    let inode = fs::metadata(&copy)?.ino().to_string();
    let event = site.guard.wait_event(|event| event["file"]["inode"] == inode)?;
    check_event(&event, Rule::Sha256)?;
    Ok(Done::Passed)
}

fn unlisted(site: &mut Site) -> Result<Done> {
    let path = site.post.path("unlisted");
    for time in ["the first", "the second"] {
        let run = program::run(&mut site.command(&path)?)?;
        ensure!(run.was_let_go(), "{time} time: {run:?}");
    }
    Ok(Done::Passed)
}

fn audited(site: &mut Site, rule: Rule) -> Result<Done> {
    site.switch("audit")?;
    let path = site.post.path(&format!("audit-{}", rule.key()));
    let (inode, sha256) = (fs::metadata(&path)?.ino(), sha256_of(&path)?);
    for time in ["the first", "the second"] {
        let run = program::run(&mut site.command(&path)?)?;
        ensure!(run.was_let_go(), "{time} time: {run:?}");
        let event = site.event(inode, &sha256)?;
        check_event(&event, rule)?;
        ensure!(event["miner_guard"]["mode"] == "audit", "{time} time: {event}");
        ensure!(event["event"]["action"] == "exec-would-be-denied", "{time} time: {event}");
    }
    Ok(Done::Passed)
}

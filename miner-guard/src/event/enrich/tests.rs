use super::*;
use crate::event::{
    decode::decode,
    samples::{self, Scratch},
};
use miner_guard_common::abi::exec::{ARGS_TRUNCATED, FROM_LSM};
use std::{fs, os::unix::fs::symlink};
use zerocopy::IntoBytes;

/// The records are of second 5 after boot; ticks are a hundredth.
const CLOCK: Clock = Clock { realtime_ns: 1_700_000_000_000_000_000, boottime_ns: 0 };
const ID: &str = "4f5e2c0b7a9d8e6f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081";

/// A `/proc` of the test's own.
struct Fixture {
    dir: Scratch,
}

impl Fixture {
    fn new(name: &str) -> Self {
        Self { dir: Scratch::new(&format!("enrich-{name}")) }
    }

    fn process(&self, pid: u32, name: &str, ppid: u32, start_ticks: u64) -> &Self {
        let at = self.dir.path().join(pid.to_string());
        fs::create_dir_all(&at).unwrap();
        let tail = "1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0";
        fs::write(at.join("stat"), format!("{pid} ({name}) S {ppid} {tail} {start_ticks} 1000 200\n"))
            .unwrap();
        symlink(format!("/usr/bin/{name}"), at.join("exe")).unwrap();
        self
    }

    fn file(&self, pid: u32, name: &str, text: impl AsRef<[u8]>) -> &Self {
        let at = self.dir.path().join(pid.to_string()).join(name);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
        self
    }

    fn enricher(&self) -> Enricher {
        let users = Users::with(|uid| (uid == 1000).then(|| "alice".to_owned()));
        Enricher::with(ProcRoot(self.dir.path().into()), users, Cgroups::new(None), None)
    }
}

fn connect() -> Record {
    decode(samples::connect("192.0.2.5:3333").as_bytes()).unwrap()
}

#[test]
fn a_living_process_is_told_in_full() {
    let f = Fixture::new("full");
    f.process(4242, "xmrig", 612, 490).process(612, "bash", 1, 480).process(1, "init", 0, 1);
    f.file(4242, "cmdline", b"./xmrig\0-p\0hunter2\0");
    f.file(4242, "cgroup", format!("0::/system.slice/docker-{ID}.scope\n"));
    let s = f.enricher().source(&connect(), &CLOCK);
    assert!(!s.gone);
    assert_eq!((s.user.as_deref(), s.executable.as_deref()), (Some("alice"), Some("/usr/bin/xmrig")));
    assert_eq!(s.args, ["./xmrig", "-p", "[redacted]"]);
    assert_eq!((s.args_count, s.args_truncated), (Some(3), false));
    assert_eq!(s.ancestry.iter().map(|a| a.pid).collect::<Vec<_>>(), [612, 1]);
    assert_eq!(s.ancestry[0].name.as_deref(), Some("bash"));
    assert_eq!(s.start.unwrap().to_string(), "2023-11-14T22:13:24.9Z");
    assert_eq!(s.container.unwrap().id, ID);
    assert_eq!(s.unit, Some(format!("docker-{ID}.scope")));
}

#[test]
fn a_process_that_is_gone_says_so_and_an_exec_still_has_its_parents_and_arguments() {
    let f = Fixture::new("gone");
    f.process(612, "bash", 1, 480).process(1, "init", 0, 1);
    let exec = decode(samples::exec(b"/tmp/x", &[b"./x", b"-o", b"h"]).as_bytes()).unwrap();
    let s = f.enricher().source(&exec, &CLOCK);
    assert!(s.gone);
    assert_eq!(s.ancestry.iter().map(|a| a.pid).collect::<Vec<_>>(), [612, 1]);
    assert_eq!((s.args.join(" ").as_str(), s.args_count), ("./x -o h", Some(3)));
    let s = f.enricher().source(&connect(), &CLOCK);
    assert!(s.gone && s.ancestry.is_empty() && s.args.is_empty() && !s.args_truncated);
}

#[test]
fn a_process_that_took_the_number_later_is_not_blamed() {
    let f = Fixture::new("reused");
    f.process(4242, "innocent", 612, 503);
    let s = f.enricher().source(&connect(), &CLOCK);
    assert!(s.gone && s.executable.is_none() && s.name.is_none());
}

#[test]
fn a_parents_number_that_was_given_to_a_younger_process_ends_the_chain() {
    let f = Fixture::new("parent");
    f.process(4242, "x", 612, 400).process(612, "innocent", 1, 401).process(1, "init", 0, 1);
    assert_eq!(f.enricher().source(&connect(), &CLOCK).ancestry, []);
}

#[test]
fn a_chain_that_is_long_or_closed_on_itself_ends() {
    let f = Fixture::new("chain");
    f.process(4242, "x", 100, 400);
    for pid in 100..150 {
        f.process(pid, "sh", pid + 1, 300);
    }
    assert_eq!(f.enricher().source(&connect(), &CLOCK).ancestry.len(), ancestry::DEEPEST);
    let f = Fixture::new("ring");
    f.process(4242, "x", 7, 400).process(7, "a", 8, 300).process(8, "b", 7, 300);
    assert_eq!(f.enricher().source(&connect(), &CLOCK).ancestry.len(), 2);
}

#[test]
fn when_the_first_thread_has_ended_the_thread_that_did_it_is_asked() {
    let f = Fixture::new("thread");
    f.process(4242, "x", 0, 400).file(4242, "cmdline", b"");
    fs::remove_file(f.dir.path().join("4242/exe")).unwrap();
    f.file(4242, "task/4243/cmdline", b"./x\0");
    symlink("/usr/bin/x", f.dir.path().join("4242/task/4243/exe")).unwrap();
    let s = f.enricher().source(&connect(), &CLOCK);
    assert_eq!(
        (s.executable.as_deref(), s.args.as_slice()),
        (Some("/usr/bin/x"), ["./x".to_owned()].as_slice())
    );
}

#[test]
fn arguments_cut_by_the_kernel_are_completed_unless_the_program_was_refused() {
    let f = Fixture::new("cut");
    f.process(4242, "x", 0, 400).file(4242, "cmdline", b"./x\0-o\0long\0");
    let mut raw = samples::exec(b"/tmp/x", &[b"./x"]);
    raw.flags = ARGS_TRUNCATED;
    let s = f.enricher().source(&decode(raw.as_bytes()).unwrap(), &CLOCK);
    assert_eq!((s.args.len(), s.args_truncated), (3, false));
    raw.flags |= FROM_LSM;
    let s = f.enricher().source(&decode(raw.as_bytes()).unwrap(), &CLOCK);
    assert_eq!((s.args.len(), s.args_truncated, s.args_count), (1, true, None));
}

#[test]
fn a_hundred_thousand_arguments_become_a_bounded_list_that_says_so() {
    let f = Fixture::new("many");
    f.process(4242, "x", 0, 400).file(4242, "cmdline", b"a\0".repeat(100_000));
    let s = f.enricher().source(&connect(), &CLOCK);
    assert_eq!((s.args.len(), s.args_truncated, s.args_count), (ARGUMENTS, true, None));
}

#[test]
fn a_container_that_shows_in_v1_only_is_found() {
    let f = Fixture::new("v1");
    f.process(4242, "x", 0, 400);
    f.file(4242, "cgroup", format!("9:name=systemd:/docker/{ID}\n4:memory:/docker/{ID}\n0::/\n"));
    let s = f.enricher().source(&connect(), &CLOCK);
    assert_eq!((s.cgroup.as_deref(), s.container.unwrap().id.as_str()), (Some("/"), ID));
}

#[test]
fn this_very_process_is_told_from_the_real_proc() {
    let mut raw = samples::connect("192.0.2.5:1");
    raw.head.pid = std::process::id();
    raw.head.tid = raw.head.pid;
    (raw.head.uid, raw.head.cgroup) = (0, 0);
    raw.head.time_ns = crate::event::clock::monotonic_ns();
    let record = decode(raw.as_bytes()).unwrap();
    let emission = Emission { record, suppressed: 0, scope: crate::event::model::Scope::Same };
    let event = Enricher::new(ProcRoot::default()).event(&emission, &(), None, &Clock::read());
    let exe = std::env::current_exe().unwrap();
    let process = event.process.unwrap();
    assert_eq!(process.executable.as_deref(), exe.to_str());
    assert_eq!(process.parent.unwrap().pid, std::os::unix::process::parent_id());
    assert_eq!(event.user.unwrap().name.as_deref(), Some("root"));
    assert!(!event.miner_guard.process_gone && event.host.is_some_and(|h| !h.name.is_empty()));
}

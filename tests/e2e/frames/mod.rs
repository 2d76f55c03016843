//! A frame of a packet socket is judged like any other packet, on every interface, and by nobody any more when the guard
//! is gone.

mod elsewhere;

use std::{fs::File, net::SocketAddr, sync::mpsc, thread, time::Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    PATIENCE,
    case::{Done, case, sharing},
    cgroup::Cgroup,
    guard::{Guard, Post},
    route::{Attempt, INTERFACE, Route},
    sys::{self, interface},
};
use serde_json::Value;

const POLICY: &str = "builtin = false\non_stop = \"keep\"\n\
    [[rule]]\nid = \"denied\"\nip = [\"127.66.66.66\", \"fd00:6d67::66\"]\naction = \"deny\"\n";
const PEER: &str = "mg-e2e1";
const DROPPED: Attempt = Attempt::Refused(libc::ENOBUFS);

pub fn cases() -> Vec<Trial> {
    // In this order: each goes on with what the one before it left.
    let mut cases = sharing(
        Site::new,
        Site::end,
        &[
            ("a_frame_to_a_denied_destination_is_dropped_and_told", dropped),
            ("a_frame_to_where_nobody_minds_leaves", allowed),
            ("a_frame_from_outside_the_guarded_cgroup_leaves", outside),
            ("a_frame_is_let_through_and_told_in_audit", audited),
            ("a_killed_guard_still_drops_frames_and_the_next_one_takes_all_away", killed),
        ],
    );
    cases.push(case("a_frame_by_an_interface_that_comes_later_is_dropped", later));
    cases.extend(elsewhere::cases());
    cases
}

struct Site {
    post: Post,
    cgroup: Cgroup,
    guard: Option<Guard>,
}

impl Site {
    fn new() -> Result<Self> {
        let cgroup = Cgroup::new()?;
        Ok(Self { post: Post::at(&cgroup, POLICY)?, cgroup, guard: None })
    }

    fn guard(&mut self) -> Result<&mut Guard> {
        if self.guard.is_none() {
            self.guard = Some(self.post.start("enforce")?);
        }
        self.guard.as_mut().context("no guard")
    }

    fn frame(&self, to: &str) -> Result<Attempt> {
        frame(&self.cgroup, to)
    }

    fn end(self) -> Result<()> {
        drop(self.guard);
        self.post.unload()
    }
}

fn frame(cgroup: &Cgroup, to: &str) -> Result<Attempt> {
    Route::FrameWhole.from_cgroup(cgroup, to.parse::<SocketAddr>()?)
}

fn told(event: &Value, fields: &[(&str, Value)]) -> Result<()> {
    for (field, wanted) in fields {
        ensure!(event.pointer(field) == Some(wanted), "{field} should be {wanted}: {event}");
    }
    Ok(())
}

fn dropped(site: &mut Site) -> Result<Done> {
    site.guard()?;
    for (to, ip) in [("127.66.66.66:3333", "127.66.66.66"), ("[fd00:6d67::66]:3333", "fd00:6d67::66")] {
        let attempt = site.frame(to)?;
        ensure!(attempt == DROPPED, "{to}: {attempt}");
        let event = site.guard()?.wait_event(|event| event["destination"]["ip"] == ip)?;
        told(
            &event,
            &[
                ("/event/action", "connection-denied".into()),
                ("/destination/port", 3333.into()),
                ("/network/transport", "udp".into()),
                ("/rule/id", "denied".into()),
                ("/process/name", "exe".into()),
                ("/miner_guard/op", "frame".into()),
                ("/miner_guard/enforced", true.into()),
            ],
        )?;
    }
    Ok(Done::Passed)
}

fn allowed(site: &mut Site) -> Result<Done> {
    site.guard()?;
    for to in ["127.66.66.67:3333", "[fd00:6d67::67]:3333"] {
        let attempt = site.frame(to)?;
        ensure!(attempt == Attempt::Through, "{to}: {attempt}");
    }
    Ok(Done::Passed)
}

fn outside(site: &mut Site) -> Result<Done> {
    site.guard()?;
    let attempt = frame(&Cgroup::new()?, "127.66.66.66:3333")?;
    ensure!(attempt == Attempt::Through, "{attempt}");
    // And one from below it does not.
    let attempt = frame(&site.cgroup.below()?, "127.66.66.66:3333")?;
    ensure!(attempt == DROPPED, "from below: {attempt}");
    Ok(Done::Passed)
}

fn audited(site: &mut Site) -> Result<Done> {
    site.guard()?;
    let done = site.post.run(&["mode", "audit"])?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let attempt = site.frame("127.66.66.66:4444")?;
    ensure!(attempt == Attempt::Through, "{attempt}");
    let event = site.guard()?.wait_event(|event| event["destination"]["port"] == 4444)?;
    told(
        &event,
        &[
            ("/event/action", "connection-would-be-denied".into()),
            ("/destination/ip", "127.66.66.66".into()),
            ("/miner_guard/op", "frame".into()),
            ("/miner_guard/enforced", false.into()),
        ],
    )?;
    let done = site.post.run(&["mode", "enforce"])?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(Done::Passed)
}

fn killed(site: &mut Site) -> Result<Done> {
    site.guard()?;
    let first = site.guard.take().context("no guard")?;
    let mut programs = first.programs_of_interfaces()?;
    first.kill()?;
    let attempt = site.frame("127.66.66.66:3333")?;
    ensure!(attempt == DROPPED, "after the kill: {attempt}");
    ensure!(interface::has_hooks("lo", &programs)?, "nothing hangs on lo");
    programs.extend(site.guard()?.programs_of_interfaces()?);
    let attempt = site.frame("127.66.66.66:3333")?;
    ensure!(attempt == DROPPED, "under the next: {attempt}");
    site.guard.take().context("no guard")?.stop()?;
    let attempt = site.frame("127.66.66.66:3333")?;
    ensure!(attempt == DROPPED, "kept: {attempt}");
    site.post.unload()?;
    let attempt = site.frame("127.66.66.66:3333")?;
    ensure!(attempt == Attempt::Through, "unloaded: {attempt}");
    ensure!(!interface::has_hooks("lo", &programs)?, "something still hangs on lo");
    Ok(Done::Passed)
}

/// In a network namespace of its own, which goes with its thread.
fn later() -> Result<Done> {
    thread::spawn(in_a_new_namespace).join().map_err(|_| anyhow!("the thread panicked"))?
}

fn in_a_new_namespace() -> Result<Done> {
    sys::unshare(libc::CLONE_NEWNET)?;
    sys::net::loopback_up()?;
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    let guard = post.start("enforce")?;
    let before = covered(&post)?;
    if let Err(error) = interface::pair(INTERFACE, PEER) {
        return Ok(Done::Skipped(format!("this kernel makes no pair of interfaces: {error}")));
    }
    wait_until_covered(&post, before + 2)?;
    let attempt = frame(&cgroup, "127.66.66.66:3333")?;
    ensure!(attempt == DROPPED, "by an interface that came later: {attempt}");
    let attempt = frame(&cgroup, "127.66.66.67:3333")?;
    ensure!(attempt == Attempt::Through, "to where nobody minds: {attempt}");
    if interface::has_link(INTERFACE)? {
        moved(&cgroup)?;
    } else {
        interface::remove(INTERFACE)?;
    }
    wait_until_covered(&post, before)?;
    let attempt = frame(&cgroup, "127.66.66.66:3333")?;
    ensure!(attempt == DROPPED, "by another one afterwards: {attempt}");
    let programs = guard.programs_of_interfaces()?;
    guard.kill()?;
    post.unload()?;
    ensure!(!interface::has_hooks("lo", &programs)?, "something still hangs on lo");
    Ok(Done::Passed)
}

/// The interface goes into another network namespace, as those of containers do, and ends there.
fn moved(cgroup: &Cgroup) -> Result<()> {
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let (go, gone) = mpsc::channel();
        let there = scope.spawn(move || {
            sys::unshare(libc::CLONE_NEWNET)?;
            tell.send(File::open("/proc/thread-self/ns/net")?)?;
            gone.recv()?;
            interface::up(INTERFACE)?;
            frame(cgroup, "127.66.66.66:3333")
        });
        interface::move_to(INTERFACE, &told.recv()?)?;
        go.send(())?;
        let attempt = there.join().map_err(|_| anyhow!("the thread panicked"))??;
        ensure!(attempt == DROPPED, "by an interface that was moved: {attempt}");
        Ok(())
    })
}

/// On how many interfaces of its own network namespace the guard says that the hook is.
fn covered(post: &Post) -> Result<usize> {
    let status = post.run(&["status", "-o", "json"])?;
    let status: Value = serde_json::from_slice(&status.stdout).context("status is not JSON")?;
    let hooks = status["hooks"].as_array().context("no hooks")?;
    let hook = hooks.iter().find(|hook| hook["name"] == "frame").context("no hook `frame`")?;
    let on = hook["why"].as_str().and_then(|why| why.strip_prefix("on ")?.split(' ').next()?.parse().ok());
    on.with_context(|| format!("it does not say where: {hook}"))
}

fn wait_until_covered(post: &Post, wanted: usize) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match covered(post)? {
            n if n == wanted => return Ok(()),
            n => ensure!(Instant::now() < end, "the hook is on {n} interfaces, not on {wanted}"),
        }
    }
}

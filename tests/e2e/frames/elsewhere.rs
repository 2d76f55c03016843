//! The same in network namespaces that the guard is not in: containers are in such.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    PATIENCE,
    case::{Done, sharing},
    cgroup::Cgroup,
    guard::{Guard, Post},
    route::{Attempt, Route, Started},
    sys::{self, interface},
};
use serde_json::Value;

use super::{DROPPED, frame, told};

const DENIED: &str = "127.66.66.66:3333";

pub fn cases() -> Vec<Trial> {
    // In this order: each goes on with what the one before it left.
    sharing(
        Site::new,
        |Site { frames, .. }| frames.end(),
        &[
            ("a_frame_in_another_network_namespace_is_dropped_from_the_start", before),
            ("a_frame_in_a_network_namespace_that_comes_later_is_dropped_and_nothing_of_it_stays", later),
            ("a_killed_guard_still_drops_frames_in_another_network_namespace_until_unload", killed),
        ],
    )
}

struct Site {
    frames: super::Site,
    /// There before the guard.
    first: Option<Elsewhere>,
}

impl Site {
    fn new() -> Result<Self> {
        let frames = super::Site::new()?;
        let first = Some(Elsewhere::new(&frames.cgroup)?);
        Ok(Self { frames, first })
    }
}

/// A process in a network namespace of its own, which has nothing but `lo`. Both end with this value.
struct Elsewhere(Started);

impl Elsewhere {
    fn new(cgroup: &Cgroup) -> Result<Self> {
        Ok(Self(Route::FrameElsewhere.start(cgroup, DENIED.parse()?)?))
    }

    fn network(&self) -> Result<File> {
        Ok(File::open(format!("/proc/{}/ns/net", self.0.pid()))?)
    }

    /// Does something there.
    fn within<T: Send>(&self, what: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let network = self.network()?;
        thread::scope(|scope| {
            let there = scope.spawn(move || {
                sys::enter_network(&network)?;
                drop(network);
                what()
            });
            there.join().map_err(|_| anyhow!("the thread panicked"))?
        })
    }

    fn frame(&self, cgroup: &Cgroup) -> Result<Attempt> {
        self.within(|| frame(cgroup, DENIED))
    }

    /// What the guard keeps then of links and notes: a moment later, so that it outlives the guard.
    fn wait_until_dropped(&self, site: &Site) -> Result<Vec<PathBuf>> {
        let end = Instant::now() + PATIENCE;
        loop {
            let attempt = self.frame(&site.frames.cgroup)?;
            let kept = self.kept(&site.frames.post)?;
            match attempt {
                DROPPED if !kept.is_empty() => return Ok(kept),
                DROPPED | Attempt::Through => ensure!(Instant::now() < end, "a frame {attempt}, {kept:?}"),
                other => return Err(anyhow!("{other}")),
            }
        }
    }

    fn kept(&self, post: &Post) -> Result<Vec<PathBuf>> {
        let namespace = self.network()?.metadata()?.ino().to_string();
        let mut kept = Vec::new();
        for abi in fs::read_dir(post.path("bpf/miner-guard"))? {
            for instance in fs::read_dir(abi?.path())? {
                let instance = instance?.path();
                // Only older kernels have filters.
                let parts = ["links", "filters"].map(|part| fs::read_dir(instance.join(part)));
                for entry in parts.into_iter().flatten().flatten() {
                    let entry = entry?;
                    if entry.file_name().to_string_lossy().split('-').any(|part| part == namespace) {
                        kept.push(entry.path());
                    }
                }
            }
        }
        Ok(kept)
    }
}

fn tell_frame(guard: &mut Guard) -> Result<()> {
    let event = guard.wait_event(|event| event["destination"]["ip"] == "127.66.66.66")?;
    let wanted: [(&str, Value); 4] = [
        ("/event/action", "connection-denied".into()),
        ("/rule/id", "denied".into()),
        ("/miner_guard/op", "frame".into()),
        ("/miner_guard/enforced", true.into()),
    ];
    told(&event, &wanted)
}

fn before(site: &mut Site) -> Result<Done> {
    let first = site.first.take().context("it was used already")?;
    let guard = site.frames.guard()?;
    let attempt = first.0.finish()?;
    if let Attempt::Unavailable(why) = attempt {
        return Ok(Done::Skipped(why));
    }
    ensure!(attempt == DROPPED, "{attempt}");
    tell_frame(guard)?;
    Ok(Done::Passed)
}

fn later(site: &mut Site) -> Result<Done> {
    site.frames.guard()?;
    let there = Elsewhere::new(&site.frames.cgroup)?;
    let kept = there.wait_until_dropped(site)?;
    tell_frame(site.frames.guard()?)?;
    let attempt = there.0.finish()?;
    ensure!(attempt == DROPPED, "by the process itself: {attempt}");
    let end = Instant::now() + PATIENCE;
    while kept.iter().any(|path| path.exists()) {
        ensure!(Instant::now() < end, "still there: {kept:?}");
        // It answers all the while.
        ensure!(site.frames.post.run(&["status"])?.status.success());
    }
    Ok(Done::Passed)
}

fn killed(site: &mut Site) -> Result<Done> {
    site.frames.guard()?;
    let there = Elsewhere::new(&site.frames.cgroup)?;
    let cgroup = &site.frames.cgroup;
    let dropped = |what: &str| {
        let attempt = there.frame(cgroup)?;
        ensure!(attempt == DROPPED, "{what}: {attempt}");
        anyhow::Ok(())
    };
    there.wait_until_dropped(site)?;
    let first = site.frames.guard.take().context("no guard")?;
    let mut programs = first.programs_of_interfaces()?;
    first.kill()?;
    dropped("after the kill")?;
    let next = site.frames.post.start("enforce")?;
    dropped("under the next")?;
    programs.extend(next.programs_of_interfaces()?);
    next.stop()?;
    dropped("kept")?;
    site.frames.post.unload()?;
    let attempt = there.frame(cgroup)?;
    ensure!(attempt == Attempt::Through, "unloaded: {attempt}");
    let left = there.within(|| Ok(interface::has_hooks("lo", &programs)?))?;
    ensure!(!left, "something still hangs on lo there");
    Ok(Done::Passed)
}

//! Who crosses the border of an isolated cgroup, and with what. A socket belongs to the cgroup in which it was made.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
};

use anyhow::{Result, bail, ensure};
use miner_guard_tests::{
    case::Done,
    cgroup::{self, Cgroup},
    guard::{Guard, Post},
    listener::Listener,
    route::Route,
};

use super::{OTHER, POLICY, isolate};

/// Two cgroups under one guard; the first is isolated.
struct Site {
    guard: Guard,
    post: Post,
    inside: Cgroup,
    outside: Cgroup,
    // The last to go: it holds the others.
    _above: Cgroup,
}

impl Site {
    fn new() -> Result<Self> {
        let above = Cgroup::new()?;
        let (inside, outside) = (above.below()?, above.below()?);
        let post = Post::at(&above, POLICY)?;
        let guard = post.start("enforce")?;
        Ok(Self { guard, post, inside, outside, _above: above })
    }

    fn isolate(&self) -> Result<()> {
        isolate(&self.post, "isolate", &self.inside, &[]).map(drop)
    }
}

/// Brings this process back where it was.
struct Home(PathBuf);

impl Drop for Home {
    fn drop(&mut self) {
        if let Err(error) = cgroup::enter(&self.0) {
            eprintln!("cannot return to {}: {error}", self.0.display());
        }
    }
}

fn socket() -> io::Result<UdpSocket> {
    UdpSocket::bind("127.0.0.1:0")
}

fn reaches(socket: &UdpSocket, to: &str) -> Result<bool> {
    match socket.connect(to.parse::<SocketAddr>()?) {
        Ok(()) => Ok(true),
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => Ok(false),
        Err(e) => bail!("{to}: {e}"),
    }
}

pub fn leaving() -> Result<Done> {
    let site = Site::new()?;
    let listener = Listener::that_keeps("127.77.0.3:0".parse()?)?;
    let held = Route::TcpBefore.start(&site.inside, listener.address())?;
    site.isolate()?;
    site.outside.take(held.pid())?;
    let attempt = held.finish()?;
    ensure!(attempt.is_stopped(), "its connection went on outside: {attempt}");

    let home = Home(cgroup::own()?);
    cgroup::enter(site.inside.path())?;
    let made_inside = socket()?;
    ensure!(!reaches(&made_inside, OTHER)?, "it is not confined");
    cgroup::enter(site.outside.path())?;
    ensure!(!reaches(&made_inside, OTHER)?, "what it made inside is free outside");
    ensure!(reaches(&socket()?, OTHER)?, "what it makes outside is confined");
    drop(home);
    site.guard.stop()?;
    Ok(Done::Passed)
}

pub fn entering() -> Result<Done> {
    let site = Site::new()?;
    let listener = Listener::that_keeps("127.77.0.3:0".parse()?)?;
    let held = [Route::TcpBefore, Route::PassedBefore]
        .map(|route| route.start(&site.outside, listener.address()).map(|started| (route, started)));
    site.isolate()?;
    for held in held {
        let (route, started) = held?;
        site.inside.take(started.pid())?;
        let attempt = started.finish()?;
        ensure!(!attempt.is_stopped(), "{}: docs call this open: {attempt}", route.title());
    }
    let home = Home(cgroup::own()?);
    cgroup::enter(site.outside.path())?;
    let made_outside = socket()?;
    cgroup::enter(site.inside.path())?;
    ensure!(reaches(&made_outside, OTHER)?, "docs call this open");
    ensure!(!reaches(&socket()?, OTHER)?, "what it makes inside is free");
    drop(home);
    site.guard.stop()?;
    Ok(Done::Passed)
}

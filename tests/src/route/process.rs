//! The process that tries a route: this very program, started again with a hidden argument.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::{Attempt, Route, receiver};
use crate::cgroup::Cgroup;

/// The hidden first argument of a process that tries one route.
const ARGUMENT: &str = "--try-route";
/// How its one line of output begins.
const ANSWER: &str = "route: ";
/// What the process of a held route says first, when it is connected.
const HOLDING: &str = "route holds";

impl Route {
    /// Tries the route in a new process inside `cgroup`.
    pub fn from_cgroup(self, cgroup: &Cgroup, to: SocketAddr) -> Result<Attempt> {
        self.start(cgroup, to)?.finish()
    }

    /// Starts a process inside `cgroup` that tries it. That of a held route connects, and waits to be finished.
    pub fn start(self, cgroup: &Cgroup, to: SocketAddr) -> Result<Started> {
        let mut command = cgroup.command("/proc/self/exe")?;
        command.args([ARGUMENT, self.name(), &to.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let mut stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut said = String::new();
        if self.is_held() {
            // It may also answer at once: that it cannot connect.
            stdout.read_line(&mut said)?;
        }
        Ok(Started { route: self, child, stdout, said })
    }
}

/// A route that is being tried. Its process ends with this value.
pub struct Started {
    route: Route,
    child: Child,
    stdout: BufReader<ChildStdout>,
    said: String,
}

impl Started {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it go on, and waits for what comes of it.
    pub fn finish(mut self) -> Result<Attempt> {
        // End of file is the word to go on.
        drop(self.child.stdin.take());
        self.stdout.read_to_string(&mut self.said)?;
        let status = self.child.wait()?;
        if let Some(line) = answer(&self.said) {
            return Ok(Attempt::of_line(line));
        }
        let mut why = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut why)?;
        }
        bail!("{}: no answer: {status}\n{why}", self.route.name())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.strip_prefix(ANSWER))
}

/// For the process of a held route: says that it is connected, and waits until it may go on.
pub(super) fn hold() -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{HOLDING}")?;
    stdout.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

/// Starts the other side of a route that passes a socket; `stdin` is where it comes from.
pub(super) fn receive(name: &str, to: SocketAddr, stdin: Stdio) -> std::io::Result<()> {
    let output: Output =
        Command::new("/proc/self/exe").args([ARGUMENT, name, &to.to_string()]).stdin(stdin).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    match answer(&text).map(Attempt::of_line) {
        Some(Attempt::Through) => Ok(()),
        Some(Attempt::Refused(errno)) => Err(std::io::Error::from_raw_os_error(errno)),
        Some(Attempt::Dropped) => Err(super::attempt::dropped()),
        Some(Attempt::Unavailable(why)) => Err(std::io::Error::other(why)),
        None => Err(std::io::Error::other("the receiver gave no answer")),
    }
}

/// Does what a process started by this module is for, if this is one. True when it was.
pub fn serve() -> bool {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ARGUMENT) {
        return false;
    }
    let line = match (arguments.next(), arguments.next().and_then(|to| to.parse().ok())) {
        (Some(name), Some(to)) => match Route::ALL.iter().find(|route| route.name() == name) {
            Some(route) => Attempt::line(route.attempt(to)),
            None => match receiver(&name) {
                Some(receive) => Attempt::line(receive(to)),
                None => format!("no route is called {name}"),
            },
        },
        _ => "no route and address were given".to_owned(),
    };
    println!("{ANSWER}{line}");
    true
}

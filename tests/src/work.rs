//! Work that a test has done inside a scratch cgroup by this very program, started again with a hidden argument.

use std::{
    ffi::{CString, OsStr},
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{cgroup::Cgroup, sys};

/// The hidden first argument.
const ARGUMENT: &str = "--work";

/// What [`Loop`] saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// connect() gave 0.
    pub through: u64,
    /// connect() gave EPERM.
    pub denied: u64,
    /// connect() gave another error.
    pub other: u64,
}

impl Seen {
    /// All attempts.
    pub fn all(self) -> u64 {
        self.through + self.denied + self.other
    }
}

/// A process with a thread for each address, that connects (UDP: nothing is sent) over and over.
pub struct Loop {
    child: Child,
    addresses: usize,
}

impl Loop {
    /// Starts it in `cgroup`, and waits until each thread has connected once.
    pub fn start(cgroup: &Cgroup, to: &[SocketAddr]) -> Result<Self> {
        let mut command = cgroup.command("/proc/self/exe")?;
        command.args([ARGUMENT, "loop"]).args(to.iter().map(SocketAddr::to_string));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut byte = [0; 1];
        child
            .stdout
            .as_mut()
            .context("no stdout")?
            .read_exact(&mut byte)
            .context("the loop did not start")?;
        Ok(Self { child, addresses: to.len() })
    }

    /// Ends it and gives what it saw, in the order of the addresses.
    pub fn stop(mut self) -> Result<Vec<Seen>> {
        drop(self.child.stdin.take());
        let stdout = BufReader::new(self.child.stdout.take().context("no stdout")?);
        let seen = stdout
            .lines()
            .map(|line| {
                let line = line?;
                let mut numbers = line.split_whitespace().map(str::parse);
                let mut next = || numbers.next().context("a number is missing")?.context("not a number");
                Ok(Seen { through: next()?, denied: next()?, other: next()? })
            })
            .collect::<Result<Vec<_>>>()?;
        ensure!(seen.len() == self.addresses, "the loop ended early");
        self.child.wait()?;
        Ok(seen)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One process that connects `times` times to each of `addresses` addresses from `first` on; what it saw.
pub fn flood(cgroup: &Cgroup, first: SocketAddr, addresses: u32, times: u32) -> Result<Seen> {
    let mut command = cgroup.command("/proc/self/exe")?;
    command.args([ARGUMENT, "flood", &first.to_string(), &addresses.to_string(), &times.to_string()]);
    counted(&mut command)
}

/// A command that calls itself `name` (up to 15 bytes count) and connects once to each address.
pub fn named(cgroup: &Cgroup, name: &OsStr, to: &[SocketAddr]) -> Result<Command> {
    let mut command = cgroup.command("/proc/self/exe")?;
    command.args([ARGUMENT, "named"]).args(to.iter().map(SocketAddr::to_string)).arg("--").arg(name);
    Ok(command)
}

/// A process that connects to an address and sends it `payload`, `piece` bytes a segment.
pub fn say(cgroup: &Cgroup, to: SocketAddr, payload: &[u8], piece: usize) -> Result<()> {
    let mut command = cgroup.command("/proc/self/exe")?;
    command.args([ARGUMENT, "say", &to.to_string(), &piece.to_string()]);
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    child.stdin.take().context("no stdin")?.write_all(payload)?;
    ensure!(child.wait()?.success(), "the payload could not be sent");
    Ok(())
}

/// A process with a connection on which it waits for an answer.
pub struct Waiting {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

/// How the wait for an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What read() gave: 0, or the errno.
    pub errno: i32,
    /// From when its connection stood and its payload was sent.
    pub after: Duration,
}

impl Waiting {
    /// Starts it in `cgroup`, connects it, and has it send `payload`.
    pub fn on(cgroup: &Cgroup, to: SocketAddr, payload: &[u8]) -> Result<Self> {
        Self::start(Path::new("/proc/self/exe"), cgroup, "wait", to, payload)
    }

    /// The same by a copy of this program, and without a payload.
    pub fn by(copy: &Path, cgroup: &Cgroup, to: SocketAddr) -> Result<Self> {
        Self::start(copy, cgroup, "wait", to, b"")
    }

    /// The same in a network namespace of its own, where it is its own peer too.
    pub fn elsewhere(cgroup: &Cgroup, to: SocketAddr, payload: &[u8]) -> Result<Self> {
        Self::start(Path::new("/proc/self/exe"), cgroup, "wait-elsewhere", to, payload)
    }

    fn start(program: &Path, cgroup: &Cgroup, what: &str, to: SocketAddr, payload: &[u8]) -> Result<Self> {
        let mut command = cgroup.command(program)?;
        command.args([ARGUMENT, what, &to.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        child.stdin.take().context("no stdin")?.write_all(payload)?;
        let mut stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut said = String::new();
        stdout.read_line(&mut said)?;
        ensure!(said == "connected\n", "it did not connect: {said}");
        Ok(Self { child, stdout })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until its wait is over.
    pub fn end(mut self) -> Result<Answered> {
        let mut said = String::new();
        self.stdout.read_line(&mut said)?;
        let mut numbers = said.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(errno)), Some(Ok(ms))) = (numbers.next(), numbers.next()) else {
            anyhow::bail!("it said nothing of its end: {said}");
        };
        Ok(Answered { errno: i32::try_from(errno)?, after: Duration::from_millis(ms) })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One process that asks a name server about a name and waits for the answer.
pub fn ask(cgroup: &Cgroup, server: SocketAddr, name: &str) -> Result<()> {
    let mut command = cgroup.command("/proc/self/exe")?;
    command.args([ARGUMENT, "ask", &server.to_string(), name]);
    let seen = counted(&mut command)?;
    ensure!(seen == Seen { through: 1, ..Seen::default() }, "no answer about {name}: {seen:?}");
    Ok(())
}

/// Runs a command of this module to its end and reads its counts.
pub fn counted(command: &mut Command) -> Result<Seen> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [through, denied, other] = numbers[..] else {
        anyhow::bail!("no counts: {}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    };
    Ok(Seen { through, denied, other })
}

/// Does what a process started by this module is for, if this is one. True when it was.
pub fn serve() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        return false;
    }
    let what = arguments.next().unwrap_or_default();
    let rest: Vec<_> = arguments.collect();
    let address = |text: &std::ffi::OsString| text.to_str().and_then(|text| text.parse::<SocketAddr>().ok());
    let addresses: Vec<SocketAddr> = rest.iter().map_while(address).collect();
    let number = |at: usize| rest.get(at).and_then(|text| text.to_str()).and_then(|text| text.parse().ok());
    match what.to_str() {
        Some("loop") => serve_loop(&addresses),
        Some("flood") => {
            if let (Some(first), Some(count), Some(times)) = (addresses.first(), number(1), number(2)) {
                tell(serve_flood(*first, count, times));
            }
        }
        Some("named") => {
            if let Some(name) = rest.last().and_then(|name| CString::new(name.as_bytes()).ok()) {
                // SAFETY: the name is NUL-terminated and outlives the call; the kernel copies at most 16 bytes.
                unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
            }
            let mut seen = Seen::default();
            addresses.iter().for_each(|to| connect(*to, &mut seen));
            tell(seen);
        }
        Some("say") => {
            if let (Some(to), Some(piece)) = (addresses.first(), number(1)) {
                let said = serve_say(*to, usize::try_from(piece).unwrap_or(1));
                std::process::exit(i32::from(said.is_err()));
            }
        }
        Some("wait") => {
            if let Some(to) = addresses.first() {
                serve_wait(*to, None);
            }
        }
        Some("wait-elsewhere") => {
            let there = || {
                sys::unshare(libc::CLONE_NEWNET)?;
                sys::net::loopback_up()?;
                std::net::TcpListener::bind(addresses.first().copied().ok_or(io::ErrorKind::InvalidInput)?)
            };
            match there() {
                Ok(peer) => peer.local_addr().map_or((), |to| serve_wait(to, Some(&peer))),
                Err(error) => println!("no network namespace: {error}"),
            }
        }
        Some("ask") => {
            if let (Some(server), Some(name)) =
                (addresses.first(), rest.last().and_then(|name| name.to_str()))
            {
                let asked = serve_ask(*server, name);
                tell(Seen { through: asked.is_ok().into(), other: asked.is_err().into(), denied: 0 });
            }
        }
        _ => eprintln!("no such work: {what:?}"),
    }
    true
}

fn tell(seen: Seen) {
    println!("{} {} {}", seen.through, seen.denied, seen.other);
}

fn connect(to: SocketAddr, seen: &mut Seen) {
    let any = SocketAddr::new(
        if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() },
        0,
    );
    match UdpSocket::bind(any).and_then(|socket| socket.connect(to)) {
        Ok(()) => seen.through += 1,
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => seen.denied += 1,
        Err(_) => seen.other += 1,
    }
}

/// Sends what comes on stdin.
fn serve_say(to: SocketAddr, piece: usize) -> io::Result<()> {
    let mut payload = Vec::new();
    io::stdin().read_to_end(&mut payload)?;
    let mut stream = std::net::TcpStream::connect(to)?;
    // Each piece is a segment of its own.
    stream.set_nodelay(true)?;
    payload.chunks(piece).try_for_each(|part| stream.write_all(part))
}

/// `peer` accepts the connection, where nobody else does.
fn serve_wait(to: SocketAddr, peer: Option<&std::net::TcpListener>) {
    let opened = || {
        let mut payload = Vec::new();
        io::stdin().read_to_end(&mut payload)?;
        let mut stream = std::net::TcpStream::connect(to)?;
        stream.set_read_timeout(Some(crate::PATIENCE))?;
        let kept = peer.map(std::net::TcpListener::accept).transpose()?;
        println!("connected");
        // Nobody may read any more: then nobody waits for the answer either.
        let sent = stream.write_all(&payload);
        let start = Instant::now();
        let outcome = sent.and_then(|()| stream.read(&mut [0]));
        drop(kept);
        Ok::<_, io::Error>((outcome, start.elapsed()))
    };
    match opened() {
        Ok((outcome, after)) => {
            let errno = outcome.map_or_else(|e| e.raw_os_error().unwrap_or(-1).unsigned_abs(), |_| 0);
            println!("{errno} {}", after.as_millis());
        }
        Err(error) => println!("not connected: {error}"),
    }
}

/// Until stdin ends.
fn serve_loop(addresses: &[SocketAddr]) {
    let stop = AtomicBool::new(false);
    let started = std::sync::Barrier::new(addresses.len() + 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = addresses
            .iter()
            .map(|to| {
                scope.spawn(|| {
                    let mut seen = Seen::default();
                    connect(*to, &mut seen);
                    started.wait();
                    while !stop.load(Ordering::Relaxed) {
                        connect(*to, &mut seen);
                    }
                    seen
                })
            })
            .collect();
        started.wait();
        let mut stdout = io::stdout();
        // If the test has gone, stdin has ended too.
        let _ = stdout.write_all(b"!").and_then(|()| stdout.flush());
        let _ = io::stdin().read_to_end(&mut Vec::new());
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            tell(thread.join().unwrap_or_default());
        }
    });
}

fn serve_flood(first: SocketAddr, addresses: u32, times: u32) -> Seen {
    let mut seen = Seen::default();
    for _ in 0..times {
        for n in 0..addresses {
            let mut to = first;
            if let SocketAddr::V4(v4) = &mut to {
                v4.set_ip(Ipv4Addr::from_bits(v4.ip().to_bits().wrapping_add(n)));
            }
            connect(to, &mut seen);
        }
    }
    seen
}

fn serve_ask(server: SocketAddr, name: &str) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(crate::PATIENCE))?;
    let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).unwrap_or(0));
        question.extend(label.bytes());
    }
    question.extend([0, 0, 28, 0, 1]);
    socket.send_to(&question, server)?;
    socket.recv(&mut [0; 512]).map(drop)
}

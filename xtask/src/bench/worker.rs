//! The process that is measured: it sits in one configuration's cgroup and network namespace, on one CPU, and does
//! a batch of calls whenever it is told to. Both ends of the conversation are here.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::{
    net::{AddressFamily, SendFlags, SocketType, connect, sendto, socket, sockopt},
    thread::{CpuSet, sched_setaffinity},
};

use super::{bpf, data, place::Cgroup, resolver::Resolver, short::Ends};

/// What a batch repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// UDP `connect()` to one allowed address.
    UdpHot,
    /// UDP `connect()` to another allowed address each time.
    UdpCold,
    /// UDP `connect()` to the denied address.
    UdpDenied,
    /// 64 bytes by `sendto()` to another allowed address each time.
    SendCold,
    /// TCP `connect()` to another allowed address each time.
    TcpCold,
    /// `posix_spawn()` of a tiny static program, and waiting for its end.
    Exec,
    /// A DNS question for another name each time, to port 53 of loopback, until the server's end has it.
    Ask,
    /// The same, and its answer back.
    Resolve,
    /// The same with a socket of its own, as libc does it.
    ResolveAnew,
    /// A TCP connection on which nothing is said.
    Connection,
    /// The same, with a request and an answer in HTML.
    ConnectionText,
    /// The same in JSON.
    ConnectionJson,
    /// A new process for each 64 UDP connects to the denied address.
    Flood,
}

impl Mode {
    fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map(|v| v.get_name().to_owned()).unwrap_or_default()
    }
}

/// Connects by one process of [`Mode::Flood`]: what the kernel side lets a process report in a second.
pub const FLOOD_EACH: u32 = 64;

/// Arguments of the worker.
#[derive(clap::Args)]
pub struct Args {
    #[arg(long)]
    dial: PathBuf,
    #[arg(long)]
    program: PathBuf,
}

/// Sits on a CPU.
pub fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on CPU {cpu}"))
}

/// A worker, seen from the bench.
pub struct Worker {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts `command` (this program, perhaps in a network namespace) and puts it into the cgroup.
    pub fn start(mut command: Command, dial: &Path, program: &Path, cgroup: &Cgroup) -> Result<Self> {
        command.arg("bench-worker").arg("--dial").arg(dial).arg("--program").arg(program);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        cgroup.take(child.id())?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("no stdout")?);
        Ok(Self { child, orders, answers })
    }

    /// Does a tenth of the batch unmeasured, then the batch. Gives nanoseconds a call and how many were denied.
    pub fn batch(&mut self, mode: Mode, calls: u32) -> Result<(f64, u32)> {
        let orders = self.orders.as_mut().context("the worker has ended")?;
        writeln!(orders, "{} {calls}", mode.name())?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer = line
            .trim()
            .split_once(' ')
            .and_then(|(ns, denied)| Some((ns.parse().ok()?, denied.parse().ok()?)));
        answer.with_context(|| format!("a worker failed at {mode:?}: {line}"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It ends when nobody can tell it anything any more.
        self.orders = None;
        if let Err(error) = self.child.wait() {
            eprintln!("waiting for a worker: {error}");
        }
    }
}

/// Reads orders until there are no more.
pub fn main(args: &Args) -> Result<()> {
    pin(0)?;
    let mut orders = std::io::stdin().lines().peekable();
    // A socket belongs to the cgroup that its maker is in, and whoever gives orders has moved this process into its own.
    if orders.peek().is_none() {
        return Ok(());
    }
    let mut work = Work::new(args)?;
    for line in orders {
        let line = line?;
        let (mode, calls) = line.split_once(' ').context("an order without a number")?;
        let mode = <Mode as clap::ValueEnum>::from_str(mode, false).map_err(anyhow::Error::msg)?;
        let calls: u32 = calls.parse()?;
        if mode != Mode::Flood {
            work.batch(mode, calls.div_ceil(10))?;
        }
        let (spent, denied) = work.batch(mode, calls)?;
        println!("{} {denied}", spent.as_nanos() as f64 / f64::from(calls));
    }
    Ok(())
}

struct Work {
    dial: Vec<Ipv4Addr>,
    next: usize,
    program: PathBuf,
    udp: OwnedFd,
    udp_unconnected: OwnedFd,
    /// Gets datagrams and drops them, so that they are not answered by ICMP.
    sink: UdpSocket,
    listener: TcpListener,
    resolver: Option<Resolver>,
    ends: Option<Ends>,
}

impl Work {
    fn new(args: &Args) -> Result<Self> {
        let bytes = std::fs::read(&args.dial)?;
        let dial: Vec<Ipv4Addr> = bytes.as_chunks().0.iter().map(|a: &[u8; 4]| Ipv4Addr::from(*a)).collect();
        ensure!(!dial.is_empty(), "{} is empty", args.dial.display());
        let datagram = || socket(AddressFamily::INET, SocketType::DGRAM, None);
        let sink = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        sockopt::set_socket_recv_buffer_size(&sink, 4096)?;
        Ok(Self {
            // Each worker somewhere else in the list, and every batch further on.
            next: std::process::id() as usize * 7919,
            dial,
            program: args.program.clone(),
            udp: datagram()?,
            udp_unconnected: datagram()?,
            sink,
            listener: TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?,
            resolver: None,
            ends: None,
        })
    }

    fn address(&mut self) -> Ipv4Addr {
        self.next += 1;
        self.dial[self.next % self.dial.len()]
    }

    /// Time spent in the calls, and how many were denied.
    fn batch(&mut self, mode: Mode, calls: u32) -> Result<(Duration, u32)> {
        let udp_port = self.sink.local_addr()?.port();
        match mode {
            Mode::UdpHot => self.timed(calls, |w| dial(&w.udp, data::ALLOWED, udp_port)),
            Mode::UdpDenied => self.timed(calls, |w| dial(&w.udp, data::DENIED, udp_port)),
            Mode::UdpCold => self.timed(calls, |w| {
                let to = w.address();
                dial(&w.udp, to, udp_port)
            }),
            Mode::SendCold => self.timed(calls, |w| {
                let to = SocketAddrV4::new(w.address(), udp_port);
                // What a packet filter drops at output is EPERM.
                Ok(sendto(&w.udp_unconnected, &[0; 64], SendFlags::empty(), &to).is_err())
            }),
            Mode::TcpCold => self.tcp(calls),
            Mode::Exec => self.timed(calls, |w| {
                let mut child = Command::new(&w.program).spawn()?;
                Ok(!child.wait()?.success())
            }),
            Mode::Ask | Mode::Resolve | Mode::ResolveAnew => {
                let mut resolver = self.resolver.take().map_or_else(Resolver::new, Ok)?;
                let outcome = self.timed(calls, |_| resolver.exchange(mode));
                self.resolver = Some(resolver);
                outcome
            }
            Mode::Connection | Mode::ConnectionText | Mode::ConnectionJson => {
                let mut ends = self.ends.take().map_or_else(Ends::new, Ok)?;
                let outcome = self.timed(calls, |_| ends.connect(mode).map(|()| false));
                self.ends = Some(ends);
                outcome
            }
            Mode::Flood => self.timed(calls.div_ceil(FLOOD_EACH), |w| {
                bpf::dial_in_a_child(&w.udp, (data::DENIED, udp_port), FLOOD_EACH)?;
                Ok(true)
            }),
        }
    }

    fn timed(
        &mut self,
        calls: u32,
        mut call: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<(Duration, u32)> {
        let start = Instant::now();
        let mut denied = 0;
        for _ in 0..calls {
            denied += u32::from(call(self)?);
        }
        Ok((start.elapsed(), denied))
    }

    /// Only `connect()` is timed; the socket, the other end and the reset are not.
    fn tcp(&mut self, calls: u32) -> Result<(Duration, u32)> {
        let port = self.listener.local_addr()?.port();
        let mut spent = Duration::ZERO;
        for _ in 0..calls {
            let to = SocketAddr::from((self.address(), port));
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
            sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
            let start = Instant::now();
            connect(&socket, &to).with_context(|| format!("connecting to {to}"))?;
            spent += start.elapsed();
            drop(self.listener.accept()?);
        }
        Ok((spent, 0))
    }
}

fn dial(socket: &OwnedFd, to: Ipv4Addr, port: u16) -> Result<bool> {
    match connect(socket, &SocketAddrV4::new(to, port)) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::PERM) => Ok(true),
        Err(error) => bail!("connecting to {to}: {error}"),
    }
}

//! Every way in which an unprivileged program can reach an address, each tried in a process of its own.
//!
//! [`Route::from_cgroup`] starts this very program again, inside a cgroup, with a hidden argument; [`serve`] is what
//! that process does. One file per kind: [`tcp`], [`udp`], [`raw`], [`ring`] (io_uring), [`place`] (somewhere else).

mod place;
mod raw;
mod ring;
mod tcp;
mod udp;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    process::Stdio,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use crate::{PATIENCE, cgroup::Cgroup};

/// The hidden first argument of a process that tries one route.
const ARGUMENT: &str = "--try-route";
/// How its one line of output begins.
const ANSWER: &str = "route: ";

macro_rules! routes {
    ($($(#[$doc:meta])* $route:ident => $name:literal, $function:path;)*) => {
        /// A way to reach an address.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Route {
            $($(#[$doc])* $route,)*
        }

        impl Route {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$route,)*];

            /// Its name: part of the names of tests.
            pub fn name(self) -> &'static str {
                match self { $(Self::$route => $name,)* }
            }

            /// Tries it in this process, which may not be the same afterwards.
            fn attempt(self, to: SocketAddr) -> io::Result<()> {
                match self { $(Self::$route => $function(to),)* }
            }
        }
    };
}

routes! {
    /// connect() of a stream socket.
    Tcp => "tcp", tcp::connect;
    /// The same without waiting.
    TcpNonblocking => "tcp_nonblocking", tcp::nonblocking;
    /// An IPv4 address through an IPv6 socket.
    TcpMapped => "tcp_v4_mapped", tcp::mapped;
    /// Data with the first packet, by sendto(MSG_FASTOPEN): there is no connect().
    FastOpenSendto => "tcp_fast_open_by_sendto", tcp::fast_open_sendto;
    /// Data with the first packet, by TCP_FASTOPEN_CONNECT.
    FastOpenConnect => "tcp_fast_open_by_connect", tcp::fast_open_connect;
    /// Multipath TCP.
    Mptcp => "mptcp", tcp::multipath;
    /// connect() by io_uring, done by the kernel.
    IoUring => "io_uring", ring::connect;
    /// connect() of a datagram socket.
    UdpConnect => "udp_connect", udp::connect;
    /// sendto() of an unconnected datagram socket.
    UdpSendto => "udp_sendto", udp::sendto;
    /// sendmsg() of the same.
    UdpSendmsg => "udp_sendmsg", udp::sendmsg;
    /// sendmmsg() of the same.
    UdpSendmmsg => "udp_sendmmsg", udp::sendmmsg;
    /// An IPv4 address through an IPv6 datagram socket.
    UdpMapped => "udp_v4_mapped", udp::mapped;
    /// A packet whose IP header the program wrote.
    RawHeader => "raw_ip_hdrincl", raw::header_included;
    /// From a thread.
    Thread => "thread", place::thread;
    /// After setuid() to an ordinary user.
    OtherUser => "connect_after_setuid", place::other_user;
    /// On a socket that another process made and passed over a unix socket.
    PassedSocket => "passed_socket", place::passed_socket;
    /// From a new child cgroup.
    NewCgroup => "new_child_cgroup", place::new_cgroup;
    /// From a new network namespace.
    NewNetwork => "new_network_namespace", place::new_network;
    /// From a new user namespace.
    NewUser => "new_user_namespace", place::new_user;
    /// The other side of [`Route::PassedSocket`].
    ReceivedSocket => "received_socket", place::received_socket;
}

/// What came of trying a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The address was reached.
    Through,
    /// The kernel said no, with this errno.
    Refused(i32),
    /// This kernel has no such route; why.
    Unavailable(String),
}

impl Attempt {
    /// Whether it was refused with EPERM, which is how the guard refuses.
    pub fn is_denied(&self) -> bool {
        *self == Self::Refused(libc::EPERM)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Through => f.write_str("got through"),
            Self::Refused(errno) => write!(f, "{}", io::Error::from_raw_os_error(*errno)),
            Self::Unavailable(why) => write!(f, "unavailable: {why}"),
        }
    }
}

impl Route {
    /// Whether it can lead to addresses of this family.
    pub fn fits(self, ip: IpAddr) -> bool {
        match self {
            Self::TcpMapped | Self::UdpMapped | Self::RawHeader => ip.is_ipv4(),
            Self::ReceivedSocket => false,
            _ => true,
        }
    }

    /// Whether the hooks at connect and sendmsg see it. The others are for the egress backstop.
    pub fn passes_connect_hooks(self) -> bool {
        self != Self::RawHeader
    }

    /// Tries the route in a new process inside `cgroup`.
    pub fn from_cgroup(self, cgroup: &Cgroup, to: SocketAddr) -> Result<Attempt> {
        let mut command = cgroup.command("/proc/self/exe")?;
        command.args([ARGUMENT, self.name(), &to.to_string()]);
        let output =
            command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {command:?}"))?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let Some(answer) = stdout.lines().find_map(|line| line.strip_prefix(ANSWER)) else {
            bail!(
                "{}: no answer: {}\n{}",
                self.name(),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        };
        Ok(match (answer, answer.parse()) {
            ("through", _) => Attempt::Through,
            (_, Ok(errno)) => Attempt::Refused(errno),
            (why, _) => Attempt::Unavailable(why.to_owned()),
        })
    }
}

/// Tries until it is not denied: the kernel takes a program away a moment after its last pin has gone.
///
/// # Errors
/// When an attempt cannot be made, ends otherwise, or stays denied for too long.
pub fn once_gone(mut attempt: impl FnMut() -> Result<Attempt>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let after = attempt()?;
        if after == Attempt::Through {
            return Ok(());
        }
        if !after.is_denied() || Instant::now() > end {
            bail!("after the guard: {after}");
        }
        std::thread::yield_now();
    }
}

/// Does what a process started by [`Route::from_cgroup`] is for, if this is one. True when it was.
pub fn serve() -> bool {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ARGUMENT) {
        return false;
    }
    let answer = match (arguments.next(), arguments.next().and_then(|to| to.parse().ok())) {
        (Some(name), Some(to)) => match Route::ALL.iter().find(|route| route.name() == name) {
            Some(route) => answer(route.attempt(to)),
            None => format!("no route is called {name}"),
        },
        _ => "no route and address were given".to_owned(),
    };
    println!("{ANSWER}{answer}");
    true
}

fn answer(result: io::Result<()>) -> String {
    match result {
        Ok(()) => "through".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => error.to_string(),
        Err(error) => error.raw_os_error().map_or_else(|| error.to_string(), |errno| errno.to_string()),
    }
}

/// For a route that this kernel does not have. The answer is then no errno but these words.
fn unavailable(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("{what}: {error}"))
}

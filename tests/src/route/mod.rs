//! Every way in which a program can reach an address or say a name, each tried in a process of its own.
//!
//! [`Route::from_cgroup`] starts this very program again, inside a cgroup, with a hidden argument; [`serve`] is what
//! that process does. One file per kind: [`tcp`], [`udp`], [`raw`], [`ring`] (io_uring), [`place`] (somewhere else),
//! [`held`] (what was connected before), [`content`] (what is said to an address that nobody lists). [`attempt`] is what
//! comes of it, [`process`] the process.

mod attempt;
mod content;
mod held;
mod place;
mod process;
mod raw;
mod ring;
mod tcp;
mod udp;

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

pub use attempt::Attempt;
pub use content::{NAME, OPENING, client_hello};
pub use process::{Started, serve};
pub use raw::INTERFACE;

/// What closes a route, where the guard has it. This is the table of what must be stopped: a route whose closer is in
/// force must be, and one whose closer is not there must not, or the coverage table would not be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closer {
    /// The hooks at connect and sendmsg.
    Connect,
    /// The hook on outgoing packets, for addresses.
    Egress,
    /// The same, once it reads names.
    Names,
    /// The same, once it reads what is said.
    Payload,
    /// The hook on what leaves by an interface.
    Frames,
}

macro_rules! routes {
    ($($route:ident => $name:literal, $title:literal, $closer:expr, $function:path;)*) => {
        /// A way to reach an address, or to say a name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Route {
            $(#[doc = $title] $route,)*
        }

        impl Route {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$route,)*];

            /// Its name: part of the names of tests.
            pub fn name(self) -> &'static str {
                match self { $(Self::$route => $name,)* }
            }

            /// Its row in the coverage table.
            pub fn title(self) -> &'static str {
                match self { $(Self::$route => $title,)* }
            }

            /// What closes it.
            pub fn closer(self) -> Closer {
                match self { $(Self::$route => $closer,)* }
            }

            /// Tries it in this process, which may not be the same afterwards.
            fn attempt(self, to: SocketAddr) -> io::Result<()> {
                match self { $(Self::$route => $function(to),)* }
            }
        }
    };
}

use Closer::{Connect, Egress, Frames, Names, Payload};

routes! {
    Tcp => "tcp", "TCP connect", Connect, tcp::connect;
    TcpNonblocking => "tcp_nonblocking", "TCP connect, non-blocking", Connect, tcp::nonblocking;
    TcpMapped => "tcp_v4_mapped", "TCP connect to a v4-mapped v6 address", Connect, tcp::mapped;
    FastOpenSendto => "tcp_fast_open_by_sendto", "TCP Fast Open by `sendto`", Connect, tcp::fast_open_sendto;
    FastOpenConnect => "tcp_fast_open_by_connect", "TCP Fast Open by `TCP_FASTOPEN_CONNECT`", Connect, tcp::fast_open_connect;
    Mptcp => "mptcp", "MPTCP connect", Connect, tcp::multipath;
    IoUring => "io_uring", "io_uring connect", Connect, ring::connect;
    UdpConnect => "udp_connect", "UDP connect", Connect, udp::connect;
    UdpSendto => "udp_sendto", "UDP `sendto`, unconnected", Connect, udp::sendto;
    UdpSendmsg => "udp_sendmsg", "UDP `sendmsg`, unconnected", Connect, udp::sendmsg;
    UdpSendmmsg => "udp_sendmmsg", "UDP `sendmmsg`, unconnected", Connect, udp::sendmmsg;
    UdpMapped => "udp_v4_mapped", "UDP to a v4-mapped v6 address", Connect, udp::mapped;
    Thread => "thread", "from a thread", Connect, place::thread;
    OtherUser => "connect_after_setuid", "after `setuid`", Connect, place::other_user;
    PassedSocket => "passed_socket", "on a socket passed over a unix socket", Connect, place::passed_socket;
    NewCgroup => "new_child_cgroup", "from a new child cgroup", Connect, place::new_cgroup;
    OtherCgroup => "other_cgroup", "after moving to another cgroup", Connect, place::other_cgroup;
    NewNetwork => "new_network_namespace", "from a new network namespace", Connect, place::new_network;
    NewUser => "new_user_namespace", "from a new user namespace", Connect, place::new_user;
    RawHeader => "raw_ip_hdrincl", "raw IPv4 socket, `IP_HDRINCL` (CAP_NET_RAW)", Egress, raw::header_included;
    RawV6 => "raw_ipv6", "raw IPv6 socket (CAP_NET_RAW)", Egress, raw::v6;
    TcpBefore => "tcp_connected_before", "TCP connected before the guard came", Egress, held::tcp;
    UdpBefore => "udp_connected_before", "UDP connected before the guard came", Egress, held::udp;
    PassedBefore => "passed_connected_before", "TCP connected before, then passed over a unix socket", Egress, held::passed;
    MovedBefore => "moved_connected_before", "TCP connected before, then moved to another cgroup", Egress, held::moved;
    Frame => "af_packet", "AF_PACKET frame (CAP_NET_RAW)", Frames, raw::frame;
    FrameWhole => "af_packet_raw", "AF_PACKET frame with its own Ethernet header (CAP_NET_RAW)", Frames, raw::whole_frame;
    FrameTagged => "af_packet_vlan", "AF_PACKET frame with a VLAN tag and a false protocol (CAP_NET_RAW)", Frames, raw::tagged_frame;
    FramePastQueue => "af_packet_bypass", "AF_PACKET frame, `PACKET_QDISC_BYPASS` from before the guard came (CAP_NET_RAW)", Frames, raw::frame_past_the_queue;
    FrameElsewhere => "af_packet_elsewhere", "AF_PACKET frame in another network namespace, once the guard has looked there (CAP_NET_RAW)", Frames, raw::frame_elsewhere;
    DnsUdp => "dns_udp", "DNS question by UDP", Names, content::dns_udp;
    DnsTcp => "dns_tcp", "DNS question by TCP", Names, content::dns_tcp;
    DnsMixedCase => "dns_0x20", "DNS question in mixed case (0x20)", Names, content::dns_mixed_case;
    DnsEdns => "dns_edns", "DNS question with EDNS", Names, content::dns_edns;
    Tls => "tls_server_name", "TLS server name", Names, content::tls;
    TlsSplit => "tls_server_name_split", "TLS server name, split over segments", Names, content::tls_split;
    Stratum => "stratum", "Stratum opening", Payload, content::stratum;
    StratumBytes => "stratum_bytewise", "Stratum opening in one-byte segments", Payload, content::stratum_bytewise;
}

/// The other sides of routes that pass a socket: no routes of their own.
fn receiver(name: &str) -> Option<fn(SocketAddr) -> io::Result<()>> {
    match name {
        place::RECEIVER => Some(place::received_socket),
        held::RECEIVER => Some(held::received_socket),
        _ => None,
    }
}

impl Route {
    /// Whether it can lead to addresses of this family.
    pub fn fits(self, ip: IpAddr) -> bool {
        match self {
            Self::TcpMapped | Self::UdpMapped | Self::RawHeader => ip.is_ipv4(),
            Self::RawV6 => ip.is_ipv6(),
            // The addresses are what nobody lists: one family will do.
            _ if self.is_about_content() => ip.is_ipv4(),
            _ => true,
        }
    }

    /// Whether it leads to an address that nobody lists, and says there what is denied.
    pub fn is_about_content(self) -> bool {
        matches!(self.closer(), Names | Payload)
    }

    /// Whether what it says belongs on port 53.
    pub fn is_dns(self) -> bool {
        matches!(self, Self::DnsUdp | Self::DnsTcp | Self::DnsMixedCase | Self::DnsEdns)
    }

    /// Whether it connects first, or goes to where it begins, and goes on when it is told to.
    pub fn is_held(self) -> bool {
        let before = [Self::TcpBefore, Self::UdpBefore, Self::PassedBefore, Self::MovedBefore];
        before.contains(&self) || matches!(self, Self::FramePastQueue | Self::FrameElsewhere)
    }
}

/// For a route that this kernel does not have. The answer is then no errno but these words.
fn unavailable(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("{what}: {error}"))
}

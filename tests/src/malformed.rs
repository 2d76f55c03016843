//! Packets that no honest program sends: cut off at each byte, with lengths that lie, names that loop, fragments and
//! chains of extension headers. A process in a cgroup sends them all and says what became of each.

use std::{
    io::{self, Write as _},
    mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    cgroup::Cgroup,
    route::client_hello,
    sys::{self, check_size},
};

/// The hidden first argument.
const ARGUMENT: &str = "--send-malformed";
/// Where they come from: their answers are told from them by it.
const FROM_V4: Ipv4Addr = Ipv4Addr::new(127, 66, 0, 1);
/// Where they go, and where nobody lists.
const TO_V4: Ipv4Addr = Ipv4Addr::new(127, 66, 0, 2);
const TO_V6: Ipv6Addr = Ipv6Addr::LOCALHOST;
/// Their source port.
const PORT: u16 = 6666;
const UDP: u8 = 17;
const TCP: u8 = 6;

/// What became of all packets of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What each send gave: 0 or the errno, with the packet's description.
    pub sent: Vec<String>,
    /// What was on the wire, in its order, as hexadecimal.
    pub seen: Vec<String>,
}

/// Has a process in `cgroup` send them all, and at the end one to `denied`. `listener` takes streams.
pub fn send_all(cgroup: &Cgroup, denied: Ipv4Addr, listener: SocketAddr) -> Result<Outcome> {
    let mut command = cgroup.command("/proc/self/exe")?;
    command.args([ARGUMENT, &denied.to_string(), &listener.to_string()]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the sender ended with {}", output.status);
    let text = String::from_utf8(output.stdout).context("not text")?;
    let lines =
        |prefix| text.lines().filter_map(move |l: &str| l.strip_prefix(prefix)).map(str::to_owned).collect();
    Ok(Outcome { sent: lines("sent "), seen: lines("seen ") })
}

/// What streams say, each on a connection of its own; whoever listens gets exactly this.
pub fn streams() -> Vec<Vec<u8>> {
    let hello = client_hello("fine.example");
    let mut all: Vec<_> = (1..=hello.len()).map(|n| hello[..n].to_vec()).collect();
    // Each length in it lies, by much or by little.
    for at in [3, 4, 6, 7, 8, 43, 44, 46, 48, 49, 52, 53, 54, 55, 57, 58] {
        for value in [0, 1, 0x7f, 0xff] {
            let mut lying = hello.clone();
            if let Some(byte) = lying.get_mut(at) {
                *byte = value;
            }
            all.push(lying);
        }
    }
    for question in questions() {
        // A length before it that says more, less, and nothing.
        for length in [question.len() as u16, 0, 1, 0x1fff] {
            all.push([&length.to_be_bytes()[..], &question].concat());
        }
    }
    for text in [
        "{",
        "{\"method\":",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        "\"\\u",
        "{\"a\":\"\\ud800\"}",
        "\0\0\0\0",
        "POST / HTTP/1.1\r\n",
    ] {
        all.push(text.into());
    }
    all.push(vec![b'{'; 3000]);
    all
}

/// DNS questions: whole, cut off at each byte, with loops and with lies.
fn questions() -> Vec<Vec<u8>> {
    let head = |questions: u16| {
        let mut out = vec![0x6d, 0x67, 1, 0];
        out.extend(questions.to_be_bytes());
        out.extend([0; 6]);
        out
    };
    let tail = [0, 1, 0, 1];
    let whole = [&head(1)[..], b"\x04fine\x07example\0", &tail].concat();
    let mut all: Vec<_> = (0..=whole.len()).map(|n| whole[..n].to_vec()).collect();
    for name in [
        // To itself, to each other, into the header, behind the end.
        &b"\xc0\x0c"[..],
        b"\xc0\x0e\xc0\x0c",
        b"\x04fine\xc0\x0c",
        b"\xc0\x00",
        b"\xff\xff",
        // Kinds of labels that do not exist, and one that is longer than what is left.
        b"\x40fine",
        b"\x80fine",
        b"\x3ffine",
        b"\0",
    ] {
        all.push([&head(1)[..], name, &tail].concat());
    }
    for count in [0, 2, 0xffff] {
        all.push([&head(count)[..], b"\x04fine\x07example\0", &tail].concat());
    }
    // Longer than a name may be.
    let label = [&[63][..], &[b'a'; 63]].concat();
    all.push([&head(1)[..], &label.repeat(8), b"\0", &tail].concat());
    all
}

struct Sent {
    what: String,
    bytes: Vec<u8>,
}

/// IPv4 packets of which the kernel fills in length and checksum.
fn v4_packets() -> Vec<Sent> {
    let hello = client_hello("fine.example");
    let bases = [
        ("a question", UDP, udp(53, None, &questions().swap_remove(0))),
        ("a whole question", UDP, udp(53, None, &whole_question())),
        ("a first segment", TCP, tcp(443, 0x18, 5, &hello)),
        (
            "options of TCP",
            TCP,
            [&tcp(443, 2, 8, &[])[..], &[2, 4, 5, 0xb4, 1, 3, 3, 7, 1, 1, 8, 10]].concat(),
        ),
        ("ICMP", 1, vec![8, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4]),
        ("GRE", 47, vec![0; 12]),
    ];
    let mut all = Vec::new();
    let mut add = |what: String, header: Vec<u8>, body: &[u8]| {
        let mut bytes = [&header[..], body].concat();
        // Every packet its own number, so that the kernel gives it none.
        let number = all.len() as u16 + 1;
        if let Some(id) = bytes.get_mut(4..6) {
            id.copy_from_slice(&number.to_be_bytes());
        }
        all.push(Sent { what, bytes });
    };
    for (what, protocol, body) in &bases {
        let whole = [&v4(*protocol, 5, 0)[..], body].concat();
        for n in 0..=whole.len() {
            add(format!("{what}, {n} bytes of it"), whole[..n].to_vec(), &[]);
        }
        for words in 0..16 {
            let options = vec![1; (usize::from(words).max(5) - 5) * 4];
            add(
                format!("{what}, a header of {words} words"),
                [v4(*protocol, words, 0), options].concat(),
                body,
            );
            add(format!("{what}, a header that claims {words} words"), v4(*protocol, words, 0), body);
        }
        // More fragments, at 0, 8, 24 and far behind; the last ones too.
        for fragment in [0x2000, 0x2001, 0x2003, 0x3fff, 1, 3, 0x1fff] {
            add(format!("{what}, fragment {fragment:#x}"), v4(*protocol, 5, fragment), body);
            add(
                format!("{what}, fragment {fragment:#x}, 8 bytes"),
                v4(*protocol, 5, fragment),
                &body[..8.min(body.len())],
            );
        }
    }
    for length in [0, 1, 7, 8, 9, 20, 0xffff] {
        add(format!("UDP says {length}"), v4(UDP, 5, 0), &udp(53, Some(length), &whole_question()));
    }
    for words in 0..16 {
        add(format!("TCP claims {words} words"), v4(TCP, 5, 0), &tcp(443, 0x18, words, &hello));
    }
    for flags in [0, 1, 2, 3, 4, 0x10, 0x3f, 0xff] {
        add(format!("TCP flags {flags:#x}"), v4(TCP, 5, 0), &tcp(443, flags, 5, b"x"));
    }
    for question in questions() {
        add("a question".into(), v4(UDP, 5, 0), &udp(53, None, &question));
    }
    all
}

/// IPv6 packets, whole: the kernel adds nothing.
fn v6_packets() -> Vec<Sent> {
    let question = udp(53, None, &whole_question());
    let options = |next: u8, length: u8, more: usize| {
        let mut out = vec![next, length, 1, 4, 0, 0, 0, 0];
        out.resize(8 + more, 0);
        out
    };
    let fragment = |next: u8, offset: u16| {
        let mut out = vec![next, 0];
        out.extend(offset.to_be_bytes());
        out.extend([0, 0, 0, 7]);
        out
    };
    let mut all: Vec<Sent> = Vec::new();
    let mut add = |what: String, next: u8, claimed: Option<u16>, body: Vec<u8>| {
        let length = claimed.unwrap_or(body.len() as u16);
        let mut bytes = vec![0x60, 0];
        bytes.extend((all.len() as u16).to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend([next, 64]);
        bytes.extend(Ipv6Addr::LOCALHOST.octets());
        bytes.extend(TO_V6.octets());
        bytes.extend(body);
        all.push(Sent { what, bytes });
    };
    const HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const NONE: u8 = 59;
    const DESTINATION: u8 = 60;
    for n in 0..=question.len() {
        add(format!("{n} bytes of a question"), UDP, None, question[..n].to_vec());
    }
    for claimed in [0, 1, 8, 0xffff] {
        add(format!("it claims {claimed} bytes"), UDP, Some(claimed), question.clone());
    }
    for kind in [HOP, DESTINATION, ROUTING, AUTHENTICATION] {
        let with = [&options(UDP, 0, 0)[..], &question].concat();
        for n in 0..16 {
            add(format!("extension {kind}, {n} bytes"), kind, None, with[..n].to_vec());
        }
        add(format!("extension {kind}"), kind, None, with);
        for length in [1, 2, 0xff] {
            add(
                format!("extension {kind} claims {length}"),
                kind,
                None,
                [&options(UDP, length, 0)[..], &question].concat(),
            );
        }
        add(format!("extension {kind}, long"), kind, None, [&options(UDP, 3, 24)[..], &question].concat());
        add(format!("extension {kind} leads to itself"), kind, None, options(kind, 0, 0).repeat(20));
    }
    for count in [1, 2, 4, 8, 9, 16, 40] {
        let mut chain = options(DESTINATION, 0, 0).repeat(count);
        chain.extend(options(UDP, 0, 0));
        chain.extend(&question);
        add(format!("a chain of {count}"), DESTINATION, None, chain);
    }
    for offset in [0, 1, 8, 9, 0xfff8] {
        add(
            format!("fragment {offset:#x}"),
            FRAGMENT,
            None,
            [&fragment(UDP, offset)[..], &question].concat(),
        );
        add(
            format!("fragment {offset:#x}, 8 bytes"),
            FRAGMENT,
            None,
            [&fragment(UDP, offset)[..], &question[..8]].concat(),
        );
        let behind = [&fragment(DESTINATION, offset)[..], &options(UDP, 0, 0), &question].concat();
        add(format!("options behind fragment {offset:#x}"), FRAGMENT, None, behind);
    }
    add("nothing follows".into(), NONE, None, question.clone());
    add("an unknown protocol".into(), 253, None, question.clone());
    for sent in questions() {
        add("a question".into(), UDP, None, udp(53, None, &sent));
    }
    all
}

fn whole_question() -> Vec<u8> {
    [&[0x6d, 0x67, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x04fine\x07example\0", &[0, 1, 0, 1]].concat()
}

/// A header of so many words (more than five need options behind it). The kernel fills in length and checksum.
fn v4(protocol: u8, words: u8, fragment: u16) -> Vec<u8> {
    let mut out = vec![0x40 | words, 0, 0, 0, 0, 0];
    out.extend(fragment.to_be_bytes());
    out.extend([64, protocol, 0, 0]);
    out.extend(FROM_V4.octets());
    out.extend(TO_V4.octets());
    out
}

/// A datagram without a checksum.
fn udp(port: u16, claimed: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let length = claimed.unwrap_or(8 + payload.len() as u16);
    let mut out = Vec::new();
    for field in [PORT, port, length, 0] {
        out.extend(u16::to_be_bytes(field));
    }
    out.extend(payload);
    out
}

/// A segment that claims a header of so many words.
fn tcp(port: u16, flags: u8, words: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for field in [PORT, port, 0, 1, 0, 1] {
        out.extend(u16::to_be_bytes(field));
    }
    out.extend([words << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    out.extend(payload);
    out
}

/// Does what a process started by this module is for, if this is one. True when it was.
pub fn serve() -> bool {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ARGUMENT) {
        return false;
    }
    let (denied, listener) =
        (arguments.next().and_then(|a| a.parse().ok()), arguments.next().and_then(|a| a.parse().ok()));
    if let (Some(denied), Some(listener)) = (denied, listener)
        && let Err(error) = send(denied, listener)
    {
        eprintln!("the sender: {error}");
        std::process::exit(1);
    }
    true
}

fn send(denied: Ipv4Addr, listener: SocketAddr) -> io::Result<()> {
    let watch = Watch::new()?;
    let mut out = io::BufWriter::new(io::stdout());
    let mut tell = |what: &str, sent: io::Result<usize>| {
        let errno = sent.map_or_else(|e| e.raw_os_error().unwrap_or(-1), |_| 0);
        writeln!(out, "sent {errno} {what}")
    };
    let v4 = sys::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW)?;
    for packet in v4_packets() {
        tell(&packet.what, sys::send_to(&v4, &packet.bytes, 0, SocketAddr::new(TO_V4.into(), 0)))?;
    }
    let v6 = sys::socket(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_RAW)?;
    for packet in v6_packets() {
        tell(&packet.what, sys::send_to(&v6, &packet.bytes, 0, SocketAddr::new(TO_V6.into(), 0)))?;
    }
    for to in [IpAddr::from(TO_V4), TO_V6.into()] {
        for question in questions() {
            let socket = sys::socket(sys::family(SocketAddr::new(to, 53)), libc::SOCK_DGRAM, 0)?;
            tell("a question by UDP", sys::send_to(&socket, &question, 0, SocketAddr::new(to, 53)))?;
        }
    }
    for said in streams() {
        let sent = TcpStream::connect(listener).and_then(|mut stream| {
            stream.set_nodelay(true)?;
            stream.write_all(&said)
        });
        tell("a stream", sent.map(|()| 0))?;
    }
    // The same socket all the time: the guard still knows what is denied.
    let mut packet = [v4_header_to(denied), udp(9, None, b"x")].concat();
    packet[4..6].copy_from_slice(&[0xff, 0xff]);
    tell("denied", sys::send_to(&v4, &packet, 0, SocketAddr::new(denied.into(), 0)))?;
    for packet in watch.all()? {
        let hex: String = packet.iter().map(|b| format!("{b:02x}")).collect();
        writeln!(out, "seen {hex}")?;
    }
    out.flush()
}

fn v4_header_to(to: Ipv4Addr) -> Vec<u8> {
    let mut header = v4(UDP, 5, 0);
    header[16..20].copy_from_slice(&to.octets());
    header
}

/// Sees what raw sockets of this process send over `lo`.
struct Watch(OwnedFd);

impl Watch {
    fn new() -> io::Result<Self> {
        let socket = sys::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK, 0)?;
        sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 64 << 20)?;
        // SAFETY: sockaddr_ll is plain data for which all zeroes is a value.
        let mut interface: libc::sockaddr_ll = unsafe { mem::zeroed() };
        interface.sll_family = libc::AF_PACKET as libc::c_ushort;
        interface.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        interface.sll_ifindex = sys::net::loopback_index().cast_signed();
        let address = sys::RawAddress::from(interface);
        let (pointer, len) = address.as_ptr();
        // SAFETY: pointer and length describe `address`, which outlives the call.
        sys::check(unsafe { libc::bind(socket.as_raw_fd(), pointer, len) })?;
        Ok(Self(socket))
    }

    /// What raw sockets sent so far: a packet is here before its send returns.
    fn all(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        let mut buffer = vec![0; 65_536];
        loop {
            // SAFETY: sockaddr_ll is plain data for which all zeroes is a value.
            let mut from: libc::sockaddr_ll = unsafe { mem::zeroed() };
            let mut len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            // SAFETY: the pointers describe memory of the given lengths that outlives the call.
            let got = check_size(unsafe {
                libc::recvfrom(
                    self.0.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    0,
                    (&raw mut from).cast(),
                    &raw mut len,
                )
            });
            let n = match got {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(all),
                got => got?,
            };
            let packet = &buffer[..n];
            let sent = from.sll_pkttype == libc::PACKET_OUTGOING;
            let ours = packet.get(12..16) == Some(&FROM_V4.octets()) || is_marked_v6(packet);
            if sent && ours {
                all.push(packet.to_vec());
            }
        }
    }
}

/// One of those here, and neither the kernel's own answer nor what a datagram socket sent.
fn is_marked_v6(packet: &[u8]) -> bool {
    const ICMP: u8 = 58;
    let port = packet.get(40..42);
    packet.first().is_some_and(|b| b >> 4 == 6)
        && match packet.get(6) {
            Some(&(ICMP | TCP)) => false,
            Some(&UDP) => port.is_none_or(|port| port == PORT.to_be_bytes()),
            _ => true,
        }
}

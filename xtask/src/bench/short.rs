//! What a short connection costs: the first bytes of each are read.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
};

use anyhow::Result;
use rustix::net::sockopt;

use super::{
    Bench,
    beside::{self, Under},
    guard,
    page::Page,
    worker::Mode,
};

const MODES: [(Mode, &str); 3] = [
    (Mode::Connection, "nothing said"),
    (Mode::ConnectionText, "a page of HTML"),
    (Mode::ConnectionJson, "a JSON document"),
];
const CALLS: u32 = 100;
/// Bytes of an answer.
const ANSWER: usize = 4096;

/// As a browser asks.
const QUESTION: &[u8] = b"GET /index.html?page=2&sort=asc HTTP/1.1\r\nHost: www.example.org\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br\r\nConnection: close\r\nCookie: session=0123456789abcdef; theme=dark\r\n\r\n";

/// Measures, and adds the table to the page.
pub fn run(bench: &Bench, dial: &Path, page: &mut Page) -> Result<()> {
    eprintln!("bench: short connections");
    let configurations = [
        ("none", "s-none", Under::Nothing),
        ("none, again (A/A)", "s-none2", Under::Nothing),
        ("empty hooks at egress and ingress", "s-empty", Under::EmptyHooks),
        ("guard, built-in feed", "s-guard", Under::Guard(guard::BUILTIN)),
    ];
    let measured = beside::run(bench, dial, &configurations, &MODES, CALLS)?;
    page.section(
        "A short connection: nanoseconds more than without any tool",
        "Over loopback, both ends in one process of the guarded cgroup and on one CPU, so that both are read: connect, a request of \
         some 380 bytes, an answer of 4 KiB, and the end of it. The guard reads 2 KiB of each end at most, to see whether it is a mining \
         protocol: letters and digits by a table, each mark of a JSON document by what it does; an answer in HTML is \
         given up at its first mark. A connection that lasts costs this once. Median of the differences within a round, its 95 % \
         interval, and the ratio.",
        &measured.table,
    );
    Ok(())
}

/// Both ends.
pub struct Ends {
    listener: TcpListener,
    at: SocketAddr,
    text: Vec<u8>,
    json: Vec<u8>,
    room: Vec<u8>,
}

impl Ends {
    /// A server on loopback.
    pub fn new() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let at = listener.local_addr()?;
        let text =
            answer("text/html", "", "<p class=\"a\">The quick brown fox jumps over the lazy dog.</p>\n");
        let json = answer(
            "application/json",
            "[",
            "{\"id\": 17, \"method\": \"get\", \"name\": \"fox\", \"values\": [1,2,3]},",
        );
        Ok(Self { listener, at, text, json, room: vec![0; ANSWER] })
    }

    /// One connection.
    pub fn connect(&mut self, mode: Mode) -> Result<()> {
        let mut client = TcpStream::connect(self.at)?;
        let (mut server, _) = self.listener.accept()?;
        let answer: &[u8] = match mode {
            Mode::ConnectionText => &self.text,
            Mode::ConnectionJson => &self.json,
            _ => &[],
        };
        if !answer.is_empty() {
            client.write_all(QUESTION)?;
            server.read_exact(&mut self.room[..QUESTION.len()])?;
            server.write_all(answer)?;
            client.read_exact(&mut self.room[..answer.len()])?;
        }
        // A reset leaves nobody waiting for the port.
        sockopt::set_socket_linger(&server, Some(std::time::Duration::ZERO))?;
        Ok(())
    }
}

/// An answer of a web server: what it begins with, and the same again and again.
fn answer(kind: &str, begins: &str, goes_on: &str) -> Vec<u8> {
    let mut out = format!(
        "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n{begins}"
    )
    .into_bytes();
    while out.len() < ANSWER {
        out.extend(goes_on.bytes());
    }
    out.truncate(ANSWER);
    out
}

//! Ordinary conversations on loopback: both ends in one process, which a test puts into its cgroup.
//!
//! What is said is a table: a turn each of the client and the server. What cannot be said with one program's words (real
//! servers and clients) is the business of `cargo xtask traffic`.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};

use crate::{PATIENCE, cgroup::Cgroup, sys};

/// The hidden first argument.
const ARGUMENT: &str = "--dialogue";

/// Turns: `>` what the client says, `<` what the server says.
type Turns = &'static [(char, &'static [u8])];

const DIALOGUES: &[(&str, Turns)] = &[
    (
        "Electrum",
        &[
            ('>', b"{\"jsonrpc\":\"2.0\",\"method\":\"server.version\",\"params\":[\"electrum/4.5.5\",\"1.4\"],\"id\":0}\n"),
            ('<', b"{\"jsonrpc\":\"2.0\",\"result\":[\"ElectrumX 1.16.0\",\"1.4\"],\"id\":0}\n"),
            ('>', b"{\"jsonrpc\":\"2.0\",\"method\":\"blockchain.headers.subscribe\",\"params\":[],\"id\":1}\n"),
            ('<', b"{\"jsonrpc\":\"2.0\",\"result\":{\"height\":520481,\"hex\":\"00000020890208a0ae3a3892aa047c5468725846577cfcd9b512b50000000000\"},\"id\":1}\n"),
            ('<', b"{\"jsonrpc\":\"2.0\",\"method\":\"blockchain.headers.subscribe\",\"params\":[{\"height\":520482,\"hex\":\"00000020\"}]}\n"),
            ('>', b"[{\"jsonrpc\":\"2.0\",\"method\":\"server.ping\",\"id\":2},{\"jsonrpc\":\"2.0\",\"method\":\"blockchain.estimatefee\",\"params\":[2],\"id\":3}]\n"),
            ('<', b"[{\"jsonrpc\":\"2.0\",\"result\":null,\"id\":2},{\"jsonrpc\":\"2.0\",\"result\":0.0001,\"id\":3}]\n"),
        ],
    ),
    (
        "WebSocket",
        &[
            ('>', b"GET /chat HTTP/1.1\r\nHost: www.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"),
            ('<', b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
            ('>', b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
            ('<', b"\x81\x2f{\"method\":\"login\",\"params\":{\"user\":\"alice\"}}    "),
        ],
    ),
    (
        "JSON-RPC over HTTP",
        &[
            ('>', b"POST /jsonrpc HTTP/1.1\r\nHost: pbx.example\r\nContent-Type: application/json\r\nContent-Length: 88\r\n\r\n{\"jsonrpc\":\"2.0\",\"method\":\"login\",\"params\":{\"login\":\"1001\",\"passwd\":\"secret\"},\"id\":1}    "),
            ('<', b"HTTP/1.1 200 OK\r\nContent-Length: 53\r\n\r\n{\"jsonrpc\":\"2.0\",\"result\":{\"session\":\"a3f\"},\"id\":1}   "),
        ],
    ),
    (
        "Redis",
        &[
            ('>', b"*3\r\n$3\r\nSET\r\n$5\r\njob:1\r\n$42\r\n{\"job_id\":\"1\",\"nonce\":\"00\",\"result\":\"done\"} \r\n"),
            ('<', b"+OK\r\n"),
            ('>', b"*2\r\n$3\r\nGET\r\n$5\r\njob:1\r\n"),
            ('<', b"$42\r\n{\"job_id\":\"1\",\"nonce\":\"00\",\"result\":\"done\"} \r\n"),
        ],
    ),
    (
        "SMTP",
        &[
            ('<', b"220 mail.example ESMTP\r\n"),
            ('>', b"EHLO client.example\r\n"),
            ('<', b"250-mail.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n"),
            ('>', b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"),
            ('<', b"250 OK\r\n250 OK\r\n354 go on\r\n"),
            ('>', b"From: a@example.org\r\nSubject: mining.subscribe\r\n\r\nThe pool of the swimming club opens at 8.\r\n.\r\nQUIT\r\n"),
            ('<', b"250 OK\r\n221 bye\r\n"),
        ],
    ),
    (
        "NATS",
        &[
            ('<', b"INFO {\"server_id\":\"N\",\"version\":\"2.10.0\",\"max_payload\":1048576,\"proto\":1}\r\n"),
            ('>', b"CONNECT {\"verbose\":false,\"user\":\"a\",\"pass\":\"x\",\"lang\":\"go\",\"name\":\"job\"}\r\nSUB job 1\r\nPING\r\n"),
            ('<', b"PONG\r\nMSG job 1 24\r\n{\"job\":1,\"target\":\"node\"}\r\n"),
        ],
    ),
    (
        "MQTT",
        &[
            ('>', b"\x10\x13\x00\x04MQTT\x04\x02\x00\x3c\x00\x07node-17"),
            ('<', b"\x20\x02\x00\x00"),
            ('>', b"\x30\x21\x00\x05job/1{\"method\":\"job\",\"worker\":\"a\"}"),
        ],
    ),
    (
        "PostgreSQL",
        &[
            ('>', b"\x00\x00\x00\x08\x04\xd2\x16\x2f"),
            ('<', b"N"),
            ('>', b"\x00\x00\x00\x29\x00\x03\x00\x00user\0postgres\0database\0miners\0\0\0"),
            ('<', b"R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I"),
            ('>', b"Q\x00\x00\x00\x29SELECT '{\"method\":\"mining.notify\"}'\0\0"),
        ],
    ),
    (
        "SSH",
        &[('<', b"SSH-2.0-OpenSSH_9.2p1\r\n"), ('>', b"SSH-2.0-OpenSSH_9.2p1\r\n"), ('>', b"\x00\x00\x00\x1c\x0a\x14\x55\x66\x77\x88")],
    ),
    (
        "HTTP/2 as gRPC opens it",
        &[
            ('>', b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"),
            ('<', b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x04\x01\x00\x00\x00\x00"),
        ],
    ),
];

/// Names that look like those of pools, and belong to nobody who runs one.
const NAMES: &[&str] = &[
    "pool.ntp.org",
    "github.com",
    "GitHub.com",
    "worker-pool.example",
    "data-mining.example",
    "xmrig.example",
    "stratum.example",
    "a.very.long.chain.of.many.labels.in.one.name.example",
];

/// Holds every dialogue and asks for every name in a process of its own. Gives how many.
pub fn hold_all(cgroup: &Cgroup) -> Result<usize> {
    count(cgroup, &["all"])
}

/// Opens `connections` at once, with a few bytes each way on each, in two processes that hold theirs until both have all: one
/// may not have so many files open.
pub fn crowd(cgroup: &Cgroup, connections: usize) -> Result<()> {
    let half = (connections / 2).to_string();
    let mut halves = Vec::new();
    for _ in 0..2 {
        let mut command = cgroup.command("/proc/self/exe")?;
        command.args([ARGUMENT, "crowd", &half]).stdin(Stdio::piped()).stdout(Stdio::piped());
        halves.push(command.spawn()?);
    }
    for child in &mut halves {
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().context("no stdout")?).read_line(&mut said)?;
        ensure!(said.trim() == half, "{said} of {half} connections were held");
    }
    for mut child in halves {
        drop(child.stdin.take());
        ensure!(child.wait()?.success(), "a crowd failed");
    }
    Ok(())
}

fn count(cgroup: &Cgroup, arguments: &[&str]) -> Result<usize> {
    let mut command = cgroup.command("/proc/self/exe")?;
    let output = command.arg(ARGUMENT).args(arguments).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr));
    said.trim().parse().with_context(|| format!("no count: {said}"))
}

/// Does what a process started by this module is for, if this is one. True when it was.
pub fn serve() -> bool {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ARGUMENT) {
        return false;
    }
    let done = match (arguments.next().as_deref(), arguments.next().and_then(|n| n.parse().ok())) {
        (Some("all"), _) => all(),
        (Some("crowd"), Some(count)) => hold_crowd(count).map(|()| 0),
        _ => Err(anyhow::anyhow!("no such dialogue")),
    };
    match done {
        Ok(0) => {}
        Ok(count) => println!("{count}"),
        Err(error) => {
            eprintln!("{error:#}");
            std::process::exit(1);
        }
    }
    true
}

fn all() -> Result<usize> {
    for (name, turns) in DIALOGUES {
        for piece in [usize::MAX, 1] {
            hold(turns, piece).with_context(|| format!("{name} did not come to its end"))?;
        }
    }
    let server = UdpSocket::bind("127.0.0.53:53").context("cannot be a name server")?;
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    for name in NAMES {
        let mut question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
        for label in name.split('.') {
            question.push(u8::try_from(label.len())?);
            question.extend(label.bytes());
        }
        question.extend([0, 0, 1, 0, 1]);
        client.send_to(&question, server.local_addr()?).with_context(|| format!("asking for {name}"))?;
        let mut heard = [0; 512];
        let (n, _) = server.recv_from(&mut heard)?;
        ensure!(heard.get(..n) == Some(&question[..]), "the question for {name} was changed");
    }
    Ok(DIALOGUES.len() + NAMES.len())
}

/// Each turn is said in pieces of so many bytes, and heard to its end before the next.
fn hold(turns: Turns, piece: usize) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let mut server = listener.accept()?.0;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
    }
    for (who, said) in turns {
        let (from, to) = if *who == '>' { (&mut client, &mut server) } else { (&mut server, &mut client) };
        said.chunks(piece).try_for_each(|part| from.write_all(part))?;
        let mut heard = vec![0; said.len()];
        to.read_exact(&mut heard)?;
        ensure!(heard == *said, "what was said is not what was heard");
    }
    Ok(())
}

/// Says how many it holds, and holds them until stdin ends.
fn hold_crowd(count: usize) -> Result<()> {
    sys::allow_files(2 * count as u64 + 100).context("cannot open so many files")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let to = listener.local_addr()?;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = TcpStream::connect(to)?;
        client.write_all(b"GET / HTTP/1.1\r\nHost: www.example\r\n\r\n")?;
        pairs.push((client, listener.accept()?.0));
    }
    for (client, server) in &mut pairs {
        let mut heard = [0; 37];
        server.read_exact(&mut heard)?;
        server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
        read_some(client)?;
    }
    println!("{}", pairs.len());
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn read_some(stream: &mut TcpStream) -> io::Result<()> {
    match stream.read(&mut [0; 64])? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

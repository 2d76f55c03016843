//! DNS messages, well-formed and not, that one process sends to a name server: which of them are refused.

use std::{
    io::{BufRead as _, Write as _},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};

use crate::cgroup::Cgroup;

/// The hidden first argument.
const ARGUMENT: &str = "--questions";

/// Sends each message from a process in `cgroup`, half of them on a socket of their own. Gives whether each was refused.
pub fn refused(cgroup: &Cgroup, server: SocketAddr, messages: &[Vec<u8>]) -> Result<Vec<bool>> {
    let mut command = cgroup.command("/proc/self/exe")?;
    command.args([ARGUMENT, &server.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut lines = String::new();
    for message in messages {
        lines.extend(message.iter().map(|byte| format!("{byte:02x}")));
        lines.push('\n');
    }
    let mut stdin = child.stdin.take().context("no stdin")?;
    // It answers while it is written to.
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().ok().context("the messages were not written")??;
    let said = String::from_utf8_lossy(&output.stdout);
    let refused: Vec<bool> = said.lines().map(|line| line == "refused").collect();
    ensure!(refused.len() == messages.len(), "{} of {} were sent: {said}", refused.len(), messages.len());
    Ok(refused)
}

/// Does that work, if this process was started for it.
pub fn serve() -> bool {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ARGUMENT) {
        return false;
    }
    let server = arguments.next().and_then(|to| to.parse().ok());
    match server.map(send) {
        Some(Ok(())) => {}
        other => println!("{other:?}"),
    }
    true
}

fn send(server: SocketAddr) -> std::io::Result<()> {
    let socket = || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(server)?;
        std::io::Result::Ok(socket)
    };
    let all = socket()?;
    for (n, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line?;
        let digit = |c: u8| (c as char).to_digit(16).unwrap_or(0) as u8;
        let bytes: Vec<u8> = line.as_bytes().chunks(2).map(|c| digit(c[0]) << 4 | digit(c[1])).collect();
        let sent = if n % 2 == 0 { all.send(&bytes) } else { socket()?.send(&bytes) };
        match sent {
            Ok(_) => println!("sent"),
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => println!("refused"),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

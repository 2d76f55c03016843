//! Internet sockets of a process, from `/proc/PID/net` and its descriptors.

use crate::{event::enrich::proc_root::ProcRoot, kernel::sockets::inode};
use std::{
    collections::HashSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Descriptors and sockets that are looked at.
const MOST: usize = 4096;
const TABLE: u64 = 8 << 20;
/// Remote ends that are told.
const REMOTE: usize = 16;

/// A line each: `tcp 192.0.2.1:40000 → 192.0.2.5:3333`.
#[must_use]
pub fn sockets(pid: u32, proc: &ProcRoot) -> Vec<String> {
    let own = inodes(pid, proc);
    let mut out = Vec::new();
    if own.is_empty() {
        return out;
    }
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = proc.read(pid, &format!("net/{table}"), TABLE).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let hits = text.lines().skip(1).filter_map(line).filter(|(.., inode)| own.contains(inode));
        let name = table.trim_end_matches('6');
        out.extend(
            hits.map(|(from, to, _)| format!("{name} {from} → {to}")).take(MOST - out.len().min(MOST)),
        );
    }
    out
}

/// Remote ends of the TCP connections that a process opened: those of ports on which nobody listens.
#[must_use]
pub fn outgoing(pid: u32, proc: &ProcRoot) -> Vec<SocketAddr> {
    const OPEN: [&str; 2] = ["01", "02"];
    const LISTENING: &str = "0A";
    let own = inodes(pid, proc);
    let mut out = Vec::new();
    if own.is_empty() {
        return out;
    }
    let tables = ["tcp", "tcp6"].map(|t| proc.read(pid, &format!("net/{t}"), TABLE).unwrap_or_default());
    let tables = tables.map(|text| String::from_utf8_lossy(&text).into_owned());
    let rows = || tables.iter().flat_map(|t| t.lines().skip(1));
    let state = |row: &str| row.split_ascii_whitespace().nth(3).map(str::to_owned).unwrap_or_default();
    let listening: HashSet<u16> =
        rows().filter(|r| state(r) == LISTENING).filter_map(|r| Some(line(r)?.0.port())).collect();
    for row in rows().filter(|r| OPEN.contains(&state(r).as_str())) {
        let Some((from, to, inode)) = line(row) else { continue };
        if own.contains(&inode) && !listening.contains(&from.port()) && !out.contains(&to) {
            out.push(to);
        }
        if out.len() >= REMOTE {
            break;
        }
    }
    out
}

fn inodes(pid: u32, proc: &ProcRoot) -> HashSet<u64> {
    let fds = fs::read_dir(proc.of(pid, "fd")).into_iter().flatten().flatten().take(MOST);
    fds.filter_map(|fd| inode(&fs::read_link(fd.path()).ok()?)).collect()
}

/// Local and remote address, and the socket's inode.
fn line(text: &str) -> Option<(SocketAddr, SocketAddr, u64)> {
    let mut words = text.split_ascii_whitespace().skip(1);
    let (from, to) = (address(words.next()?)?, address(words.next()?)?);
    Some((from, to, words.nth(6)?.parse().ok()?))
}

/// `0100007F:0D05`: the address in words of the kernel's memory, the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<u32>> =
        (0..ip.len() / 8).map(|n| u32::from_str_radix(ip.get(n * 8..n * 8 + 8)?, 16).ok()).collect();
    let bytes: Vec<u8> = words?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let ip: IpAddr = match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).map(Ipv4Addr::from).ok()?.into(),
        _ => <[u8; 16]>::try_from(bytes).map(Ipv6Addr::from).ok()?.to_canonical(),
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_this_process_is_found_and_a_strange_line_is_none() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect("127.0.0.1:3333").unwrap();
        let own = socket.local_addr().unwrap();
        let all = sockets(std::process::id(), &ProcRoot::default());
        assert!(all.contains(&format!("udp {own} → 127.0.0.1:3333")), "{all:?}");
        let six = "0: 0000000000000000FFFF00000100007F:0D05 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 9";
        let (from, _, inode) = line(six).unwrap();
        assert_eq!((from.to_string().as_str(), inode), ("127.0.0.1:3333", 9));
        for bad in ["", "0:", "0: 1:2 3:4 0 0 0 0 0 0 9", "0: ü0007F:0D05 00000000:0 0 0 0 0 0 0 9"] {
            assert_eq!(line(bad), None, "{bad}");
        }
    }

    #[test]
    fn who_was_called_is_told_and_who_calls_is_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let _calling = std::net::TcpStream::connect(to).unwrap();
        let _called = listener.accept().unwrap();
        // This process is both.
        let all = outgoing(std::process::id(), &ProcRoot::default());
        assert!(all.contains(&to) && !all.contains(&_calling.local_addr().unwrap()), "{all:?}");
    }
}

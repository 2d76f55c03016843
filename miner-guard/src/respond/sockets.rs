//! Internet sockets of a process, from `/proc/PID/net` and its descriptors.

use crate::event::enrich::proc_root::ProcRoot;
use std::{
    collections::HashSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Descriptors and sockets that are looked at.
const MOST: usize = 4096;
const TABLE: u64 = 8 << 20;

/// A line each: `tcp 192.0.2.1:40000 → 192.0.2.5:3333`.
#[must_use]
pub fn sockets(pid: u32, proc: &ProcRoot) -> Vec<String> {
    let fds = fs::read_dir(proc.of(pid, "fd")).into_iter().flatten().flatten().take(MOST);
    let inode = |target: &str| target.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok();
    let own: HashSet<u64> = fds.filter_map(|fd| inode(fs::read_link(fd.path()).ok()?.to_str()?)).collect();
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
}

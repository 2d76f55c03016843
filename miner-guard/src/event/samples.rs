//! Records for tests: the bytes that a kernel would send.

use miner_guard_common::abi::{
    connect::Connect,
    exec::Exec,
    packet::{Packet, Subject},
    record::{Head, Kind},
    verdict::{Mode, Reason, Verdict},
};
use std::net::{IpAddr, SocketAddr};
use zerocopy::FromZeros;

fn comm(name: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    for (to, from) in out.iter_mut().zip(name) {
        *to = *from;
    }
    out
}

/// A head: process 4242 of user 1000 was denied, in enforce mode.
pub fn head(kind: Kind) -> Head {
    let mut h = Head::new_zeroed();
    h.kind = kind as u8;
    h.verdict = Verdict::Deny as u8;
    h.enforced = 1;
    h.reason = Reason::Address as u8;
    h.mode = Mode::Enforce as u32;
    h.rule = 7;
    h.generation = 3;
    h.time_ns = 5_000_000_000;
    h.cgroup = 99;
    (h.pid, h.tid, h.uid, h.gid) = (4242, 4243, 1000, 1000);
    h.comm = comm(b"xmrig");
    h
}

/// A connect to `to`.
pub fn connect(to: &str) -> Connect {
    let to: SocketAddr = to.parse().unwrap();
    let mut c = Connect::new_zeroed();
    c.head = head(Kind::Connect);
    match to.ip() {
        IpAddr::V4(a) => {
            c.family = 2;
            c.address[0] = u32::from_ne_bytes(a.octets());
        }
        IpAddr::V6(a) => {
            c.family = 10;
            c.address = zerocopy::transmute!(a.octets());
        }
    }
    c.port = to.port();
    c.protocol = 6;
    c
}

/// A packet to `to` in which `name` was read.
pub fn packet(subject: Subject, to: &str, name: &str) -> Packet {
    let asked = connect(to);
    let mut p = Packet::new_zeroed();
    p.head = head(Kind::Packet);
    p.head.reason = Reason::Domain as u8;
    (p.family, p.destination, p.destination_port) = (asked.family, asked.address, asked.port);
    (p.source, p.source_port) = ([u32::from_ne_bytes([192, 0, 2, 77]), 0, 0, 0], 41_000);
    p.protocol = if subject == Subject::DnsQuestion { 17 } else { 6 };
    p.subject = subject as u8;
    p.name[..name.len()].copy_from_slice(name.as_bytes());
    p.name_len = name.len() as u16;
    p
}

/// An exec of `filename` with `args`.
pub fn exec(filename: &[u8], args: &[&[u8]]) -> Exec {
    let mut e = Exec::new_zeroed();
    e.head = head(Kind::Exec);
    e.head.verdict = Verdict::Kill as u8;
    e.head.reason = Reason::MinerBinary as u8;
    e.head.rule = 0;
    e.ppid = 612;
    (e.file.ino, e.file.size, e.file.dev) = (131_337, 8_388_608, (8 << 20) | 1);
    e.filename[..filename.len()].copy_from_slice(filename);
    e.filename_len = filename.len() as u32;
    let mut joined: Vec<u8> = Vec::new();
    for a in args {
        joined.extend_from_slice(a);
        joined.push(0);
    }
    e.args[..joined.len()].copy_from_slice(&joined);
    e.args_len = joined.len() as u32;
    e
}

/// A directory of a test's own, removed at the end.
pub struct Scratch(std::path::PathBuf);

impl Scratch {
    /// `name` must be unique among the tests.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("miner-guard-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

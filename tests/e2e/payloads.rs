//! What is said on a connection means the same to the kernel as to the parsers on the host: every sample of a mining
//! protocol is told as what it is, and nothing that only resembles one is.
//!
//! In audit mode, so that all of a payload is sent and read. Each sample has a process and a port of its own, whole and in
//! segments of one byte.

use std::{
    collections::BTreeMap,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use miner_guard_common::parse::stratum::Stratum;
use miner_guard_tests::{
    case::{Done, case},
    cgroup::Cgroup,
    guard::Post,
    work,
};
use serde_json::Value;

const MINING: &str = include_str!("../../miner-guard-common/tests/data/stratum.jsonl");
const HARMLESS: &str = include_str!("../../miner-guard-common/tests/data/benign.jsonl");

pub fn cases() -> Vec<Trial> {
    vec![case("a_payload_means_the_same_to_the_kernel_as_to_the_host", the_same_on_both_sides)]
}

struct Sample {
    payload: Vec<u8>,
    piece: usize,
}

/// The samples keep binary payloads as one character a byte.
fn samples() -> Result<Vec<Sample>> {
    let mut all = Vec::new();
    for line in MINING.lines().chain(HARMLESS.lines()) {
        let row: Value = serde_json::from_str(line)?;
        let text = row["payload"].as_str().unwrap_or_default();
        let binary = text.bytes().any(|b| b < 9);
        let payload: Vec<u8> =
            if binary { text.chars().map(|c| u32::from(c) as u8).collect() } else { text.into() };
        for piece in [payload.len().max(1), 1] {
            all.push(Sample { payload: payload.clone(), piece });
        }
    }
    Ok(all)
}

/// What the parser says of it here: dialect and role.
fn on_the_host(payload: &[u8]) -> Option<(&'static str, &'static str)> {
    let mut reader = Stratum::new();
    reader.feed(payload);
    reader.finding().map(|f| (f.dialect.name(), f.role.name()))
}

fn the_same_on_both_sides() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "")?;
    let guard = post.start("audit")?;
    let mut wanted = BTreeMap::new();
    // All of them stay until the end, so that no port is given twice.
    let mut listeners = Vec::new();
    for Sample { payload, piece } in samples()? {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let to: SocketAddr = listener.local_addr()?;
        work::say(&cgroup, to, &payload, piece)?;
        let mut heard = Vec::new();
        listener.accept()?.0.read_to_end(&mut heard)?;
        ensure!(heard == payload, "audit mode changed what was sent to {to}");
        wanted.insert(to.port(), (payload, piece));
        listeners.push(listener);
    }
    let (_, events) = guard.stop_with_events()?;
    let mut told = BTreeMap::new();
    for event in &events {
        if let (Some(port), Some(dialect)) =
            (event["destination"]["port"].as_u64(), event["network"]["protocol"].as_str())
        {
            ensure!(event["miner_guard"]["enforced"] == false, "enforced in audit: {event}");
            told.insert(u16::try_from(port)?, dialect.to_owned());
        }
    }
    let mut mining = 0;
    for (port, (payload, piece)) in &wanted {
        let host = on_the_host(payload).map(|(dialect, _)| dialect);
        mining += usize::from(host.is_some());
        ensure!(
            told.get(port).map(String::as_str) == host,
            "here {host:?}, in the kernel {:?}, in segments of {piece}: {}",
            told.get(port),
            String::from_utf8_lossy(payload)
        );
    }
    ensure!(mining > 100, "only {mining} of the samples are a mining protocol");
    Ok(Done::Passed)
}

//! What a record costs the daemon until it is told or counted: `cargo run --release --example event_cost`.
//!
//! Nanoseconds a record on one core, the median and the range of the rounds.

use miner_guard::event::{aggregate::Aggregator, decode::decode};
use miner_guard_common::abi::{
    connect::Connect,
    exec::Exec,
    record::Kind,
    verdict::{Mode, Reason, Verdict},
};
use std::{hint::black_box, time::Instant};
use zerocopy::{FromZeros, IntoBytes};

const RECORDS: u32 = 200_000;
const ROUNDS: usize = 15;

/// Gives the bytes of the `n`th record.
type Make = fn(u32) -> Vec<u8>;

fn connect(n: u32, pid: u32, address: u32) -> Vec<u8> {
    let mut c = Connect::new_zeroed();
    (c.head.kind, c.head.verdict, c.head.enforced) = (Kind::Connect as u8, Verdict::Deny as u8, 1);
    (c.head.reason, c.head.mode, c.head.rule) = (Reason::Address as u8, Mode::Enforce as u32, 1);
    (c.head.pid, c.head.tid, c.head.time_ns) = (pid, pid, u64::from(n));
    (c.family, c.port, c.protocol) = (2, 3333, 6);
    c.address[0] = address.to_be();
    c.as_bytes().to_vec()
}

fn exec(n: u32) -> Vec<u8> {
    let mut e = Exec::new_zeroed();
    (e.head.kind, e.head.verdict, e.head.enforced) = (Kind::Exec as u8, Verdict::Kill as u8, 1);
    (e.head.reason, e.head.mode) = (Reason::MinerBinary as u8, Mode::Enforce as u32);
    (e.head.pid, e.ppid, e.head.time_ns) = (n, 7, u64::from(n));
    (e.filename_len, e.args_len) = (6, 12);
    e.filename[..6].copy_from_slice(b"/tmp/x");
    e.args[..12].copy_from_slice(b"./x\0-o\0host\0");
    e.as_bytes().to_vec()
}

fn main() {
    let cases: [(&str, Make); 4] = [
        ("connect, one process, one destination", |n| connect(n, 42, 0xc000_0205)),
        ("connect, one process, each time another destination", |n| connect(n, 42, n)),
        ("connect, each time another process", |n| connect(n, n, 0xc000_0205)),
        ("exec, a loop of short children", exec),
    ];
    for (name, make) in cases {
        let records: Vec<Vec<u8>> = (0..RECORDS).map(make).collect();
        let mut rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| round(&records)).collect();
        rounds.sort_by(|a, b| (a.0 + a.1).total_cmp(&(b.0 + b.1)));
        let (Some(best), Some(worst), Some(mid)) = (rounds.first(), rounds.last(), rounds.get(ROUNDS / 2))
        else {
            continue;
        };
        println!(
            "{name}: decode {:.0} ns + aggregate {:.0} ns = {:.0} ns ({:.0} to {:.0})",
            mid.0,
            mid.1,
            mid.0 + mid.1,
            best.0 + best.1,
            worst.0 + worst.1
        );
    }
}

/// Nanoseconds a record for decoding alone, and for aggregation on top.
fn round(records: &[Vec<u8>]) -> (f64, f64) {
    let each = |ns: u128| ns as f64 / records.len() as f64;
    let start = Instant::now();
    for bytes in records {
        let _ = black_box(decode(black_box(bytes)));
    }
    let decoded = each(start.elapsed().as_nanos());

    let mut aggregator = Aggregator::default();
    let start = Instant::now();
    for bytes in records {
        if let Ok(record) = decode(black_box(bytes)) {
            let now = record.head().time_ns;
            black_box(aggregator.offer(record, now));
        }
    }
    (decoded, each(start.elapsed().as_nanos()) - decoded)
}

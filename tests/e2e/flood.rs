//! A flood from one process neither hides what another does nor loses count.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case, in_vm},
    cgroup::Cgroup,
    guard::{Guard, Post},
    route::Route,
    work,
};
use serde_json::Value;

const POLICY: &str = "builtin = false\n\
    [[rule]]\nid = \"flooded\"\nip = [\"127.80.0.0/16\"]\naction = \"deny\"\n\
    [[rule]]\nid = \"interesting\"\nip = [\"127.66.66.66\"]\naction = \"deny\"\n";

const INTERESTING: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 66, 66, 66));

pub fn cases() -> Vec<Trial> {
    vec![case("floods_to_one_and_to_many_addresses_hide_nothing_and_are_counted_exactly", floods)]
}

fn floods() -> Result<Done> {
    let total: u32 = if in_vm() { 10_000 } else { 100_000 };
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    let mut guard = post.start("enforce")?;
    let mut events = Vec::new();
    for (first, addresses) in [("127.80.0.1:3333", 1), ("127.80.0.1:4444", 5000)] {
        flood(&mut guard, &cgroup, first.parse()?, addresses, total, &mut events)
            .with_context(|| format!("a flood to {addresses} addresses"))?;
    }
    // What is held back is told at the end at the latest.
    let (status, rest) = guard.stop_with_events()?;
    ensure!(status.success(), "the guard ended with {status}");
    events.extend(rest);
    let told = count(&events)?;
    let lines = events.iter().filter(|event| event["rule"]["id"] == "flooded").count();
    eprintln!("twice {total} denied connects: {lines} events, {told:?}");
    let (happened, sum) = (2 * u64::from(total) + 2, told.values().sum::<u64>());
    ensure!(sum == happened, "{happened} happened, {sum} were told or lost: {told:?}");
    ensure!(lines < total as usize / 5, "{lines} events are a flood themselves");
    Ok(Done::Passed)
}

/// Meanwhile another process does something interesting, which is told at once.
fn flood(
    guard: &mut Guard,
    cgroup: &Cgroup,
    first: SocketAddr,
    addresses: u32,
    total: u32,
    events: &mut Vec<Value>,
) -> Result<()> {
    let flooded = std::thread::scope(|scope| {
        let flood = scope.spawn(|| work::flood(cgroup, first, addresses, total / addresses));
        // The flood has begun, and goes on for long.
        guard.each_event(|event| {
            let found = event["destination"]["port"] == first.port();
            events.push(event);
            found
        })?;
        let attempt = Route::UdpConnect.from_cgroup(cgroup, SocketAddr::new(INTERESTING, first.port()))?;
        ensure!(attempt.is_denied(), "{attempt}");
        guard.each_event(|event| {
            let found = event["rule"]["id"] == "interesting" && event["destination"]["port"] == first.port();
            events.push(event);
            found
        })?;
        flood.join().map_err(|_| anyhow::anyhow!("the flood panicked"))?
    })?;
    ensure!(flooded.denied == u64::from(total), "not each one was denied: {flooded:?}");
    Ok(())
}

/// Events, those that others stand for, and losses.
fn count(events: &[Value]) -> Result<BTreeMap<String, u64>> {
    let mut sums = BTreeMap::new();
    let mut add = |what: &str, n: u64| *sums.entry(what.to_owned()).or_insert(0) += n;
    for event in events {
        if event["event"]["action"] == "connection-denied" {
            add("events", 1);
            add("suppressed", event["miner_guard"]["suppressed"].as_u64().unwrap_or(0));
        }
        if let Some(losses) = event["miner_guard"]["loss"].as_object() {
            for (cause, n) in losses {
                add(cause, n.as_u64().context("a loss is no number")?);
            }
        }
    }
    Ok(sums)
}

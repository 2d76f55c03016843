//! A flood from one process neither hides what another does nor loses count.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case, in_vm},
    cgroup::Cgroup,
    guard::Post,
    route::Route,
    work,
};
use serde_json::Value;

const POLICY: &str = "builtin = false\n\
    [[rule]]\nid = \"flooded\"\nip = [\"127.80.0.0/16\"]\naction = \"deny\"\n\
    [[rule]]\nid = \"interesting\"\nip = [\"127.66.66.66\"]\naction = \"deny\"\n";

pub fn cases() -> Vec<Trial> {
    vec![
        case("a_flood_to_one_address_hides_nothing_and_is_counted_exactly", || flood(1)),
        case("a_flood_to_many_addresses_hides_nothing_and_is_counted_exactly", || flood(5000)),
    ]
}

fn flood(addresses: u32) -> Result<Done> {
    let total: u32 = if in_vm() { 10_000 } else { 100_000 };
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    let mut guard = post.start("enforce")?;
    let first: SocketAddr = "127.80.0.1:3333".parse()?;
    let mut events = Vec::new();
    let flooded = std::thread::scope(|scope| {
        let flood = scope.spawn(|| work::flood(&cgroup, first, addresses, total / addresses));
        // The flood has begun, and goes on for long.
        events.push(guard.wait_event(|event| event["rule"]["id"] == "flooded")?);
        let attempt = Route::UdpConnect.from_cgroup(&cgroup, "127.66.66.66:3333".parse()?)?;
        ensure!(attempt.is_denied(), "{attempt}");
        guard.each_event(|event| {
            let found = event["rule"]["id"] == "interesting";
            events.push(event);
            found
        })?;
        flood.join().map_err(|_| anyhow::anyhow!("the flood panicked"))?
    })?;
    ensure!(flooded.denied == u64::from(total), "not each one was denied: {flooded:?}");
    // What is held back is told at the end at the latest.
    let (status, rest) = guard.stop_with_events()?;
    ensure!(status.success(), "the guard ended with {status}");
    events.extend(rest);
    let told = count(&events)?;
    let lines = events.iter().filter(|event| event["rule"]["id"] == "flooded").count();
    eprintln!("{total} denied connects to {addresses} addresses: {lines} events, {told:?}");
    let sum: u64 = told.values().sum();
    ensure!(sum == u64::from(total) + 1, "{} happened, {sum} were told or lost: {told:?}", total + 1);
    ensure!(lines < total as usize / 10, "{lines} events are a flood themselves");
    Ok(Done::Passed)
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

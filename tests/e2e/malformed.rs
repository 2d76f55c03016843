//! A malformed packet passes or drops as without the guard, and does not stall it.

use std::{
    io::Read as _,
    net::{Ipv4Addr, TcpListener},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case},
    cgroup::Cgroup,
    guard::Post,
    malformed::{self, Outcome},
    route::{NAME, Route},
};
use serde_json::Value;

const DENIED: Ipv4Addr = Ipv4Addr::new(127, 66, 66, 66);

pub fn cases() -> Vec<Trial> {
    vec![case("a_malformed_packet_fares_as_without_the_guard", as_without)]
}

/// Everything that reads packets has something to look for.
fn policy() -> String {
    format!(
        "builtin = false\n\
         [[rule]]\nid = \"address\"\nip = [\"{DENIED}\", \"2001:db8::/32\"]\naction = \"deny\"\n\
         [[rule]]\nid = \"name\"\ndomain = [\"{NAME}\", \"*.{NAME}\"]\naction = \"deny\"\n"
    )
}

/// What the sender says, and what arrives on streams.
fn send(cgroup: &Cgroup) -> Result<(Outcome, Vec<Vec<u8>>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let to = listener.local_addr()?;
    let expected = malformed::streams().len();
    let heard = std::thread::spawn(move || {
        let mut all = Vec::new();
        for _ in 0..expected {
            let mut one = Vec::new();
            listener.accept()?.0.read_to_end(&mut one)?;
            all.push(one);
        }
        std::io::Result::Ok(all)
    });
    let outcome = malformed::send_all(cgroup, DENIED, to)?;
    let heard = heard.join().map_err(|_| anyhow::anyhow!("the listener panicked"))??;
    Ok((outcome, heard))
}

fn as_without() -> Result<Done> {
    let (guarded, free) = (Cgroup::new()?, Cgroup::new()?);
    let post = Post::at(&guarded, &policy())?;
    let guard = post.start("enforce")?;
    let (without, heard_without) = send(&free)?;
    let (mut with, heard) = send(&guarded)?;
    ensure!(
        without.sent.len() > 800 && without.seen.len() > 500,
        "{} sent, {} seen",
        without.sent.len(),
        without.seen.len()
    );
    // The last one is the one that must differ: what is compared here can tell.
    let last = with.sent.last_mut().context("nothing was sent")?;
    ensure!(*last == format!("{} denied", libc::EPERM), "to the denied address: {last}");
    *last = "0 denied".to_owned();
    ensure!(
        without.seen.len() == with.seen.len() + 1,
        "{} seen, {} without the guard",
        with.seen.len(),
        without.seen.len()
    );
    for (with, without) in with.sent.iter().zip(&without.sent) {
        ensure!(with == without, "with the guard {with}, without {without}");
    }
    for (with, without) in with.seen.iter().zip(&without.seen) {
        ensure!(with == without, "on the wire\n{with}\nand without the guard\n{without}");
    }
    ensure!(heard_without == malformed::streams(), "a stream changed without the guard");
    ensure!(heard == heard_without, "a stream changed");

    let status = post.run(&["status", "-o", "json"])?;
    let status: Value = serde_json::from_slice(&status.stdout)?;
    let lost = status["losses"].as_object().context("no losses")?;
    ensure!(lost.values().all(|n| *n == 0), "lost: {status}");
    ensure!(status["canary"]["state"] == "proven", "{status}");
    let denied = Route::UdpConnect.from_cgroup(&guarded, (DENIED, 9).into())?;
    ensure!(denied.is_denied(), "afterwards: {denied}");
    let (_, events) = guard.stop_with_events()?;
    let told = events.iter().filter(|e| e["destination"]["ip"] != DENIED.to_string());
    let told: Vec<_> = told.filter(|e| e["event"]["kind"] == "alert").collect();
    ensure!(told.is_empty(), "alerts about what nobody lists: {told:?}");
    Ok(Done::Passed)
}

//! `cargo xtask traffic`: ordinary protocols, spoken by ordinary programs, under enforce with the embedded feed: each works,
//! and nothing is told. Writes docs/traffic.md.
//!
//! The guard watches the cgroup of a [`room`] in which Debian's servers and clients talk over its own loopback; each
//! family of protocols has a file here and a cgroup below, by which an event says whose it is. At the end three things are
//! done that must be stopped and told: a guard that hears nothing tells nothing either.

mod bulk;
mod databases;
mod files;
mod git;
mod messages;
mod names;
mod packages;
mod page;
mod proof;
pub mod room;
pub mod root;
mod rpc;
mod told;
mod web;

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    bench::{guard::Guard, place::Scratch, sweep},
    build, shell,
};
use room::Room;
use root::Root;

/// Arguments of `cargo xtask traffic`.
#[derive(clap::Args)]
pub struct Args {
    /// Only operations whose name contains one of these; the page is then printed and not written
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A guard that is built already
    #[arg(long)]
    guard: Option<PathBuf>,
}

/// Something ordinary that is done in the room, servers and all.
pub struct Operation {
    /// As the page calls it.
    pub name: &'static str,
    /// The cgroup of its processes; no other operation has it.
    pub part: &'static str,
    /// Does it in that part, and says how much was done.
    pub run: fn(&Room, &str) -> Result<String>,
}

/// What came of an operation.
struct Outcome {
    name: &'static str,
    part: &'static str,
    /// What was done, or why it failed.
    done: Result<String, String>,
    took: Duration,
}

/// What the room has before anything is done in it: configuration, programs of ours, and a certificate.
const SITE: &[(&str, &str)] = &[
    ("nginx.conf", include_str!("site/nginx.conf")),
    ("websocket.py", include_str!("site/websocket.py")),
    ("grpc_echo.py", include_str!("site/grpc_echo.py")),
    ("electrum.py", include_str!("site/electrum.py")),
    ("many.py", include_str!("site/many.py")),
    ("mail.py", include_str!("site/mail.py")),
    ("nats.py", include_str!("site/nats.py")),
    ("memcached.py", include_str!("site/memcached.py")),
    ("mpi.py", include_str!("site/mpi.py")),
    ("ports.py", include_str!("site/ports.py")),
    ("say.py", include_str!("site/say.py")),
];

/// Where the servers that several operations need run.
const SITE_PART: &str = "site";

/// Builds, runs, prints, and writes `docs/traffic.md`.
///
/// # Errors
/// When an operation fails, anything is told of one, or what must be told is not.
pub fn main(args: &Args) -> Result<()> {
    let guard = build::given(args.guard.as_ref())?;
    room::possible()?;
    let root = Root::ensure()?;
    sweep::always()?;
    let scratch = Scratch::new()?;
    let room = Room::open(&root, scratch.path(), "traffic")?;
    let guard = Guard::start(&guard, scratch.path(), "guard", room.cgroup(), &proof::policy())?;
    furnish(&room)?;
    let all = [
        names::OPERATIONS,
        web::OPERATIONS,
        git::OPERATIONS,
        packages::OPERATIONS,
        databases::OPERATIONS,
        rpc::OPERATIONS,
        messages::OPERATIONS,
        files::OPERATIONS,
        bulk::OPERATIONS,
    ];
    let wanted =
        |o: &&Operation| args.only.is_empty() || args.only.iter().any(|w| o.name.contains(w.as_str()));
    let mut outcomes = Vec::new();
    for operation in all.into_iter().flatten().filter(wanted) {
        eprintln!("traffic: {}", operation.name);
        let start = Instant::now();
        let done = (operation.run)(&room, operation.part).map_err(|error| format!("{error:#}"));
        if let Err(why) = &done {
            eprintln!("traffic: {} failed: {why}", operation.name);
        }
        outcomes.push(Outcome { name: operation.name, part: operation.part, done, took: start.elapsed() });
    }
    let cases = guard.ask(&["cases", "list"])?;
    let proofs = proof::run(&room)?;
    let events = guard.dir().join("events");
    guard.stop()?;
    drop(room);
    let told = told::Told::read(&fs::read_to_string(&events)?, &cases)?;
    let page = page::page(&outcomes, &proofs, &told);
    println!("{page}");
    if args.only.is_empty() {
        let path = shell::root().join("docs/traffic.md");
        fs::write(&path, &page)?;
        eprintln!("traffic: wrote {}", path.display());
    }
    let failed = outcomes.iter().filter(|o| o.done.is_err()).count();
    let missed = proofs.iter().filter(|p| !p.stopped || !told.has(p)).count();
    if failed + missed + told.alarms.len() > 0 {
        for alarm in &told.alarms {
            eprintln!("false alarm: {alarm}");
        }
        bail!(
            "{failed} operations failed, {} false alarms, {missed} denied things were not stopped and told",
            told.alarms.len()
        );
    }
    Ok(())
}

/// Files, names and a web server, which most operations need.
pub fn furnish(room: &Room) -> Result<()> {
    for (name, text) in SITE {
        fs::write(room.work().join(name), text)?;
    }
    room.run(
        SITE_PART,
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca.example \
           -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.pem 2> /dev/null
         openssl req -newkey rsa:2048 -nodes -subj /CN=www.example -keyout tls.key -out tls.csr 2> /dev/null
         printf 'subjectAltName=DNS:www.example,DNS:git.example,DNS:electrum.example' > names
         openssl x509 -req -in tls.csr -CA ca.pem -CAkey ca.key -days 2 -extfile names -out tls.pem 2> /dev/null
         mkdir -p www; printf 'a small page\\n' > www/small; head -c 64M /dev/urandom > www/large",
    )?;
    room.serve(
        SITE_PART,
        53,
        // It answers every name with loopback.
        "exec dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --pid-file= --user=root \
           --listen-address=127.0.0.1 --bind-interfaces --address=/#/127.0.0.1 --txt-record=text.example,hello",
    )?;
    room.serve(SITE_PART, 80, "exec nginx -c /work/nginx.conf -g 'daemon off;'")
}

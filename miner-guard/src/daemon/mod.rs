//! The running guard: start, prove, then one loop that takes records, commands and signals.
//!
//! [`start`] brings the kernel side up; [`tell`] turns records into events; [`inspect`] looks at files, [`watch`] at
//! running programs and [`answers`] at what name servers say, on threads of their own; [`learned`] keeps what names and
//! miners led to, [`isolate`] which cgroups are confined; [`closing`] ends connections that are open to what is denied;
//! [`control`] answers the API; [`cases`] joins evidence, [`respond`] does what is due. The loop alone owns
//! the kernel tables; [`following`] hangs hooks on network interfaces that come.

mod answers;
mod cases;
mod closing;
mod control;
mod feeds;
mod following;
mod found;
mod inspect;
mod isolate;
mod known;
mod learned;
mod memory;
mod respond;
mod rules;
mod script;
mod spare;
mod start;
mod tell;
mod watch;

use std::{io, path::PathBuf, time::Duration};

use tokio::{
    io::unix::AsyncFd,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use crate::{
    api::{hub::Hub, server, socket},
    event::decode,
    kernel::{KernelError, preflight, ring::Ring},
    policy::OnStop,
    sinks::stream::Format,
};
use miner_guard_common::abi::{record::WAKE_GAP_NS, verdict::Mode};
pub use start::Guard;

/// What `miner-guard run` was asked for.
#[derive(Debug)]
pub struct RunOptions {
    /// The policy file; `None`: the built-in defaults.
    pub config: Option<PathBuf>,
    /// Overrides the policy's mode.
    pub mode: Option<Mode>,
    /// Guard this cgroup; `None`: the whole host.
    pub cgroup: Option<PathBuf>,
    /// Where state is kept.
    pub state_dir: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// Where programs and tables are pinned.
    pub pin_dir: PathBuf,
    /// How events are written to stdout.
    pub format: Format,
}

/// Why the guard did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The kernel side.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The policy has errors, a line each.
    #[error("{}", .0.join("\n"))]
    Policy(Vec<String>),
    /// The canary was not stopped, and enforce mode was asked for.
    #[error(
        "enforcement is not proven on this kernel: {0}; nothing was left attached. `run --mode audit` still reports, and `miner-guard doctor` tells more"
    )]
    NotProven(String),
    /// The control socket.
    #[error(transparent)]
    Socket(#[from] socket::BindError),
    /// The operating system.
    #[error("{0}: {1}")]
    Io(&'static str, #[source] io::Error),
}

/// Runs until SIGTERM or SIGINT.
pub fn run(options: RunOptions) -> Result<(), DaemonError> {
    // To stderr, which the journal keeps with its own time stamps.
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("MINER_GUARD_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).without_time().init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| DaemonError::Io("starting the runtime", e))?;
    runtime.block_on(serve(options))
}

/// Records taken before other work gets a turn.
const BURST: usize = 4096;
/// When to look at the ring again without being woken: see [`WAKE_GAP_NS`].
const LOOK_AGAIN: Duration = Duration::from_nanos(2 * WAKE_GAP_NS);

async fn serve(options: RunOptions) -> Result<(), DaemonError> {
    let io = |what| move |e| DaemonError::Io(what, e);
    let mut terminate = signal(SignalKind::terminate()).map_err(io("handling SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io("handling SIGINT"))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(io("handling SIGHUP"))?;
    preflight::permitted()?;
    let bound = socket::Bound::at(&options.socket)?;
    let hub = Hub::default();
    let (inspected, mut results) = mpsc::unbounded_channel();
    let report = move |i| {
        // Fails only while the guard stops.
        let _ = inspected.send(i);
    };
    let (feed_news, mut heard) = mpsc::unbounded_channel();
    let (sweeping, mut swept) = mpsc::unbounded_channel();
    let closer = closing::Closer::start(move |s| sweeping.send(s).is_ok())
        .map_err(|e| DaemonError::Io("starting the closing threads", e))?;
    let (mut guard, ring) = Guard::start(options, hub.clone(), report, feed_news, closer)?;
    let (found, mut findings) = mpsc::unbounded_channel();
    guard.watch(move |f| {
        // As above.
        let _ = found.send(f);
    })?;
    let (interfaces, mut followed) = mpsc::unbounded_channel();
    guard.follow_interfaces(move |state| interfaces.send(state).is_ok())?;
    let (hear, mut answers) = mpsc::channel(64);
    // The reading thread waits while too many wait here; the kernel counts what it loses meanwhile.
    guard.listen(move |led| hear.blocking_send(led).is_ok());
    // SAFETY: the ring owns its descriptor, never replaces or closes it before it is dropped, and `AsyncFd` drops
    // its registration first.
    let mut ring = unsafe { AsyncFd::register(ring) }
        .map_err(|e| DaemonError::Io("watching the ring buffer", e.into()))?;

    let (commands, mut asked) = mpsc::channel(16);
    let api = tokio::spawn(server::serve(bound, commands, hub));
    eprintln!("ready");
    // Absent systemd is not an error.
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);

    guard.sweep();
    memory::give_back();

    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Records that came before this loop may have woken nobody.
    let mut look = Some(Instant::now());
    loop {
        tokio::select! {
            () = sleep_until(look.unwrap_or_else(Instant::now)), if look.is_some() => {
                look = match drain(&mut guard, ring.get_mut()) {
                    0 => None,
                    BURST => Some(Instant::now()),
                    _ => Some(Instant::now() + LOOK_AGAIN),
                };
                guard.flush();
            }
            ready = ring.readable_mut() => {
                look = Some(Instant::now() + LOOK_AGAIN);
                let mut ready = ready.map_err(io("watching the ring buffer"))?;
                if drain(&mut guard, ready.get_inner_mut()) < BURST {
                    ready.clear_ready();
                }
                guard.flush();
                // Under a flood the ring is always readable: commands and signals get their turn all the same.
                tokio::task::yield_now().await;
            }
            Some(done) = results.recv() => {
                guard.inspected(done);
                guard.flush();
            }
            Some(found) = findings.recv() => {
                guard.found(found);
                guard.flush();
            }
            Some(done) = guard.responder.done() => {
                guard.tell_done(done);
                guard.flush();
            }
            Some(led) = answers.recv() => {
                guard.led(&led);
                guard.flush();
            }
            Some(state) = followed.recv() => guard.hangs_on(state),
            Some(swept) = swept.recv() => {
                guard.swept(swept);
                guard.flush();
            }
            Some((command, answer)) = asked.recv() => {
                guard.asked(command, answer);
                guard.flush();
            }
            Some(news) = heard.recv() => {
                guard.feed_news(news);
                guard.flush();
            }
            _ = tick.tick() => {
                drain(&mut guard, ring.get_mut());
                guard.tick();
                guard.feeds_tick();
                guard.flush();
            }
            _ = hangup.recv() => {
                guard.reload_by_signal();
                guard.flush();
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
    drain(&mut guard, ring.get_mut());
    api.abort();
    // Awaited, so that the socket is gone when the process is.
    let _ = api.await;
    guard.stop()
}

fn drain(guard: &mut Guard, ring: &mut Ring) -> usize {
    let mut n = 0;
    while n < BURST
        && let Some(bytes) = ring.next()
    {
        n += 1;
        match decode::decode(&bytes) {
            Ok(record) => guard.record(record),
            Err(e) => guard.undecodable(&e),
        }
    }
    n
}

/// What an orderly stop does: the policy's word, or by where the guard runs.
fn unload_at_stop(wanted: Option<OnStop>) -> bool {
    match wanted {
        Some(OnStop::Unload) => true,
        Some(OnStop::Keep) => false,
        // systemd sets this: a service keeps its enforcement over a restart.
        None => std::env::var_os("INVOCATION_ID").is_none(),
    }
}

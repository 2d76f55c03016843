//! The feeds of a running guard: taken up when they change, fetched on time, kept as good copies.
//!
//! [`fetch`] speaks HTTPS on threads of its own, [`watch`] hears of changed directories, and one thread copies what was
//! taken. The daemon's loop learns of all of them by [`News`], and it alone puts a policy in force.

mod fetch;
mod list;
mod update;
mod watch;

use std::{collections::HashMap, path::Path, thread::JoinHandle};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::start::Guard;
use crate::{
    api::control::{CommandError, Reply},
    policy::{
        Resolved,
        feed::{FeedReport, kept::Kept},
    },
};
use update::Update;

/// What the loop is told.
#[derive(Debug)]
pub enum News {
    /// Something in a watched directory is another than before.
    Changed,
    /// A fetch has ended.
    Fetched {
        /// The feed.
        id: String,
        /// The update that asked for it.
        update: u64,
        /// What came of it.
        outcome: Result<fetch::Fetched, String>,
    },
}

/// Where the answer of a command goes.
pub type Answer = oneshot::Sender<Result<Reply, CommandError>>;

/// What the loop remembers of its feeds.
pub struct Feeds {
    kept: Kept,
    news: mpsc::UnboundedSender<News>,
    watch: Option<watch::Watch>,
    /// A directory has changed since the last tick.
    changed: bool,
    /// When each URL is fetched next, seconds since 1970.
    due: HashMap<String, i64>,
    /// Updates that wait for a fetch.
    updates: HashMap<u64, Update>,
    started: u64,
    /// Told once, not at every reload.
    troubles: HashMap<String, String>,
    keeper: Option<(std::sync::mpsc::Sender<Vec<FeedReport>>, JoinHandle<()>)>,
}

impl Feeds {
    /// Of this state directory; `news` reaches the loop.
    pub fn new(state_dir: &Path, news: mpsc::UnboundedSender<News>) -> Self {
        let kept = Kept::at(state_dir);
        Self {
            keeper: keeper(kept.clone()),
            kept,
            news,
            watch: None,
            changed: false,
            due: HashMap::new(),
            updates: HashMap::new(),
            started: 0,
            troubles: HashMap::new(),
        }
    }

    /// A policy came into force: its directories are watched, its URLs fetched on time, its feeds kept.
    fn follow(&mut self, policy: &Resolved) {
        let directories: Vec<_> =
            policy.feeds.iter().filter(|f| f.directory).map(|f| f.path.as_path()).collect();
        if directories.is_empty() {
            self.watch = None;
        } else {
            if self.watch.is_none() {
                let news = self.news.clone();
                self.watch = watch::Watch::start(move || news.send(News::Changed).is_ok())
                    .inspect_err(|e| tracing::warn!("directories of feeds are not watched: {e}"))
                    .ok();
            }
            if let Some(watch) = &mut self.watch {
                watch.set(&directories);
            }
        }
        self.due.retain(|id, _| policy.feeds.iter().any(|f| f.fetched && f.id == *id));
        for f in policy.feeds.iter().filter(|f| f.fetched) {
            let last = self.kept.meta(&f.id, &f.source).and_then(|m| m.fetched);
            self.due.entry(f.id.clone()).or_insert_with(|| next_fetch(last, f.every_s));
        }
        if let Some((keeper, _)) = &self.keeper {
            // Fails only when the thread is gone; the guard goes on without copies.
            let _ = keeper.send(policy.feeds.clone());
        }
    }
}

impl Drop for Feeds {
    fn drop(&mut self) {
        // Waited for, so that a stop in order leaves whole copies.
        if let Some((keeper, thread)) = self.keeper.take() {
            drop(keeper);
            let _ = thread.join();
        }
    }
}

/// After the last one, within a tenth of the period: a thousand nodes must not ask in the same second.
fn next_fetch(last: Option<i64>, every_s: u64) -> i64 {
    let now = Timestamp::now().as_second();
    let Some(last) = last else { return now };
    let period = i64::try_from(every_s).unwrap_or(i64::MAX);
    let spread = i64::from(std::process::id().wrapping_mul(0x9e37_79b9) >> 8) % (period / 10).max(1);
    last.min(now).saturating_add(period).saturating_add(spread)
}

fn keeper(kept: Kept) -> Option<(std::sync::mpsc::Sender<Vec<FeedReport>>, JoinHandle<()>)> {
    let (send, receive) = std::sync::mpsc::channel::<Vec<FeedReport>>();
    let work = move || {
        while let Ok(mut reports) = receive.recv() {
            // Only the newest counts.
            while let Ok(newer) = receive.try_recv() {
                reports = newer;
            }
            for report in &reports {
                if let Err(e) = kept.keep(report) {
                    tracing::warn!("feed {}: no copy could be kept: {e}", report.id);
                }
            }
        }
    };
    let thread = std::thread::Builder::new().name("feed-copies".into()).spawn(work);
    thread.inspect_err(|e| tracing::warn!("no copies of feeds are kept: {e}")).ok().map(|t| (send, t))
}

impl Guard {
    /// A policy came into force.
    pub(super) fn follow_feeds(&mut self) {
        self.feeds.follow(&self.policy);
        self.tell_troubles();
    }

    /// Once a second.
    pub(super) fn feeds_tick(&mut self) {
        let came = self.feeds.watch.as_mut().is_some_and(watch::Watch::retry);
        let changed = std::mem::take(&mut self.feeds.changed);
        if let (true, Some(watch)) = (changed, &mut self.feeds.watch) {
            watch.refresh();
        }
        if changed || came {
            self.take_up_changes();
        }
        let now = Timestamp::now().as_second();
        let due: Vec<String> =
            self.feeds.due.iter().filter(|(_, at)| **at <= now).map(|(id, _)| id.clone()).collect();
        if !due.is_empty() {
            self.fetch_due(due);
        }
    }

    /// Takes what a thread has to tell.
    pub(super) fn feed_news(&mut self, news: News) {
        match news {
            // A copy into the directory brings many at once: they wait for the tick.
            News::Changed => self.feeds.changed = true,
            News::Fetched { id, update, outcome } => self.fetched(&id, update, outcome),
        }
    }
}

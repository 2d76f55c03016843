//! Taking up feeds: on command, on time, and when a directory changed.

use super::{Answer, News, fetch::Fetched, fetch::Job, next_fetch};
use crate::{
    api::control::{CommandError, FeedOutcome, FeedUpdate, Reply, UpdateOutcome},
    daemon::{
        memory,
        start::{Guard, read_policy},
    },
    event::model::Action,
    policy::{
        Feeds,
        feed::{FeedReport, kept::Meta},
    },
};
use jiff::Timestamp;
use std::sync::Arc;

/// Seconds after which a fetch that failed is tried again.
const RETRY: i64 = 600;

/// An update that is under way.
pub(super) struct Update {
    answer: Option<Answer>,
    force: bool,
    /// Fetches that have not ended.
    left: usize,
    done: Vec<FeedOutcome>,
}

impl Guard {
    /// Takes up one feed, or all of them. The answer may come later: nothing here waits for the network.
    pub(in crate::daemon) fn update_feeds(&mut self, id: Option<&str>, force: bool, answer: Answer) {
        let own: Vec<FeedReport> =
            self.policy.feeds.iter().filter(|f| !f.source.is_empty()).cloned().collect();
        let chosen: Vec<FeedReport> =
            own.iter().filter(|f| id.is_none_or(|id| id == f.id)).cloned().collect();
        if let Some(id) = id.filter(|_| chosen.is_empty()) {
            let names: Vec<&str> = own.iter().map(|f| f.id.as_str()).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let why = if self.policy.feeds.iter().any(|f| f.id == id) {
                format!("the feed `{id}` is part of the program: it comes with a new version")
            } else {
                format!("there is no feed `{id}`; the policy's feeds: {known}")
            };
            // Whoever asked may have gone; so below.
            let _ = answer.send(Err(CommandError::Request(why)));
            return;
        }
        self.begin(chosen, force, Some(answer));
    }

    /// URLs whose time has come.
    pub(super) fn fetch_due(&mut self, ids: Vec<String>) {
        for id in &ids {
            // Until its outcome says better.
            self.feeds.due.insert(id.clone(), Timestamp::now().as_second().saturating_add(RETRY));
        }
        let feeds = self.policy.feeds.iter().filter(|f| ids.contains(&f.id)).cloned().collect();
        self.begin(feeds, false, None);
    }

    fn begin(&mut self, feeds: Vec<FeedReport>, force: bool, answer: Option<Answer>) {
        self.feeds.started += 1;
        let number = self.feeds.started;
        self.feeds.updates.insert(number, Update { answer, force, left: feeds.len() + 1, done: Vec::new() });
        for feed in feeds {
            if !feed.fetched {
                let done = self.take_up(&feed.id, force, false);
                self.ended(number, Some(done));
            } else if let Err(why) = self.fetch(&feed, number) {
                self.ended(number, Some(outcome(&feed.id, UpdateOutcome::Refused, 0, 0, Some(why))));
            }
        }
        self.ended(number, None);
    }

    /// Starts a thread that fetches.
    fn fetch(&mut self, feed: &FeedReport, update: u64) -> Result<(), String> {
        let into = self.feeds.kept.receive(&feed.id).map_err(|e| {
            format!("the state directory {} cannot be written: {e}", self.options.state_dir.display())
        })?;
        let known = self.feeds.kept.meta(&feed.id, &feed.source);
        let job = Job::of(feed, known, self.policy.settings.limits.feed_mib << 20, into);
        let (id, news) = (feed.id.clone(), self.feeds.news.clone());
        let work = move || {
            let outcome = job.run();
            // Fails only while the guard stops.
            let _ = news.send(News::Fetched { id, update, outcome });
        };
        let thread = std::thread::Builder::new().name("feed-fetch".into()).spawn(work);
        thread.map(|_| ()).map_err(|e| format!("no thread to fetch with: {e}"))
    }

    /// A fetch has ended.
    pub(super) fn fetched(&mut self, id: &str, update: u64, outcome_of: Result<Fetched, String>) {
        let force = self.feeds.updates.get(&update).is_some_and(|u| u.force);
        let Some(feed) = self.policy.feeds.iter().find(|f| f.id == id).cloned() else {
            // It went with a reload.
            self.feeds.kept.discard(id);
            return self.ended(update, None);
        };
        let done = match outcome_of {
            Err(why) => {
                self.feeds.kept.discard(id);
                self.news(
                    Action::FeedRefused,
                    format!("feed {id}: it could not be fetched"),
                    vec![why.clone()],
                );
                outcome(id, UpdateOutcome::Refused, feed.used, feed.bad, Some(why))
            }
            Ok(Fetched::Unchanged) => {
                self.feeds.kept.discard(id);
                if let Some(meta) = self.feeds.kept.meta(id, &feed.source) {
                    self.confirm(id, &Meta { fetched: Some(Timestamp::now().as_second()), ..meta });
                }
                memory::give_back();
                outcome(id, UpdateOutcome::Unchanged, feed.used, feed.bad, None)
            }
            Ok(Fetched::New { etag, last_modified }) => {
                let done = self.take_up(id, force, true);
                match self.policy.feeds.iter().find(|f| f.id == id) {
                    Some(now) if done.outcome != UpdateOutcome::Refused => {
                        let meta = Meta {
                            source: now.source.clone(),
                            used: now.used,
                            origin: now.origin,
                            fetched: Some(Timestamp::now().as_second()),
                            etag,
                            last_modified,
                        };
                        if let Err(e) = self.feeds.kept.accept(id, &meta) {
                            tracing::warn!("feed {id}: it is in force, and will be lost at a restart: {e}");
                        }
                        self.read_from_copy(id);
                    }
                    _ => self.feeds.kept.discard(id),
                }
                done
            }
        };
        if done.outcome != UpdateOutcome::Refused {
            let next = next_fetch(Some(Timestamp::now().as_second()), feed.every_s);
            self.feeds.due.insert(id.to_owned(), next);
        }
        self.ended(update, Some(done));
    }

    fn confirm(&self, id: &str, meta: &Meta) {
        if let Err(e) = self.feeds.kept.confirm(id, meta) {
            tracing::warn!("feed {id}: {e}");
        }
    }

    /// What was read as it came lies with the copies now.
    fn read_from_copy(&mut self, id: &str) {
        let path = self.feeds.kept.content(id);
        let policy = Arc::make_mut(&mut self.policy);
        if let Some(f) = policy.feeds.iter_mut().find(|f| f.id == id) {
            f.path = path;
        }
        self.teller.reread(Arc::clone(&self.policy));
    }

    fn ended(&mut self, number: u64, done: Option<FeedOutcome>) {
        let Some(update) = self.feeds.updates.get_mut(&number) else { return };
        update.done.extend(done);
        update.left = update.left.saturating_sub(1);
        if update.left > 0 {
            return;
        }
        if let Some(Update { answer: Some(answer), done, .. }) = self.feeds.updates.remove(&number) {
            let _ =
                answer.send(Ok(Reply::FeedUpdate(FeedUpdate { generation: self.generation, feeds: done })));
        }
    }

    /// Reads one feed anew and puts it in force, with the policy as it is; or keeps what there is.
    fn take_up(&mut self, id: &str, force: bool, incoming: bool) -> FeedOutcome {
        let how = Feeds { fall_back: true, update: Some(id), force, incoming };
        match self.with_feeds(how) {
            Ok(changed) => {
                let (used, bad) =
                    self.policy.feeds.iter().find(|f| f.id == id).map_or((0, 0), |f| (f.used, f.bad));
                if changed {
                    let message = format!("feed {id}: {used} indicators, generation {}", self.generation);
                    self.news(Action::FeedUpdated, message, Vec::new());
                }
                let word = if changed { UpdateOutcome::Updated } else { UpdateOutcome::Unchanged };
                outcome(id, word, used, bad, None)
            }
            Err(why) => {
                let message = format!("feed {id}: what was in force stays");
                self.news(Action::FeedRefused, message, vec![why.clone()]);
                let before =
                    self.policy.feeds.iter().find(|f| f.id == id).map_or((0, 0), |f| (f.used, f.bad));
                outcome(id, UpdateOutcome::Refused, before.0, before.1, Some(why))
            }
        }
    }

    /// A watched directory changed.
    pub(super) fn take_up_changes(&mut self) {
        let count = |g: &Self| -> Vec<(String, usize)> {
            g.policy.feeds.iter().filter(|f| f.directory).map(|f| (f.id.clone(), f.used)).collect()
        };
        let before = count(self);
        match self.with_feeds(Feeds { fall_back: true, ..Feeds::default() }) {
            Ok(true) => {
                let moved = count(self).into_iter().filter(|now| !before.contains(now));
                let parts: Vec<String> =
                    moved.map(|(id, used)| format!("{id} has {used} indicators")).collect();
                let what = if parts.is_empty() { "a directory changed".to_owned() } else { parts.join(", ") };
                let message = format!("{what}, generation {}", self.generation);
                self.news(Action::FeedUpdated, message, Vec::new());
            }
            Ok(false) => {}
            Err(why) => self.news(Action::FeedRefused, "what was in force stays".into(), vec![why]),
        }
    }

    /// Reads the feeds under the policy text in force. Whether anything became another.
    fn with_feeds(&mut self, feeds: Feeds<'_>) -> Result<bool, String> {
        let before = Arc::clone(&self.policy);
        let new = read_policy(&self.options, Some(&before), Some(&before.text), feeds)
            .map_err(|e| e.to_string())?;
        if new.fingerprint == before.fingerprint {
            // Ages and refused rows may differ all the same.
            self.policy = Arc::new(new);
            self.teller.reread(Arc::clone(&self.policy));
            self.follow_feeds();
            memory::give_back();
            return Ok(false);
        }
        drop(before);
        self.put_in_force(Arc::new(new), self.mode).map_err(|e| e.to_string())?;
        self.follow_feeds();
        Ok(true)
    }

    /// What is wrong with feeds whose last good copy is used: once each.
    pub(super) fn tell_troubles(&mut self) {
        let now: Vec<(String, String)> =
            self.policy.feeds.iter().filter_map(|f| Some((f.id.clone(), f.trouble.clone()?))).collect();
        for (id, why) in &now {
            if self.feeds.troubles.get(id) != Some(why) {
                let message = format!("feed {id}: its last good copy stays in force");
                self.news(Action::FeedRefused, message, vec![why.clone()]);
            }
        }
        self.feeds.troubles = now.into_iter().collect();
    }
}

fn outcome(id: &str, outcome: UpdateOutcome, used: usize, bad: usize, why: Option<String>) -> FeedOutcome {
    FeedOutcome { id: id.to_owned(), outcome, used: used as u64, refused: bad as u64, why }
}

//! What the operator sees of the feeds.

use crate::{
    api::control::{FeedList, FeedState},
    daemon::start::Guard,
    policy::{IndicatorClass, feed::FeedReport},
};
use jiff::Timestamp;

impl Guard {
    pub(in crate::daemon) fn feed_list(&self) -> FeedList {
        FeedList { generation: self.generation, feeds: self.feed_states() }
    }

    /// Every feed of the policy, the embedded ones, and what was learned while the guard ran.
    pub(in crate::daemon) fn feed_states(&self) -> Vec<FeedState> {
        let own = self.policy.feeds.iter().map(|f| self.feed_state(f));
        own.chain(self.learned_state()).collect()
    }

    /// What was learned, as if it were a feed.
    fn learned_state(&self) -> Option<FeedState> {
        let (used, refused) = self.learned_counts();
        let hits = self.teller.hits.get("learned");
        (used > 0).then(|| FeedState {
            id: "learned".into(),
            source: "where denied names and miners led; `feed learned` shows each".into(),
            used,
            refused,
            class: IndicatorClass::Pool.name().into(),
            hits: hits.map_or(0, |h| h.0),
            last_hit: hits.map(|h| h.1.to_string()),
            ..FeedState::default()
        })
    }

    fn feed_state(&self, f: &FeedReport) -> FeedState {
        let fetched =
            f.fetched.then(|| self.feeds.kept.meta(&f.id, &f.source)).flatten().and_then(|m| m.fetched);
        let signed = f.origin.signed.unwrap_or_default();
        // The publisher's word goes before the file system's.
        let changed = signed.at.or(fetched).or(f.origin.changed);
        let shown = |t: Option<i64>| Some(Timestamp::from_second(t?).ok()?.to_string());
        let now = Timestamp::now().as_second();
        let bad = || f.first_bad.first().map(|b| format!("line {}: {} is {}", b.line, b.text, b.why));
        let expired =
            signed.expires.filter(|end| *end <= now).map(|_| "it has expired since it was taken".to_owned());
        let hits = self.teller.hits.get(&f.id);
        FeedState {
            id: f.id.clone(),
            source: if f.source.is_empty() { "embedded".into() } else { f.source.clone() },
            used: f.used as u64,
            refused: f.bad as u64,
            why: f.trouble.clone().or(expired).or_else(bad),
            class: f.class.name().into(),
            copy: f.trouble.is_some(),
            changed: shown(changed),
            age_s: changed.map(|t| u64::try_from(now.saturating_sub(t)).unwrap_or(0)),
            signed: f.key.is_some(),
            expires: shown(signed.expires),
            hits: hits.map_or(0, |h| h.0),
            last_hit: hits.map(|h| h.1.to_string()),
        }
    }
}

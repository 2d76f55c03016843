//! Live events for whoever watches: bounded memory, and whoever is too slow is told how much it missed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::broadcast;

use crate::event::model::Event;

/// Events kept for the slowest client.
const KEPT: usize = 2048;

/// Takes events from the daemon's loop to the clients of `GET /v1/events`. Clones share one hub.
#[derive(Clone, Debug)]
pub struct Hub {
    events: broadcast::Sender<Arc<Event>>,
    lost: Arc<AtomicU64>,
}

impl Default for Hub {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl Hub {
    /// A hub that keeps so many events for its slowest client.
    #[must_use]
    pub fn keeping(events: usize) -> Self {
        Self { events: broadcast::Sender::new(events), lost: Arc::default() }
    }

    /// Somebody watches: without, an event need not even be kept.
    #[must_use]
    pub fn watched(&self) -> bool {
        self.events.receiver_count() > 0
    }

    /// Gives one event to everybody who watches. Never waits.
    pub fn publish(&self, event: impl Into<Arc<Event>>) {
        // An error says only that nobody watches.
        let _ = self.events.send(event.into());
    }

    /// Events that clients missed because they were too slow, summed over all clients.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// What happens from now on.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch { events: self.events.subscribe(), lost: Arc::clone(&self.lost) }
    }
}

/// One client's view of the events.
#[derive(Debug)]
pub struct Watch {
    events: broadcast::Receiver<Arc<Event>>,
    lost: Arc<AtomicU64>,
}

/// What a client gets next.
#[derive(Clone, Debug)]
pub enum Seen {
    /// An event.
    One(Arc<Event>),
    /// So many events were missed here.
    Lost(u64),
}

impl Watch {
    /// Waits for the next event; none when the guard goes.
    pub async fn next(&mut self) -> Option<Seen> {
        match self.events.recv().await {
            Ok(event) => Some(Seen::One(event)),
            Err(broadcast::error::RecvError::Lagged(n)) => Some(self.missed(n)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next event if it is there already.
    pub fn ready(&mut self) -> Option<Seen> {
        match self.events.try_recv() {
            Ok(event) => Some(Seen::One(event)),
            Err(broadcast::error::TryRecvError::Lagged(n)) => Some(self.missed(n)),
            Err(_) => None,
        }
    }

    fn missed(&self, n: u64) -> Seen {
        self.lost.fetch_add(n, Ordering::Relaxed);
        Seen::Lost(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples::news;

    fn number(seen: Option<Seen>) -> Result<String, u64> {
        match seen.unwrap() {
            Seen::One(event) => Ok(event.message.clone()),
            Seen::Lost(n) => Err(n),
        }
    }

    #[test]
    fn a_hub_that_nobody_watches_keeps_nothing() {
        let hub = Hub::keeping(2);
        assert!(!hub.watched());
        hub.publish(news("a"));
        let mut watch = hub.watch();
        assert!(hub.watched());
        assert!(watch.ready().is_none());
    }

    #[test]
    fn a_slow_client_is_told_exactly_how_much_it_missed() {
        let hub = Hub::keeping(4);
        let mut slow = hub.watch();
        let mut quick = hub.watch();
        for n in 0..10 {
            hub.publish(news(&n.to_string()));
            assert_eq!(number(quick.ready()), Ok(n.to_string()));
        }
        assert_eq!(number(slow.ready()), Err(6));
        assert_eq!(number(slow.ready()), Ok("6".to_owned()));
        assert_eq!(hub.lost(), 6);
    }
}

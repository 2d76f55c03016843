//! Live events for whoever watches: bounded memory, and whoever is too slow is told how much it missed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::broadcast;

/// Events kept for the slowest client.
const KEPT: usize = 4096;

/// Takes events from the daemon's loop to the clients of `GET /v1/events`. Clones share one hub.
#[derive(Clone, Debug)]
pub struct Hub {
    lines: broadcast::Sender<Arc<str>>,
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
        Self { lines: broadcast::Sender::new(events), lost: Arc::default() }
    }

    /// Somebody watches: without, an event need not even be turned into a line.
    #[must_use]
    pub fn watched(&self) -> bool {
        self.lines.receiver_count() > 0
    }

    /// Gives one event, a JSON object without line break, to everybody who watches. Never waits.
    pub fn publish(&self, line: impl Into<Arc<str>>) {
        // An error says only that nobody watches.
        let _ = self.lines.send(line.into());
    }

    /// Events that clients missed because they were too slow, summed over all clients.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// What happens from now on.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch { lines: self.lines.subscribe(), lost: Arc::clone(&self.lost) }
    }
}

/// One client's view of the events.
#[derive(Debug)]
pub struct Watch {
    lines: broadcast::Receiver<Arc<str>>,
    lost: Arc<AtomicU64>,
}

/// What a client gets next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An event.
    Line(Arc<str>),
    /// So many events were missed here.
    Lost(u64),
}

impl Watch {
    /// Waits for the next event; none when the guard goes.
    pub async fn next(&mut self) -> Option<Seen> {
        match self.lines.recv().await {
            Ok(line) => Some(Seen::Line(line)),
            Err(broadcast::error::RecvError::Lagged(n)) => Some(self.missed(n)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next event if it is there already.
    pub fn ready(&mut self) -> Option<Seen> {
        match self.lines.try_recv() {
            Ok(line) => Some(Seen::Line(line)),
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

    #[test]
    fn a_hub_that_nobody_watches_keeps_nothing() {
        let hub = Hub::keeping(2);
        assert!(!hub.watched());
        hub.publish("a");
        let mut watch = hub.watch();
        assert!(hub.watched());
        assert_eq!(watch.ready(), None);
    }

    #[test]
    fn a_slow_client_is_told_exactly_how_much_it_missed() {
        let hub = Hub::keeping(4);
        let mut slow = hub.watch();
        let mut quick = hub.watch();
        for n in 0..10 {
            hub.publish(n.to_string());
            assert_eq!(quick.ready(), Some(Seen::Line(n.to_string().into())));
        }
        assert_eq!(slow.ready(), Some(Seen::Lost(6)));
        assert_eq!(slow.ready(), Some(Seen::Line("6".into())));
        assert_eq!(hub.lost(), 6);
    }
}

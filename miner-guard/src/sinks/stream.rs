//! Stdout, or anything else that takes bytes.
//!
//! The reader may go away (`miner-guard run | head`), and it may be slow. Going away closes the sink and nothing
//! more: the guard goes on. A non-blocking stream that is full keeps what it did not take up to a bound;
//! beyond that whole events are dropped and counted, never half a line.

use super::{json, text::line::Line};
use crate::event::model::Event;
use std::io::{self, ErrorKind, Write};

/// Bytes kept for a reader that is slow on a non-blocking stream.
const KEEP: usize = 1 << 20;

/// How events are written.
#[derive(Clone, Debug)]
pub enum Format {
    /// For people.
    Text(Line),
    /// JSON lines.
    Json,
}

/// Whether a sink still takes events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Open,
    /// The reader has gone; events are no longer written here.
    Closed,
}

/// A sink on a byte stream.
#[derive(Debug)]
pub struct Stream<W> {
    to: W,
    format: Format,
    waiting: Vec<u8>,
    state: State,
    dropped: u64,
}

impl<W: Write> Stream<W> {
    /// A sink that writes to `to`. Give it the bare stream: it gathers lines itself.
    pub const fn new(to: W, format: Format) -> Self {
        Self { to, format, waiting: Vec::new(), state: State::Open, dropped: 0 }
    }

    /// Adds an event; [`Self::flush`] writes it. Call that when no further event is at hand, so that a lone event
    /// is seen at once and a flood costs few system calls.
    ///
    /// # Errors
    /// Those of [`Self::flush`], when the gathered bytes had to be written.
    pub fn write(&mut self, event: &Event) -> io::Result<State> {
        if self.state == State::Closed {
            return Ok(State::Closed);
        }
        if self.waiting.len() >= KEEP / 16 {
            self.flush()?;
        }
        if self.waiting.len() >= KEEP {
            self.dropped += 1;
            return Ok(self.state);
        }
        match &self.format {
            Format::Json => json::line(&mut self.waiting, event)?,
            Format::Text(line) => {
                self.waiting.extend_from_slice(line.render(event).as_bytes());
                self.waiting.push(b'\n');
            }
        }
        Ok(self.state)
    }

    /// Writes what was gathered, as far as the stream takes it.
    ///
    /// # Errors
    /// Any error of the stream but a reader that has gone ([`State::Closed`]) or is slow (kept for later).
    pub fn flush(&mut self) -> io::Result<State> {
        if self.state == State::Closed {
            return Ok(State::Closed);
        }
        let mut done = 0;
        let outcome = loop {
            let Some(rest) = self.waiting.get(done..).filter(|r| !r.is_empty()) else {
                break self.to.flush();
            };
            match self.to.write(rest) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => break Err(e),
            }
        };
        self.waiting.drain(..done.min(self.waiting.len()));
        match outcome {
            Ok(()) => Ok(State::Open),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(State::Open),
            Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                self.close();
                Ok(State::Closed)
            }
            Err(e) => Err(e),
        }
    }

    /// Events dropped because the reader was too slow, since the last call: for a loss event.
    pub const fn take_dropped(&mut self) -> u64 {
        std::mem::replace(&mut self.dropped, 0)
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.waiting = Vec::new();
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;

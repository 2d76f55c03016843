use super::*;
use crate::event::model::{Action, GuardNews};
use miner_guard_common::abi::verdict::Mode;

/// Takes `room` bytes, then fails with `error`.
struct Narrow {
    room: usize,
    error: ErrorKind,
    got: Vec<u8>,
}

impl Write for Narrow {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = buf.len().min(self.room).min(7);
        if n == 0 {
            return Err(self.error.into());
        }
        self.room -= n;
        self.got.extend_from_slice(&buf[..n]);
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn event(message: &str) -> Event {
    let news = GuardNews {
        action: Action::GuardStarted,
        mode: Mode::Audit,
        generation: 1,
        message: message.into(),
        evidence: Vec::new(),
    };
    Event::of_guard("2026-11-02T12:03:07Z".parse().unwrap(), None, news)
}

fn sink(room: usize, error: ErrorKind) -> Stream<Narrow> {
    Stream::new(Narrow { room, error, got: Vec::new() }, Format::Json)
}

#[test]
fn a_stream_that_takes_a_few_bytes_at_a_time_gets_whole_lines() {
    let mut s = sink(usize::MAX, ErrorKind::Other);
    s.write(&event("one")).unwrap();
    s.write(&event("two\n")).unwrap();
    assert_eq!(s.flush().unwrap(), State::Open);
    let text = String::from_utf8(s.to.got).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["message"], "two\n");
}

#[test]
fn a_reader_that_went_away_closes_the_sink_without_an_error() {
    let mut s = sink(10, ErrorKind::BrokenPipe);
    s.write(&event("one")).unwrap();
    assert_eq!(s.flush().unwrap(), State::Closed);
    assert_eq!(s.write(&event("two")).unwrap(), State::Closed);
    assert_eq!(s.flush().unwrap(), State::Closed);
}

#[test]
fn another_error_is_told_and_the_sink_stays_open() {
    let mut s = sink(10, ErrorKind::StorageFull);
    s.write(&event("one")).unwrap();
    assert_eq!(s.flush().unwrap_err().kind(), ErrorKind::StorageFull);
    s.to.room = usize::MAX;
    assert_eq!(s.flush().unwrap(), State::Open);
    assert!(s.to.got.ends_with(b"}\n"));
}

#[test]
fn a_slow_reader_gets_every_line_later_and_beyond_the_bound_losses_are_counted() {
    let mut s = sink(10, ErrorKind::WouldBlock);
    let big = "x".repeat(3000);
    for _ in 0..1000 {
        assert_eq!(s.write(&event(&big)).unwrap(), State::Open);
    }
    let dropped = s.take_dropped();
    assert!(dropped > 500 && dropped < 1000, "{dropped}");
    assert_eq!(s.take_dropped(), 0);
    assert!(s.waiting.len() < KEEP + 5000);
    s.to.room = usize::MAX;
    s.flush().unwrap();
    let text = String::from_utf8(s.to.got).unwrap();
    assert_eq!(text.lines().count() as u64, 1000 - dropped);
    assert!(text.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()));
}

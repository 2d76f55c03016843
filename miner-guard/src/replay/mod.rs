//! What would have been denied, in a capture of packets or a file of events, by the policy as it is now.
//!
//! | file | |
//! |---|---|
//! | [`capture`] | pcap and pcapng → packets |
//! | [`link`] | what lies before the IP header |
//! | [`flow`] | packets → destinations, names, pool protocols: the parsers of the kernel side |
//! | [`events`] | JSON lines → the same questions |
//! | [`judge`] | the questions, asked of the compiled policy |
//!
//! Everything here reads hostile files: bounded memory, bounded work for each byte, no panic.

pub mod capture;
pub mod events;
pub mod flow;
pub mod judge;
mod link;
#[cfg(test)]
mod tests;

use capture::Capture;
use judge::{Finding, Judge};
use serde::Serialize;
use std::io::{self, BufRead, Read};

/// What was read, and what would have been done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// `pcap`, `pcapng` or `events`.
    pub format: &'static str,
    /// Packets or events.
    pub read: u64,
    /// Those that say nothing that could be judged: not IP, cut short, or another kind of event.
    pub passed_over: u64,
    /// Findings whose verdict stops something.
    pub denied: u64,
    /// Findings that are reported only.
    pub alerted: u64,
    /// Findings like an earlier one of the same flow, process or name, which are counted here and not told.
    pub repeated: u64,
    /// Why the file was not read to its end.
    pub broken: Option<String>,
}

/// Why there is nothing to replay.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Neither a capture nor events.
    #[error("neither a capture (pcap, pcapng) nor JSON lines as `miner-guard run -o json` writes them")]
    Unknown,
}

/// Replays a file; `tell` gets each finding as it comes and may end it with an error.
///
/// # Errors
/// See [`ReplayError`], and whatever `tell` says.
pub fn replay(
    mut file: impl BufRead,
    judge: &mut Judge<'_>,
    mut tell: impl FnMut(&Finding) -> io::Result<()>,
) -> Result<Summary, ReplayError> {
    let mut summary = Summary::default();
    let head = file.fill_buf()?;
    // A pcapng begins with an end of line too.
    if head.first().is_some_and(|b| b"{ \t\r\n".contains(b)) && !head.starts_with(&capture::SECTION) {
        summary.format = "events";
        events::read(&mut file, judge, &mut summary, &mut tell)?;
        return Ok(summary);
    }
    let mut capture = Capture::open(&mut file as &mut dyn Read)?.ok_or(ReplayError::Unknown)?;
    summary.format = capture.format();
    let mut flows = flow::Flows::default();
    loop {
        match capture.next() {
            Ok(Some(packet)) => {
                summary.read += 1;
                let said = match link::ip(packet.link, packet.bytes) {
                    Some(ip) => flows.packet(packet.time_ns, ip, |question| {
                        count(judge.flow(question), &mut summary, &mut tell)
                    })?,
                    None => false,
                };
                summary.passed_over += u64::from(!said);
            }
            Ok(None) => return Ok(summary),
            Err(e) if e.kind() == io::ErrorKind::InvalidData || e.kind() == io::ErrorKind::UnexpectedEof => {
                summary.broken = Some(e.to_string());
                return Ok(summary);
            }
            Err(e) => return Err(e.into()),
        }
    }
}

/// Counts and tells an outcome.
fn count(
    outcome: judge::Outcome,
    summary: &mut Summary,
    tell: &mut impl FnMut(&Finding) -> io::Result<()>,
) -> io::Result<()> {
    match outcome {
        judge::Outcome::Nothing => {}
        judge::Outcome::Repeated => summary.repeated += 1,
        judge::Outcome::Found(finding) => {
            *if finding.stops { &mut summary.denied } else { &mut summary.alerted } += 1;
            tell(&finding)?;
        }
    }
    Ok(())
}

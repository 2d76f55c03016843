//! What an isolated cgroup may reach: protected destinations, and nothing else. Asked by programs that hang on such a
//! cgroup; no other one pays for the question.

use miner_guard_common::{
    abi::verdict::{Mode, Reason, Verdict},
    table::{Answer, Destination, Listed},
};

use super::{
    Stamp,
    questions::{self, NO_POLICY, NoPolicy},
};
use crate::verdict::Decision;

const ANSWER: Answer = Answer { rule: 0, verdict: Verdict::Isolate, reason: Reason::Isolated };

/// What becomes of a socket of an isolated cgroup that wants to reach a destination: `None` if nothing is to be done, or
/// if the guard's own hook, which is asked too, does it.
#[inline(always)]
pub fn reach(to: &Destination) -> Result<Option<Decision>, NoPolicy> {
    let listed = questions::listed(to);
    if listed == NO_POLICY {
        return Err(NoPolicy);
    }
    let stopped = listed.verdict().is_some_and(Verdict::stops);
    if stopped || questions::protected(to) || questions::exempt() {
        return Ok(None);
    }
    let now = Stamp::now().ok_or(NoPolicy)?;
    Ok(Some(Decision {
        verdict: ANSWER.verdict,
        enforced: matches!(now.mode, Mode::Enforce),
        reason: ANSWER.reason as u8,
        rule: ANSWER.rule,
        generation: now.generation,
        mode: now.mode,
    }))
}

/// The answer for a packet to a destination that is not protected, for [`super::packets::decide`].
#[inline(always)]
pub fn packet() -> Option<Listed> {
    Stamp::now().map(|now| Listed::of(&ANSWER).at(now.generation))
}

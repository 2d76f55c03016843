//! Rounding modes over time: whose are they?
//!
//! RandomX switches among all four as its random program says: each is in force about as long as any other, and the time
//! outside its programs (hashing, filling, waiting) is spent rounding to nearest. Interval arithmetic uses one mode, or
//! up and down; a test of the floating point unit may walk through all four.

use miner_guard_common::abi::runtime::MODES;

/// Counts of to nearest, down, up, to zero.
pub type Modes = [u32; MODES];

/// What the counts say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// Too few to say.
    Unknown,
    /// Some modes only, or in no proportion.
    Other,
    /// All four, in the proportions of RandomX.
    RandomX,
}

/// Counts in other modes than to nearest before anything is said.
pub const ENOUGH: u32 = 15;

/// As many, in other modes than to nearest, as leave little to chance.
pub const FIRM: u32 = 60;

/// Whether [`FIRM`] is reached.
#[must_use]
pub fn firm(counts: &Modes) -> bool {
    counts.iter().skip(1).sum::<u32>() >= FIRM
}

/// Judges counts.
#[must_use]
pub fn judge(counts: &Modes) -> Signature {
    let [nearest, directed @ ..] = *counts;
    let sum: u32 = directed.iter().sum();
    let (least, most) = directed.iter().fold((u32::MAX, 0), |(l, m), n| (l.min(*n), m.max(*n)));
    if sum < ENOUGH {
        return Signature::Unknown;
    }
    // Of few counts one can be far from its third by chance. Of many still: a third of RandomX's programs keep the mode that they
    // found, interpreted for 20 to 50 ms, and on a crowded machine dozens of switches fall into that time.
    let apart = if sum < FIRM { 6 } else { 4 };
    let even = least * apart >= most;
    // To nearest is at least as frequent as the others, but for chance: a quarter of all, and more outside programs.
    let returns = nearest * 10 >= sum;
    if even && returns { Signature::RandomX } else { Signature::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn randomx_is_told_by_all_four_modes_in_proportion() {
        assert_eq!(judge(&[111, 65, 61, 85]), Signature::RandomX);
        assert_eq!(judge(&[9, 7, 4, 5]), Signature::RandomX);
    }

    /// Counts of 16 threads that interpret it on two processors, beside others.
    #[test]
    fn randomx_is_told_on_a_crowded_machine_where_switches_see_one_program_again_and_again() {
        assert_eq!(judge(&[178, 155, 315, 184]), Signature::RandomX);
        assert_eq!(judge(&[601, 222, 425, 192]), Signature::RandomX);
    }

    #[test]
    fn interval_arithmetic_is_not_randomx() {
        assert_eq!(judge(&[5000, 20_000, 21_000, 900]), Signature::Other);
        assert_eq!(judge(&[50, 0, 400, 0]), Signature::Other);
        assert_eq!(judge(&[50, 200, 210, 0]), Signature::Other);
        assert_eq!(judge(&[50, 200, 210, 9]), Signature::Other);
    }

    #[test]
    fn a_mode_that_is_hardly_ever_left_is_not_randomx() {
        assert_eq!(judge(&[0, 30, 31, 29]), Signature::Other);
        assert_eq!(judge(&[1000, 3, 2, 3]), Signature::Unknown);
    }

    /// 18 switches hold about 13 directed ones. A run of them is told with few exceptions, each of which is told by the next.
    #[test]
    fn a_handful_of_switches_is_enough_nearly_always() {
        let mut state = 88_172_645_463_325_252_u64;
        let mut told = 0;
        for _ in 0..1000 {
            let mut counts = [0; MODES];
            while counts[1..].iter().sum::<u32>() < ENOUGH {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                counts[(state >> 60) as usize % MODES] += 1;
            }
            told += u32::from(judge(&counts) == Signature::RandomX);
        }
        assert!(told > 800, "{told} of 1000");
    }
}

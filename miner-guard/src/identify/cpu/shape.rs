//! The shape of a memory-bound miner: what its instructions alone do not say.
//!
//! Weighed by hand, in log-odds: each sign is found in honest programs too, and the sum must make up for a mix that by
//! itself is not likely to be hashing. What it adds is measured by `cargo xtask eval runtime`.

use super::{
    code::Counts,
    look::{Manners, Memory},
};

/// What a sign adds to the log-odds, and what it says.
type Sign = (f64, &'static str);

const AES: Sign =
    (2.5, "AES rounds among loads and integer arithmetic, as CryptoNight and GhostRider have them");
const PADS: Sign = (0.5, "private memory of the size of scratchpads for its threads");
const HUGE: Sign = (0.5, "reserved huge pages behind it");
const PINNED: Sign = (1.0, "threads pinned to a CPU each");
const HUMBLE: Sign = (0.5, "idle scheduling class or the highest niceness");
const REGISTERS: Sign = (2.0, "the machine's model-specific registers held open");

/// The signs that a process shows.
#[must_use]
pub fn signs(code: &Counts, memory: &Memory, manners: &Manners) -> Vec<Sign> {
    const PAD: u64 = 1 << 20;
    // AES-NI in bulk ciphers is a third of the code and more; a miner's rounds are few among many loads.
    let aes = code.aes * 200 >= code.all && code.aes * 6 <= code.all && code.load * 10 >= code.all;
    let threads = u64::from(manners.threads.max(1));
    let found = [
        (aes, AES),
        (memory.pads >= PAD * threads, PADS),
        (manners.huge >= 2 * PAD * threads, HUGE),
        (manners.threads > 1 && manners.pinned > 1 && manners.pinned * 2 >= manners.threads, PINNED),
        (manners.humble, HUMBLE),
        (manners.registers, REGISTERS),
    ];
    found.into_iter().filter_map(|(here, sign)| here.then_some(sign)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rounds_of_aes_are_a_sign_and_a_bulk_cipher_is_none() {
        let of = |aes, load| {
            let code = Counts { all: 1000, aes, load, ..Counts::default() };
            !signs(&code, &Memory::default(), &Manners::default()).is_empty()
        };
        assert!(of(30, 150));
        assert!(!of(400, 150));
        assert!(!of(1, 150));
        assert!(!of(30, 10));
    }
}

//! Shares of instructions → how much this looks like hashing.

use super::{code::Counts, weights::WEIGHTS};

/// Number of features.
pub const FEATURES: usize = 9;

/// A feature as the trainer saw it.
pub(super) struct Weight {
    /// As in the training data.
    #[cfg_attr(not(test), expect(dead_code, reason = "for whoever reads the file"))]
    pub name: &'static str,
    /// Mean over the training data.
    pub mean: f64,
    /// Standard deviation there.
    pub scale: f64,
    /// What one standard deviation above the mean adds to the log-odds.
    pub weight: f64,
}

/// Names of the features in the training data, in the order of [`features`].
pub const NAMES: [&str; FEATURES] =
    ["mix", "branchy", "f_fp", "straight", "f_imul", "f_sha", "f_aes", "f_clmul", "f_load"];

/// Shares: of all instructions, of all samples for the straight ones.
#[must_use]
pub fn features(n: &Counts) -> [f64; FEATURES] {
    let share = |part: u32, of: u32| f64::from(part) / f64::from(of.max(1));
    let of_all = |part| share(part, n.all);
    [
        of_all(n.mix),
        of_all(n.branchy),
        of_all(n.float),
        share(n.straight, n.samples),
        of_all(n.multiply),
        of_all(n.sha),
        of_all(n.aes),
        of_all(n.carryless),
        of_all(n.load),
    ]
}

/// Log-odds that this is proof of work rather than ordinary work.
#[must_use]
pub fn log_odds(features: &[f64; FEATURES]) -> f64 {
    let (bias, weights) = &WEIGHTS;
    weights.iter().zip(features).fold(*bias, |sum, (w, x)| sum + w.weight * (x - w.mean) / w.scale)
}

/// From log-odds.
#[must_use]
pub fn probability(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_are_of_these_features_in_this_order() {
        assert_eq!(WEIGHTS.1.each_ref().map(|w| w.name), NAMES);
    }

    #[test]
    fn a_hash_loop_is_likely_and_numerics_or_a_parser_are_not() {
        let p = |mix, branchy, float, straight, load| {
            probability(log_odds(&[mix, branchy, float, straight, 0.0, 0.0, 0.0, 0.0, load]))
        };
        assert!(p(0.45, 0.01, 0.0, 0.95, 0.15) > 0.9);
        assert!(p(0.03, 0.05, 0.45, 0.6, 0.3) < 0.05);
        assert!(p(0.03, 0.35, 0.0, 0.1, 0.3) < 0.2);
    }
}

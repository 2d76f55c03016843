//! Medians, paired differences and their intervals; and the random numbers of the bench.

use std::fmt;

/// xorshift64*: seeded, so that two runs use the same data.
pub struct Random(u64);

impl Random {
    /// From a seed, which must not be 0.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        ((u64::from(self.bits()) * end as u64) >> 32) as usize
    }

    /// Puts the items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// The middle value; 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// What one configuration costs more than another that was measured in the same rounds.
#[derive(Clone, Copy)]
pub struct Added {
    /// Median of the differences.
    pub median: f64,
    /// 95 % bootstrap interval of that median.
    pub low: f64,
    /// See `low`.
    pub high: f64,
    /// Median of the ratios.
    pub ratio: f64,
}

/// As the page shows nanoseconds: the difference, its interval, the ratio.
impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+.0} [{:+.0} … {:+.0}] ×{:.2}", self.median, self.low, self.high, self.ratio)
    }
}

/// Compares round by round: what disturbs the machine for longer than a round falls out of the difference.
pub fn added(values: &[f64], base: &[f64]) -> Added {
    let differences: Vec<f64> = values.iter().zip(base).map(|(v, b)| v - b).collect();
    let ratios: Vec<f64> = values.iter().zip(base).map(|(v, b)| v / b).collect();
    let mut random = Random::new(7);
    let mut medians: Vec<f64> = (0..400)
        .map(|_| {
            let pick = |_| differences[random.below(differences.len())];
            median(&(0..differences.len()).map(pick).collect::<Vec<_>>())
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    Added { median: median(&differences), low: medians[10], high: medians[389], ratio: median(&ratios) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value_or_the_mean_of_two() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn what_disturbs_a_whole_round_falls_out_of_the_difference() {
        let base = [100.0, 900.0, 100.0, 5000.0];
        let slower = base.map(|b| b + 20.0);
        let added = added(&slower, &base);
        assert_eq!((added.median, added.low, added.high), (20.0, 20.0, 20.0));
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..100).collect();
        Random::new(3).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}

//! Weights of the model of the instruction mix: how far a feature lies above its mean, in standard deviations, times
//! its weight, summed. Written by `eval/train.py` from `eval/runtime-features.csv`; not edited by hand.

use super::mix::{FEATURES, Weight};

/// The bias, then a weight for each feature.
pub(super) const WEIGHTS: (f64, [Weight; FEATURES]) = (
    -1.4818,
    [
        Weight { name: "mix", mean: 0.1289, scale: 0.1473, weight: 2.5007 },
        Weight { name: "branchy", mean: 0.2035, scale: 0.1546, weight: 0.2724 },
        Weight { name: "f_fp", mean: 0.0358, scale: 0.0977, weight: -2.0992 },
        Weight { name: "straight", mean: 0.3632, scale: 0.3373, weight: 1.3365 },
        Weight { name: "f_imul", mean: 0.0148, scale: 0.0371, weight: 0.3407 },
        Weight { name: "f_sha", mean: 0.0047, scale: 0.0305, weight: 3.0965 },
        Weight { name: "f_aes", mean: 0.0037, scale: 0.0260, weight: -0.0685 },
        Weight { name: "f_clmul", mean: 0.0035, scale: 0.0302, weight: -1.9143 },
        Weight { name: "f_load", mean: 0.2075, scale: 0.0970, weight: 0.9451 },
    ],
);

//! Weights of the model of the instruction mix: how far a feature lies above its mean, in standard deviations, times
//! its weight, summed. Written by `eval/train.py` from `eval/runtime-features.csv`; not edited by hand.

use super::mix::{FEATURES, Weight};

/// The bias, then a weight for each feature.
pub(super) const WEIGHTS: (f64, [Weight; FEATURES]) = (
    -1.3421,
    [
        Weight { name: "mix", mean: 0.1295, scale: 0.1482, weight: 2.4112 },
        Weight { name: "branchy", mean: 0.2040, scale: 0.1547, weight: 0.4158 },
        Weight { name: "f_fp", mean: 0.0355, scale: 0.0973, weight: -2.1133 },
        Weight { name: "straight", mean: 0.3614, scale: 0.3370, weight: 1.5888 },
        Weight { name: "f_imul", mean: 0.0146, scale: 0.0372, weight: 0.3913 },
        Weight { name: "f_sha", mean: 0.0048, scale: 0.0308, weight: 3.1205 },
        Weight { name: "f_aes", mean: 0.0038, scale: 0.0263, weight: -0.0888 },
        Weight { name: "f_clmul", mean: 0.0035, scale: 0.0305, weight: -1.8347 },
        Weight { name: "f_load", mean: 0.2093, scale: 0.0965, weight: 0.8309 },
    ],
);

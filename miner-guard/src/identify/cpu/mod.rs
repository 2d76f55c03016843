//! Is this process hashing? Evidence from what it does while it runs.
//!
//! | stage | what happens there |
//! |---|---|
//! | [`code`] | 64 bytes of code → how many instructions of which kind |
//! | [`mix`] | many samples → shares → a probability, by the weights that `eval/train.py` wrote to `weights.rs` |
//! | [`rounding`] | rounding modes: RandomX, interval arithmetic, or neither |
//! | [`look`] | what `/proc` knows of a process: data moved, memory, threads |
//! | [`track`] | per process: windows of samples, verdicts over time, whom to look at more closely |
//!
//! Nothing here reads the clock or touches the kernel: the daemon hands in samples, counts and a [`look::Look`], and gets
//! [`track::Found`].

pub mod code;
pub mod look;
pub mod mix;
pub mod rounding;
pub mod shape;
pub mod track;
mod weights;

pub use track::{Found, Hint, Tracker};

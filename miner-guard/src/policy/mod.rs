//! As written → resolved → compiled.
//!
//! | stage | what it holds |
//! |---|---|
//! | [`compile`] | resolved entries become the blocks of a generation, which the kernel and the host read with the same code |

pub mod compile;

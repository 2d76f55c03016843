//! What is done about a finding, beyond what the kernel programs do by themselves.

pub mod kill;

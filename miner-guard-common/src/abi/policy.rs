//! The compiled policy: one *generation*, one array map of 64-byte blocks.
//!
//! Everything that a verdict depends on lies in this one map, the mode included, and the hooks reach it
//! through one slot of an array of maps: replacing that slot replaces the whole policy at once.

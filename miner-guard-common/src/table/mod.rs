//! The questions that the hooks ask of a generation.

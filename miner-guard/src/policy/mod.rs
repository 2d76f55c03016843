//! As written → resolved → compiled.

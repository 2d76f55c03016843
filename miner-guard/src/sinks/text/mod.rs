//! Text for people: escaped, aligned, coloured only where a terminal is.

pub mod colour;
pub mod line;
pub mod sanitize;

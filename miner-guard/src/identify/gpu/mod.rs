//! Who uses a GPU, and how much: one more side from which a miner shows.
//!
//! NVIDIA's management library is loaded when it is there; nothing depends on it. What it tells is weak evidence, added to
//! cases that exist already: most that keeps a GPU busy is honest work.

mod nvml;

use super::evidence::{Evidence, Kind, Strength};
use nvml::Nvml;
use std::path::Path;

/// The library's name, and where distributions put it.
const LIBRARY: &str = "libnvidia-ml.so.1";
/// Busier than this, percent of the time, is worth a word.
const BUSY: u32 = 50;

/// What a process does on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Process, in the initial namespace.
    pub pid: u32,
    /// GPU, from 0 on.
    pub device: u32,
    /// Share of the time that it computed, percent; of late.
    pub busy: u32,
    /// Memory that it holds there, bytes; 0 if the driver does not tell.
    pub memory: u64,
}

impl Use {
    /// As evidence, if it is worth a word. Steps of a quarter, so that equal loads make equal sentences.
    #[must_use]
    pub fn evidence(&self) -> Option<Evidence> {
        let quarter = self.busy / 25 * 25;
        (self.busy >= BUSY).then(|| {
            let text = format!("keeps GPU {} busy for more than {quarter} % of the time", self.device);
            Evidence::new(Kind::Gpu, Strength::Weak, text)
        })
    }
}

/// The GPUs of this machine.
#[derive(Debug)]
pub struct Gpus {
    nvml: Result<Nvml, String>,
}

impl Gpus {
    /// Looks for the library.
    #[must_use]
    pub fn find() -> Self {
        Self::from(Path::new(LIBRARY))
    }

    /// With this library.
    #[must_use]
    pub fn from(library: &Path) -> Self {
        Self { nvml: Nvml::load(library) }
    }

    /// `2 × NVIDIA H100`, or `no GPU` and why.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.nvml {
            Ok(nvml) => match nvml.names().as_slice() {
                [] => "no GPU: the driver shows none".to_owned(),
                names => names.join(", "),
            },
            Err(why) => format!("no GPU: {why}"),
        }
    }

    /// Whether there is anything to ask.
    #[must_use]
    pub const fn there(&self) -> bool {
        self.nvml.is_ok()
    }

    /// What processes have done since the last call.
    pub fn uses(&mut self) -> Vec<Use> {
        self.nvml.as_mut().map(Nvml::uses).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;

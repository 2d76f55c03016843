//! Who uses a GPU, and how much: one more side from which a miner shows.
//!
//! NVIDIA's management library is loaded when it is there; nothing depends on it. What it tells is weak evidence, added to
//! cases that exist already: most that keeps a GPU busy is honest work. The driver is asked by a thread of its own
//! ([`Asker`]): it can take seconds to wake a GPU, and one that has fallen off its bus may never answer.

mod asker;
mod nvml;

use super::evidence::{Evidence, Kind, Strength};
use nvml::Nvml;
use std::path::{Path, PathBuf};

pub use asker::Asker;

/// The library's name; where it lies is the system's matter.
const LIBRARY: &str = "libnvidia-ml.so.1";
/// Busier than this, percent of the time, is worth a word.
const BUSY: u32 = 50;
/// As is more memory than this, MiB.
const MUCH: u64 = 256;

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
    /// As evidence, if it is worth a word. Busy by quarters and memory by powers of two, so that about equal loads make equal
    /// sentences.
    #[must_use]
    pub fn evidence(&self) -> Option<Evidence> {
        let quarter = self.busy / 25 * 25;
        let holds = match self.memory >> 20 {
            0..MUCH => String::new(),
            mib @ MUCH..1024 => format!(" and holds more than {} MiB of its memory", 1_u64 << mib.ilog2()),
            mib => format!(" and holds more than {} GiB of its memory", 1_u64 << (mib >> 10).ilog2()),
        };
        (self.busy >= BUSY).then(|| {
            let text = format!("keeps GPU {} busy for more than {quarter} % of the time{holds}", self.device);
            Evidence::new(Kind::Gpu, Strength::Weak, text)
        })
    }
}

/// The GPUs of this machine.
#[derive(Debug)]
pub struct Gpus {
    library: PathBuf,
    nvml: Option<Nvml>,
}

impl Default for Gpus {
    fn default() -> Self {
        Self::of(Path::new(LIBRARY))
    }
}

impl Gpus {
    /// By this library. It is looked for whenever something is asked, until it is there: a driver may be installed later.
    #[must_use]
    pub fn of(library: &Path) -> Self {
        Self { library: library.to_owned(), nvml: None }
    }

    fn nvml(&mut self) -> Result<&mut Nvml, String> {
        let nvml = match self.nvml.take() {
            Some(nvml) => nvml,
            None => Nvml::load(&self.library)?,
        };
        Ok(self.nvml.insert(nvml))
    }

    /// `NVIDIA H100, NVIDIA H100`, or `no GPU` and why.
    #[must_use]
    pub fn describe(&mut self) -> String {
        described(self.nvml().and_then(|nvml| Ok(nvml.open()?.names())))
    }

    /// As [`Self::describe`], and what processes have done since the last look; nothing where there is no GPU.
    pub fn look(&mut self) -> (String, Vec<Use>) {
        match self.nvml().and_then(Nvml::open) {
            Ok(mut driver) => (described(Ok(driver.names())), driver.uses()),
            Err(why) => (described(Err(why)), Vec::new()),
        }
    }
}

fn described(names: Result<Vec<String>, String>) -> String {
    match names {
        Ok(names) if names.is_empty() => "no GPU: the driver shows none".to_owned(),
        Ok(names) => names.join(", "),
        Err(why) => format!("no GPU: {why}"),
    }
}

#[cfg(test)]
mod tests;

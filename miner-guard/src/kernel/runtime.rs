//! The runtime hooks as the daemon holds them: rounding modes, code samples, and the means to look closer.
//!
//! Nothing here is pinned. These hooks inform the daemon and stop nobody, so they end with it.

use std::{
    collections::{HashMap, hash_map::Entry},
    os::fd::{AsRawFd, RawFd},
};

use aya::{
    Btf, Ebpf,
    maps::{Array, HashMap as Table, Map, MapData, RingBuf},
    programs::{
        BtfTracePoint, PerfEvent,
        perf_event::{PerfEventConfig, PerfEventLinkId, PerfEventScope, SamplePolicy, SoftwareEvent},
    },
    util::online_cpus,
};
use miner_guard_common::abi::runtime::{Rounding, Sample, bit};
use zerocopy::FromBytes as _;

use super::{
    KernelError,
    hooks::{HOOKS, Hook, Object, Place},
    load::{self, State},
};

const ROUNDING: usize = size_of::<Rounding>();
/// Each CPU looks what it runs every so many nanoseconds. No divisor of the periods in which CPU bandwidth is
/// handed out, so that a throttled thread cannot hide between two looks.
const LOOK_NS: u64 = 241_000_001;
/// A suspect's thread, while it runs.
const CLOSE_NS: u64 = 9_900_007;
const CLOCK: PerfEventConfig = PerfEventConfig::Software(SoftwareEvent::CpuClock);

/// Programs and tables, detached when dropped.
pub struct Runtime {
    ebpf: Ebpf,
    samples: RingBuf<MapData>,
    modes: Table<MapData, u32, [u8; ROUNDING]>,
    watching: Array<MapData, u64>,
    /// Clocks of suspects' threads.
    close: HashMap<u32, PerfEventLinkId>,
    sampling: bool,
}

impl Runtime {
    /// Attaches what can be attached. `rounding`: the kernel has what the rounding modes are read from.
    pub(super) fn attach(mut ebpf: Ebpf, rounding: bool) -> (Option<Self>, Vec<(&'static Hook, State)>) {
        let mut states = Vec::new();
        let mut sampling = false;
        for hook in HOOKS.iter().filter(|h| h.object == Object::Runtime) {
            let done = match hook.place {
                Place::Clock => sample(&mut ebpf, hook).inspect(|()| sampling = true),
                Place::TypedTracepoint(at) if rounding => trace(&mut ebpf, hook, at),
                _ => Err(KernelError::Refused {
                    what: format!("the hook {}", hook.name),
                    why: "this kernel's BTF has neither fpu.fpstate nor fpu.state".into(),
                }),
            };
            let state = match done {
                Ok(()) => State::Attached,
                Err(e) => State::Unavailable(e.to_string()),
            };
            states.push((hook, state));
        }
        let any = states.iter().any(|(_, s)| *s == State::Attached);
        let runtime = if any { Self::open(ebpf, sampling) } else { Ok(None) };
        match runtime {
            Ok(runtime) => (runtime, states),
            Err(e) => {
                let why = State::Unavailable(e.to_string());
                (None, states.into_iter().map(|(h, _)| (h, why.clone())).collect())
            }
        }
    }

    fn open(mut ebpf: Ebpf, sampling: bool) -> Result<Option<Self>, KernelError> {
        fn take<T: TryFrom<Map, Error = aya::maps::MapError>>(
            ebpf: &mut Ebpf,
            name: &str,
        ) -> Result<T, KernelError> {
            let map = ebpf.take_map(name).ok_or_else(|| KernelError::Refused {
                what: format!("the map {name}"),
                why: "the object does not hold it: this build is damaged".into(),
            })?;
            T::try_from(map).map_err(|e| KernelError::refused(format!("opening the map {name}"), e))
        }
        let samples = take(&mut ebpf, "SAMPLES")?;
        let modes = take(&mut ebpf, "MODES_OF")?;
        let watching = take(&mut ebpf, "WATCHING")?;
        Ok(Some(Self { ebpf, samples, modes, watching, close: HashMap::new(), sampling }))
    }

    /// The next sample, if one is there.
    pub fn take(&mut self) -> Option<Sample> {
        loop {
            // A record of another length is none of ours: the object is of this very build.
            if let Ok(sample) = Sample::read_from_bytes(&self.samples.next()?) {
                return Some(sample);
            }
        }
    }

    /// The rounding modes of all processes that were seen in another than to nearest.
    pub fn modes(&self) -> Vec<(u32, Rounding)> {
        let read = |(pid, bytes): (u32, [u8; ROUNDING])| Some((pid, Rounding::read_from_bytes(&bytes).ok()?));
        self.modes.iter().filter_map(Result::ok).filter_map(read).collect()
    }

    /// The rounding modes of one process, if it was seen in another than to nearest.
    pub fn modes_of(&self, pid: u32) -> Option<Rounding> {
        Rounding::read_from_bytes(&self.modes.get(&pid, 0).ok()?).ok()
    }

    /// Forgets the rounding modes of processes that are gone; these are left.
    pub fn forget(&mut self, gone: &[u32], left: impl Iterator<Item = u32>) {
        for pid in gone {
            // Evicted in between: gone is what was wanted.
            let _ = self.modes.remove(pid);
        }
        // One that came meanwhile is put in again by the kernel at its next switch.
        let _ = self.watching.set(0, left.fold(0, |all, pid| all | bit(pid)), 0);
    }

    /// Samples these threads more often, while they run; no others than these.
    pub fn look_closer(&mut self, threads: &[u32]) {
        if !self.sampling {
            return;
        }
        let Some(Ok(program)) = self.ebpf.program_mut("mg_sample").map(<&mut PerfEvent>::try_from) else {
            return;
        };
        let ended: Vec<u32> = self.close.keys().filter(|t| !threads.contains(t)).copied().collect();
        for thread in ended {
            if let Some(id) = self.close.remove(&thread) {
                // The thread may have ended, which detaches as well.
                let _ = program.detach(id);
            }
        }
        for &pid in threads {
            let scope = PerfEventScope::OneProcess { pid, cpu: None };
            // A thread that has ended, or that may not be watched, is looked at as often as others.
            if let Entry::Vacant(new) = self.close.entry(pid)
                && let Ok(id) = program.attach(CLOCK, scope, SamplePolicy::Period(CLOSE_NS), false)
            {
                new.insert(id);
            }
        }
    }
}

impl AsRawFd for Runtime {
    fn as_raw_fd(&self) -> RawFd {
        self.samples.as_raw_fd()
    }
}

fn trace(ebpf: &mut Ebpf, hook: &Hook, at: &str) -> Result<(), KernelError> {
    let refused = |e| KernelError::refused(format!("the kernel refused the hook {} at {at}", hook.name), e);
    let types = Btf::from_sys_fs().map_err(|e| KernelError::refused("reading the kernel's types", e))?;
    let program: &mut BtfTracePoint = load::program(ebpf, hook.program)?;
    program.load(at, &types).map_err(refused)?;
    program.attach().map(drop).map_err(refused)
}

fn sample(ebpf: &mut Ebpf, hook: &Hook) -> Result<(), KernelError> {
    let refused = |e| KernelError::refused(format!("the kernel refused the hook {}", hook.name), e);
    let program: &mut PerfEvent = load::program(ebpf, hook.program)?;
    program.load().map_err(refused)?;
    let cpus = online_cpus().map_err(|(path, e)| KernelError::Io {
        what: "reading",
        path: path.to_owned(),
        source: e,
    })?;
    for cpu in cpus {
        let scope = PerfEventScope::AllProcessesOneCpu { cpu };
        program.attach(CLOCK, scope, SamplePolicy::Period(LOOK_NS), false).map_err(refused)?;
    }
    Ok(())
}

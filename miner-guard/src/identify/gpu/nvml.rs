//! The few functions of NVIDIA's management library that are needed, loaded at run time.
//!
//! All unsafe code of this module is here: calls through symbols whose types are those of NVIDIA's `nvml.h`.

use super::Use;
use libloading::Library;
use std::{
    collections::BTreeMap,
    ffi::{c_char, c_int, c_uint, c_ulonglong, c_void},
    path::Path,
};

type Device = *mut c_void;
/// `nvmlReturn_t`: 0 is success.
type Status = c_int;

const SUCCESS: Status = 0;
const NAME: usize = 96;
/// GPUs, and processes on one of them, that are looked at.
const DEVICES: c_uint = 64;
const PROCESSES: usize = 1024;

/// `nvmlProcessInfo_v2_t`
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct ProcessInfo {
    pid: c_uint,
    memory: c_ulonglong,
    instance: c_uint,
    compute_instance: c_uint,
}

/// `nvmlProcessUtilizationSample_t`
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Sample {
    pid: c_uint,
    time: c_ulonglong,
    sm: c_uint,
    memory: c_uint,
    encoder: c_uint,
    decoder: c_uint,
}

type Init = unsafe extern "C" fn() -> Status;
type Count = unsafe extern "C" fn(*mut c_uint) -> Status;
type Handle = unsafe extern "C" fn(c_uint, *mut Device) -> Status;
type Name = unsafe extern "C" fn(Device, *mut c_char, c_uint) -> Status;
type Processes = unsafe extern "C" fn(Device, *mut c_uint, *mut ProcessInfo) -> Status;
type Utilization = unsafe extern "C" fn(Device, *mut Sample, *mut c_uint, c_ulonglong) -> Status;

/// The library. It stays loaded: drivers do not promise to survive that it goes.
#[derive(Debug)]
pub struct Nvml {
    init: Init,
    shutdown: Init,
    count: Count,
    handle: Handle,
    name: Name,
    processes: Processes,
    utilization: Utilization,
    /// Newest sample seen of each GPU, microseconds.
    seen: BTreeMap<u32, c_ulonglong>,
}

impl Nvml {
    /// Loads it, or says why not.
    pub fn load(path: &Path) -> Result<Self, String> {
        // SAFETY: what runs on loading is the constructors of NVIDIA's own library, found by the system's rules; whoever can
        // put another one there is root already.
        let library =
            unsafe { Library::new(path) }.map_err(|e| format!("{} is not there ({e})", path.display()))?;
        // SAFETY: each symbol has the type that nvml.h declares for it, and the library stays loaded: it is forgotten below,
        // and a symbol that is missing leaves none behind.
        let nvml = unsafe {
            Self {
                init: symbol(&library, "nvmlInit_v2")?,
                shutdown: symbol(&library, "nvmlShutdown")?,
                count: symbol(&library, "nvmlDeviceGetCount_v2")?,
                handle: symbol(&library, "nvmlDeviceGetHandleByIndex_v2")?,
                name: symbol(&library, "nvmlDeviceGetName")?,
                processes: symbol(&library, "nvmlDeviceGetComputeRunningProcesses_v3")?,
                utilization: symbol(&library, "nvmlDeviceGetProcessUtilization")?,
                seen: BTreeMap::new(),
            }
        };
        std::mem::forget(library);
        Ok(nvml)
    }

    /// Opens the driver, or says why it cannot be. It is closed with what is given: an open one keeps a GPU awake that nobody
    /// uses, and the driver from being replaced.
    pub fn open(&mut self) -> Result<Open<'_>, String> {
        // SAFETY: it takes nothing; whoever calls it closes it as often, which `Open` does.
        match unsafe { (self.init)() } {
            SUCCESS => Ok(Open(self)),
            status => Err(format!("the driver answers with status {status}")),
        }
    }
}

/// The driver while it is open.
pub struct Open<'n>(&'n mut Nvml);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // SAFETY: it was opened, and no handle of a device outlives this value. Its status changes nothing.
        unsafe { (self.0.shutdown)() };
    }
}

impl Open<'_> {
    fn devices(&self) -> Vec<(u32, Device)> {
        let mut count = 0;
        // SAFETY: one number, which outlives the call.
        if unsafe { (self.0.count)(&raw mut count) } != SUCCESS {
            return Vec::new();
        }
        let device = |n| {
            let mut device: Device = std::ptr::null_mut();
            // SAFETY: one pointer, which outlives the call; it is only ever handed back to the library.
            (unsafe { (self.0.handle)(n, &raw mut device) } == SUCCESS).then_some((n, device))
        };
        (0..count.min(DEVICES)).filter_map(device).collect()
    }

    /// Of every GPU.
    pub fn names(&self) -> Vec<String> {
        let name = |(_, device)| {
            let mut bytes = [0_u8; NAME];
            // SAFETY: a buffer of the length that is said; the library closes the name with NUL within it.
            let status = unsafe { (self.0.name)(device, bytes.as_mut_ptr().cast(), NAME as c_uint) };
            let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
            if status == SUCCESS { String::from_utf8_lossy(text).into_owned() } else { "a GPU".to_owned() }
        };
        self.devices().into_iter().map(name).collect()
    }

    /// What processes have done since the last call.
    pub fn uses(&mut self) -> Vec<Use> {
        let mut all = Vec::new();
        for (n, device) in self.devices() {
            let mut of: BTreeMap<u32, Use> = BTreeMap::new();
            let idle = |pid| Use { pid, device: n, busy: 0, memory: 0 };
            for info in self.running(device) {
                let u = of.entry(info.pid).or_insert(idle(info.pid));
                // All bits set: the driver does not tell.
                u.memory = if info.memory == c_ulonglong::MAX { 0 } else { info.memory };
            }
            for sample in self.samples(n, device) {
                let u = of.entry(sample.pid).or_insert(idle(sample.pid));
                u.busy = u.busy.max(sample.sm.min(100));
            }
            all.extend(of.into_values());
        }
        all
    }

    fn running(&self, device: Device) -> Vec<ProcessInfo> {
        let mut infos = vec![ProcessInfo::default(); PROCESSES];
        let mut count = PROCESSES as c_uint;
        // SAFETY: an array of as many elements as is said, of the type of version 3 of this call.
        let status = unsafe { (self.0.processes)(device, &raw mut count, infos.as_mut_ptr()) };
        infos.truncate(if status == SUCCESS { count as usize } else { 0 });
        infos
    }

    fn samples(&mut self, n: u32, device: Device) -> Vec<Sample> {
        let mut samples = vec![Sample::default(); PROCESSES];
        let mut count = PROCESSES as c_uint;
        let since = self.0.seen.get(&n).copied().unwrap_or(0);
        // SAFETY: as above. Another status means that there are none, or that this GPU does not sample.
        let status = unsafe { (self.0.utilization)(device, samples.as_mut_ptr(), &raw mut count, since) };
        samples.truncate(if status == SUCCESS { count as usize } else { 0 });
        // Unused places are zero.
        samples.retain(|s| s.time > since);
        if let Some(newest) = samples.iter().map(|s| s.time).max() {
            self.0.seen.insert(n, newest);
        }
        samples
    }
}

/// # Safety
/// `T` must be the type of the function that has this name.
unsafe fn symbol<T: Copy>(library: &Library, name: &str) -> Result<T, String> {
    // SAFETY: as the caller says.
    let found = unsafe { library.get::<T>(name.as_bytes()) };
    found.map(|s| *s).map_err(|_| format!("the driver has no {name}; it is too old"))
}

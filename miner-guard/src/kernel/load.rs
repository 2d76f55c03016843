//! From object files to programs that run: load, attach, pin.

use std::{
    fs::File,
    hash::{BuildHasher as _, RandomState},
    os::fd::AsFd as _,
};

use aya::{
    Btf, Ebpf, EbpfLoader, VerifierLogLevel,
    programs::{
        CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSockAddr, CgroupSockopt, Lsm, Program,
        ProgramError, RawTracePoint, links::FdLink,
    },
};

use super::{
    KernelError, btf,
    cgroup::Guarded,
    frames::Frames,
    hooks::{HOOKS, Hook, Object, Place},
    links,
    pins::Instance,
    preflight::Preflight,
    queues::Queues,
    runtime::Runtime,
    tables::SHARED,
};
use miner_guard_common::abi::offsets::{ABSENT, Offset};

/// Loaded when the first cgroup is isolated.
const ISOLATE: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mg-isolate"));
/// Loaded when there is a packet socket.
const OPTIONS: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mg-options"));
const OBJECTS: [(Object, &[u8]); 7] = [
    (Object::Net, aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mg-net"))),
    (Object::Egress, aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mg-egress"))),
    (Object::Exec, aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mg-exec"))),
    (Object::Answers, aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mg-answers"))),
    (Object::Frames, aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mg-frames"))),
    (Object::Lsm, aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mg-lsm"))),
    (Object::Runtime, aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mg-runtime"))),
];

/// What became of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Attached,
    /// It runs where this says.
    AttachedTo(String),
    /// It cannot run here, and why.
    Unavailable(String),
}

impl State {
    /// Why it cannot run, if it cannot.
    #[must_use]
    pub fn why_not(&self) -> Option<&str> {
        match self {
            Self::Attached | Self::AttachedTo(_) => None,
            Self::Unavailable(why) => Some(why),
        }
    }
}

/// Programs in the kernel that are not attached yet: the first policy can be published before the first question
/// is asked.
pub struct Loaded {
    objects: Vec<(Object, Ebpf)>,
    states: Vec<(&'static Hook, State)>,
    /// The kernel has the members that the rounding modes are read from.
    rounding: bool,
}

/// What became of every hook, and what the daemon itself holds of the kernel side.
pub struct Attached {
    /// In the order of the table.
    pub hooks: Vec<(&'static Hook, State)>,
    /// `None` where nothing of it can run.
    pub runtime: Option<Runtime>,
    /// The same.
    pub frames: Option<Frames>,
}

/// Loads every object that this kernel can run. All share the maps pinned in `instance`.
pub fn load(preflight: &Preflight, instance: &Instance, guarded: &Guarded) -> Result<Loaded, KernelError> {
    let offsets = offsets()?;
    let scope = if guarded.whole_host { 0 } else { guarded.id };
    let mut states = Vec::new();
    let mut objects = Vec::new();
    for (object, bytes) in OBJECTS {
        let rows = || HOOKS.iter().filter(move |h| h.object == object);
        let cannot = rows().find_map(|h| preflight.can_run(h).err());
        if let Some(why) = cannot {
            states.extend(rows().map(|h| (h, State::Unavailable(why.clone()))));
            continue;
        }
        let scope = (!object.hangs_on_a_cgroup()).then_some(&scope);
        let loaded = load_one(object, bytes, &offsets, scope, instance);
        match loaded {
            Ok(ebpf) => objects.push((object, ebpf)),
            Err(e) if rows().any(|h| h.required) => return Err(e),
            Err(e) => states.extend(rows().map(|h| (h, State::Unavailable(e.to_string())))),
        }
    }
    let has = |o: Offset| offsets[o as usize] != ABSENT;
    let rounding = has(Offset::FpuMxcsr) || (has(Offset::FpuFpstate) && has(Offset::FpstateMxcsr));
    Ok(Loaded { objects, states, rounding })
}

fn offsets() -> Result<[u32; Offset::COUNT], KernelError> {
    let data = std::fs::read(btf::VMLINUX)
        .map_err(|e| KernelError::io("reading", std::path::Path::new(btf::VMLINUX), e))?;
    btf::Btf::parse(&data)
        .and_then(|b| b.offsets())
        .map_err(|e| KernelError::refused("finding kernel structures", e))
}

/// Loads one object. `scope`: the guarded cgroup, for hooks that do not hang on it.
fn load_one(
    object: Object,
    bytes: &[u8],
    offsets: &[u32; Offset::COUNT],
    scope: Option<&u64>,
    instance: &Instance,
) -> Result<Ebpf, KernelError> {
    let mut loader = EbpfLoader::new();
    // No program has CO-RE relocations, so that the kernel's types need not be read again.
    loader.btf(None).verifier_log_level(VerifierLogLevel::STATS);
    // What hangs on a cgroup needs offsets only for exemptions.
    loader.override_global("OFFSETS", &offsets[..], scope.is_some());
    if let Some(scope) = scope {
        loader.override_global("SCOPE", scope, true);
    }
    // Odd, and nobody's to guess: the standard library's hash has a key of its own.
    let print = (object == Object::Egress).then(|| RandomState::new().hash_one(()) | 1);
    if let Some(print) = &print {
        loader.override_global("PRINT", print, true);
    }
    for map in SHARED {
        loader.map_pin_path(map, instance.map(map));
    }
    loader.load(bytes).map_err(|e| KernelError::refused(format!("loading the {object:?} object"), e))
}

/// Loads the programs that are hung on isolated cgroups.
pub(super) fn isolating(instance: &Instance) -> Result<Ebpf, KernelError> {
    load_one(Object::Isolate, ISOLATE, &offsets()?, None, instance)
}

/// Loads, attaches and pins the program that is asked when an option is set on a socket. aya lets nobody have a link of this
/// kind.
pub(super) fn hang_on_options(instance: &Instance, dir: &File) -> Result<(), KernelError> {
    let refused = |e| KernelError::refused("the kernel refused the hook on socket options", e);
    let mut ebpf = load_one(Object::Options, OPTIONS, &offsets()?, None, instance)?;
    let program: &mut CgroupSockopt = program(&mut ebpf, "mg_setsockopt")?;
    program.load().map_err(refused)?;
    let fd = program.fd().map_err(refused)?.as_fd();
    links::hang_on_cgroup(fd, dir.as_fd(), links::BPF_CGROUP_SETSOCKOPT, &instance.link("option"))
        .map_err(|e| KernelError::refused("hanging the hook on socket options", e))
}

impl Loaded {
    /// Attaches and pins every hook, in the order of the table. Fails if a required one cannot run.
    pub fn attach(
        mut self,
        preflight: &Preflight,
        instance: &Instance,
        guarded: &Guarded,
    ) -> Result<Attached, KernelError> {
        let runtime = self.take(Object::Runtime).and_then(|ebpf| {
            let (runtime, states) = Runtime::attach(ebpf, self.rounding);
            self.states.extend(states);
            runtime
        });
        let frames = self.take(Object::Frames).map(|ebpf| {
            let queues = Queues::new(instance, guarded, &preflight.cgroup_root);
            queues.and_then(|queues| Frames::attach(ebpf, instance, queues))
        });
        if let (Some(hook), Some(done)) = (HOOKS.iter().find(|h| h.object == Object::Frames), &frames) {
            let state = match done {
                Ok(frames) => frames.state(),
                Err(e) => State::Unavailable(explained(e, preflight)),
            };
            self.states.push((hook, state));
        }
        for hook in HOOKS {
            let Some((_, ebpf)) = self.objects.iter_mut().find(|(o, _)| *o == hook.object) else { continue };
            let link = attach(ebpf, hook, &guarded.dir);
            let state = match link.and_then(|link| pin(link, hook.name, instance)) {
                Ok(()) => State::Attached,
                Err(e) if hook.required => return Err(e),
                Err(e) => State::Unavailable(explained(&e, preflight)),
            };
            self.states.push((hook, state));
        }
        // In the order of the table, whatever order they were found in.
        self.states.sort_by_key(|(h, _)| HOOKS.iter().position(|r| r.name == h.name));
        Ok(Attached { hooks: self.states, runtime, frames: frames.and_then(Result::ok) })
    }

    /// An object that is attached in a way of its own.
    fn take(&mut self, object: Object) -> Option<Ebpf> {
        let at = self.objects.iter().position(|(o, _)| *o == object)?;
        Some(self.objects.swap_remove(at).1)
    }
}

/// Why an optional hook did not come up; lockdown refuses some program types with a bare EPERM.
fn explained(e: &KernelError, preflight: &Preflight) -> String {
    match preflight.lockdown.as_str() {
        "" | "none" => e.to_string(),
        state => {
            format!("{e} (kernel lockdown is `{state}`, which some kernels extend to this kind of program)")
        }
    }
}

/// A program of an object, as what it is.
pub(super) fn program<'a, T>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut T, KernelError>
where
    &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let found = ebpf.program_mut(name).ok_or_else(|| missing(name))?;
    found.try_into().map_err(|e| KernelError::refused(format!("taking the program {name}"), e))
}

fn missing(name: &str) -> KernelError {
    KernelError::Refused {
        what: format!("the program {name}"),
        why: "the object holds none of its kind: this build is damaged".into(),
    }
}

/// Attaches a hook: to this cgroup, where it hangs on one.
pub(super) fn attach(ebpf: &mut Ebpf, hook: &Hook, dir: &File) -> Result<FdLink, KernelError> {
    let refused =
        |e: ProgramError| KernelError::refused(format!("the kernel refused the hook {}", hook.name), e);
    let link = match hook.place {
        Place::SockAddr => {
            let p: &mut CgroupSockAddr = program(ebpf, hook.program)?;
            // It may hang on another cgroup already.
            if p.fd().is_err() {
                p.load().map_err(refused)?;
            }
            let id = p.attach(dir, CgroupAttachMode::Single).map_err(refused)?;
            FdLink::try_from(p.take_link(id).map_err(refused)?)
        }
        Place::Egress | Place::Ingress => {
            let way = match hook.place {
                Place::Ingress => CgroupSkbAttachType::Ingress,
                _ => CgroupSkbAttachType::Egress,
            };
            let p: &mut CgroupSkb = program(ebpf, hook.program)?;
            if p.fd().is_err() {
                p.load().map_err(refused)?;
            }
            let id = p.attach(dir, way, CgroupAttachMode::Single).map_err(refused)?;
            FdLink::try_from(p.take_link(id).map_err(refused)?)
        }
        Place::RawTracepoint(name) => {
            let p: &mut RawTracePoint = program(ebpf, hook.program)?;
            p.load().map_err(refused)?;
            let id = p.attach(name).map_err(refused)?;
            return Ok(p.take_link(id).map_err(refused)?.into());
        }
        Place::Lsm(name) => {
            let types =
                Btf::from_sys_fs().map_err(|e| KernelError::refused("reading the kernel's types", e))?;
            let p: &mut Lsm = program(ebpf, hook.program)?;
            p.load(name, &types).map_err(refused)?;
            let id = p.attach().map_err(refused)?;
            return Ok(p.take_link(id).map_err(refused)?.into());
        }
        // Not pinned, or not once: attached elsewhere.
        Place::Clock | Place::TypedTracepoint(_) | Place::Interfaces => {
            return Err(missing(hook.program));
        }
    };
    link.map_err(|e| KernelError::refused(format!("keeping the hook {}", hook.name), e))
}

/// Keeps a link under a name.
pub(super) fn pin(link: FdLink, name: &str, instance: &Instance) -> Result<(), KernelError> {
    let path = instance.link(name);
    link.pin(&path)
        .map(drop)
        .map_err(|e| KernelError::refused(format!("pinning the hook {name} at {}", path.display()), e))
}

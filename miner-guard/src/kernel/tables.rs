//! The tables that the daemon fills: generations, file verdicts; and the counters that it reads.

use std::{os::fd::AsFd as _, path::PathBuf, time::Instant};

use aya::maps::{Array, ArrayOfMaps, HashMap, Map, MapData, PerCpuArray};
use memmap2::{MmapOptions, MmapRaw};
use miner_guard_common::abi::{
    file::{FileId, FileVerdict},
    policy::{Block, HEAD_BLOCKS},
    record::{Flood, FloodKey, LOSS_SLOTS, Loss},
};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::{KernelError, pins::Instance};

const BLOCK: usize = size_of::<Block>();
const HEAD: usize = HEAD_BLOCKS as usize * BLOCK;
const ID: usize = size_of::<FileId>();
const VERDICT: usize = size_of::<FileVerdict>();
const FLOOD_KEY: usize = size_of::<FloodKey>();
const FLOOD: usize = size_of::<Flood>();

const BPF_MAP_TYPE_ARRAY: u32 = 2;
/// `BPF_F_MMAPABLE | BPF_F_INNER_MAP`: written at memory speed, and of any length behind the outer map.
const IMAGE_FLAGS: u32 = 1 << 10 | 1 << 12;

/// Names of all maps that objects share.
pub const SHARED: &[&str] = &[
    "POLICY",
    "HEADS",
    "EPOCH",
    "FILES",
    "CLEAN",
    "RING",
    "LOSS",
    "FLOOD",
    "SOCKETS",
    "READING",
    "SPARE_SOCKETS",
    "SPARE_READING",
    "LEARNED",
    "LEARNED_FILTER",
    "ANSWERS",
];

/// The maps of an instance.
pub struct Tables {
    policy: ArrayOfMaps<MapData, MapData>,
    heads: Array<MapData, [u8; HEAD]>,
    epoch: Array<MapData, u32>,
    /// Policies put in force so far: the lowest bit says which slot is.
    published: u32,
    /// The image in force, and its blocks.
    current: Option<(MapData, u32)>,
    files: HashMap<MapData, [u8; ID], [u8; VERDICT]>,
    clean: HashMap<MapData, [u8; ID], [u8; VERDICT]>,
    loss: PerCpuArray<MapData, u64>,
    flood: HashMap<MapData, [u8; FLOOD_KEY], [u8; FLOOD]>,
}

pub(super) fn open<T>(
    instance: &Instance,
    name: &str,
    wrap: impl Fn(MapData) -> Map,
) -> Result<T, KernelError>
where
    T: TryFrom<Map, Error = aya::maps::MapError>,
{
    let path = instance.map(name);
    let what = || format!("opening the map {}", path.display());
    let data = MapData::from_pin(&path).map_err(|e| KernelError::refused(what(), e))?;
    T::try_from(wrap(data)).map_err(|e| KernelError::refused(what(), e))
}

impl Tables {
    /// Opens the pinned maps of an instance that was just loaded.
    pub fn open(instance: &Instance) -> Result<Self, KernelError> {
        Ok(Self {
            policy: open(instance, "POLICY", Map::ArrayOfMaps)?,
            heads: open(instance, "HEADS", Map::Array)?,
            epoch: open(instance, "EPOCH", Map::Array)?,
            published: 0,
            current: None,
            files: open(instance, "FILES", Map::HashMap)?,
            clean: open(instance, "CLEAN", Map::LruHashMap)?,
            loss: open(instance, "LOSS", Map::PerCpuArray)?,
            flood: open(instance, "FLOOD", Map::LruHashMap)?,
        })
    }

    /// Puts a new generation in force: `write` fills its blocks (zeros at first) in the kernel's own memory, then
    /// one number is raised. On error the old generation stays.
    pub fn publish(&mut self, blocks: u32, write: impl FnOnce(&mut [Block])) -> Result<(), KernelError> {
        let start = Instant::now();
        let shape = aya_obj::Map::new_from_params(BPF_MAP_TYPE_ARRAY, 4, BLOCK as u32, blocks, IMAGE_FLAGS);
        let image = MapData::create(shape, "mg_policy", None)
            .map_err(|e| KernelError::refused(format!("making a policy table of {blocks} blocks"), e))?;
        let mut head = [0; HEAD];
        {
            let mut memory = Mapped::new(&image, blocks)?;
            write(memory.blocks());
            let bytes = memory.blocks().as_bytes();
            head.copy_from_slice(bytes.get(..HEAD).ok_or_else(|| KernelError::Refused {
                what: "putting the new policy in force".into(),
                why: format!("a policy table of {blocks} blocks has no head"),
            })?);
        }
        let filled = start.elapsed();
        let refused = |e| KernelError::refused("putting the new policy in force", e);
        let published = self.published.wrapping_add(1);
        // The slot that no program looks at: the last call of the last time waited for those that did.
        let slot = published & 1;
        self.policy.set(slot, &image, 0).map_err(refused)?;
        self.heads.set(slot, head, 0).map_err(refused)?;
        self.epoch.set(0, published, 0).map_err(refused)?;
        self.published = published;
        let (fill_us, swap_us) = (filled.as_micros(), (start.elapsed() - filled).as_micros());
        tracing::debug!(blocks, fill_us, swap_us, "policy table in force");
        // Lets go of the old table, and waits for the programs that still look at it.
        if let Err(e) = self.policy.set(slot ^ 1, &image, 0) {
            tracing::warn!("the new policy is in force, but the memory of the old one is kept: {e}");
        }
        self.current = Some((image, blocks));
        Ok(())
    }

    /// Puts an edited copy of the generation in force in its place, such as one of another mode.
    pub fn republish(&mut self, edit: impl FnOnce(&mut [Block])) -> Result<(), KernelError> {
        let Some((image, blocks)) = &self.current else {
            return Err(KernelError::Refused {
                what: "changing the policy in force".into(),
                why: "there is none yet".into(),
            });
        };
        let (mut old, blocks) = (Mapped::new(image, *blocks)?, *blocks);
        self.publish(blocks, |new| {
            new.copy_from_slice(old.blocks());
            edit(new);
        })
    }

    /// The generation in force, to be read elsewhere; it stays as it is when another comes into force.
    pub fn image(&self) -> Result<Image, KernelError> {
        let Some((image, blocks)) = &self.current else {
            return Err(KernelError::Refused {
                what: "reading the policy in force".into(),
                why: "there is none yet".into(),
            });
        };
        Mapped::new(image, *blocks).map(Image)
    }

    /// Records a file with consequences: stopped, exempt, or a loader.
    pub fn set_file(&mut self, id: &FileId, verdict: &FileVerdict) -> Result<(), KernelError> {
        insert(&mut self.files, id, verdict, "recording a file's verdict")
    }

    /// Records a file as clean.
    pub fn set_clean(&mut self, id: &FileId, verdict: &FileVerdict) -> Result<(), KernelError> {
        insert(&mut self.clean, id, verdict, "recording a clean file")
    }

    /// Forgets one file.
    pub fn forget_file(&mut self, id: &FileId) -> Result<(), KernelError> {
        let mut key = [0; ID];
        key.copy_from_slice(id.as_bytes());
        self.files.remove(&key).map_err(|e| KernelError::refused("forgetting a file", e))
    }

    /// Forgets every file, so that each is identified again at its next exec.
    pub fn forget_files(&mut self) -> Result<(), KernelError> {
        for map in [&mut self.clean, &mut self.files] {
            let keys: Vec<_> = map.keys().filter_map(Result::ok).collect();
            for key in keys {
                match map.remove(&key) {
                    // Evicted in between: gone is what was wanted.
                    Ok(()) | Err(aya::maps::MapError::KeyNotFound) => {}
                    Err(aya::maps::MapError::SyscallError(e)) if e.io_error.raw_os_error() == Some(2) => {}
                    Err(e) => return Err(KernelError::refused("forgetting a file", e)),
                }
            }
        }
        Ok(())
    }

    /// Every file that is known, those with consequences first.
    pub fn files(&self) -> Vec<(FileId, FileVerdict)> {
        let rows = self.files.iter().chain(self.clean.iter()).filter_map(Result::ok);
        let read = |(id, verdict): ([u8; ID], [u8; VERDICT])| {
            Some((FileId::read_from_bytes(&id).ok()?, FileVerdict::read_from_bytes(&verdict).ok()?))
        };
        rows.filter_map(read).collect()
    }

    /// Number of files known: with consequences, clean.
    pub fn known_files(&self) -> (usize, usize) {
        (self.files.keys().count(), self.clean.keys().count())
    }

    /// Each counter of losses, summed over the CPUs.
    pub fn losses(&self) -> Vec<(Loss, u64)> {
        let sum = |l: &Loss| {
            let slot = (*l as u32).min(LOSS_SLOTS - 1);
            self.loss.get(&slot, 0).map(|v| v.iter().sum()).unwrap_or(0)
        };
        Loss::ALL.iter().map(|l| (*l, sum(l))).collect()
    }

    /// Whether any process has records that were held back and not told.
    pub fn floods(&self) -> bool {
        let held = |v: &[u8; FLOOD]| Flood::read_from_bytes(v).is_ok_and(|f| f.held > 0);
        self.flood.iter().filter_map(Result::ok).any(|(_, v)| held(&v))
    }

    /// Takes the counts of records that were held back in windows that began before `before_ns`
    /// (`CLOCK_MONOTONIC`): their process fell silent, so no later record tells of them.
    pub fn take_floods(&mut self, before_ns: u64) -> Vec<(FloodKey, u32)> {
        let ended: Vec<_> = self
            .flood
            .iter()
            .filter_map(Result::ok)
            .filter_map(|(k, v)| {
                Some((k, FloodKey::read_from_bytes(&k).ok()?, Flood::read_from_bytes(&v).ok()?))
            })
            .filter(|(_, _, v)| v.held > 0 && v.since_ns < before_ns)
            .collect();
        for (bytes, ..) in &ended {
            // An entry that was evicted meanwhile has nothing more to say.
            let _ = self.flood.remove(bytes);
        }
        ended.into_iter().map(|(_, k, v)| (k, v.held)).collect()
    }
}

fn insert(
    map: &mut HashMap<MapData, [u8; ID], [u8; VERDICT]>,
    id: &FileId,
    verdict: &FileVerdict,
    what: &str,
) -> Result<(), KernelError> {
    let (mut key, mut value) = ([0; ID], [0; VERDICT]);
    key.copy_from_slice(id.as_bytes());
    value.copy_from_slice(verdict.as_bytes());
    map.insert(key, value, 0).map_err(|e| KernelError::refused(what, e))
}

/// A generation that is or was in force.
#[derive(Debug)]
pub struct Image(Mapped);

impl Image {
    /// Its blocks.
    pub fn blocks(&self) -> &[Block] {
        // SAFETY: the mapping is `len` bytes of the kernel's array and lives as long as `self`. Nobody writes to an image
        // once it is published, and only published ones come here.
        let bytes = unsafe { std::slice::from_raw_parts(self.0.memory.as_ptr(), self.0.len) };
        // A page-aligned, whole number of blocks: the cast cannot fail.
        <[Block]>::ref_from_bytes(bytes).unwrap_or_default()
    }
}

/// An image's memory while it is being filled, before any hook can see it.
#[derive(Debug)]
struct Mapped {
    memory: MmapRaw,
    len: usize,
}

impl Mapped {
    fn new(image: &MapData, blocks: u32) -> Result<Self, KernelError> {
        let len = blocks as usize * BLOCK;
        let fd = image.fd().as_fd();
        let memory = MmapOptions::new()
            .len(len)
            .map_raw(&fd)
            .map_err(|e| KernelError::io("mapping", &PathBuf::from("the policy table"), e))?;
        Ok(Self { memory, len })
    }

    fn blocks(&mut self) -> &mut [Block] {
        // SAFETY: the mapping is `len` bytes of the kernel's array and lives as long as `self`. Writers have it to
        // themselves: no hook has an image before `publish` sets it, by which time this mapping is gone; the one
        // in force is only read, by both sides.
        let bytes = unsafe { std::slice::from_raw_parts_mut(self.memory.as_mut_ptr(), self.len) };
        // A page-aligned, whole number of blocks: the cast cannot fail, and an empty slice would be refused by
        // every hook as "no policy".
        <[Block]>::mut_from_bytes(bytes).unwrap_or_default()
    }
}

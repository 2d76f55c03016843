//! What `/proc` knows of a process while it runs. Every read is bounded; the process may be gone, which is `None`.

use std::{io::Read as _, ops::Range, path::PathBuf};

/// The questions that [`super::Tracker`] asks of a process.
pub trait Look {
    /// Processor time and data moved so far.
    fn usage(&self, pid: u32) -> Option<Usage>;
    /// Its memory.
    fn memory(&self, pid: u32) -> Option<Memory>;
    /// How its threads are run, and its hold on the machine.
    fn manners(&self, pid: u32) -> Option<Manners>;
}

/// What a process used since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// When it was started, clock ticks since boot: tells it from another of the same number.
    pub start: u64,
    /// Processor time, milliseconds.
    pub cpu_ms: u64,
    /// Bytes read and written, from files and sockets alike; 0 where it cannot be read.
    pub moved: u64,
}

/// What lies in a process's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Executable memory that no file with a name is behind.
    pub made_code: Vec<Range<u64>>,
    /// Resident bytes.
    pub resident: u64,
    /// Resident bytes of mapped files.
    pub files: u64,
    /// Bytes of private memory without a file that are of the size of whole mebibytes, up to 64 of them a mapping: what
    /// scratchpads are.
    pub pads: u64,
}

impl Memory {
    /// Whether code at this address has no file behind it.
    #[must_use]
    pub fn made(&self, ip: u64) -> bool {
        self.made_code.iter().any(|r| r.contains(&ip))
    }
}

/// How a process runs its threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manners {
    /// Threads.
    pub threads: u32,
    /// Threads that may run on one CPU only, each on another.
    pub pinned: u32,
    /// Scheduled only when nobody else wants the processor, or as nice as can be.
    pub humble: bool,
    /// It holds `/dev/cpu/*/msr` open.
    pub registers: bool,
    /// Bytes in huge pages that were reserved for it. Those that the kernel gives by itself say nothing, and to ask for them is a
    /// walk of all its page tables.
    pub huge: u64,
}

/// `/proc` itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Proc;

const MEBI: u64 = 1 << 20;
/// Mappings of a process: a large Java program has tens of thousands, of 100 bytes each.
const MAPS: u64 = 4 * MEBI;
/// Threads and descriptors that are looked at.
const MOST: usize = 1024;

impl Look for Proc {
    fn usage(&self, pid: u32) -> Option<Usage> {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let (start, cpu) = stat(&read(pid, "stat", 4096)?)?;
        let moved = read(pid, "io", 4096).map_or(0, |text| number(&text, "rchar") + number(&text, "wchar"));
        Some(Usage { start, cpu_ms: cpu * 1000 / ticks, moved })
    }

    fn memory(&self, pid: u32) -> Option<Memory> {
        let status = read(pid, "status", 16 << 10)?;
        let kib = |name| number(&status, name) * 1024;
        let mut memory = Memory { resident: kib("VmRSS"), files: kib("RssFile"), ..Memory::default() };
        maps(&read(pid, "maps", MAPS)?, &mut memory);
        Some(memory)
    }

    fn manners(&self, pid: u32) -> Option<Manners> {
        let mut manners = Manners::default();
        let mut taken = Vec::new();
        for task in std::fs::read_dir(of(pid, "task")).ok()?.flatten().take(MOST) {
            let Some(tid) = task.file_name().to_str().and_then(|t| t.parse::<u32>().ok()) else { continue };
            manners.threads += 1;
            let status = read(pid, &format!("task/{tid}/status"), 16 << 10).unwrap_or_default();
            let allowed = field(&status, "Cpus_allowed_list").unwrap_or_default();
            if let Ok(cpu) = allowed.parse::<u32>()
                && !taken.contains(&cpu)
            {
                taken.push(cpu);
            }
        }
        manners.pinned = u32::try_from(taken.len()).unwrap_or(u32::MAX);
        let stat = read(pid, "stat", 4096)?;
        manners.humble = humble(&stat).unwrap_or(false);
        manners.huge = read(pid, "status", 16 << 10).map_or(0, |text| number(&text, "HugetlbPages") * 1024);
        for fd in std::fs::read_dir(of(pid, "fd")).into_iter().flatten().flatten().take(MOST) {
            let target = std::fs::read_link(fd.path()).unwrap_or_default();
            manners.registers |= target.starts_with("/dev/cpu") && target.ends_with("msr");
        }
        Some(manners)
    }
}

fn of(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

fn read(pid: u32, name: &str, limit: u64) -> Option<String> {
    let mut out = Vec::new();
    std::fs::File::open(of(pid, name)).ok()?.take(limit).read_to_end(&mut out).ok()?;
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// The value of `name: value` or `name value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The number in it, whatever its unit; 0 if there is none.
fn number(text: &str, name: &str) -> u64 {
    field(text, name).and_then(|v| v.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Fields of `stat` from the third on: the name before it may hold anything.
fn fields(stat: &str) -> Option<Vec<&str>> {
    Some(stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect())
}

/// Start and processor time, in ticks.
fn stat(text: &str) -> Option<(u64, u64)> {
    let fields = fields(text)?;
    let at = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
    Some((at(22)?, at(14)? + at(15)?))
}

fn humble(text: &str) -> Option<bool> {
    const SCHED_IDLE: &str = "5";
    const NICEST: &str = "19";
    let fields = fields(text)?;
    Some(*fields.get(41 - 3)? == SCHED_IDLE || *fields.get(19 - 3)? == NICEST)
}

fn maps(text: &str, out: &mut Memory) {
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let range = words
            .next()
            .and_then(|w| w.split_once('-'))
            .and_then(|(a, b)| Some(u64::from_str_radix(a, 16).ok()?..u64::from_str_radix(b, 16).ok()?));
        let (Some(range), Some(flags)) = (range, words.next()) else { continue };
        let path = words.nth(3).unwrap_or_default();
        // The kernel's own ([vdso]) are the same everywhere; a file without a name is as good as none.
        let kernels = path.starts_with("[v");
        let nameless = !path.starts_with('/') || line.ends_with("(deleted)") || path.starts_with("/memfd:");
        let size = range.end.saturating_sub(range.start);
        if flags.contains('x') && nameless && !kernels {
            out.made_code.push(range);
        } else if nameless && !kernels && flags.starts_with("rw") && (MEBI..=64 * MEBI).contains(&size) {
            // Glibc's arenas are 64 MiB less what is not used; stacks are 8 MiB and a page.
            out.pads += if size.is_multiple_of(MEBI) { size } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn code_without_a_file_is_found_and_libraries_are_not() {
        let mut memory = Memory::default();
        maps(
            "55550000-55560000 r-xp 00000000 fe:01 77   /usr/bin/a b\n\
             7f0000000000-7f0000100000 r-xp 00000000 00:00 0 \n\
             7f0000200000-7f0000600000 rw-p 00000000 00:00 0 \n\
             7f0000800000-7f0000801000 r-xp 00000000 00:01 5 /memfd:x (deleted)\n\
             7ffd0000-7ffd2000 r-xp 00000000 00:00 0 [vdso]\n",
            &mut memory,
        );
        assert_eq!(
            memory.made_code,
            [0x7f00_0000_0000..0x7f00_0010_0000, 0x7f00_0080_0000..0x7f00_0080_1000]
        );
        assert!(memory.made(0x7f00_0000_0123) && !memory.made(0x5555_0123));
        assert_eq!(memory.pads, 4 << 20);
    }

    #[test]
    fn this_process_is_seen() {
        let pid = std::process::id();
        let usage = Proc.usage(pid).unwrap();
        assert!(usage.start > 0 && usage.moved > 0, "{usage:?}");
        assert!(Proc.memory(pid).unwrap().resident > 1 << 20);
        assert!(Proc.manners(pid).unwrap().threads >= 1);
        assert_eq!(Proc.usage(u32::MAX), None);
    }

    proptest! {
        #[test]
        fn hostile_names_and_half_lines_are_read_without_panic(text in ".{0,200}") {
            let _ = (stat(&text), humble(&text), field(&text, "x"));
            maps(&text, &mut Memory::default());
        }
    }
}

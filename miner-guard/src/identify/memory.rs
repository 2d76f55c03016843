//! The memory of a running process: a packed program has unpacked itself there.

use super::{Class, Evidence, Finding, Identifier, Kind, Skip, Strength, judge};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
};

/// At most this much of a process is read, in bytes.
const MOST: u64 = 128 << 20;
/// A larger piece of anonymous memory is data, such as a RandomX dataset, and no program.
const PIECE: u64 = 32 << 20;
const CHUNK: usize = 256 * 1024;
/// Mappings that are looked at.
const MAPPINGS: usize = 4096;

struct Mapping {
    start: u64,
    end: u64,
    executable: bool,
}

impl Identifier {
    /// Identifies what lies in the memory of a process and is not a file that others share: anonymous memory, its own
    /// program, and files without a name. Code is read first; 128 MiB at most.
    ///
    /// # Errors
    /// When the process has ended or may not be read.
    pub fn identify_memory(&self, pid: u32) -> Result<Finding, Skip> {
        let maps = fs::read(format!("/proc/{pid}/maps")).map_err(gone)?;
        let program = fs::metadata(format!("/proc/{pid}/exe")).map(|meta| meta.ino()).unwrap_or(0);
        let memory = File::open(format!("/proc/{pid}/mem")).map_err(gone)?;
        let mut mappings: Vec<_> =
            maps.split(|&b| b == b'\n').take(MAPPINGS).filter_map(|line| mapping(line, program)).collect();
        mappings.sort_by_key(|mapping| !mapping.executable);

        let mut hits = self.matcher.no_hits();
        let mut buffer = vec![0; CHUNK];
        let (mut left, mut size) = (MOST, 0);
        for mapping in &mappings {
            let mut at = mapping.start;
            while at < mapping.end && left > 0 {
                let want = (mapping.end - at).min(left).min(CHUNK as u64) as usize;
                // A page that went away, or a guard page, ends this mapping, not the reading.
                let Ok(read @ 1..) = memory.read_at(buffer.get_mut(..want).unwrap_or_default(), at) else {
                    break;
                };
                let bytes = buffer.get(..read).unwrap_or_default();
                self.matcher.feed(at, bytes, &mut hits);
                if mapping.executable {
                    self.matcher.feed_registers(at, bytes, &mut hits);
                }
                left -= read as u64;
                size += read as u64;
                at += read as u64;
                if at < mapping.end {
                    // The next piece begins within this one: a sign may lie across.
                    at -= (super::matcher::OVERLAP as u64).min(read as u64 / 2);
                }
            }
        }
        let (class, mut evidence) = judge::judge(&self.matcher, &hits, " in the process's memory");
        if class > Class::Clean {
            evidence.push(Evidence {
                kind: Kind::Reading,
                strength: Strength::Weak,
                text: format!("{size} bytes of the memory of process {pid} were read"),
            });
        }
        Ok(Finding { class, evidence, size, complete: left > 0, changed: false })
    }
}

fn gone(error: io::Error) -> Skip {
    match error.kind() {
        io::ErrorKind::NotFound => Skip::Gone,
        _ => Skip::Unreadable(error),
    }
}

/// A line of `/proc/PID/maps`: `start-end rwxp offset dev inode path`. Nothing when there is no need to read it.
fn mapping(line: &[u8], program: u64) -> Option<Mapping> {
    let line = String::from_utf8_lossy(line);
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    let flags = fields.next()?;
    let inode: u64 = fields.nth(2)?.parse().ok()?;
    let path = fields.next().unwrap_or_default();
    // [vvar] and the like are the kernel's.
    let kernel = path.starts_with("[v");
    let own = inode == 0 || inode == program || line.ends_with("(deleted)") || path.starts_with("/memfd:");
    let size = end.checked_sub(start)?;
    let wanted = flags.starts_with('r') && own && !kernel && size <= PIECE;
    wanted.then(|| Mapping { start, end, executable: flags.contains('x') })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_and_anonymous_memory_is_read_and_shared_files_are_not() {
        let read = |line: &str| mapping(line.as_bytes(), 77).map(|m| (m.end - m.start, m.executable));
        assert_eq!(read("7f00000000-7f00002000 r-xp 00000000 00:00 0 "), Some((0x2000, true)));
        assert_eq!(
            read("7f00000000-7f00002000 rw-p 00000000 fe:01 77   /usr/bin/a b"),
            Some((0x2000, false))
        );
        assert_eq!(
            read("7f00000000-7f00002000 rw-p 00000000 fe:01 9 /tmp/x (deleted)"),
            Some((0x2000, false))
        );
        assert_eq!(read("7f00000000-7f00002000 r-xp 00000000 fe:01 9 /usr/lib/libc.so.6"), None);
        assert_eq!(read("7f00000000-7f00002000 ---p 00000000 00:00 0 "), None);
        assert_eq!(read("7f00000000-7fff000000 rw-p 00000000 00:00 0 "), None);
        assert_eq!(read("7ffd00000-7ffd02000 r--p 00000000 00:00 0 [vvar]"), None);
        for garbage in ["", "-", "1-", "2-1 r-xp 0 0:0 0", "zz-zz r-xp 0 0:0 0"] {
            assert_eq!(read(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn signs_in_anonymous_memory_of_a_process_are_found() {
        let own = super::super::tests::randomx();
        let finding = Identifier::new().identify_memory(std::process::id()).unwrap();
        assert!(finding.class >= Class::HashingHeavy, "{finding:?} {}", own.len());
    }

    #[test]
    fn a_process_that_has_ended_is_said_to_be_gone() {
        assert!(matches!(Identifier::new().identify_memory(u32::MAX), Err(Skip::Gone)));
    }
}

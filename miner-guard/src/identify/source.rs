//! Reading a file that somebody hostile may have chosen: no waiting, no signal, bounded work.
//!
//! The file is read, not mapped: a mapped file that is cut short while it is read kills the reader with SIGBUS.

use super::{Skip, matcher::OVERLAP};
use rustix::fs::{self, FileType, Mode, OFlags, SeekFrom, Stat};
use std::{fs::File, os::unix::fs::FileExt as _, path::Path};

/// Bytes read at once: small enough for the processor's cache.
const CHUNK: usize = 256 * 1024;
/// Program headers lie within this in every file that a linker makes.
const HEAD: usize = 64 * 1024;
/// Most files of a scan are no ELF files, and known by these.
const MAGIC: usize = 4;

/// Opens a file for identification. Waits for nobody: not for a writer of a FIFO, not for a terminal.
pub fn open(path: &Path) -> Result<File, Skip> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let before = fs::stat(path).map_err(Skip::from_errno)?;
    // Opening a device may move a tape: look before.
    regular(&before)?;
    Ok(File::from(fs::open(path, flags, Mode::empty()).map_err(Skip::from_errno)?))
}

/// What a file was like when its reading began.
pub struct Source<'f> {
    file: &'f File,
    stat: Stat,
    head: Vec<u8>,
}

fn regular(stat: &Stat) -> Result<(), Skip> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_size == 0 => Err(Skip::Empty),
        FileType::RegularFile => Ok(()),
        _ => Err(Skip::NotRegular),
    }
}

impl<'f> Source<'f> {
    /// Looks at the file, and reads its magic number.
    pub fn new(file: &'f File) -> Result<Self, Skip> {
        let stat = fs::fstat(file).map_err(Skip::from_errno)?;
        regular(&stat)?;
        Self { file, stat, head: Vec::new() }.with_head(MAGIC)
    }

    fn with_head(mut self, len: usize) -> Result<Self, Skip> {
        self.head = self.bytes(0, len)?;
        Ok(self)
    }

    /// The same, with enough of the file for [`Elf::read`](super::elf::Elf::read), if it is an ELF file.
    pub fn program(self) -> Result<Self, Skip> {
        if !super::elf::is_elf(&self.head) {
            return Err(Skip::NotElf);
        }
        self.with_head(HEAD)
    }

    /// The first bytes.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        u64::try_from(self.stat.st_size).unwrap_or(0)
    }

    /// Reads from `start` to `end` in pieces, leaving holes out. At most `most` bytes are read; returns how many
    /// were. `each` gets the offset and the bytes; a piece begins with the last [`OVERLAP`] bytes of the one before.
    pub fn read(
        &self,
        start: u64,
        end: u64,
        most: u64,
        mut each: impl FnMut(u64, &[u8]),
    ) -> Result<u64, Skip> {
        let end = end.min(self.size());
        let mut buffer = vec![0; OVERLAP + CHUNK];
        let (mut at, mut total) = (start, 0);
        // How many bytes at the front of the buffer are those before `at`.
        let mut kept = 0;
        while at < end && total < most {
            let want = (end - at).min(most - total).min(CHUNK as u64) as usize;
            let read = read_at(self.file, buffer.get_mut(kept..kept + want).unwrap_or_default(), at)?;
            if read == 0 {
                break;
            }
            let piece = buffer.get(..kept + read).unwrap_or_default();
            let zero = piece.iter().all(|&b| b == 0);
            if !zero {
                each(at - kept as u64, piece);
            }
            total += read as u64;
            at += read as u64;
            let keep = OVERLAP.min(kept + read);
            buffer.copy_within(kept + read - keep..kept + read, 0);
            kept = keep;
            if zero {
                // This may be a hole of any size: ask where the next data are. Not every file system knows.
                match fs::seek(self.file, SeekFrom::Data(at)) {
                    Ok(data) if data > at => (at, kept) = (data, 0),
                    Err(rustix::io::Errno::NXIO) => break,
                    _ => {}
                }
            }
        }
        Ok(total)
    }

    /// Gives every byte to `each`, those of holes too.
    pub fn read_all(&self, mut each: impl FnMut(&[u8])) -> Result<(), Skip> {
        let mut buffer = vec![0; CHUNK];
        let mut at = 0;
        while at < self.size() {
            let read = read_at(self.file, &mut buffer, at)?;
            if read == 0 {
                break;
            }
            each(buffer.get(..read).unwrap_or_default());
            at += read as u64;
        }
        Ok(())
    }

    /// The bytes from `start`, at most `len`; fewer when the file ends.
    pub fn bytes(&self, start: u64, len: usize) -> Result<Vec<u8>, Skip> {
        let left = usize::try_from(self.size().saturating_sub(start)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.min(left)];
        let read = read_at(self.file, &mut bytes, start)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Whether the file was written to since reading began.
    pub fn changed(&self) -> Result<bool, Skip> {
        let now = fs::fstat(self.file).map_err(Skip::from_errno)?;
        let then = &self.stat;
        Ok((now.st_size, now.st_mtime, now.st_mtime_nsec)
            != (then.st_size, then.st_mtime, then.st_mtime_nsec)
            || (now.st_ctime, now.st_ctime_nsec) != (then.st_ctime, then.st_ctime_nsec))
    }
}

/// Fills the buffer as far as the file goes.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> Result<usize, Skip> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Skip::Unreadable(e)),
        }
    }
    Ok(done)
}

//! The initramfs: a cpio archive ("newc") with the static binaries in it.

use std::{
    fs,
    io::{self, BufWriter, Write},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::binaries::Binaries;

/// One entry, by its path in the archive (no leading slash).
pub enum Entry {
    /// A directory.
    Dir(String),
    /// A character device with its major and minor number.
    Device(String, u32, u32),
    /// A copy of a file here, with its permissions.
    File(String, PathBuf),
    /// A symbolic link and what it points to.
    Link(String, PathBuf),
}

/// The test binary as /init, the guard beside it, the one device that init needs before it can mount /dev, and for each
/// kernel, by the first part of its release, the modules that init loads: tests/src/init.rs knows the place.
pub fn contents<'k>(
    binaries: &Binaries,
    modules: impl Iterator<Item = (&'k str, &'k Path)>,
) -> Result<Vec<Entry>> {
    let mut entries = vec![
        Entry::Dir("dev".into()),
        Entry::Device("dev/console".into(), 5, 1),
        Entry::Dir("bin".into()),
        Entry::File("init".into(), binaries.tests.clone()),
        Entry::File("bin/miner-guard".into(), binaries.guard.clone()),
    ];
    entries.extend(loader_and_programs());
    entries.push(Entry::Dir("modules".into()));
    for (kernel, dir) in modules {
        tree(&format!("modules/{kernel}"), dir, &mut entries)?;
    }
    if let Some(corpus) = &binaries.corpus {
        tree("corpus", corpus, &mut entries)?;
    }
    Ok(entries)
}

/// Dynamic programs, with the loader and the libraries that they need, from where this system has them: what `ld.so PROGRAM`
/// does cannot be tried with static ones, and scripts want shells. Nothing where one of them is elsewhere.
fn loader_and_programs() -> Vec<Entry> {
    const FILES: [(&str, &str); 6] = [
        ("bin/sleep", "/bin/sleep"),
        ("bin/sh", "/bin/dash"),
        ("bin/bash", "/bin/bash"),
        ("lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"),
        ("lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"),
        ("lib/x86_64-linux-gnu/libtinfo.so.6", "/lib/x86_64-linux-gnu/libtinfo.so.6"),
    ];
    if !FILES.iter().all(|(_, from)| Path::new(from).is_file()) {
        return Vec::new();
    }
    let dirs = ["lib64", "lib", "lib/x86_64-linux-gnu"].map(|name| Entry::Dir(name.to_owned()));
    dirs.into_iter().chain(FILES.map(|(name, from)| Entry::File(name.to_owned(), from.into()))).collect()
}

/// Everything below `from`, in name order so that the archive is the same each time.
fn tree(name: &str, from: &Path, entries: &mut Vec<Entry>) -> Result<()> {
    entries.push(Entry::Dir(name.to_owned()));
    let mut children = fs::read_dir(from)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .with_context(|| format!("cannot read {}", from.display()))?;
    children.sort_by_key(fs::DirEntry::file_name);
    for child in children {
        let Ok(file_name) = child.file_name().into_string() else {
            bail!("{} has a name that is not UTF-8", child.path().display());
        };
        let (name, path, kind) = (format!("{name}/{file_name}"), child.path(), child.file_type()?);
        if kind.is_dir() {
            tree(&name, &path, entries)?;
        } else if kind.is_symlink() {
            entries.push(Entry::Link(name, fs::read_link(&path)?));
        } else if kind.is_file() {
            entries.push(Entry::File(name, path));
        }
    }
    Ok(())
}

/// Writes the archive to `path`.
pub fn write(path: &Path, entries: &[Entry]) -> Result<()> {
    let file = fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut out = BufWriter::new(file);
    for (number, entry) in entries.iter().enumerate() {
        // Two entries with one inode number would be taken for hard links.
        let inode = u32::try_from(number)? + 1;
        match entry {
            Entry::Dir(name) => header(&mut out, inode, name, 0o040_755, 0, (0, 0))?,
            Entry::Device(name, major, minor) => {
                header(&mut out, inode, name, 0o020_600, 0, (*major, *minor))?
            }
            Entry::File(name, from) => copy(&mut out, inode, name, from)
                .with_context(|| format!("cannot pack {}", from.display()))?,
            Entry::Link(name, to) => {
                let to = to.to_string_lossy();
                header(&mut out, inode, name, 0o120_777, to.len().try_into()?, (0, 0))?;
                out.write_all(to.as_bytes())?;
                pad(&mut out, to.len())?;
            }
        }
    }
    header(&mut out, 0, "TRAILER!!!", 0, 0, (0, 0))?;
    out.flush().with_context(|| format!("cannot write {}", path.display()))
}

fn copy(out: &mut impl Write, inode: u32, name: &str, from: &Path) -> Result<()> {
    let mut file = fs::File::open(from)?;
    let meta = file.metadata()?;
    let size: u32 = meta.size().try_into().context("4 GiB or more")?;
    header(out, inode, name, 0o100_000 | (meta.permissions().mode() & 0o7777), size, (0, 0))?;
    let copied = io::copy(&mut file, out)?;
    if copied != u64::from(size) {
        bail!("changed while it was read");
    }
    pad(out, usize::try_from(copied)?)?;
    Ok(())
}

/// The 110 bytes of "newc": magic, then 13 fields of 8 hexadecimal digits; the name follows, padded to 4 bytes.
fn header(
    out: &mut impl Write,
    inode: u32,
    name: &str,
    mode: u32,
    size: u32,
    device: (u32, u32),
) -> Result<()> {
    let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
    let name_size = u32::try_from(name.len() + 1)?;
    let fields = [inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
    out.write_all(b"070701")?;
    for field in fields {
        write!(out, "{field:08X}")?;
    }
    out.write_all(name.as_bytes())?;
    out.write_all(&[0])?;
    pad(out, 110 + name.len() + 1)?;
    Ok(())
}

fn pad(out: &mut impl Write, written: usize) -> io::Result<()> {
    out.write_all(&[0; 3][..written.next_multiple_of(4) - written])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_entry_ends_on_four_bytes() {
        for name in ["a", "ab", "abc", "abcd"] {
            let mut out = Vec::new();
            header(&mut out, 1, name, 0o100_644, 5, (0, 0)).unwrap();
            assert_eq!(out.len() % 4, 0, "{name}");
            out.write_all(b"12345").unwrap();
            pad(&mut out, 5).unwrap();
            assert_eq!(out.len() % 4, 0, "{name}");
        }
    }

    #[test]
    fn a_header_says_size_mode_and_device_in_hexadecimal() {
        let mut out = Vec::new();
        header(&mut out, 7, "dev/console", 0o020_600, 0, (5, 1)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("070701000000070000218000000000"), "{text}");
        assert_eq!(&text[6 + 9 * 8..6 + 11 * 8], "0000000500000001");
        assert_eq!(&text[6 + 11 * 8..6 + 12 * 8], "0000000C");
    }
}

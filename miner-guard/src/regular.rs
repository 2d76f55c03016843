//! Opening what should be a regular file, wherever the path comes from.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::OFlags;

/// Opens a file to read it, and looks at it; `None` for what is no regular file. Waits for nobody: not for the other end of a
/// pipe, and no terminal becomes this process's.
///
/// # Errors
/// Those of `open` and `fstat`.
pub fn open(path: &Path) -> io::Result<Option<(File, Metadata)>> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    Ok(meta.is_file().then_some((file, meta)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_and_a_directory_are_no_regular_files_and_nobody_waits_for_them() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, file) = (dir.path().join("pipe"), dir.path().join("file"));
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        std::fs::write(&file, "four").unwrap();
        assert!(open(&pipe).unwrap().is_none() && open(dir.path()).unwrap().is_none());
        assert_eq!(open(&file).unwrap().unwrap().1.len(), 4);
        assert_eq!(open(&dir.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

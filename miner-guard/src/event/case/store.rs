//! Cases kept over a restart of the daemon: a file of JSON lines, replaced as a whole. The first line says in which
//! boot it was written: afterwards process numbers mean others.

use super::book::{Book, Case};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Largest file that is read: twice what all cases can fill.
const LARGEST: u64 = 64 << 20;
/// Form of the file.
const VERSION: u32 = 1;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    version: u32,
    boot: String,
}

/// This boot's id.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Writes all cases, for root alone. The file is never half written.
///
/// # Errors
/// Those of the file system.
pub fn write(path: &Path, book: &Book, boot: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    // Left over by a crash.
    match fs::remove_file(&new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let mut out = BufWriter::new(file);
    serde_json::to_writer(&mut out, &Head { version: VERSION, boot: boot.to_owned() })?;
    for case in book.iter() {
        out.write_all(b"\n")?;
        serde_json::to_writer(&mut out, case)?;
    }
    out.write_all(b"\n")?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
    fs::rename(&new, path)
}

/// Reads what was kept into the book; the number of lines that made no sense.
///
/// # Errors
/// Those of the file system, other than that there is no such file.
pub fn read(path: &Path, book: &mut Book, boot: &str) -> io::Result<u64> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        file => file?,
    };
    let mut lines = BufReader::new(file.take(LARGEST)).split(b'\n');
    let head = lines.next().transpose()?.and_then(|l| serde_json::from_slice::<Head>(&l).ok());
    let Some(head) = head.filter(|h| h.version == VERSION) else { return Ok(1) };
    let mut bad = 0;
    for line in lines {
        match serde_json::from_slice::<Case>(&line?) {
            Ok(case) => book.restore(case, head.boot == boot),
            Err(_) => bad += 1,
        }
    }
    Ok(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::case::subject::{Place, Subject, Task},
        identify::evidence::{Evidence, Kind, Strength},
        policy::CaseSettings,
    };

    #[test]
    fn cases_are_read_as_they_were_written_and_garbage_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cases.jsonl");
        let mut book = Book::default();
        assert_eq!(read(&path, &mut book, "a").unwrap(), 0);
        let subject = Subject {
            task: Task { pid: 7, start: 70 },
            name: "x".into(),
            executable: None,
            user: None,
            above: Vec::new(),
            group: None,
            place: Place::default(),
            destination: None,
            pool: false,
        };
        let evidence = [Evidence::new(Kind::Contact, Strength::Medium, "reached for 192.0.2.5:3333\n")];
        book.observe(&subject, &evidence, 1000, &CaseSettings::default());
        write(&path, &book, "a").unwrap();
        write(&path, &book, "a").unwrap();
        let mut again = Book::default();
        assert_eq!(read(&path, &mut again, "a").unwrap(), 0);
        assert!(again.iter().eq(book.iter()));
        fs::write(&path, [fs::read(&path).unwrap(), b"{\"id\":1}\n\xff\n".to_vec()].concat()).unwrap();
        assert_eq!(read(&path, &mut Book::default(), "a").unwrap(), 2);
        fs::write(&path, "{\"version\":9,\"boot\":\"a\"}\n").unwrap();
        assert_eq!(read(&path, &mut Book::default(), "a").unwrap(), 1);
    }
}

//! Which files hold rules, and what is in them.

use super::Trouble;
use crate::regular;
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Files that one set of rules may have, and bytes of all together.
const FILES: usize = 4096;
const MOST: u64 = 64 << 20;

/// A rule file.
pub struct Text {
    pub file: PathBuf,
    pub text: Vec<u8>,
}

/// The files that a path names: itself, or, with `*` and `?` in its last part, those that fit, by name. Hidden ones only when
/// the pattern begins with a dot.
///
/// # Errors
/// When there are none, or they cannot be listed.
pub fn named(path: &Path) -> Result<Vec<PathBuf>, String> {
    let pattern = path.file_name().map(|name| name.as_encoded_bytes()).unwrap_or_default();
    if !pattern.iter().any(|b| b"*?".contains(b)) {
        return Ok(vec![path.to_owned()]);
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found = Vec::new();
    let entries = fs::read_dir(dir).map_err(|e| format!("cannot list {}: {e}", dir.display()))?;
    for entry in entries {
        let name = entry.map_err(|e| format!("cannot list {}: {e}", dir.display()))?.file_name();
        let bytes = name.as_encoded_bytes();
        if (!bytes.starts_with(b".") || pattern.starts_with(b".")) && fits(pattern, bytes) {
            found.push(dir.join(name));
        }
    }
    found.sort_unstable();
    if found.is_empty() { Err(format!("no file fits {}", path.display())) } else { Ok(found) }
}

/// Whether a name fits a pattern. In time of the product of both lengths at most.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // The last star, and where it was taken to end.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(n) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(b'?') => (p, n) = (p + 1, n + 1),
            Some(wanted) if wanted == byte => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((at, end)) = star else { return false };
                star = Some((at, end + 1));
                (p, n) = (at + 1, end + 1);
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|b| *b == b'*')
}

/// The contents of the files, each once.
pub fn read(files: &[PathBuf]) -> Result<Vec<Text>, Vec<Trouble>> {
    const SPLIT: &str = "use fewer rules";
    let (mut texts, mut troubles) = (Vec::<Text>::new(), Vec::new());
    let mut left = MOST;
    for file in files {
        if texts.iter().any(|t| t.file == *file) {
            continue;
        }
        if texts.len() >= FILES {
            troubles.push(Trouble::of(file, format!("there are more than {FILES} rule files"), SPLIT));
            break;
        }
        match open(file, left) {
            Ok(text) if text.len() as u64 > left => {
                let problem = format!("the rule files are larger than {} MiB together", MOST >> 20);
                troubles.push(Trouble::of(file, problem, SPLIT));
                break;
            }
            Ok(text) => {
                left -= text.len() as u64;
                texts.push(Text { file: file.clone(), text });
            }
            Err(e) => {
                let problem = format!("cannot be read: {e}");
                troubles.push(Trouble::of(file, problem, "check the path and its permissions"));
            }
        }
    }
    if troubles.is_empty() { Ok(texts) } else { Err(troubles) }
}

/// One byte more than `most`, if there is one.
fn open(file: &Path, most: u64) -> io::Result<Vec<u8>> {
    let Some((file, _)) = regular::open(file)? else {
        return Err(io::Error::other("it is no regular file"));
    };
    let mut text = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut text)?;
    Ok(text)
}

pub fn digest(texts: &[Text]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for Text { file, text } in texts {
        let name = file.as_os_str().as_encoded_bytes();
        for part in [name, text.as_slice()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters_and_a_question_mark_for_one() {
        for (pattern, name, fit) in [
            ("*.yar", "a.yar", true),
            ("*.yar", ".yar", true),
            ("*.yar", "a.yara", false),
            ("a?c*", "abcdef", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "ba", false),
            ("", "", true),
            ("**", "", true),
            ("a", "", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), fit, "{pattern} {name}");
        }
        // A pattern that would keep a naive matcher busy for ages.
        assert!(!fits("*a".repeat(60).as_bytes(), &[b'a'; 59]));
    }

    #[test]
    fn a_pattern_names_the_files_that_fit_in_their_order_and_none_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.yar", "a.yar", ".hidden.yar", "c.txt"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let names = |pattern: &str| named(&dir.path().join(pattern));
        assert_eq!(names("*.yar").unwrap(), ["a.yar", "b.yar"].map(|n| dir.path().join(n)));
        assert_eq!(names("c.txt").unwrap(), [dir.path().join("c.txt")]);
        assert!(names("*.rules").unwrap_err().starts_with("no file fits "));
        assert!(
            named(Path::new("/nonexistent/*.yar")).unwrap_err().starts_with("cannot list /nonexistent: ")
        );
    }

    #[test]
    fn other_contents_or_names_are_another_set_of_rules() {
        let of = |files: &[(&str, &str)]| {
            let text = |(file, text): &(&str, &str)| Text { file: file.into(), text: text.as_bytes().into() };
            digest(&files.iter().map(text).collect::<Vec<_>>())
        };
        assert_eq!(of(&[("a", "x")]), of(&[("a", "x")]));
        assert_ne!(of(&[("a", "x")]), of(&[("a", "y")]));
        assert_ne!(of(&[("a", "x")]), of(&[("b", "x")]));
        assert_ne!(of(&[("a", "bx")]), of(&[("ab", "x")]));
    }

    #[test]
    fn a_pipe_a_directory_and_what_is_not_there_are_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        let files = [pipe, dir.path().to_owned(), dir.path().join("none")];
        let troubles = read(&files).err().unwrap();
        assert_eq!(troubles.iter().map(|t| t.file.clone()).collect::<Vec<_>>(), files);
        assert!(troubles[0].problem.ends_with("it is no regular file"), "{troubles:?}");
        assert!(troubles[2].problem.contains("No such file"), "{troubles:?}");
    }
}

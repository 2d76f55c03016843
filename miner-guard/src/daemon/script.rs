//! Scripts that are listed by their path: which programs run them.

use std::{
    ffi::OsStr,
    io::Read as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use crate::regular;

/// The kernel reads no more of a script's first line, in bytes.
const LINE: u64 = 256;
/// Where a program without a slash is looked for, as `env` would for a service.
const PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The programs that run this script, without links in their paths: the one that its first line names, and the one
/// that it in turn is told to run when it is `env`. None when there is no script at this path.
pub fn interpreters(path: &Path) -> Vec<PathBuf> {
    let Some(line) = first_line(path) else { return Vec::new() };
    named(&line).into_iter().filter_map(|program| found(program)?.canonicalize().ok()).collect()
}

fn first_line(path: &Path) -> Option<Vec<u8>> {
    let (file, _) = regular::open(path).ok()??;
    let mut bytes = Vec::new();
    file.take(LINE).read_to_end(&mut bytes).ok()?;
    Some(bytes.strip_prefix(b"#!")?.split(|&b| b == b'\n').next()?.to_vec())
}

/// The programs in a first line, after its `#!`.
fn named(line: &[u8]) -> Vec<&Path> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let Some(program) = words.next() else { return Vec::new() };
    let program = Path::new(OsStr::from_bytes(program));
    let mut all = vec![program];
    if program.file_name() == Some(OsStr::new("env")) {
        // Options and settings of variables go before the program.
        let told = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='));
        all.extend(told.map(|word| Path::new(OsStr::from_bytes(word))));
    }
    all
}

fn found(program: &Path) -> Option<PathBuf> {
    if program.is_absolute() {
        return Some(program.to_owned());
    }
    PATH.iter().map(|dir| Path::new(dir).join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> Vec<&str> {
        named(line.as_bytes()).into_iter().filter_map(Path::to_str).collect()
    }

    #[test]
    fn a_first_line_names_its_interpreter() {
        assert_eq!(names(" /bin/sh -e"), ["/bin/sh"]);
        assert_eq!(names("/usr/bin/env python3"), ["/usr/bin/env", "python3"]);
        assert_eq!(names("/usr/bin/env -S A=1 perl -w"), ["/usr/bin/env", "perl"]);
        assert_eq!(names(""), [""; 0]);
    }

    #[test]
    fn a_script_is_run_by_the_program_itself_and_not_by_a_link() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "#!/usr/bin/env sh\necho\n").unwrap();
        let found = interpreters(file.path());
        let real = |path: &str| Path::new(path).canonicalize().unwrap();
        assert_eq!(found, [real("/usr/bin/env"), real("/bin/sh")]);
    }

    #[test]
    fn what_is_no_script_is_run_by_nobody() {
        assert_eq!(interpreters(Path::new("/proc/self/exe")), Vec::<PathBuf>::new());
        assert_eq!(interpreters(Path::new("/nowhere")), Vec::<PathBuf>::new());
    }
}

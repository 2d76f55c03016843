//! Memory that only the start and a reload need goes back to the system.

use std::fs;

use rustix::mm::{Advice, madvise};

/// Returns freed heap, and the pages of the program itself. Reading the kernel's types and loading objects leaves some 15 MB of
/// the one and most of the other in memory, which the guard, on every node for years, has no use for. What it does use of the
/// program is mapped again, from the page cache, when it is.
pub(super) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_int;
        unsafe extern "C" {
            /// malloc_trim(3): thread-safe, and without preconditions.
            safe fn malloc_trim(pad: usize) -> c_int;
        }
        // The result says only whether anything was returned.
        let _ = malloc_trim(0);
    }
    let (Ok(maps), Ok(program)) = (fs::read_to_string("/proc/self/smaps"), fs::read_link("/proc/self/exe"))
    else {
        return;
    };
    let Some(program) = program.to_str() else { return };
    for (start, length) in clean(&maps, program) {
        // SAFETY: a private mapping of a file that cannot be written (nobody can write to a program that runs), of which no page
        // was ever changed: whoever reads there finds the same bytes again. It is this process's own, and stays mapped.
        let done = unsafe { madvise(start as *mut _, length, Advice::LinuxDontNeed) };
        if let Err(e) = done {
            tracing::debug!("the program's pages stay: {e}");
        }
    }
}

/// Start and length of each mapping of the program, in the words of `/proc/PID/smaps`, that cannot be written and of which no page
/// is changed.
fn clean(maps: &str, program: &str) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    let mut candidate = None;
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        if let Some((start, end)) = first.split_once('-') {
            let of_program = matches!(words.next(), Some("r--p" | "r-xp"))
                && words.nth(3).is_some_and(|path| path == program);
            let ends = usize::from_str_radix(start, 16).ok().zip(usize::from_str_radix(end, 16).ok());
            candidate = ends.filter(|_| of_program).and_then(|(s, e)| Some((s, e.checked_sub(s)?)));
        } else if first == "Anonymous:"
            && let Some(mapping) = candidate.take()
            && words.next() == Some("0")
        {
            // Pages that were written to (relocated, then made read-only) are anonymous.
            out.push(mapping);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_read_again_is_given_back() {
        let maps = "\
00400000-00500000 r--p 00000000 fe:00 12   /usr/sbin/miner-guard
Rss: 1024 kB
Anonymous:             0 kB
00500000-00700000 r-xp 00100000 fe:00 12   /usr/sbin/miner-guard
Anonymous:             0 kB
00700000-00710000 r--p 00300000 fe:00 12   /usr/sbin/miner-guard
Anonymous:            64 kB
00710000-00720000 rw-p 00310000 fe:00 12   /usr/sbin/miner-guard
Anonymous:             0 kB
00800000-00900000 r-xp 00000000 fe:00 13   /usr/lib/x86_64-linux-gnu/libc.so.6
Anonymous:             0 kB
7ff000000000-7ff000001000 r--p 00000000 00:00 0
Anonymous:             0 kB
";
        assert_eq!(
            clean(maps, "/usr/sbin/miner-guard"),
            [(0x0040_0000, 0x0010_0000), (0x0050_0000, 0x0020_0000)]
        );
        assert!(clean("nonsense\n-\nAnonymous:\n", "x").is_empty());
    }

    #[test]
    fn a_program_that_gave_its_pages_back_goes_on() {
        give_back();
        assert_eq!(clean("", "x"), []);
    }
}

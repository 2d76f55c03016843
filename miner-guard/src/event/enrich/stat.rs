//! `/proc/PID/stat`.

/// Bytes that `stat` can have: 52 numbers and a name.
pub const LIMIT: u64 = 4096;

/// Of the flags: <linux/sched.h>.
const PF_KTHREAD: u32 = 0x0020_0000;

/// What events need of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Command name of the first thread. Hostile.
    pub comm: Vec<u8>,
    /// Parent process.
    pub ppid: u32,
    /// Process group.
    pub pgrp: u32,
    /// A thread of the kernel's own.
    pub kernel: bool,
    /// Start, clock ticks since boot (`CLOCK_BOOTTIME`).
    pub start_ticks: u64,
}

/// Reads `PID (comm) S ppid …`. The name may hold parentheses, blanks and newlines: it ends at the *last* `)`.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Stat> {
    let open = bytes.iter().position(|b| *b == b'(')?;
    let close = bytes.iter().rposition(|b| *b == b')')?;
    let comm = bytes.get(open + 1..close)?.to_vec();
    let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
    // Fields are numbered from 1: `rest` begins with field 3, the state.
    let mut fields = rest.split_ascii_whitespace().skip(1);
    let ppid = fields.next()?.parse().ok()?;
    let pgrp = fields.next()?.parse().ok()?;
    let flags: u32 = fields.nth(9 - 6)?.parse().ok()?;
    let start_ticks = fields.nth(22 - 10)?.parse().ok()?;
    Some(Stat { comm, ppid, pgrp, kernel: flags & PF_KTHREAD != 0, start_ticks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TAIL: &str = "S 612 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 200 1844 1 1 1 0";

    #[test]
    fn a_name_with_parentheses_and_newlines_does_not_shift_the_fields() {
        let text = format!("4242 (a) R 1 2\n) b) {TAIL}\n");
        let stat = parse(text.as_bytes()).unwrap();
        assert_eq!(
            stat,
            Stat { comm: b"a) R 1 2\n) b".to_vec(), ppid: 612, pgrp: 1, kernel: false, start_ticks: 987_654 }
        );
    }

    #[test]
    fn a_name_that_is_not_utf8_is_kept() {
        let text = [b"1 (\xff\xfe) ".as_slice(), TAIL.as_bytes()].concat();
        assert_eq!(parse(&text).unwrap().comm, b"\xff\xfe");
    }

    #[test]
    fn half_a_line_is_nothing() {
        assert_eq!(parse(b"4242 (xmrig) S 612 1 1"), None);
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b")("), None);
    }

    #[test]
    fn this_process_has_a_parent() {
        let bytes = std::fs::read("/proc/self/stat").unwrap();
        assert_eq!(parse(&bytes).unwrap().ppid, std::os::unix::process::parent_id());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = parse(&bytes);
        }
    }
}

//! What lies before the IP header.

/// `LINKTYPE_*` of the captures that hold IP.
const NULL: u16 = 0;
const ETHERNET: u16 = 1;
const RAW: u16 = 101;
const LOOP: u16 = 108;
const LINUX_SLL: u16 = 113;
const IPV4: u16 = 228;
const IPV6: u16 = 229;
const LINUX_SLL2: u16 = 276;
/// What some systems write for [`RAW`].
const RAW_OLD: u16 = 12;

/// Tags of virtual networks that are looked through.
const TAGS: usize = 4;

/// The IP packet in a frame; `None` if there is none.
pub(super) fn ip(link: u16, frame: &[u8]) -> Option<&[u8]> {
    match link {
        RAW | RAW_OLD | IPV4 | IPV6 => Some(frame),
        ETHERNET => by_type(frame.get(12..)?),
        LINUX_SLL => by_type(frame.get(14..)?),
        // The protocol stands first, then 18 bytes of the interface and its address.
        LINUX_SLL2 => is_ip(frame.get(..2)?).then(|| frame.get(20..))?,
        // An address family in the byte order of the machine, or in network order: the version of IP tells as much.
        NULL | LOOP => frame.get(4..),
        _ => None,
    }
}

fn is_ip(kind: &[u8]) -> bool {
    matches!(kind, [0x08, 0x00] | [0x86, 0xdd])
}

fn by_type(mut rest: &[u8]) -> Option<&[u8]> {
    for _ in 0..=TAGS {
        let (kind, after) = rest.split_first_chunk::<2>()?;
        match kind {
            [0x08, 0x00] | [0x86, 0xdd] => return Some(after),
            [0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00] => rest = after.get(2..)?,
            _ => return None,
        }
    }
    None
}

//! Ethernet: where in a frame the IP header lies.

use super::bytes::Bytes;

/// Two addresses, then the type of what follows.
const TYPE: usize = 12;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// 802.1Q and 802.1ad, and how 802.1ad was written before it was agreed on.
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// Tags that are passed over.
const MAX_TAGS: usize = 4;

/// `None` if the frame carries no IP, or not all of its header is there.
#[inline(always)]
pub fn ip_at<B: Bytes + ?Sized>(frame: &B) -> Option<u32> {
    let mut at = TYPE;
    for _ in 0..=MAX_TAGS {
        let kind = u16::from_be_bytes(frame.array(at)?);
        match kind {
            IPV4 | IPV6 => return Some(at as u32 + 2),
            _ if kind == TAGS[0] || kind == TAGS[1] || kind == TAGS[2] => at += 4,
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kinds: &[u16]) -> Vec<u8> {
        let mut out = vec![0xaa; TYPE];
        for (i, kind) in kinds.iter().enumerate() {
            // Behind a tag's type stands its number, before the next type.
            if i > 0 {
                out.extend([0, 7]);
            }
            out.extend(kind.to_be_bytes());
        }
        out
    }

    #[test]
    fn the_packet_is_found_behind_as_many_tags_as_there_are() {
        assert_eq!(ip_at(&frame(&[IPV4])[..]), Some(14));
        assert_eq!(ip_at(&frame(&[0x8100, IPV6])[..]), Some(18));
        assert_eq!(ip_at(&frame(&[0x88a8, 0x8100, IPV4])[..]), Some(22));
        assert_eq!(ip_at(&frame(&[0x8100, 0x8100, 0x9100, 0x8100, IPV4])[..]), Some(30));
        assert_eq!(ip_at(&frame(&[0x8100; 6])[..]), None);
    }

    #[test]
    fn what_is_no_ip_is_left_alone() {
        // ARP, a length of 802.3, and a frame that ends too early.
        assert_eq!(ip_at(&frame(&[0x0806])[..]), None);
        assert_eq!(ip_at(&frame(&[46])[..]), None);
        assert_eq!(ip_at(&frame(&[0x8100])[..]), None);
        assert_eq!(ip_at(&[][..]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_lead_out_of_the_frame(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(at) = ip_at(&bytes[..]) {
                prop_assert!(at as usize <= bytes.len() && at >= 14);
            }
        }
    }
}

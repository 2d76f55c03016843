//! Messages of the kernel's network configuration (`rtnetlink`): written, and read with every length checked.

use crate::kernel::netlink::{self, ACK, DUMP, REQUEST, SEQUENCE, messages, u16_at, u32_at};

/// `struct ifinfomsg`
const LINK: usize = 16;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_DELQDISC: u16 = 37;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;
const IFLA_IFNAME: u16 = 3;
const TCA_KIND: u16 = 1;

/// `clsact` itself, as a parent and as what it is called.
const CLSACT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;
/// Its two sides.
pub const EGRESS: u32 = 0xffff_fff3;
/// See [`EGRESS`].
pub const INGRESS: u32 = 0xffff_fff2;
/// Of every protocol.
const ETH_P_ALL: u16 = 3;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number, which no other one of its network namespace has.
    pub index: u32,
    /// `ARPHRD_*`
    pub kind: u16,
    /// Its name; it may get another one.
    pub name: String,
}

impl Interface {
    /// Whether its frames begin with an Ethernet header.
    pub const fn is_ethernet(&self) -> bool {
        const ARPHRD_ETHER: u16 = 1;
        const ARPHRD_LOOPBACK: u16 = 772;
        matches!(self.kind, ARPHRD_ETHER | ARPHRD_LOOPBACK)
    }
}

/// What the kernel said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// There is this interface.
    Link(Interface),
    /// The interface of this number is gone, or left a bridge.
    Gone(u32),
    /// There is a filter of this handle; 0 comes before those of one priority.
    Filter(u32),
    /// That was all.
    Done,
    /// It refused, with this errno; 0: it did what was asked.
    Answer(i32),
}

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the kernel's answer about interfaces is malformed at byte {0}")]
pub struct Malformed(pub usize);

/// Asks for all interfaces.
pub fn links() -> Vec<u8> {
    message(RTM_GETLINK, REQUEST | DUMP, &[0; LINK])
}

/// Asks for the filters of one side of an interface's `clsact`.
pub fn filters(index: u32, side: u32) -> Vec<u8> {
    message(RTM_GETTFILTER, REQUEST | DUMP, &traffic(index, 0, side, 0))
}

/// Removes a filter from the egress side.
pub fn remove_filter(index: u32, priority: u16, handle: u32) -> Vec<u8> {
    let info = u32::from(priority) << 16 | u32::from(ETH_P_ALL.to_be());
    message(RTM_DELTFILTER, REQUEST | ACK, &traffic(index, handle, EGRESS, info))
}

/// Removes an interface's `clsact`.
pub fn remove_clsact(index: u32) -> Vec<u8> {
    const KIND: &[u8] = b"clsact\0";
    let mut body = traffic(index, CLSACT_HANDLE, CLSACT, 0);
    body.extend((4 + KIND.len() as u16).to_ne_bytes());
    body.extend(TCA_KIND.to_ne_bytes());
    body.extend(KIND);
    body.push(0);
    message(RTM_DELQDISC, REQUEST | ACK, &body)
}

/// `struct tcmsg`
fn traffic(index: u32, handle: u32, parent: u32, info: u32) -> Vec<u8> {
    [0, index, handle, parent, info].into_iter().flat_map(u32::to_ne_bytes).collect()
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    netlink::message(kind, flags, SEQUENCE, body)
}

/// Reads a batch of messages; of another kind than [`Said`] they are passed over.
///
/// # Errors
/// [`Malformed`] when a length contradicts itself; what was given to `each` until then was whole.
pub fn read(batch: &[u8], mut each: impl FnMut(Said)) -> Result<(), Malformed> {
    for message in messages(batch) {
        let message = message.map_err(Malformed)?;
        let (bad, body) = (Malformed(message.at), message.body);
        match message.kind {
            netlink::DONE => each(Said::Done),
            netlink::ERROR => each(Said::Answer(netlink::errno(body).ok_or(bad)?)),
            RTM_NEWLINK => each(Said::Link(link(body).ok_or(bad)?)),
            RTM_DELLINK => each(Said::Gone(u32_at(body, 4).ok_or(bad)?)),
            RTM_NEWTFILTER => each(Said::Filter(u32_at(body, 8).ok_or(bad)?)),
            _ => {}
        }
    }
    Ok(())
}

fn link(body: &[u8]) -> Option<Interface> {
    let name = netlink::attribute(body.get(LINK..)?, IFLA_IFNAME).unwrap_or_default();
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(Interface {
        index: u32_at(body, 4)?,
        kind: u16_at(body, 2)?,
        name: String::from_utf8_lossy(name).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::netlink::HEADER;
    use proptest::prelude::*;

    fn new_link(index: u32, kind: u16, name: &[u8]) -> Vec<u8> {
        let mut body = vec![0, 0];
        body.extend(kind.to_ne_bytes());
        body.extend(index.to_ne_bytes());
        body.extend([0; 8]);
        // One attribute of another kind, of an odd length.
        body.extend([5, 0, 8, 0, 1, 0, 0, 0]);
        body.extend((4 + name.len() as u16).to_ne_bytes());
        body.extend(IFLA_IFNAME.to_ne_bytes());
        body.extend(name);
        body.resize(body.len().next_multiple_of(4), 0);
        message(RTM_NEWLINK, 2, &body)
    }

    fn all(batch: &[u8]) -> (Result<(), Malformed>, Vec<Said>) {
        let mut found = Vec::new();
        let end = read(batch, |said| found.push(said));
        (end, found)
    }

    #[test]
    fn interfaces_are_read_in_order_until_the_end() {
        let mut batch = new_link(1, 772, b"lo\0");
        batch.extend(new_link(7, 65534, b"wg0\0"));
        batch.extend(message(RTM_DELLINK, 0, &new_link(9, 1, b"eth9\0")[HEADER..]));
        batch.extend(message(netlink::DONE, 2, &[0; 4]));
        let (end, found) = all(&batch);
        let link = |index, kind, name: &str| Said::Link(Interface { index, kind, name: name.into() });
        assert_eq!(end, Ok(()));
        assert_eq!(found, [link(1, 772, "lo"), link(7, 65534, "wg0"), Said::Gone(9), Said::Done]);
        assert!(matches!(&found[0], Said::Link(l) if l.is_ethernet()));
        assert!(matches!(&found[1], Said::Link(l) if !l.is_ethernet()));
    }

    #[test]
    fn a_filter_is_told_with_its_handle() {
        let batch = message(RTM_NEWTFILTER, 2, &traffic(7, 0x1234_5678, EGRESS, 1 << 16));
        assert_eq!(all(&batch).1, [Said::Filter(0x1234_5678)]);
        assert!(all(&message(RTM_NEWTFILTER, 2, &[0; 8])).0.is_err());
    }

    #[test]
    fn a_refusal_is_an_errno() {
        let refused = message(netlink::ERROR, 0, &(-19i32).to_ne_bytes());
        assert_eq!(all(&refused).1, [Said::Answer(19)]);
        let done = message(netlink::ERROR, 0, &[0; 20]);
        assert_eq!(all(&done).1, [Said::Answer(0)]);
    }

    #[test]
    fn every_truncation_is_refused_or_shorter() {
        let whole = new_link(1, 772, b"lo\0");
        for end in 1..whole.len() - 1 {
            assert!(all(&whole[..end]).0.is_err(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = all(&bytes);
        }
    }
}

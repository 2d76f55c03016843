//! Netlink, as far as all its families are alike: how a message is framed and its attributes lie, every length checked, and
//! what arrives at a socket. What the messages say is for `wire` of [`super::sockets`] and of `interfaces`.

use std::os::fd::AsFd;

use rustix::{
    io::Errno,
    net::{self, RecvFlags},
};

/// Bytes in front of a message's body: `struct nlmsghdr`.
pub const HEADER: usize = 16;

/// A refusal, or the word that what was asked is done: [`errno`] says which.
pub const ERROR: u16 = 2;
/// The end of a list.
pub const DONE: u16 = 3;
/// Flag of what is asked.
pub const REQUEST: u16 = 1;
/// Flag: say that it is done.
pub const ACK: u16 = 4;
/// Flag: list all.
pub const DUMP: u16 = 0x300;

/// The number of a request where one is asked at a time.
pub const SEQUENCE: u32 = 1;
/// Bytes of one answer that are taken; the kernel makes none longer than 32 KiB.
pub const ANSWER: usize = 64 << 10;

/// A message of these bytes.
#[must_use]
pub fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + body.len());
    out.extend(((HEADER + body.len()) as u32).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend(0u32.to_ne_bytes());
    out.extend(body);
    out
}

/// A message of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'b> {
    /// Where it begins in its batch.
    pub at: usize,
    /// What it is, in the numbers of its family.
    pub kind: u16,
    /// The number of the request that it answers.
    pub sequence: u32,
    /// What it says.
    pub body: &'b [u8],
}

/// The messages of a batch, in their order; where one contradicts itself its place, and then no more.
pub fn messages(batch: &[u8]) -> impl Iterator<Item = Result<Message<'_>, usize>> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let at = next.take().filter(|at| *at < batch.len())?;
        let Some((message, length)) = message_at(batch, at) else { return Some(Err(at)) };
        // Lengths are padded to four; the last message may lack its padding.
        next = Some(at + length.next_multiple_of(4));
        Some(Ok(message))
    })
}

fn message_at(batch: &[u8], at: usize) -> Option<(Message<'_>, usize)> {
    let rest = batch.get(at..)?;
    let length = u32_at(rest, 0)? as usize;
    let message = rest.get(..length)?;
    let body = message.get(HEADER..)?;
    Some((Message { at, kind: u16_at(message, 4)?, sequence: u32_at(message, 8)?, body }, length))
}

/// What the body of an [`ERROR`] says; 0: it did what was asked. `None` if that is no errno.
#[must_use]
pub fn errno(body: &[u8]) -> Option<i32> {
    u32_at(body, 0)?.cast_signed().checked_neg().filter(|errno| *errno >= 0)
}

/// The value of an attribute; `None` if it is not there or the list is malformed before it.
#[must_use]
pub fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (length, kind) = (usize::from(u16_at(rest, 0)?), u16_at(rest, 2)?);
        let value = rest.get(4..length)?;
        // The two top bits are flags.
        if kind & 0x3fff == wanted {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

/// The number at a place, in the machine's order, as all of them are here.
#[must_use]
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_ne_bytes)
}

/// See [`u16_at`].
#[must_use]
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_ne_bytes)
}

/// See [`u16_at`].
#[must_use]
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_ne_bytes)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Takes the next batch from a socket. What does not fit into `buffer` is lost.
///
/// # Errors
/// The kernel's.
pub fn receive(socket: impl AsFd, buffer: &mut [u8], flags: RecvFlags) -> Result<&[u8], Errno> {
    let (taken, whole) = loop {
        match net::recv(&socket, &mut *buffer, flags | RecvFlags::TRUNC) {
            Err(Errno::INTR) => {}
            got => break got?,
        }
    };
    Ok(buffer.get(..taken.min(whole)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_read_in_order_with_or_without_the_last_padding() {
        let mut batch = message(20, 2, 7, &[1; 5]);
        batch.resize(batch.len().next_multiple_of(4), 0);
        batch.extend(message(DONE, 2, 8, &[2]));
        let read: Vec<_> = messages(&batch).map(Result::unwrap).collect();
        let [first, second] = read[..] else { panic!("{read:?}") };
        assert_eq!((first.at, first.kind, first.sequence, first.body), (0, 20, 7, &[1; 5][..]));
        assert_eq!((second.at, second.kind, second.sequence, second.body), (24, DONE, 8, &[2][..]));
    }

    #[test]
    fn a_length_that_lies_is_told_with_its_place_and_ends_the_batch() {
        for length in [0, 15, 18, u32::MAX] {
            let mut batch = message(20, 0, 7, &[]);
            let mut lying = message(20, 0, 7, &[]);
            lying[..4].copy_from_slice(&length.to_ne_bytes());
            batch.extend(lying);
            let read: Vec<_> = messages(&batch).map(|m| m.map(|m| m.at)).collect();
            assert_eq!(read, [Ok(0), Err(16)], "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_go_on_for_ever(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(messages(&bytes).count() <= bytes.len() / HEADER + 1);
            let _ = (attribute(&bytes, 3), errno(&bytes));
        }
    }
}

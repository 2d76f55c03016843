//! pcap and pcapng, one packet after the other.

use std::io::{self, Read};

/// One packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// When it was captured, nanoseconds since 1970.
    pub time_ns: i64,
    /// `LINKTYPE_*`
    pub link: u16,
    /// What was captured of it.
    pub bytes: &'a [u8],
}

/// Longest packet or block: more than any tool writes.
const LONGEST: usize = 1 << 20;
/// How a pcapng begins, and each section of it: the same in either byte order.
pub(super) const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// Interfaces of a pcapng section.
const INTERFACES: usize = 1024;

#[derive(Clone, Copy)]
enum Kind {
    Pcap { link: u16, nanos: bool },
    Ng,
}

#[derive(Clone, Copy)]
struct Interface {
    link: u16,
    /// Ticks of its clock in a second.
    hertz: u64,
}

/// A capture that is being read. It needs no more memory than its longest packet.
pub struct Capture<'r> {
    file: &'r mut dyn Read,
    kind: Kind,
    big_endian: bool,
    interfaces: Vec<Interface>,
    block: Vec<u8>,
    at: u64,
}

impl<'r> Capture<'r> {
    /// Reads the header; `None` if this is no capture.
    ///
    /// # Errors
    /// Of reading; and a header that breaks off.
    pub fn open(file: &'r mut dyn Read) -> io::Result<Option<Self>> {
        let mut magic = [0; 4];
        if let Err(e) = file.read_exact(&mut magic) {
            return if e.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(e) };
        }
        let (big_endian, nanos) = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => (false, false),
            [0x4d, 0x3c, 0xb2, 0xa1] => (false, true),
            [0xa1, 0xb2, 0xc3, 0xd4] => (true, false),
            [0xa1, 0xb2, 0x3c, 0x4d] => (true, true),
            SECTION => (false, false),
            _ => return Ok(None),
        };
        let mut capture =
            Self { file, kind: Kind::Ng, big_endian, interfaces: Vec::new(), block: Vec::new(), at: 4 };
        if magic == SECTION {
            capture.section()?;
        } else {
            let header = capture.take(20)?;
            let link = header.get(16..20).map_or(0, |b| u32_of(b, big_endian)) as u16;
            capture.kind = Kind::Pcap { link, nanos };
        }
        Ok(Some(capture))
    }

    /// Its name.
    pub fn format(&self) -> &'static str {
        match self.kind {
            Kind::Pcap { .. } => "pcap",
            Kind::Ng => "pcapng",
        }
    }

    /// The next packet; `None` at the end of the file.
    ///
    /// # Errors
    /// `InvalidData` or `UnexpectedEof`, with the place, when the file is damaged or breaks off; others of reading.
    #[expect(clippy::should_implement_trait, reason = "it lends its buffer")]
    pub fn next(&mut self) -> io::Result<Option<Packet<'_>>> {
        match self.kind {
            Kind::Pcap { link, nanos } => self.record(link, nanos),
            Kind::Ng => self.enhanced(),
        }
    }

    fn record(&mut self, link: u16, nanos: bool) -> io::Result<Option<Packet<'_>>> {
        let Some(header) = self.head::<16>()? else { return Ok(None) };
        let word = |at: usize| header.get(at..at + 4).map_or(0, |b| u32_of(b, self.big_endian));
        let (seconds, fraction, length) = (word(0), word(4), word(8));
        let time_ns = i64::from(seconds) * 1_000_000_000 + i64::from(fraction) * if nanos { 1 } else { 1000 };
        self.take(length as usize)?;
        Ok(Some(Packet { time_ns, link, bytes: &self.block }))
    }

    fn enhanced(&mut self) -> io::Result<Option<Packet<'_>>> {
        loop {
            let Some(kind) = self.head::<4>()? else { return Ok(None) };
            if kind == SECTION {
                self.section()?;
                continue;
            }
            let kind = u32_of(&kind, self.big_endian);
            let length = self.length()?;
            self.take(length)?;
            let big = self.big_endian;
            let block = self.block.get(..length.saturating_sub(4)).unwrap_or_default();
            let word = |at: usize| block.get(at..at + 4).map(|b| u32_of(b, big));
            match kind {
                1 => {
                    let link = block.get(..2).map_or(0, |b| {
                        if big {
                            u16::from(b[0]) << 8 | u16::from(b[1])
                        } else {
                            u16::from(b[1]) << 8 | u16::from(b[0])
                        }
                    });
                    let hertz = resolution(block.get(8..).unwrap_or_default(), big);
                    if self.interfaces.len() >= INTERFACES {
                        return Err(self.damaged("more interfaces than a capture has"));
                    }
                    self.interfaces.push(Interface { link, hertz });
                }
                // Enhanced packet
                6 => {
                    let words = (word(0), word(4), word(8), word(12));
                    let (Some(interface), Some(high), Some(low), Some(length)) = words else {
                        return Err(self.damaged("a packet block that is too short"));
                    };
                    let Some(i) = self.interfaces.get(interface as usize) else {
                        return Err(self.damaged("a packet of an unknown interface"));
                    };
                    let ticks = u128::from(high) << 32 | u128::from(low);
                    let time_ns = ticks * 1_000_000_000 / u128::from(i.hertz);
                    let (link, time_ns) = (i.link, i64::try_from(time_ns).unwrap_or(i64::MAX));
                    return self.slice(20, length as usize, time_ns, link);
                }
                // Simple packet: no time, the first interface.
                3 => {
                    let Some(i) = self.interfaces.first() else {
                        return Err(self.damaged("a packet of an unknown interface"));
                    };
                    let (link, there) = (i.link, block.len().saturating_sub(4));
                    let length = (word(0).unwrap_or(0) as usize).min(there);
                    return self.slice(4, length, 0, link);
                }
                _ => {}
            }
        }
    }

    fn slice(&self, from: usize, length: usize, time_ns: i64, link: u16) -> io::Result<Option<Packet<'_>>> {
        let end = from.checked_add(length);
        // The last four bytes repeat the block's length.
        let bytes = end.filter(|e| *e + 4 <= self.block.len()).and_then(|e| self.block.get(from..e));
        match bytes {
            Some(bytes) => Ok(Some(Packet { time_ns, link, bytes })),
            None => Err(self.damaged("a packet that is longer than its block")),
        }
    }

    /// A section header, whose type was read: it sets the byte order anew.
    fn section(&mut self) -> io::Result<()> {
        let Some(length) = self.head::<4>()? else { return Err(self.ends()) };
        let Some(order) = self.head::<4>()? else { return Err(self.ends()) };
        self.big_endian = match order {
            [0x1a, 0x2b, 0x3c, 0x4d] => true,
            [0x4d, 0x3c, 0x2b, 0x1a] => false,
            _ => return Err(self.damaged("a section without a byte order")),
        };
        self.interfaces.clear();
        let length = u32_of(&length, self.big_endian) as usize;
        let rest = length.checked_sub(12).filter(|n| *n <= LONGEST);
        let rest = rest.ok_or_else(|| self.damaged("a section header of an impossible length"))?;
        self.take(rest).map(|_| ())
    }

    /// The length of a block, without type and length.
    fn length(&mut self) -> io::Result<usize> {
        let Some(length) = self.head::<4>()? else { return Err(self.ends()) };
        let length = u32_of(&length, self.big_endian) as usize;
        if length < 12 || !length.is_multiple_of(4) || length > LONGEST {
            return Err(self.damaged("a block of an impossible length"));
        }
        Ok(length - 8)
    }

    /// Fixed bytes at the start of a record; `None` if the file ends before them.
    fn head<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        let mut filled = 0;
        while filled < N {
            match self.file.read(bytes.get_mut(filled..).unwrap_or_default()) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.ends()),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.at += N as u64;
        Ok(Some(bytes))
    }

    /// The next bytes, into the buffer.
    fn take(&mut self, length: usize) -> io::Result<&[u8]> {
        if length > LONGEST {
            return Err(self.damaged("a packet of an impossible length"));
        }
        self.block.clear();
        // Read as they come: a length that lies must not cost its memory.
        let got = Read::take(&mut *self.file, length as u64).read_to_end(&mut self.block)?;
        self.at += got as u64;
        if got < length { Err(self.ends()) } else { Ok(&self.block) }
    }

    fn damaged(&self, why: &str) -> io::Error {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the capture is damaged at byte {}: {why}", self.at),
        )
    }

    fn ends(&self) -> io::Error {
        let text = format!("the capture breaks off at byte {}", self.at);
        io::Error::new(io::ErrorKind::UnexpectedEof, text)
    }
}

fn u32_of(bytes: &[u8], big_endian: bool) -> u32 {
    let Some(&word) = bytes.first_chunk::<4>() else { return 0 };
    if big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
}

/// Ticks a second, from an interface's options: microseconds if it does not say.
fn resolution(mut options: &[u8], big_endian: bool) -> u64 {
    while let Some((head, rest)) = options.split_first_chunk::<4>() {
        let half = |a, b| if big_endian { u16::from_be_bytes([a, b]) } else { u16::from_le_bytes([a, b]) };
        let (code, length) = (half(head[0], head[1]), usize::from(half(head[2], head[3])));
        if let (9, Some(&r)) = (code, rest.first())
            && length == 1
        {
            let power = u32::from(r & 0x7f);
            let hertz = if r & 0x80 == 0 { 10_u64.checked_pow(power) } else { 2_u64.checked_pow(power) };
            return hertz.unwrap_or(u64::MAX);
        }
        match rest.get(length.next_multiple_of(4)..) {
            Some(next) if code != 0 => options = next,
            _ => break,
        }
    }
    1_000_000
}

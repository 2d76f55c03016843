//! TLS: the server name in a ClientHello, read byte by byte through records and segments.

use super::name::Name;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a ClientHello that are read. With post-quantum keys one has about 1,800.
pub const MAX_HELLO: u32 = 16_384;

/// What a byte brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing yet.
    More,
    /// The server name is complete. It may be the last of the hello: [`Hello::is_done`] tells.
    Name,
    /// The hello has ended: [`Hello::has_name`] and [`Hello::is_encrypted`] are final.
    End,
    /// It is no ClientHello, or it is malformed.
    NotTls,
}

/// A reader of a ClientHello. 20 bytes, all zero at first; the name lies with the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Hello {
    /// Bytes left of the ClientHello.
    left: u32,
    /// The number that is being read.
    number: u32,
    /// Bytes left of the record.
    record: u16,
    /// Bytes to pass over.
    skip: u16,
    /// Bytes left of the extension, once `field` is within the server name's.
    extension: u16,
    /// Bytes read of the record's header.
    header: u8,
    /// Bytes read of the number.
    digits: u8,
    /// `FIELD_*`
    field: u8,
    /// `SEEN_*`
    seen: u8,
    ended: u8,
    /// The high byte of the record's length.
    length: u8,
}

const FIELD_TYPE: u8 = 0;
const FIELD_LENGTH: u8 = 1;
const FIELD_SESSION: u8 = 2;
const FIELD_CIPHERS: u8 = 3;
const FIELD_COMPRESSION: u8 = 4;
const FIELD_EXTENSIONS: u8 = 5;
const FIELD_EXTENSION: u8 = 6;
const FIELD_EXTENSION_LENGTH: u8 = 7;
const FIELD_LIST: u8 = 8;
const FIELD_NAME_TYPE: u8 = 9;
const FIELD_NAME_LENGTH: u8 = 10;
const FIELD_NAME: u8 = 11;

/// Bytes of each field's number.
const fn width(field: u8) -> u8 {
    match field {
        FIELD_LENGTH => 3,
        FIELD_TYPE | FIELD_SESSION | FIELD_COMPRESSION | FIELD_NAME_TYPE => 1,
        _ => 2,
    }
}

const SEEN_NAME: u8 = 1;
const SEEN_ENCRYPTED: u8 = 2;
/// The extension whose length is being read is the server name.
const AT_NAME: u8 = 4;

const SERVER_NAME: u32 = 0;
const ENCRYPTED_HELLO: u32 = 0xfe0d;
/// What came before it (ESNI).
const ENCRYPTED_NAME: u32 = 0xffce;

impl Hello {
    /// A reader at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether more bytes can change nothing.
    #[inline(always)]
    pub const fn is_done(&self) -> bool {
        self.ended != 0
    }

    /// Whether a server name was given.
    #[inline(always)]
    pub const fn has_name(&self) -> bool {
        self.seen & SEEN_NAME != 0
    }

    /// Whether the true hello is encrypted, so that the name is not the one that is meant.
    #[inline(always)]
    pub const fn is_encrypted(&self) -> bool {
        self.seen & SEEN_ENCRYPTED != 0
    }

    /// Reads one byte.
    #[inline(always)]
    pub const fn push(&mut self, byte: u8, name: &mut Name) -> Event {
        if self.ended != 0 {
            return Event::End;
        }
        if self.record == 0 {
            return self.record_header(byte);
        }
        self.record -= 1;
        if self.record == 0 {
            self.header = 0;
        }
        let counted = self.field > FIELD_LENGTH;
        let event = self.handshake(byte, name);
        if counted && !matches!(event, Event::NotTls) {
            self.left = self.left.wrapping_sub(1);
            if self.left == 0 {
                self.ended = 1;
                return if matches!(event, Event::Name) { event } else { Event::End };
            }
        }
        event
    }

    #[inline(always)]
    const fn record_header(&mut self, byte: u8) -> Event {
        match self.header {
            // A handshake, of some TLS 1.x
            0 if byte != 22 => return self.not_tls(),
            1 if byte != 3 => return self.not_tls(),
            3 => self.length = byte,
            4 => {
                self.record = (self.length as u16) << 8 | byte as u16;
                if self.record == 0 || self.record > 16_640 {
                    return self.not_tls();
                }
            }
            _ => {}
        }
        self.header = self.header.wrapping_add(1);
        Event::More
    }

    /// A byte of the handshake: a part of a number, of what is passed over, or of the name.
    #[inline(always)]
    const fn handshake(&mut self, byte: u8, name: &mut Name) -> Event {
        if self.skip > 0 {
            self.skip -= 1;
            return Event::More;
        }
        if self.field == FIELD_NAME {
            name.push_text(byte);
            self.number = self.number.wrapping_sub(1);
            if self.number > 0 {
                return Event::More;
            }
            name.trim();
            self.seen |= SEEN_NAME;
            // A list has one name; what follows it in the extension is passed over.
            self.skip = self.extension;
            self.next(FIELD_EXTENSION);
            return Event::Name;
        }
        self.number = self.number << 8 | byte as u32;
        self.digits = self.digits.wrapping_add(1);
        if self.digits < width(self.field) {
            return Event::More;
        }
        self.number(name)
    }

    /// A number is complete: what it means depends on the field.
    #[inline(always)]
    const fn number(&mut self, name: &mut Name) -> Event {
        let number = self.number;
        match self.field {
            FIELD_TYPE => {
                if number != 1 {
                    return self.not_tls();
                }
                self.next(FIELD_LENGTH);
            }
            FIELD_LENGTH => {
                if number == 0 || number > MAX_HELLO {
                    return self.not_tls();
                }
                self.left = number;
                // Version and random
                self.skip = 34;
                self.next(FIELD_SESSION);
            }
            FIELD_SESSION | FIELD_CIPHERS | FIELD_COMPRESSION => {
                self.skip = number as u16;
                self.next(self.field + 1);
            }
            FIELD_EXTENSIONS => self.next(FIELD_EXTENSION),
            FIELD_EXTENSION => {
                self.seen &= !AT_NAME;
                if number == SERVER_NAME && self.seen & SEEN_NAME == 0 {
                    self.seen |= AT_NAME;
                } else if number == ENCRYPTED_HELLO || number == ENCRYPTED_NAME {
                    self.seen |= SEEN_ENCRYPTED;
                }
                self.next(FIELD_EXTENSION_LENGTH);
            }
            FIELD_EXTENSION_LENGTH => {
                // List length, type and name length take five bytes.
                if self.seen & AT_NAME != 0 && number > 5 {
                    self.extension = number as u16 - 5;
                    self.next(FIELD_LIST);
                } else {
                    self.skip = number as u16;
                    self.next(FIELD_EXTENSION);
                }
            }
            FIELD_LIST => self.next(FIELD_NAME_TYPE),
            FIELD_NAME_TYPE => {
                if number != 0 {
                    // No host name: a type that nobody has defined
                    self.skip = self.extension + 2;
                    self.next(FIELD_EXTENSION);
                } else {
                    self.next(FIELD_NAME_LENGTH);
                }
            }
            _ => {
                // Longer than its extension, or than any name
                if number == 0 || number > self.extension as u32 || number > 255 {
                    return self.not_tls();
                }
                name.clear();
                self.extension -= number as u16;
                self.next(FIELD_NAME);
                self.number = number;
            }
        }
        Event::More
    }

    #[inline(always)]
    const fn next(&mut self, field: u8) {
        self.field = field;
        self.digits = 0;
        self.number = 0;
    }

    #[inline(always)]
    const fn not_tls(&mut self) -> Event {
        self.ended = 1;
        Event::NotTls
    }
}

//! As much of HTTP/1.1 as the client needs to read one response. Whoever answers is not trusted: every size is
//! bounded, and a response that breaks off is an error.

use std::io::{self, BufRead, Read};

/// Bytes of the status line and the headers together.
const HEAD: u64 = 16 * 1024;
/// Bytes of the line that opens a chunk, its extensions included.
const CHUNK_LINE: u64 = 256;

/// Status and shape of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Such as 200.
    pub status: u16,
    /// How its body ends.
    pub framing: Framing,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After the chunk of no bytes.
    Chunked,
    /// When the peer closes.
    Close,
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP/1.1 response: {what}"))
}

fn broken_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the response broke off")
}

/// One line without its end, of no more than `limit` bytes.
fn line(from: &mut impl BufRead, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(limit).read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        let full = u64::try_from(bytes.len()).is_ok_and(|n| n + 1 >= limit);
        return Err(if full { bad("a line is too long") } else { broken_off() });
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| bad("a header is not UTF-8"))
}

/// Reads up to and with the empty line.
///
/// # Errors
/// What the reader says; `InvalidData` for anything that is not HTTP/1.x; `UnexpectedEof` if it breaks off.
pub fn head(from: &mut impl BufRead) -> io::Result<Head> {
    let mut from = from.take(HEAD);
    let status = line(&mut from, HEAD)?;
    let status = status
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .filter(|code| code.len() == 3)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| bad("no status line"))?;
    let mut framing = Framing::Close;
    loop {
        let header = line(&mut from, HEAD)?;
        if header.is_empty() {
            return Ok(Head { status, framing });
        }
        let (name, value) = header.split_once(':').ok_or_else(|| bad("a header without a colon"))?;
        if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.trim().eq_ignore_ascii_case("chunked") {
                return Err(bad("an unknown transfer encoding"));
            }
            framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("content-length") && framing != Framing::Chunked {
            let length = value.trim();
            if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad("a content length that is not a number"));
            }
            framing = Framing::Length(length.parse().map_err(|_| bad("a content length beyond measure"))?);
        }
    }
}

/// The body of a response, without its framing.
#[derive(Debug)]
pub struct Body<R> {
    from: R,
    framing: Framing,
    /// Bytes to come before the framing is looked at again.
    left: u64,
    /// A chunk was read, and the line end after it was not.
    open: bool,
    done: bool,
}

impl<R: BufRead> Body<R> {
    /// The body that follows a head.
    pub fn new(from: R, framing: Framing) -> Self {
        let left = if let Framing::Length(n) = framing { n } else { 0 };
        Self { from, framing, left, open: false, done: false }
    }

    pub(super) fn inner(&self) -> &R {
        &self.from
    }

    pub(super) fn inner_mut(&mut self) -> &mut R {
        &mut self.from
    }

    /// Reads the line that opens the next chunk.
    fn next_chunk(&mut self) -> io::Result<()> {
        if self.open && !line(&mut self.from, 2)?.is_empty() {
            return Err(bad("a chunk longer than it said"));
        }
        let opening = line(&mut self.from, CHUNK_LINE)?;
        let size = opening.split(';').next().unwrap_or_default().trim();
        if size.is_empty() || !size.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad("a chunk without a size"));
        }
        self.left = u64::from_str_radix(size, 16).map_err(|_| bad("a chunk beyond measure"))?;
        self.open = true;
        // Trailers may follow the last chunk; nobody needs them, and the connection ends here.
        self.done = self.left == 0;
        Ok(())
    }
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.done || into.is_empty() {
            return Ok(0);
        }
        if self.framing == Framing::Close {
            return self.from.read(into);
        }
        if self.left == 0 && self.framing == Framing::Chunked {
            self.next_chunk()?;
        }
        if self.left == 0 {
            self.done = true;
            return Ok(0);
        }
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let into = into.get_mut(..want).unwrap_or_default();
        let got = self.from.read(into)?;
        if got == 0 {
            return Err(broken_off());
        }
        self.left = self.left.saturating_sub(u64::try_from(got).unwrap_or(u64::MAX));
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn response(mut bytes: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let head = head(&mut bytes)?;
        let mut body = Vec::new();
        Body::new(bytes, head.framing).take(1 << 20).read_to_end(&mut body)?;
        Ok((head.status, body))
    }

    #[test]
    fn a_body_ends_where_its_length_says() {
        let (status, body) = response(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef").unwrap();
        assert_eq!((status, body.as_slice()), (200, b"abc".as_slice()));
    }

    #[test]
    fn chunks_are_joined() {
        let bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(response(bytes).unwrap().1, b"abc0123456789");
    }

    #[test]
    fn a_response_that_breaks_off_is_an_error_wherever_it_does() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n";
        for end in 0..bytes.len() {
            assert!(response(&bytes[..end]).is_err(), "cut at {end}");
        }
        assert_eq!(response(bytes).unwrap().1, b"abc");
        assert!(response(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").is_err());
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for bytes in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 twenty OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc",
        ] {
            assert!(response(bytes.as_bytes()).is_err(), "{bytes}");
        }
    }

    #[test]
    fn a_head_without_end_is_not_read_without_end() {
        let mut endless = io::BufReader::new(io::repeat(b'a'));
        assert_eq!(head(&mut endless).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let mut headers = "HTTP/1.1 200 OK\r\n".to_owned();
        headers.push_str(&"a: b\r\n".repeat(4000));
        assert!(head(&mut headers.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = response(&bytes);
        }

        #[test]
        fn any_chunking_gives_the_same_body(parts in proptest::collection::vec("[ -~]{1,40}", 0..20)) {
            let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            for part in &parts {
                bytes.extend(format!("{:x}\r\n{part}\r\n", part.len()).bytes());
            }
            bytes.extend(b"0\r\n\r\n");
            prop_assert_eq!(response(&bytes).unwrap().1, parts.concat().into_bytes());
        }

        #[test]
        fn any_bytes_after_a_good_head_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let mut all = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            all.extend(bytes);
            let _ = response(&all);
        }
    }
}

//! Content hashes of files, for listed ones and for evidence.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use md5::Md5;
use sha2::{Digest, Sha256};

/// A file larger than this is not hashed: a sparse one of terabytes would keep a thread for hours.
const LARGEST: u64 = 4 << 30;

/// SHA-256 of the content, whatever the file's offset.
pub fn sha256(file: &File) -> io::Result<[u8; 32]> {
    digest::<Sha256>(file).map(Into::into)
}

/// MD5 of the content: many public lists have no other.
pub fn md5(file: &File) -> io::Result<[u8; 16]> {
    digest::<Md5>(file).map(Into::into)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn digest<D: Digest>(file: &File) -> io::Result<sha2::digest::Output<D>> {
    let mut state = D::new();
    let mut buffer = vec![0; 256 << 10];
    let mut at = 0;
    loop {
        match file.read_at(&mut buffer, at)? {
            0 => return Ok(state.finalize()),
            _ if at > LARGEST => return Err(io::Error::other("too large to hash")),
            n => {
                state.update(&buffer[..n]);
                at += n as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn hashes_are_those_of_the_standards() {
        let path = std::env::temp_dir().join(format!("mg-hash-{}", std::process::id()));
        File::create(&path).unwrap().write_all(b"abc").unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        // FIPS 180-4 and RFC 1321, the examples for "abc"
        assert_eq!(
            hex(&sha256(&file).unwrap()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(hex(&md5(&file).unwrap()), "900150983cd24fb0d6963f7d28e17f72");
    }
}

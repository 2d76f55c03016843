//! What `miner-guard test` sets off: destinations that nobody uses and a program that does nothing, listed by the
//! built-in policy so that an operator can see each verdict happen.

use std::net::{Ipv4Addr, SocketAddrV4};

use sha2::{Digest as _, Sha256};

use crate::kernel::canary;

const PORT: u16 = 7771;
/// Denied. Loopback: nothing leaves the machine even where nobody denies it.
pub const DENIED: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 77, 71, 1), PORT);
/// Reported, never stopped.
pub const ALERTED: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 77, 71, 2), PORT);

/// Makes the file another one than the canary's.
const MARK: &[u8] = b"\nminer-guard test program: harmless, ends at once with status 42\n";

/// The bytes of a program that ends at once with status 42. Denied by its hash.
#[must_use]
pub fn program() -> Vec<u8> {
    let mut bytes = canary::elf();
    bytes.extend(MARK);
    bytes
}

/// The SHA-256 of [`program`].
#[must_use]
pub fn program_sha256() -> [u8; 32] {
    Sha256::digest(program()).into()
}

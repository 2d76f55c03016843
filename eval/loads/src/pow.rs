//! Hashes that are used as proof of work, over made-up input.

use std::hint::black_box;

use sha2::Digest;

use crate::Until;

type Work = fn(Until);

pub const NAMES: &[&str] = &[
    "sha256d", "sha512", "sha1", "keccak256", "sha3-512", "blake2b", "blake2s", "blake3", "groestl512", "jh512", "skein512",
    "whirlpool", "ripemd160", "sm3", "streebog512", "shabal512", "k12", "x-chain", "scrypt", "argon2id", "argon2d",
    "yescrypt", "yescrypt-libxcrypt", "cryptonight-like", "ghostrider-like", "ethash-like", "cuckoo-like",
];

pub fn find(name: &str) -> Option<Work> {
    Some(match name {
        "sha256d" => twice::<sha2::Sha256>,
        "sha512" => once::<sha2::Sha512>,
        "sha1" => once::<sha1::Sha1>,
        "keccak256" => once::<sha3::Keccak256>,
        "sha3-512" => once::<sha3::Sha3_512>,
        "blake2b" => once::<blake2::Blake2b512>,
        "blake2s" => once::<blake2::Blake2s256>,
        "blake3" => |mut until| {
            let mut header = [7; 80];
            while more(&mut until, &mut header) {
                black_box(blake3::hash(&header));
            }
        },
        "groestl512" => once::<groestl::Groestl512>,
        "jh512" => once::<jh::Jh512>,
        "skein512" => once::<skein::Skein512<sha2::digest::consts::U64>>,
        "whirlpool" => once::<whirlpool::Whirlpool>,
        "ripemd160" => once::<ripemd::Ripemd160>,
        "sm3" => once::<sm3::Sm3>,
        "streebog512" => once::<streebog::Streebog512>,
        "shabal512" => once::<shabal::Shabal512>,
        "k12" => k12,
        "x-chain" => x_chain,
        "scrypt" => |mut until| {
            let Ok(params) = scrypt::Params::new(10, 1, 1, 32) else { return };
            let (mut header, mut out) = ([7; 80], [0; 32]);
            while more(&mut until, &mut header) {
                let _ = black_box(scrypt::scrypt(&header, &header, &params, &mut out));
            }
        },
        "argon2id" => |until| argon(until, argon2::Algorithm::Argon2id, 4096),
        "argon2d" => |until| argon(until, argon2::Algorithm::Argon2d, 512),
        "yescrypt" => |mut until| {
            let Ok(params) = yescrypt::Params::new(yescrypt::Mode::default(), 2048, 8, 1) else { return };
            let (mut header, mut out) = ([7; 80], [0; 32]);
            while more(&mut until, &mut header) {
                let _ = black_box(yescrypt::yescrypt(&header, &header, &params, &mut out));
            }
        },
        "yescrypt-libxcrypt" => libxcrypt,
        "cryptonight-like" => |mut until| {
            let mut pad = scratchpad();
            let mut n = 0;
            while until.more() {
                n += 1;
                pad_rounds(&mut pad, n, 1 << 19);
            }
        },
        "ghostrider-like" => ghostrider,
        "ethash-like" => ethash,
        "cuckoo-like" => cuckoo,
        _ => return None,
    })
}

/// The next input of 80 bytes, and now and then a look at the clock.
fn more(until: &mut Until, header: &mut [u8; 80]) -> bool {
    let n = u32::from_le_bytes([header[76], header[77], header[78], header[79]]).wrapping_add(1);
    header[76..].copy_from_slice(&n.to_le_bytes());
    !n.is_multiple_of(64) || until.more()
}

fn once<D: Digest>(mut until: Until) {
    let mut header = [7; 80];
    while more(&mut until, &mut header) {
        black_box(D::digest(header));
    }
}

fn twice<D: Digest>(mut until: Until) {
    let mut header = [7; 80];
    while more(&mut until, &mut header) {
        black_box(D::digest(D::digest(header)));
    }
}

fn k12(mut until: Until) {
    use k12::digest::{ExtendableOutput, Update};
    let mut header = [7; 80];
    while more(&mut until, &mut header) {
        let mut hasher = k12::KangarooTwelve::default();
        hasher.update(&header);
        black_box(hasher.finalize_boxed(32));
    }
}

fn chain(input: &[u8]) -> Vec<u8> {
    let a = blake2::Blake2b512::digest(input);
    let a = groestl::Groestl512::digest(a);
    let a = jh::Jh512::digest(a);
    let a = sha3::Keccak512::digest(a);
    let a = skein::Skein512::<sha2::digest::consts::U64>::digest(a);
    let a = shabal::Shabal512::digest(a);
    let a = whirlpool::Whirlpool::digest(a);
    sha2::Sha512::digest(a).to_vec()
}

/// Several of the hashes of the X family, one after the other.
fn x_chain(mut until: Until) {
    let mut header = [7; 80];
    while more(&mut until, &mut header) {
        black_box(chain(&header));
    }
}

fn argon(mut until: Until, algorithm: argon2::Algorithm, kib: u32) {
    let Ok(params) = argon2::Params::new(kib, 1, 1, Some(32)) else { return };
    let argon = argon2::Argon2::new(algorithm, argon2::Version::V0x13, params);
    let mut memory = vec![argon2::Block::new(); kib as usize];
    let (mut n, mut out) = (0_u64, [0; 32]);
    while until.more() {
        n += 1;
        let _ = black_box(argon.hash_password_into_with_memory(&[7; 32], &[n.to_le_bytes(); 2].concat(), &mut out, &mut memory));
    }
}

#[link(name = "crypt")]
unsafe extern "C" {
    fn crypt(phrase: *const libc::c_char, setting: *const libc::c_char) -> *const libc::c_char;
}

/// yescrypt as its author wrote it, in the C library for passwords of Debian.
fn libxcrypt(mut until: Until) {
    let mut n = 0_u64;
    while until.more() {
        n += 1;
        let Ok(phrase) = std::ffi::CString::new(n.to_string()) else { return };
        // SAFETY: both are strings that live through the call; one thread calls it, as its result lies in static memory.
        black_box(unsafe { crypt(phrase.as_ptr(), c"$y$j75$saltsaltsalt".as_ptr()) });
    }
}

/// Blocks of 16 bytes in 2 MiB.
const PAD: usize = (2 << 20) / 16;

/// Rounds of AES, multiplications and dependent accesses to a scratchpad, as CryptoNight has them. Its implementations use
/// the processor's instructions in line.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "aes,sse2")]
fn cryptonight(pad: &mut [[u64; 2]; PAD], seed: u64, rounds: u32) {
    use std::arch::x86_64::{__m128i, _mm_aesenc_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_unpackhi_epi64, _mm_xor_si128};
    let vector = |b: [u64; 2]| _mm_set_epi64x(b[1].cast_signed(), b[0].cast_signed());
    let words = |v: __m128i| {
        [_mm_cvtsi128_si64(v).cast_unsigned(), _mm_cvtsi128_si64(_mm_unpackhi_epi64(v, v)).cast_unsigned()]
    };
    let key = vector([seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), seed]);
    let mut lanes = [key; 8];
    for (n, lane) in lanes.iter_mut().enumerate() {
        *lane = _mm_xor_si128(key, vector([n as u64, seed]));
    }
    // The scratchpad is filled by ten rounds of AES a block, and read the same way at the end.
    let mut pass = |pad: &mut [[u64; 2]; PAD]| {
        for blocks in pad.chunks_exact_mut(8) {
            for (lane, block) in lanes.iter_mut().zip(blocks) {
                *lane = _mm_xor_si128(*lane, vector(*block));
                for _ in 0..10 {
                    *lane = _mm_aesenc_si128(*lane, key);
                }
                *block = words(*lane);
            }
        }
    };
    pass(pad);
    let mut a = [seed | 1, seed.rotate_left(17)];
    let mut b = vector([seed.rotate_left(32), seed.rotate_left(48)]);
    for _ in 0..rounds {
        let at = (a[0] as usize >> 4) % PAD;
        let c = _mm_aesenc_si128(vector(pad[at]), vector(a));
        pad[at] = words(_mm_xor_si128(b, c));
        let mixed = words(c);
        let other = (mixed[0] as usize >> 4) % PAD;
        let loaded = pad[other];
        let product = u128::from(mixed[0]) * u128::from(loaded[0]);
        a[0] = a[0].wrapping_add((product >> 64) as u64);
        a[1] = a[1].wrapping_add(product as u64);
        pad[other] = a;
        a[0] ^= loaded[0];
        a[1] ^= loaded[1];
        b = c;
    }
    pass(pad);
    black_box(a);
}

/// A scratchpad.
fn scratchpad() -> Box<[[u64; 2]; PAD]> {
    // As large as that array, which the compiler cannot see.
    vec![[0; 2]; PAD].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!("it has PAD blocks"))
}

/// That many rounds, where the processor has the instructions.
fn pad_rounds(pad: &mut [[u64; 2]; PAD], seed: u64, rounds: u32) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("aes") {
        // SAFETY: the processor has AES.
        unsafe { cryptonight(pad, seed, rounds) }
    }
}

/// Hashes of the X family in turn with CryptoNight's inner loop.
fn ghostrider(mut until: Until) {
    let mut pad = scratchpad();
    let mut n = 0_u64;
    while until.more() {
        n += 1;
        for part in 0..3 {
            black_box(chain(&(n + part).to_le_bytes()));
            pad_rounds(&mut pad, n + part, 1 << 17);
        }
    }
}

/// Reads of 128 bytes at random from a large table, mixed by multiplication and exclusive or.
fn ethash(mut until: Until) {
    let table: Vec<u32> = (0..64_u32 << 20).map(|n| n.wrapping_mul(0x9e37_79b9)).collect();
    let mut n = 1_u32;
    while until.more() {
        for _ in 0..256 {
            n = n.wrapping_add(1);
            let mut mix = [n; 32];
            for round in 0..64_u32 {
                let at = (round ^ n).wrapping_mul(0x0100_0193) ^ mix[round as usize % 32];
                let at = (at as usize % (table.len() / 32)) * 32;
                for (m, t) in mix.iter_mut().zip(&table[at..at + 32]) {
                    *m = m.wrapping_mul(0x0100_0193) ^ t;
                }
            }
            black_box(mix);
        }
    }
}

/// SipHash of edge numbers, and a bitmap of the nodes that they touch.
fn cuckoo(mut until: Until) {
    let mut seen = vec![0_u64; 1 << 20];
    let mut n = 0_u64;
    while until.more() {
        for _ in 0..1 << 14 {
            n += 1;
            let mut v = [n ^ 0x736f_6d65_7073_6575, 0x646f_7261_6e64_6f6d, 0x6c79_6765_6e65_7261, n];
            for _ in 0..6 {
                v[0] = v[0].wrapping_add(v[1]);
                v[2] = v[2].wrapping_add(v[3]);
                v[1] = v[1].rotate_left(13) ^ v[0];
                v[3] = v[3].rotate_left(16) ^ v[2];
                v[0] = v[0].rotate_left(32).wrapping_add(v[3]);
                v[2] = v[2].wrapping_add(v[1]);
                v[1] = v[1].rotate_left(17) ^ v[2];
                v[3] = v[3].rotate_left(21) ^ v[0];
                v[2] = v[2].rotate_left(32);
            }
            let node = (v[0] ^ v[1] ^ v[2] ^ v[3]) as usize % (seen.len() * 64);
            seen[node / 64] ^= 1 << (node % 64);
        }
    }
    black_box(seen);
}

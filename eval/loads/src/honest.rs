//! What ordinary programs do, and what might be taken for mining.

use std::{arch::asm, collections::BTreeMap, hint::black_box};

use sha2::Digest;

use crate::Until;

type Work = fn(Until);

pub const NAMES: &[&str] = &[
    "interval-up", "interval-both", "fenv-all-modes", "fenv-all-modes-much-memory", "mandelbrot", "matmul", "stream-triad",
    "nbody", "json-parse", "btree", "sort-integers", "random-numbers", "popcount", "regex-like", "merkle-tree", "file-hashing",
    "zk-proof",    "switch-storm",
];

pub fn find(name: &str) -> Option<Work> {
    Some(match name {
        // As Boost and CGAL do: round up always, and negate for the lower bound.
        "interval-up" => |until| rounds(until, 1 << 16, &[UP]),
        "interval-both" => |until| rounds(until, 1 << 16, &[DOWN, UP]),
        "fenv-all-modes" => |until| rounds(until, 1 << 10, &[NEAREST, DOWN, UP, ZERO]),
        "fenv-all-modes-much-memory" => |until| rounds(until, 36 << 20, &[NEAREST, DOWN, UP, ZERO]),
        "mandelbrot" => mandelbrot,
        "matmul" => matmul,
        "stream-triad" => triad,
        "nbody" => nbody,
        "json-parse" => json,
        "btree" => btree,
        "sort-integers" => sort,
        "random-numbers" => random,
        "popcount" => popcount,
        "regex-like" => regex,
        "zk-proof" => crate::proof::prove,
        "merkle-tree" => merkle,
        "file-hashing" => files,
        "switch-storm" => storm,
        _ => return None,
    })
}

const NEAREST: u32 = 0;
const DOWN: u32 = 1;
const UP: u32 = 2;
const ZERO: u32 = 3;

fn set(mode: u32) {
    let mxcsr = 0x1f80 | mode << 13;
    // SAFETY: all exceptions stay masked, only the rounding changes; nothing here depends on it.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack, readonly)) };
}

fn rounds(mut until: Until, size: usize, modes: &[u32]) {
    let mut values = vec![1.0_f64; size];
    let mut turn = 0;
    while until.more() {
        set(modes[turn % modes.len()]);
        turn += 1;
        // A piece at a time, so that a large vector does not mean few changes.
        let at = turn * 4096 % values.len().max(4097).saturating_sub(4096).max(1);
        let end = (at + 4096).min(values.len());
        for v in &mut values[at..end] {
            *v = (*v * 1.000_000_1 + 0.1) / 1.05;
        }
    }
    set(NEAREST);
    black_box(values);
}

fn mandelbrot(mut until: Until) {
    while until.more() {
        let mut inside = 0;
        for p in 0..20_000 {
            let (cx, cy) = (f64::from(p % 200) / 70.0 - 2.0, f64::from(p / 200) / 35.0 - 1.4);
            let (mut x, mut y, mut n) = (0.0, 0.0, 0);
            while x * x + y * y < 4.0 && n < 100 {
                (x, y) = (x * x - y * y + cx, 2.0 * x * y + cy);
                n += 1;
            }
            inside += n;
        }
        black_box(inside);
    }
}

/// The part of which this load is made, always doing the same, if there is one.
pub fn unit(name: &str) -> Option<Box<dyn FnMut()>> {
    match name {
        "matmul" => Some(Box::new(multiplication())),
        "stream-triad" => Some(Box::new(addition())),
        _ => None,
    }
}

fn matmul(until: Until) {
    again(until, multiplication());
}

fn triad(until: Until) {
    again(until, addition());
}

fn again(mut until: Until, mut unit: impl FnMut()) {
    while until.more() {
        unit();
    }
}

/// Of two matrices that fit into the cache.
fn multiplication() -> impl FnMut() {
    const N: usize = 256;
    let (a, b) = (vec![1.5_f64; N * N], vec![0.5_f64; N * N]);
    let mut c = vec![0.0; N * N];
    move || {
        for i in 0..N {
            for k in 0..N {
                let x = a[i * N + k];
                for j in 0..N {
                    c[i * N + j] += x * b[k * N + j];
                }
            }
        }
        black_box(&mut c);
    }
}

/// STREAM's: of vectors that do not.
fn addition() -> impl FnMut() {
    let (b, c) = (vec![1.0_f64; 8 << 20], vec![2.0_f64; 8 << 20]);
    let mut a = vec![0.0_f64; 8 << 20];
    move || {
        for ((a, b), c) in a.iter_mut().zip(&b).zip(&c) {
            *a = b + 3.0 * c;
        }
        black_box(&mut a);
    }
}

fn nbody(mut until: Until) {
    let mut bodies: Vec<[f64; 6]> = (0..64).map(|n| [f64::from(n), f64::from(n * 7 % 13), 1.0, 0.0, 0.0, 0.0]).collect();
    while until.more() {
        for i in 0..bodies.len() {
            let mut force = [0.0; 3];
            for j in 0..bodies.len() {
                let d: [f64; 3] = std::array::from_fn(|k| bodies[j][k] - bodies[i][k]);
                let r = (d.iter().map(|d| d * d).sum::<f64>() + 0.01).sqrt();
                for (f, d) in force.iter_mut().zip(d) {
                    *f += d / (r * r * r);
                }
            }
            for k in 0..3 {
                bodies[i][3 + k] += force[k] * 1e-3;
                bodies[i][k] += bodies[i][3 + k] * 1e-3;
            }
        }
        black_box(&mut bodies);
    }
}

fn json(mut until: Until) {
    let text: String = (0..2000).map(|n| format!("{{\"id\":{n},\"name\":\"n{n}\",\"tags\":[1,2,3]}},")).collect();
    while until.more() {
        let (mut depth, mut strings, mut number, mut quoted) = (0_i32, 0, 0_u64, false);
        for c in text.bytes() {
            match c {
                b'"' => {
                    quoted = !quoted;
                    strings += 1;
                }
                _ if quoted => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                b'0'..=b'9' => number = number.wrapping_mul(10).wrapping_add(u64::from(c - b'0')),
                _ => number = 0,
            }
        }
        black_box((depth, strings, number));
    }
}

fn btree(mut until: Until) {
    let mut map = BTreeMap::new();
    let mut n = 1_u64;
    while until.more() {
        for _ in 0..10_000 {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *map.entry(n >> 44).or_insert(0_u32) += 1;
        }
    }
    black_box(map);
}

fn sort(mut until: Until) {
    let mut n = 1_u64;
    while until.more() {
        let mut v: Vec<u64> = (0..100_000)
            .map(|_| {
                n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                n
            })
            .collect();
        v.sort_unstable();
        black_box(v);
    }
}

/// xorshift: an honest program that is nothing but shifts and exclusive ors, for its random numbers.
fn random(mut until: Until) {
    let (mut n, mut inside) = (88_172_645_463_325_252_u64, 0_u64);
    while until.more() {
        for _ in 0..1_000_000 {
            n ^= n << 13;
            n ^= n >> 7;
            n ^= n << 17;
            let (x, y) = ((n >> 32) as f64 / 4_294_967_296.0, (n as u32) as f64 / 4_294_967_296.0);
            inside += u64::from(x * x + y * y < 1.0);
        }
    }
    black_box(inside);
}

fn popcount(mut until: Until) {
    let prints: Vec<[u64; 16]> = (0..4096_u64).map(|n| std::array::from_fn(|k| n.wrapping_mul(k as u64 * 77 + 1))).collect();
    while until.more() {
        let mut best = 0;
        for a in &prints[..16] {
            for b in &prints {
                let common: u32 = a.iter().zip(b).map(|(a, b)| (a & b).count_ones()).sum();
                best = best.max(common);
            }
        }
        black_box(best);
    }
}

fn regex(mut until: Until) {
    let text: Vec<u8> = (0..1_000_000_u32).map(|n| b"the quick brown fox jumps over it "[n as usize * 7 % 34]).collect();
    let table: Vec<[u8; 256]> = (0..32_u8).map(|s| std::array::from_fn(|c| (s ^ c as u8).wrapping_mul(5) % 32)).collect();
    while until.more() {
        let mut state = 0;
        for c in &text {
            state = table[state as usize][*c as usize];
        }
        black_box(state);
    }
}

/// Nothing but hashes, of a tree that is in memory: cannot be told from proof of work by its instructions.
fn merkle(mut until: Until) {
    let leaves: Vec<[u8; 32]> = (0..1 << 14).map(|n: u32| sha2::Sha256::digest(n.to_le_bytes()).into()).collect();
    while until.more() {
        let mut level = leaves.clone();
        while level.len() > 1 {
            level = level.chunks(2).map(|pair| sha2::Sha256::digest(pair.concat()).into()).collect();
        }
        black_box(level);
    }
}

fn files(mut until: Until) {
    let Ok(path) = std::env::current_exe() else { return };
    while until.more() {
        black_box(std::fs::read(&path).map(|bytes| sha2::Sha256::digest(bytes)).ok());
    }
}

/// Two threads that wait for each other through a pipe: nothing but context switches.
fn storm(mut until: Until) {
    use std::io::{Read, Write};
    let (Ok((mut to_other, mut from_us)), Ok((mut to_us, mut from_other))) = (pipe(), pipe()) else { return };
    // Both ends of ours go with this closure, which ends the other thread.
    std::thread::scope(move |scope| {
        scope.spawn(move || {
            let mut byte = [0; 1];
            while to_other.read_exact(&mut byte).is_ok() && from_other.write_all(&byte).is_ok() {}
        });
        let mut turns = 0_u64;
        let mut byte = [1; 1];
        while until.more() {
            for _ in 0..256 {
                if from_us.write_all(&byte).is_err() || to_us.read_exact(&mut byte).is_err() {
                    return;
                }
            }
            turns += 256;
        }
        println!("turns {turns}");
    });
}

fn pipe() -> std::io::Result<(std::io::PipeReader, std::io::PipeWriter)> {
    std::io::pipe()
}

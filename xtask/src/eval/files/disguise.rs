//! What a miner's owner does to the file so that it is not recognised. Each copy is analysed, never run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::{Sample, builder::Builder};
use crate::shell;

/// The disguises, in the page's order.
pub const ALL: [&str; 11] = [
    "plain",
    "renamed",
    "stripped",
    "no section headers",
    "bytes appended",
    "UPX -1",
    "UPX --best",
    "UPX, magic overwritten",
    "reworded",
    "reworded, stripped",
    "reworded, UPX --best",
];

/// A disguised copy of a sample.
pub struct Variant {
    /// The sample's name.
    pub sample: String,
    /// Index in [`ALL`].
    pub disguise: usize,
    /// The copy.
    pub path: PathBuf,
}

impl Variant {
    /// Whether every word was taken from it.
    pub fn reworded(&self) -> bool {
        ALL[self.disguise].starts_with("reworded")
    }
}

/// Makes every disguise that the tools can make of this sample, below `dir`.
pub fn all(builder: &Builder, sample: &Sample, dir: &Path, quick: bool) -> Result<Vec<Variant>> {
    // The best takes a minute for each sample, and much longer on a busy machine; but only once.
    let best = if quick { "-9" } else { "--best" };
    let plain = fs::read(&sample.path).with_context(|| format!("cannot read {}", sample.path.display()))?;
    let reworded = reword(&plain);
    let mut variants = Vec::new();
    for (disguise, what) in ALL.iter().enumerate() {
        let from = if what.starts_with("reworded") { &reworded } else { &plain };
        let bytes = match *what {
            "no section headers" => Some(without_sections(&plain)?),
            "bytes appended" => Some([&plain[..], &noise(64 << 10)].concat()),
            "stripped" | "reworded, stripped" if sample.foreign => None,
            "stripped" | "reworded, stripped" => Some(tool(builder, from, &["strip", "--strip-all"])?),
            "UPX -1" => packed(builder, from, "-1")?,
            "UPX --best" | "reworded, UPX --best" => packed(builder, from, best)?,
            "UPX, magic overwritten" => packed(builder, from, best)?.map(|packed| unsigned(&packed)),
            _ => Some(from.clone()),
        };
        // UPX does not pack every kind of file.
        let Some(bytes) = bytes else { continue };
        let name = if *what == "renamed" { "kworker" } else { "program" };
        let place = dir.join(sample.name.replace([' ', ','], "-")).join(disguise.to_string());
        fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
        let path = place.join(name);
        fs::write(&path, bytes)?;
        variants.push(Variant { sample: sample.name.clone(), disguise, path });
    }
    Ok(variants)
}

/// What UPX makes of it, kept for as long as the builder is; `None` for a kind of file that it does not pack.
fn packed(builder: &Builder, bytes: &[u8], how: &str) -> Result<Option<Vec<u8>>> {
    let kept = builder.file("packed");
    let name = Sha256::digest(bytes).iter().fold(how.to_owned(), |name, byte| format!("{name}{byte:02x}"));
    let file = kept.join(name.trim_start_matches('-'));
    if let Ok(bytes) = fs::read(&file) {
        return Ok(Some(bytes));
    }
    let Ok(made) = tool(builder, bytes, &["upx-ucl", "-qq", how]) else { return Ok(None) };
    // Renamed into place as a whole.
    let new = file.with_extension("new");
    fs::create_dir_all(&kept)?;
    fs::write(&new, &made)?;
    fs::rename(&new, &file)?;
    Ok(Some(made))
}

/// What a program of the builder makes of a file in place.
fn tool(builder: &Builder, bytes: &[u8], command: &[&str]) -> Result<Vec<u8>> {
    let [program, args @ ..] = command else { return Ok(bytes.to_vec()) };
    let file = builder.work().join("disguised");
    fs::write(&file, bytes)?;
    // UPX packs only what may be executed.
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let inside = builder.inside(&file)?;
    shell::capture(builder.command(program).args(args).arg(inside))?;
    let made = fs::read(&file)?;
    fs::remove_file(&file)?;
    Ok(made)
}

/// UPX's marks, overwritten as malware does.
fn unsigned(packed: &[u8]) -> Vec<u8> {
    let mut out = packed.to_vec();
    for (mark, by) in
        [(&b"UPX!"[..], &b"\x8f\x13\xd4\x07"[..]), (b"This file is packed with the UPX", &[b' '; 32])]
    {
        let mut at = 0;
        while let Some(found) = find(&out[at..], mark) {
            out[at + found..at + found + mark.len()].copy_from_slice(by);
            at += found + mark.len();
        }
    }
    out
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Without the table of section headers: the kernel needs none.
fn without_sections(elf: &[u8]) -> Result<Vec<u8>> {
    let mut out = elf.to_vec();
    ensure!(elf.len() > 64 && elf.starts_with(b"\x7fELF\x02"), "no 64-bit ELF file");
    let at = usize::try_from(u64::from_le_bytes(elf[0x28..0x30].try_into()?))?;
    let size = usize::from(u16::from_le_bytes([elf[0x3a], elf[0x3b]]));
    let count = usize::from(u16::from_le_bytes([elf[0x3c], elf[0x3d]]));
    if let Some(headers) = out.get_mut(at..(at + size * count)) {
        headers.fill(0);
    }
    out[0x28..0x30].fill(0);
    out[0x3a..0x40].fill(0);
    Ok(out)
}

/// Bytes that look random, the same each time.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// What a miner's strings speak of, in lower case.
const WORDS: [&str; 62] = [
    "stratum",
    "mining",
    "miner",
    "mined",
    "xmrig",
    "monero",
    "pool",
    "hashrate",
    "hash/s",
    "hashes",
    "khash",
    "nonce",
    "donat",
    "wallet",
    "coin",
    "job",
    "share",
    "difficulty",
    "randomx",
    "cryptonight",
    "argon2",
    "ghostrider",
    "kawpow",
    "cn/",
    "rx/",
    "cn-",
    "rx-",
    "cn_",
    "kaspa",
    "heavyhash",
    "block",
    "nicehash",
    "huge",
    "1gb",
    "wrmsr",
    "msr",
    "rig",
    "login",
    "submit",
    "worker",
    "cuda",
    "opencl",
    "algo",
    "getwork",
    "blake",
    "keccak",
    "skein",
    "groestl",
    "throttl",
    "accepted",
    "rejected",
    "extranonce",
    "bench",
    "ethash",
    "equihash",
    "yespower",
    "scrypt",
    "chukwa",
    "astrobwt",
    "threads",
    "daemon",
    "keepalive",
];

/// Overwrites every string that has one of the words in it, from end to end. Names that the dynamic loader needs stay:
/// without them the program would not start.
fn reword(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < out.len() {
        let len = out[at..].iter().take_while(|b| matches!(b, b' '..=b'~' | b'\t' | b'\n')).count();
        if len >= 4 {
            let text = String::from_utf8_lossy(&out[at..at + len]).to_lowercase();
            let symbol = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.@$".contains(&b));
            let needed = symbol && (text.starts_with("librandomx.so") || text.starts_with("randomx_"));
            if !needed && WORDS.iter().any(|word| text.contains(word)) {
                out[at..at + len].fill(b'x');
            }
        }
        at += len.max(1);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_with_a_word_is_overwritten_from_end_to_end() {
        let before = b"\x00see Stratum+TCP here\x00hello\x00randomx_create_vm\x00\x01";
        assert_eq!(reword(before), b"\x00xxxxxxxxxxxxxxxxxxxx\x00hello\x00randomx_create_vm\x00\x01");
    }

    #[test]
    fn the_marks_of_upx_are_overwritten_wherever_they_are() {
        let after = unsigned(b"..UPX!..UPX!.");
        assert_eq!((after.len(), find(&after, b"UPX!")), (13, None));
    }
}

//! The readers of feeds, found out or named by the first byte: no panic, and rows that lie within the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miner_guard::policy::feed::{self, Format, signed::Key};

/// A date on which bundles may be valid or not.
const NOW: i64 = 1_795_600_000;

fuzz_target!(|input: &[u8]| {
    let Some((&how, text)) = input.split_first() else { return };
    let format = match how % 6 {
        0 => None,
        1 => Some(Format::Lines),
        2 => Some(Format::Csv),
        3 => Some(Format::Misp),
        4 => Some(Format::Stix),
        _ => {
            // A signature file: nothing that is not signed is good.
            let (content, signature) = text.split_at(text.len() / 2);
            let key = Key::parse("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3").expect("a key");
            let _ = Key::parse(&String::from_utf8_lossy(text));
            let _ = key.verify(content, &String::from_utf8_lossy(signature));
            return;
        }
    };
    let lines = text.iter().filter(|b| **b == b'\n').count() + 1;
    feed::read(text, format, NOW, |(line, _, _)| assert!(line >= 1 && line <= lines, "{line} of {lines}"));
});

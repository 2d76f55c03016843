//! The readers, over hostile bytes and by hand.

use super::*;
use crate::policy::explain::shown;

/// A date on which the tests' bundles are valid.
pub(super) const NOW: i64 = 1_795_600_000;

/// Every row of a text, as a line each.
pub(super) fn rows(text: &[u8], format: Option<Format>) -> Vec<String> {
    let mut all = Vec::new();
    read(text, format, NOW, |(line, found, _)| {
        all.push(match found {
            Ok(i) => format!("{line}: {}", shown(&i)),
            Err(why) => format!("{line} refused: {why}"),
        });
    });
    all
}

#[test]
fn the_format_is_found_out_from_the_text() {
    for (text, want) in [
        ("192.0.2.1\n", Format::Lines),
        ("[2001:db8::1]:3333\n", Format::Lines),
        ("\n {\"type\": \"bundle\", \"objects\": []}", Format::Stix),
        ("{\"Event\": {}}", Format::Misp),
        (" [ {\"Event\": {}}]", Format::Misp),
        ("{\"response\": {\"Attribute\": []}}", Format::Misp),
        ("ip,port\n1.2.3.4,5\n", Format::Csv),
        ("{nonsense", Format::Lines),
        ("", Format::Lines),
    ] {
        assert_eq!(detect(text.as_bytes()), want, "{text}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 512, ..Default::default() })]

    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>, cut: usize) {
        for format in [None, Some(Format::Lines), Some(Format::Csv), Some(Format::Misp), Some(Format::Stix)] {
            rows(&bytes, format);
        }
        let stix = r#"{"type":"bundle","objects":[{"type":"indicator","pattern":"[ipv4-addr:value IN ('1.2.3.4', '5.6.7.8') AND network-traffic:dst_port = 3333]"}]}"#;
        let misp = r#"{"Event":{"info":"x","Attribute":[{"type":"ip-dst|port","value":"1.2.3.4|5"}]}}"#;
        for (text, format) in [(stix, Format::Stix), (misp, Format::Misp)] {
            let mut text = text.as_bytes().to_vec();
            let at = cut % text.len();
            if let Some(b) = bytes.first() {
                text[at] = *b;
            }
            rows(&text, Some(format));
            rows(&text[..at], Some(format));
        }
    }

    #[test]
    fn no_pattern_makes_the_reader_panic_or_gives_more_rows_than_its_bound(
        pattern in "(\\[|\\]|\\(|\\)| |AND|OR|NOT|IN|ipv4-addr:value|network-traffic:dst_port|=|'1\\.2\\.3\\.4'|'|,|3333|\\\\|FOLLOWEDBY|é){0,40}"
    ) {
        let text = serde_json::json!({"type": "bundle", "objects": [{"type": "indicator", "pattern": pattern}]});
        let got = rows(text.to_string().as_bytes(), Some(Format::Stix));
        proptest::prop_assert!(!got.is_empty() && got.len() <= 4096);
    }
}

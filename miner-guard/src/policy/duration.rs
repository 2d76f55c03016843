//! Durations, as people write them: `90s`, `10m`, `24h`, `7d`. A bare number is one of seconds.

const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// What is told of a duration that cannot be read.
pub const FORM: &str = "write a number and its unit: \"90s\", \"10m\", \"24h\" or \"7d\"";

/// Seconds; `None` for what is no duration.
///
/// ```
/// use miner_guard::policy::duration;
/// assert_eq!(duration::read("10m"), Some(600));
/// assert_eq!(duration::read("90"), Some(90));
/// assert_eq!(duration::read("-1h"), None);
/// ```
#[must_use]
pub fn read(text: &str) -> Option<u64> {
    let text = text.trim();
    let unit = UNITS.iter().find_map(|(name, seconds)| Some((text.strip_suffix(name)?, *seconds)));
    let (number, seconds) = unit.unwrap_or((text, 1));
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(seconds)
}

/// In the largest unit that needs no fraction.
#[must_use]
pub fn text(seconds: u64) -> String {
    let fits = |unit: u64| seconds > 0 && seconds.is_multiple_of(unit);
    let (name, unit) = UNITS.into_iter().find(|(_, unit)| fits(*unit)).unwrap_or(("s", 1));
    format!("{}{name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_duration_is_refused() {
        for bad in [
            "",
            "h",
            "1.5h",
            "-1h",
            "+1h",
            "1 h",
            "1w",
            "1hm",
            "99999999999999999999",
            "9999999999999999999d",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(
            [read("0"), read("1s"), read("2m"), read("3h"), read("7d")].map(Option::unwrap),
            [0, 1, 120, 10_800, 604_800]
        );
        assert_eq!([0, 90, 3_600, 90_000, 172_800].map(text), ["0s", "90s", "1h", "25h", "2d"]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in any::<u64>()) {
            prop_assert_eq!(read(&text(seconds)), Some(seconds));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = read(&text);
        }
    }
}

//! `[identify] yara`

use super::Site;

#[cfg(not(feature = "yara"))]
#[test]
fn rules_are_refused_where_this_was_built_without_them() {
    let site = Site::new("builtin = false\n[identify]\nyara = [\"a.yar\"]\n");
    site.write("a.yar", "rule a { condition: true }");
    assert_eq!(
        site.errors(),
        ["config.toml:3:9: identify: `yara`: this miner-guard was built without YARA; \
          build it with `cargo build --release -p miner-guard --features yara`, or leave the rules out"]
    );
}

#[test]
fn a_wrong_key_of_identify_is_told() {
    let site = Site::new("[identify]\nyarra = \"a.yar\"\n");
    assert_eq!(site.errors(), ["config.toml:2:1: identify: `yarra`: unknown key; did you mean `yara`?"]);
}

#[cfg(feature = "yara")]
mod built {
    use super::*;
    use crate::policy::{LoadRequest, diff::diff};

    const GOOD: &str = "rule good { strings: $a = \"wanted\" condition: $a }\n";
    const BAD: &str = "rule bad {\n  condition: $a\n}\n";

    #[test]
    fn errors_in_rules_are_errors_of_the_policy_where_they_stand() {
        let site = Site::new("[identify]\nyara = [\"*.yar\", \"none.rules\", \"*.rules\"]\n");
        site.write("a.yar", GOOD);
        let errors = site.errors();
        assert_eq!(errors.len(), 2, "{errors:#?}");
        assert!(errors.iter().any(|e| e.starts_with("config.toml:2:32: identify: `yara`: no file fits ")));
        assert!(errors.iter().any(|e| e.starts_with("none.rules: cannot be read: No such file")));
        let site = Site::new("[identify]\nyara = \"*.yar\"\n");
        site.write("a.yar", GOOD);
        site.write("b.yar", BAD);
        let errors = site.errors();
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].starts_with("b.yar:2:14: unknown pattern"), "{errors:#?}");
        assert!(errors[0].ends_with("; correct the rule, or leave its file out"), "{errors:#?}");
    }

    #[test]
    fn other_rules_are_another_policy_and_a_feed_that_is_taken_up_brings_none() {
        let site = Site::new("builtin = false\n[identify]\nyara = \"*.yar\"\n");
        site.write("a.yar", GOOD);
        let first = site.load();
        let same = site.load_after(Some(&first)).unwrap();
        assert!(diff(&first, &same).is_empty());
        assert_eq!(first.fingerprint, same.fingerprint);
        site.write("a.yar", GOOD.replace("good", "better"));
        let text = first.text.clone();
        let request = LoadRequest { text: Some(&text), previous: Some(&first), ..LoadRequest::default() };
        assert!(diff(&first, &site.load_with(&request).unwrap()).is_empty());
        let second = site.load_after(Some(&first)).unwrap();
        assert!(diff(&first, &second).yara_changed);
        assert_ne!(first.fingerprint, second.fingerprint);
        site.write("a.yar", BAD);
        assert!(site.load_after(Some(&second)).is_err());
    }

    #[test]
    fn what_is_odd_about_a_rule_is_a_warning() {
        let site = Site::new("builtin = false\n[identify]\nyara = \"a.yar\"\n");
        site.write("a.yar", "rule odd {\n  condition: true\n}");
        let warnings = relative(&site);
        assert!(warnings.iter().any(|w| w.starts_with("a.yar:2:14: ")), "{warnings:?}");
    }

    fn relative(site: &Site) -> Vec<String> {
        site.load().warnings.iter().map(|w| super::super::relative(w, site)).collect()
    }
}

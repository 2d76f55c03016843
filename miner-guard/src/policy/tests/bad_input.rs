use super::*;

/// The one error of a policy without the embedded feed.
fn error(config: &str) -> String {
    let errors = Site::new(&format!("builtin = false\n{config}")).errors();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors.into_iter().next().unwrap()
}

#[test]
fn a_syntax_error_names_its_place() {
    let text = error("mode = audit\n");
    assert!(text.starts_with("config.toml:2:8: not valid TOML: "), "{text}");
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    assert_eq!(
        error("[[rule]]\nid = \"a\"\nip = \"192.0.2.1\"\nacton = \"deny\"\n"),
        "config.toml:5:1: rule \"a\": `acton`: unknown key; did you mean `action`?"
    );
    assert_eq!(
        error("colour = 1\n"),
        "config.toml:2:1: `colour`: unknown key; known here: limits, runtime, mode, on_stop, builtin, doh, case, respond, protected, identify, rule, feed, allow"
    );
}

#[test]
fn a_bad_address_is_shown_with_its_rule_and_key() {
    assert_eq!(
        error("[[rule]]\nid = \"a\"\nip = [\"192.0.2.1\", \"300.0.2.1\"]\n"),
        "config.toml:4:20: rule \"a\": `ip`: \"300.0.2.1\" is not an address or CIDR; \
         write an address like 192.0.2.1 or 2001:db8::7, or a network like 192.0.2.0/24"
    );
    assert_eq!(
        error("[[rule]]\nid = \"a\"\nip = \"192.0.2.1:3333\"\n"),
        "config.toml:4:6: rule \"a\": `ip`: \"192.0.2.1:3333\" is an address with a port; put the port into `port`"
    );
    assert_eq!(
        error("[[rule]]\nid = \"a\"\nip = \"192.0.2.7/24\"\n"),
        "config.toml:4:6: rule \"a\": `ip`: \"192.0.2.7/24\" is a CIDR with host bits set; \
         write an address like 192.0.2.1 or 2001:db8::7, or a network like 192.0.2.0/24"
    );
}

#[test]
fn a_bad_port_domain_hash_path_or_type_is_refused() {
    for (line, want) in [
        (
            "port = 70000",
            "config.toml:4:8: rule \"a\": `port`: \"70000\" is not a port; write a number from 1 to 65535, or a span as \"3333-3340\"",
        ),
        (
            "port = \"9-8\"",
            "config.toml:4:8: rule \"a\": `port`: \"9-8\" is not a port; write a number from 1 to 65535, or a span as \"3333-3340\"",
        ),
        (
            "domain = \"a..b\"",
            "config.toml:4:10: rule \"a\": `domain`: \"a..b\" is not a domain name; write pool.example.com, or *.example.com for the names below",
        ),
        (
            "sha256 = \"abc\"",
            "config.toml:4:10: rule \"a\": `sha256`: \"abc\" is not 64 hexadecimal digits; write what `sha256sum FILE` prints",
        ),
        (
            "md5 = \"xyz\"",
            "config.toml:4:7: rule \"a\": `md5`: \"xyz\" is not 32 hexadecimal digits; write what `md5sum FILE` prints",
        ),
        (
            "path = \"xmrig\"",
            "config.toml:4:8: rule \"a\": `path`: \"xmrig\" is not an absolute path; write the path from / on",
        ),
        ("ip = 7", "config.toml:4:6: rule \"a\": `ip`: this is an integer; write each value in quotes"),
        (
            "ip = []",
            "config.toml:4:6: rule \"a\": `ip`: the list is empty; list at least one value, or leave the key out",
        ),
        (
            "ip = \"192.0.2.1\"\naction = \"block\"",
            "config.toml:5:10: rule \"a\": `action`: \"block\" is not known here; write \"alert\" or \"deny\" or \"kill\" or \"isolate\"",
        ),
        (
            "ip = \"192.0.2.1\"\nforce = \"yes\"",
            "config.toml:5:9: rule \"a\": `force`: this is a string; write true or false, without quotes",
        ),
    ] {
        assert_eq!(error(&format!("[[rule]]\nid = \"a\"\n{line}\n")), want);
    }
}

#[test]
fn rules_without_match_id_or_with_kinds_that_cannot_meet_are_refused() {
    for (rule, want) in [
        (
            "id = \"a\"",
            "config.toml:2:1: rule \"a\": a rule without a match; name what it lists: ip, port, domain, path, sha256 or md5",
        ),
        (
            "ip = \"192.0.2.1\"",
            "config.toml:2:1: rule: `id`: a rule without an id; give it a name of letters, digits, dots, dashes: id = \"lab-pool\"",
        ),
        (
            "id = \"a b\"\nip = \"192.0.2.1\"",
            "config.toml:3:6: rule: `id`: \"a b\" is not a usable id; give it a name of letters, digits, dots, dashes: id = \"lab-pool\"",
        ),
        (
            "id = \"builtin\"\nport = 1",
            "config.toml:2:1: `id`: the id \"builtin\" belongs to an embedded feed; choose another; builtin = false and doh = \"off\" turn the embedded feeds off",
        ),
        (
            "id = \"a\"\nip = \"192.0.2.1\"\npath = \"/x\"",
            "config.toml:2:1: rule \"a\": a rule that lists both destinations and files; write two rules: each is checked at another place",
        ),
        (
            "id = \"a\"\ndomain = \"a.b\"\nport = 1",
            "config.toml:2:1: rule \"a\": a rule that lists domains together with addresses or ports; write two rules: a name is asked for before there is an address or a port",
        ),
    ] {
        assert_eq!(error(&format!("[[rule]]\n{rule}\n")), want);
    }
}

#[test]
fn a_duplicate_id_names_the_first_use() {
    assert_eq!(
        error("[[rule]]\nid = \"a\"\nport = 1\n[[rule]]\nid = \"a\"\nport = 2\n"),
        "config.toml:5:1: `id`: the id \"a\" is already used in line 2; give each rule and feed its own id"
    );
}

#[test]
fn several_errors_come_together_in_the_order_of_the_file() {
    let site = Site::new(
        "mode = \"on\"\n[[rule]]\nid = \"a\"\nip = \"x\"\n[[feed]]\nid = \"f\"\npath = \"none.txt\"\n",
    );
    let errors = site.errors();
    assert_eq!(errors.len(), 3, "{errors:#?}");
    assert_eq!(
        errors[0],
        "config.toml:1:8: `mode`: \"on\" is not known here; write \"audit\" or \"enforce\""
    );
    assert!(errors[1].starts_with("config.toml:4:6: rule \"a\": `ip`"), "{errors:#?}");
    assert_eq!(
        errors[2],
        "config.toml:7:8: feed \"f\": `path`: cannot read none.txt: No such file or directory (os error 2); \
         check the path and its permissions"
    );
}

#[test]
fn a_rule_over_a_protected_destination_needs_force() {
    let rule = "[[rule]]\nid = \"a\"\nip = \"192.0.2.0/24\"\n";
    assert!(error(rule).starts_with(
        "config.toml:4:6: rule \"a\": `ip`: 192.0.2.0/24 covers 192.0.2.53, a resolver of this machine ("
    ));
    assert_eq!(
        error("protected = [\"198.51.100.0/24\"]\n[[rule]]\nid = \"a\"\nip = \"198.51.100.9\"\n"),
        "config.toml:5:6: rule \"a\": `ip`: 198.51.100.9 covers 198.51.100.9, protected by line 2 of the policy; \
         narrow the rule, or say force = true in it"
    );
    assert!(Site::new(&format!("{rule}force = true\n")).errors().is_empty());
    assert!(Site::new(&format!("{rule}action = \"alert\"\n")).errors().is_empty(), "an alert denies nothing");
}

#[test]
fn a_rule_over_more_than_a_256th_of_the_address_space_needs_force() {
    let want = "this covers more than 1/256 of the address space; list smaller networks, or say force = true in the rule";
    for ip in ["\"16.0.0.0/7\"", "\"2000::/3\"", "[\"16.0.0.0/8\", \"17.0.0.0/16\"]"] {
        let text = error(&format!("[[rule]]\nid = \"a\"\nip = {ip}\n"));
        assert!(text.ends_with(want), "{text}");
    }
    for ip in ["\"16.0.0.0/8\"", "[\"16.0.0.0/8\", \"16.5.0.0/16\"]", "\"2000::/8\""] {
        assert!(Site::new(&format!("[[rule]]\nid = \"a\"\nip = {ip}\n")).errors().is_empty(), "{ip}");
    }
}

#[test]
fn an_allow_takes_one_kind_of_key_and_known_names() {
    for (allow, want) in [
        (
            "",
            "config.toml:2:1: allow 1: an allow without a match; name one of exe, sha256, user, group, cgroup, unit, container, job_account, ip, domain",
        ),
        (
            "exe = \"/a\"\nuser = \"root\"",
            "config.toml:2:1: allow 1: an allow with both `exe` and `user`; write one [[allow]] for each: any of them exempts",
        ),
        (
            "container = \"abc\"",
            "config.toml:3:13: allow 1: `container`: \"abc\" cannot be matched; write at least the first 12 characters of its id",
        ),
    ] {
        assert_eq!(error(&format!("[[allow]]\n{allow}\n")), want);
    }
    assert!(error("[[allow]]\nuser = \"nobody-here\"\n").contains("there is no user \"nobody-here\" in "));
}

#[test]
fn garbage_in_a_feed_is_counted_and_shown_and_the_rest_is_used() {
    let site = Site::new("builtin = false\n[[feed]]\nid = \"f\"\npath = \"f.txt\"\n");
    site.write("f.txt", b"198.51.100.1\nfoo\x1b[31m bar\n\xff\xfe\n0.0.0.0/0\n192.0.2.53\n# x\n\n198.51.100.2:70000\nx.example\n");
    let policy = site.load();
    let feed = &policy.feeds[0];
    assert_eq!((feed.used, feed.bad), (2, 5));
    let shown: Vec<_> =
        feed.first_bad.iter().map(|b| format!("{}: {} is {}", b.line, b.text, b.why)).collect();
    assert_eq!(
        shown,
        [
            "2: foo\\x1b[31m bar is several words, and not a hosts-file line",
            "3: \\xff\\xfe is not an address, CIDR or domain",
            "4: 0.0.0.0/0 is more than 1/256 of the address space (a rule with force = true may list it)",
            "5: 192.0.2.53 is a protected destination, or holds one",
            "8: 198.51.100.2:70000 is an address with a bad port",
        ]
    );
}

#[test]
fn a_feed_of_garbage_alone_is_an_error() {
    let site = Site::new("builtin = false\n[[feed]]\nid = \"f\"\npath = \"f.txt\"\n");
    site.write("f.txt", "<html>not found</html>\n");
    assert_eq!(
        site.errors(),
        [
            "config.toml:4:8: feed \"f\": `path`: no line of f.txt can be used: line 1 \"<html>not found</html>\" is \
          several words, and not a hosts-file line; check the file and its `format`: plain, hosts, csv, misp or stix"
        ]
    );
}

#[test]
fn an_empty_feed_is_a_warning_at_first_and_refused_where_there_was_a_full_one() {
    let site = Site::new("builtin = false\n[[feed]]\nid = \"f\"\npath = \"f.txt\"\n");
    site.write("f.txt", "");
    assert!(relative(&site.load().warnings.join(" "), &site).contains("feed \"f\": f.txt is empty"));
    site.write("f.txt", "198.51.100.1\n");
    let before = site.load();
    site.write("f.txt", "# nothing\n");
    assert_eq!(
        site.load_after(Some(&before)).unwrap_err(),
        ["config.toml:4:8: feed \"f\": `path`: f.txt lists nothing, and listed 1 indicators before; \
          a download may have failed; restore it, remove the feed, or take it up with `miner-guard feed update --force`"]
    );
}

#[test]
fn a_feed_that_is_no_file_or_too_large_is_refused_without_reading_it() {
    let site = Site::new(
        "[limits]\nfeed_mib = 1\n[[feed]]\nid = \"f\"\npath = \"f.txt\"\n[[feed]]\nid = \"g\"\npath = \"/dev/zero\"\n",
    );
    site.write("f.txt", vec![b'\n'; (1 << 20) + 1]);
    assert_eq!(
        site.errors(),
        [
            "config.toml:5:8: feed \"f\": `path`: f.txt is larger than 1 MiB; split it, or raise feed_mib in [limits]",
            "config.toml:8:8: feed \"g\": `path`: /dev/zero is not a regular file; point it to a file of indicators, or to a directory of such files",
        ]
    );
}

#[test]
fn a_file_that_is_not_text_is_refused_with_its_line() {
    let site = Site::new("");
    site.write("config.toml", b"mode = \"audit\"\n\xff\n");
    assert_eq!(site.errors(), ["config.toml: line 2 is not UTF-8; save the file as UTF-8 text"]);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, ..Default::default() })]

    #[test]
    fn no_feed_and_no_policy_text_makes_loading_panic(
        feed: Vec<u8>,
        lines in "([a-z0-9.:/*,;\"# ]{0,30}\n){0,8}",
        text in "([a-z_\\[\\]=\"0-9. ]{0,30}\n){0,8}"
    ) {
        let site = Site::new("builtin = false\n[[feed]]\nid = \"f\"\npath = \"f\"\n[[feed]]\nid = \"g\"\npath = \"g\"\nformat = \"csv\"\n");
        site.write("f", &feed);
        site.write("g", &lines);
        let _ = site.load_after(None);
        site.write("config.toml", &text);
        let _ = site.load_after(None);
    }
}

#[test]
fn a_bad_setting_of_cases_or_responses_is_refused_where_it_stands() {
    assert_eq!(
        error("[case]\nhalf_life = 0\n"),
        "config.toml:3:13: case: `half_life`: 0 is out of range; write a duration from 1s to 366d"
    );
    assert_eq!(
        error("[respond]\nisolate_for = \"400d\"\n"),
        "config.toml:3:15: respond: `isolate_for`: 400d is out of range; write a duration from 0s to 366d"
    );
    assert_eq!(
        error("[respond]\nlearn_for = \"a day\"\n"),
        "config.toml:3:13: respond: `learn_for`: \"a day\" is no duration; write a number and its unit: \"90s\", \"10m\", \"24h\" or \"7d\""
    );
    assert_eq!(
        error("[runtime]\nsustain = true\n"),
        "config.toml:3:11: runtime: `sustain`: this is a boolean; write a number and its unit: \"90s\", \"10m\", \"24h\" or \"7d\""
    );
    assert_eq!(
        error("[respond]\nmining = \"deny\"\n"),
        "config.toml:3:10: respond: `mining`: \"deny\" is not known here; write \"alert\" or \"kill\" or \"isolate\""
    );
    assert_eq!(
        error("[respond]\nbundels = 1\n"),
        "config.toml:3:1: respond: `bundels`: unknown key; did you mean `bundles`?"
    );
}

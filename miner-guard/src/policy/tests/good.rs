use super::*;
use crate::policy::{
    compile::{CompileRequest, Ports},
    diff::diff,
    explain::{Question, explain},
    resolved::{Counts, TaskKind},
};
use miner_guard_common::{
    abi::{
        policy::Class,
        verdict::{Mode, Reason, Verdict},
    },
    table::{self, Destination, Header, SipKey},
};

const REQUEST: CompileRequest =
    CompileRequest { generation: 1, mode: Mode::Enforce, key: SipKey(3, 4), canary: None };

const SITE: &str = r#"
mode = "enforce"
on_stop = "keep"
protected = ["203.0.113.0/28"]

[[rule]]
id = "lab-pool"
ip = ["198.51.100.0/24", "2001:db8::7"]
port = [3333, "14444-14450"]
action = "kill"

[[rule]]
id = "old-port"
port = 4444

[[rule]]
id = "tools"
path = "/opt/x/../x/miner"
sha256 = ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]

[[feed]]
id = "site-pools"
path = "pools.txt"

[[feed]]
id = "csv"
path = "rows.csv"
action = "alert"

[[allow]]
exe = "/usr/bin/monerod"
[[allow]]
user = ["miner", "42"]
[[allow]]
group = "hpc"
[[allow]]
unit = "monerod"
[[allow]]
ip = "198.51.100.128/25"
[[allow]]
domain = "*.good.example"
"#;

fn site() -> Site {
    let site = Site::new(SITE);
    site.write("pools.txt", "\u{feff}# pools\r\n198.51.100.7\r\n203.0.113.99:3333 # with port\n\
        *.Pool.example\nstratum+tcp://eu.pool.example:3333\n0.0.0.0 ads.example more.example\n127.0.0.1 localhost\n2001:db8:1::/48\n203.0.113.1\n");
    site.write("rows.csv", "Name,\"IP Address\",port,date\n\"a,b\",x,1,2\n");
    site.write(
        "rows.csv",
        "source;ip;port\nx;203.0.113.77;\"3333,5555\"\ny;;7777\nz;203.0.113.78;\nbroken;203.0.113.500;1\n",
    );
    site
}

fn ask(policy: &Resolved, to: &str, port: u16) -> Option<(String, Verdict, Reason)> {
    let image = policy.compile(&REQUEST, &[]).unwrap();
    let blocks = image.blocks();
    let header = Header::read(&blocks).unwrap();
    let address: std::net::IpAddr = to.parse().unwrap();
    let to = Destination { address: address.into(), port };
    let answer = table::destination(&blocks, &header, &to)?;
    if table::protected(&blocks, &header, &to).is_some() {
        return None;
    }
    Some((policy.rule(answer.rule).unwrap().id.clone(), answer.verdict, answer.reason))
}

#[test]
fn a_whole_policy_is_read_as_it_was_meant() {
    let site = site();
    let policy = site.load();
    assert_eq!(policy.settings.mode, Mode::Enforce);
    assert_eq!(policy.settings.on_stop, Some(crate::policy::OnStop::Keep));
    let hit = |id: &str, verdict, reason| Some((id.to_owned(), verdict, reason));
    assert_eq!(ask(&policy, "198.51.100.9", 3333), hit("lab-pool", Verdict::Kill, Reason::AddressPort));
    assert_eq!(ask(&policy, "2001:db8::7", 14450), hit("lab-pool", Verdict::Kill, Reason::AddressPort));
    assert_eq!(ask(&policy, "198.51.100.9", 80), None);
    assert_eq!(ask(&policy, "198.51.100.200", 3333), None, "allowed");
    assert_eq!(ask(&policy, "203.0.113.1", 1), None, "protected");
    assert_eq!(ask(&policy, "8.8.8.8", 4444), hit("old-port", Verdict::Alert, Reason::Port));
    assert_eq!(ask(&policy, "198.51.100.7", 9), hit("site-pools", Verdict::Deny, Reason::Address));
    assert_eq!(ask(&policy, "203.0.113.99", 3333), hit("site-pools", Verdict::Deny, Reason::AddressPort));
    assert_eq!(ask(&policy, "203.0.113.99", 9), None);
    assert_eq!(ask(&policy, "2001:db8:1:2::3", 9), hit("site-pools", Verdict::Deny, Reason::Prefix));
    assert_eq!(ask(&policy, "203.0.113.77", 5555), hit("csv", Verdict::Alert, Reason::AddressPort));
    assert_eq!(ask(&policy, "203.0.113.77", 9), None);
    assert_eq!(ask(&policy, "203.0.113.78", 9), hit("csv", Verdict::Alert, Reason::Address));
    assert_eq!(ask(&policy, "8.8.8.8", 7777), hit("csv", Verdict::Alert, Reason::Port));

    let feed = |id: &str| policy.feeds.iter().find(|f| f.id == id).unwrap();
    assert_eq!((feed("site-pools").used, feed("site-pools").bad), (7, 1), "{:?}", feed("site-pools"));
    assert_eq!((feed("csv").used, feed("csv").bad), (4, 1), "{:?}", feed("csv"));
    assert!(feed("builtin").used > 3000);

    let names: Vec<_> =
        policy.names.iter().filter(|(n, ..)| n.ends_with(".example")).map(|(n, c, _)| (n, c)).collect();
    assert_eq!(
        names,
        [
            ("ads.example", Class::Domain),
            ("eu.pool.example", Class::Domain),
            ("good.example", Class::AllowedDomainBelow),
            ("more.example", Class::Domain),
            ("pool.example", Class::DomainBelow),
        ]
    );
    assert_eq!(policy.pending(), [] as [&str; 0]);

    let file = &policy.files[0];
    let no_md5 = || panic!("nobody asked for MD5");
    let empty = policy.files[0].sha256[0];
    assert!(!file.matches(Path::new("/opt/x/miner"), || None, no_md5));
    assert!(!file.matches(Path::new("/opt/x/other"), || Some(empty), no_md5));
    assert!(policy.rules[file.rule as usize].id == "tools" && file.action == Verdict::Deny);

    let allowed = &policy.allowed;
    assert_eq!(allowed.exes[0].0, Path::new("/usr/bin/monerod"));
    let ids: Vec<_> = allowed.ids.iter().map(|(c, id, _)| (*c, *id)).collect();
    assert_eq!(ids, [(Class::Uid, 1234), (Class::Uid, 42), (Class::Gid, 77)]);
    assert_eq!((allowed.tasks[0].kind, allowed.tasks[0].value.as_str()), (TaskKind::Unit, "monerod"));
}

#[test]
fn the_defaults_are_audit_with_the_embedded_feed() {
    let site = Site::new("");
    let policy = site.load();
    assert_eq!(policy.settings.mode, Mode::Audit);
    let Counts { rules, addresses, names, ports, .. } = policy.counts();
    assert_eq!((rules, policy.feeds.len()), (3, 2), "what denies, what alerts, and servers of encrypted DNS");
    assert!(addresses > 1700 && names > 2100 && ports > 20);
    let hit = ask(&policy, "2.45.246.57", 443).unwrap();
    assert_eq!(hit, ("builtin".to_owned(), Verdict::Deny, Reason::Address));
    let shared = ask(&policy, "2.22.38.17", 443).unwrap();
    assert_eq!(shared.1, Verdict::Alert);
    for port in [22, 25, 53, 80, 443, 3128, 8080] {
        assert_eq!(ask(&policy, "192.0.2.99", port), None);
    }
    let image = policy.compile(&REQUEST, &[]).unwrap();
    assert!(image.len() * 64 < 1 << 20, "{} blocks", image.len());
}

#[test]
fn force_on_an_address_denies_it_and_force_on_a_network_leaves_the_protected_alone() {
    let rule = |ip: &str| format!("builtin = false\n[[rule]]\nid = \"a\"\nip = \"{ip}\"\nforce = true\n");
    let one = Site::new(&rule("192.0.2.53")).load();
    assert!(ask(&one, "192.0.2.53", 53).is_some());
    let network = Site::new(&rule("192.0.2.0/24")).load();
    assert!(ask(&network, "192.0.2.53", 53).is_none());
    assert!(ask(&network, "192.0.2.54", 53).is_some());
}

#[test]
fn an_exempt_cgroup_that_was_found_is_compiled_in() {
    let policy = Site::new("builtin = false\n[[allow]]\ncgroup = \"/hpc\"\n").load();
    let image = policy.compile(&REQUEST, &[(777, 1)]).unwrap();
    let blocks = image.blocks();
    let header = Header::read(&blocks).unwrap();
    assert_eq!(table::exempt_cgroup(&blocks, &header, 777), Some(1));
    assert_eq!(policy.rule(1).unwrap().id, "allow 1");
}

#[test]
fn a_reload_shows_what_changes_and_the_fingerprint_follows() {
    let site = site();
    let before = site.load();
    let same = site.load();
    assert!(diff(&before, &same).is_empty());
    assert_eq!(before.fingerprint, same.fingerprint);
    site.write("pools.txt", "198.51.100.7\n198.51.100.8\n198.51.100.9\n");
    site.write("config.toml", SITE.replace("\"old-port\"", "\"new-port\"").replace("enforce", "audit"));
    let after = site.load();
    let d = diff(&before, &after);
    assert_eq!(d.mode, Some((Mode::Enforce, Mode::Audit)));
    assert_eq!((d.rules_added, d.rules_removed), (vec!["new-port".to_owned()], vec!["old-port".to_owned()]));
    let counts: Vec<_> = d.rules.iter().map(|r| (r.id.as_str(), r.added, r.removed)).collect();
    assert_eq!(counts, [("new-port", 1, 0), ("old-port", 0, 1), ("site-pools", 2, 6)]);
    assert!(!d.allowed_changed);
    assert_ne!(before.fingerprint, after.fingerprint);
    // Where a policy lies does not change what it is.
    site.write("pools.txt", "198.51.100.9\n198.51.100.8\n# moved\n198.51.100.7\n");
    assert_eq!(site.load().fingerprint, after.fingerprint);
}

#[test]
fn an_explanation_names_rule_indicator_and_line() {
    let site = site();
    let policy = site.load();
    let of = |text: &str| explain(&policy, &Question::parse(text).unwrap()).unwrap();
    let places = |text: &str| {
        let matches = of(text).matches;
        matches
            .iter()
            .map(|m| format!("{} {} {}", m.rule, m.indicator, relative(&m.places.join(" "), &site)))
            .collect::<Vec<_>>()
    };
    let hit = of("198.51.100.7:3333");
    assert_eq!((hit.verdict, hit.reason), (Verdict::Deny, Reason::Address), "the exact address goes first");
    assert_eq!(
        places("198.51.100.7:3333"),
        ["site-pools 198.51.100.7 pools.txt:2: 198.51.100.7", "lab-pool 198.51.100.0/24:3333 config.toml:6"]
    );
    let allowed = of("198.51.100.200:3333");
    assert_eq!(allowed.verdict, Verdict::Allow);
    assert_eq!(relative(&allowed.protected.unwrap(), &site), "allowed by config.toml:38");
    assert!(of("192.0.2.53").protected.unwrap().starts_with("a resolver of this machine"));
    let name = of("X.pool.example");
    assert_eq!(name.verdict, Verdict::Deny);
    assert_eq!(places("x.pool.example"), ["site-pools *.pool.example pools.txt:4: *.Pool.example"]);
    assert_eq!(of("pool.example").verdict, Verdict::Allow);
    assert!(
        places("acc-pool.pw")[0]
            .starts_with("builtin acc-pool.pw builtin/pool-domains.tsv:2: pool-endpoint; ")
    );
    assert_eq!(places("[2001:db8:1::5]:80"), ["site-pools 2001:db8:1::/48 pools.txt:8: 2001:db8:1::/48"]);
    assert_eq!(places("4444"), ["old-port port 4444 config.toml:12"]);
    fs::remove_file(site.path("pools.txt")).unwrap();
    assert!(places("x.pool.example")[0].ends_with("pools.txt, which cannot be read any more"));
    assert_eq!(Question::parse("what is this"), None);
    assert_eq!(
        Question::parse("[::ffff:192.0.2.1]:1"),
        Some(Question::Address("192.0.2.1".parse().unwrap(), Some(1)))
    );
}

#[test]
fn ports_of_a_rule_go_with_each_of_its_addresses() {
    let policy = site().load();
    let of = |e: &crate::policy::compile::Entry<(u32, u8)>| e.ports;
    let ports: Vec<Ports> = policy.prefixes4.iter().filter(|e| e.rule == 1).map(of).collect();
    assert_eq!(ports, [Ports::one(3333), Ports { low: 14444, high: 14450 }]);
}

/// A measurement, not a test: `cargo test --release -p miner-guard --lib -- --ignored --nocapture how_long`.
#[test]
#[ignore = "prints how long a large feed takes"]
fn how_long_a_million_lines_take() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for i in 0..1_000_000_u32 {
        let a = std::net::Ipv4Addr::from_bits(i.wrapping_mul(2_654_435_761) | 0x0100_0000);
        writeln!(text, "{a}").unwrap();
    }
    let site = Site::new("builtin = false\n[[feed]]\nid = \"f\"\npath = \"f.txt\"\n");
    site.write("f.txt", text);
    for _ in 0..3 {
        let start = std::time::Instant::now();
        let policy = site.load();
        let loaded = start.elapsed();
        let image = policy.compile(&REQUEST, &[]).unwrap();
        println!(
            "load {loaded:?}, with compile {:?}, {} used, {} bytes",
            start.elapsed(),
            policy.feeds[0].used,
            image.len() * 64
        );
    }
}

#[test]
fn cases_and_responses_are_settings() {
    use crate::policy::{CaseSettings, OnMining, RespondSettings};
    let site = Site::new(
        "builtin = false\n[runtime]\nsustain = 3\n[case]\nhalf_life = \"1m\"\n\
         [respond]\nmining = \"isolate\"\nlearn_for = 0\nisolate_for = \"2h\"\n",
    );
    let settings = site.load().settings;
    assert_eq!(settings.runtime.sustain_s, 3);
    assert_eq!(settings.case, CaseSettings { half_life_s: 60 });
    let wanted = RespondSettings {
        mining: OnMining::Isolate,
        learn_s: 0,
        isolate_s: 7_200,
        ..RespondSettings::default()
    };
    assert_eq!(settings.respond, wanted);
}

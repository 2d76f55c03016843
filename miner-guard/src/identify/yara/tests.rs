use super::*;
use crate::identify::{Finding, Identifier, Skip, tests::elf};
use std::{fs, fs::File, io::Write as _, time::Instant};

const STRICT: &str = "rule strict : lab { meta: description = \"a test's own\" miner_guard = \"miner-binary\"\n\
    strings: $word = \"wanted program\" $other = \"never there\" condition: $word or $other }\n";
const TOLD: &str =
    "rule told { meta: miner_guard = \"hashing-heavy\" strings: $a = \"told of\" condition: $a }\n";
const SILENT: &str = "rule silent { strings: $a = \"somewhat odd\" condition: $a }\n";

/// A directory with rule files.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn load(&self, text: &str) -> Result<Arc<Rules>, Vec<Trouble>> {
        Rules::load(&[self.write("a.yar", text)], None)
    }

    fn wrong(&self, text: &str) -> Trouble {
        self.load(text).err().unwrap().swap_remove(0)
    }
}

fn memory(bytes: &[u8]) -> File {
    let mut file = File::from(rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    file.write_all(bytes).unwrap();
    file
}

fn identify(rules: &Rules, bytes: &[u8]) -> Result<Finding, Skip> {
    Identifier::new().identify_with(&memory(bytes), Some(rules))
}

#[test]
fn what_a_match_amounts_to_is_the_rules_to_say() {
    let site = Site::new();
    let rules = site.load(&[STRICT, TOLD, SILENT].concat()).unwrap();
    for (text, class, strength) in [
        (&b"the wanted program"[..], Class::MinerBinary, Strength::Strong),
        (b"told of it", Class::HashingHeavy, Strength::Medium),
        (b"somewhat odd", Class::Suspect, Strength::Weak),
    ] {
        let finding = identify(&rules, &elf(&[text])).unwrap();
        assert_eq!((finding.class, finding.evidence.len()), (class, 1), "{finding:?}");
        assert_eq!((finding.evidence[0].kind, finding.evidence[0].strength), (Kind::SiteRule, strength));
    }
    let finding = identify(&rules, &elf(&[b"wanted program, told of it"])).unwrap();
    assert_eq!((finding.class, finding.evidence.len()), (Class::MinerBinary, 2));
    assert_eq!(identify(&rules, &elf(&[b"nothing"])).unwrap().class, Class::Clean);
}

#[test]
fn a_sentence_names_the_rule_its_file_and_where_its_strings_are() {
    let site = Site::new();
    let rules = site.load(STRICT).unwrap();
    let finding = identify(&rules, &elf(&[b"wanted program", b"wanted program"])).unwrap();
    let file = site.0.path().join("a.yar").display().to_string();
    assert_eq!(
        finding.evidence[0].text,
        format!("rule strict of {file} (a test's own): $word at 0x65 and 0x98")
    );
    let many = b"wanted program".repeat(9);
    let finding = identify(&rules, &elf(&[&many])).unwrap();
    assert!(finding.evidence[0].text.ends_with("$word at 0x65 and 0x73 and 0x81 and 0x8f and more"));
}

#[test]
fn scripts_are_matched_and_other_files_are_not() {
    let site = Site::new();
    let rules = site.load(SILENT).unwrap();
    assert_eq!(identify(&rules, b"#!/bin/sh\nsomewhat odd\n").unwrap().class, Class::Suspect);
    assert!(matches!(identify(&rules, b"#!/bin/sh\nordinary\n"), Err(Skip::NotElf)));
    assert!(matches!(identify(&rules, b"somewhat odd"), Err(Skip::NotElf)));
}

#[test]
fn an_error_names_file_line_column_and_remedy() {
    let site = Site::new();
    let file = site.0.path().join("a.yar");
    let wrong = site.wrong("rule a { condition: true }\nrule b {\n  condition: $x }\n");
    assert_eq!((&wrong.file, wrong.line, wrong.column), (&file, 3, 14));
    assert!(wrong.problem.starts_with("unknown pattern"), "{wrong:?}");
    assert_eq!(wrong.remedy, "correct the rule, or leave its file out");
    let wrong = site.wrong("rule a { condition: true");
    assert_eq!((&wrong.file, wrong.line), (&file, 1));
    assert!(wrong.problem.starts_with("syntax error"), "{wrong:?}");
    let wrong = site.wrong(
        "rule a { condition: true }\nrule b\n{\n  meta:\n    miner_guard = \"kill\"\n  condition: true }",
    );
    assert_eq!((&wrong.file, wrong.line), (&file, 5));
    assert_eq!(wrong.problem, "rule b: `miner_guard` is \"kill\", which is not known here");
    assert_eq!(wrong.remedy, "write \"miner-binary\" or \"hashing-heavy\" or \"weak\"");
    let wrong = site.wrong("include \"b.yar\"\n");
    assert_eq!(wrong.remedy, "name each rule file in the policy, or by --rules");
    let wrong = site.wrong("import \"pe\" rule a { condition: pe.is_pe }");
    assert!(wrong.remedy.contains("elf, hash, math and string"), "{wrong:?}");
}

#[test]
fn every_wrong_file_is_told() {
    let site = Site::new();
    let files = ["a.yar", "b.yar"].map(|name| site.write(name, "rule x { condition: y }"));
    let troubles = Rules::load(&files, None).err().unwrap();
    assert_eq!(troubles.iter().map(|t| t.file.clone()).collect::<Vec<_>>(), files);
}

#[test]
fn rules_of_one_name_in_two_files_are_two_rules() {
    let site = Site::new();
    let files = ["a.yar", "b.yar"].map(|name| site.write(name, SILENT));
    let rules = Rules::load(&files, None).unwrap();
    let finding = identify(&rules, &elf(&[b"somewhat odd"])).unwrap();
    assert_eq!(finding.evidence.len(), 2, "{finding:?}");
    assert_eq!(rules.files(), files);
}

#[test]
fn the_modules_for_programs_can_be_used() {
    let site = Site::new();
    let text = "import \"elf\" import \"math\" import \"hash\" import \"string\"\n\
        rule exec { condition: elf.type == elf.ET_EXEC and math.entropy(0, filesize) > 0.0\n\
        and hash.md5(0, 1) != \"\" and string.to_int(\"7\") == 7 }";
    let finding = identify(&site.load(text).unwrap(), &elf(&[b"x"])).unwrap();
    assert_eq!(finding.class, Class::Suspect);
}

#[test]
fn the_same_files_are_not_compiled_again_and_others_are() {
    let site = Site::new();
    let rules = site.load(SILENT).unwrap();
    let again = Rules::load(rules.files(), Some(&rules)).unwrap();
    assert!(Arc::ptr_eq(&rules, &again));
    site.write("a.yar", TOLD);
    let other = Rules::load(rules.files(), Some(&rules)).unwrap();
    assert_ne!(rules.digest(), other.digest());
}

#[test]
fn what_takes_too_long_is_told_and_ends() {
    let site = Site::new();
    let rules = site
        .load("rule slow { condition: for all i in (0..100000000) : ( for all j in (0..100000000) : ( i + j >= 0 ) ) }")
        .unwrap();
    let start = Instant::now();
    let finding = identify(&rules, &elf(&[b"x"])).unwrap();
    assert!(start.elapsed() < engine::TIME * 4, "{:?}", start.elapsed());
    assert_eq!((finding.class, finding.evidence[0].kind), (Class::Suspect, Kind::Reading));
    assert!(finding.evidence[0].text.contains("did not come to an end in 5 s"), "{finding:?}");
}

#[test]
fn a_huge_sparse_file_is_looked_at_as_far_as_rules_go() {
    let site = Site::new();
    let rules = site.load(SILENT).unwrap();
    let file = memory(&elf(&[b"somewhat odd"]));
    file.set_len(4 << 30).unwrap();
    let finding = Identifier::new().identify_with(&file, Some(&rules)).unwrap();
    assert_eq!(finding.class, Class::Suspect);
}

#[test]
fn a_miner_by_its_content_is_one_whatever_the_rules_say() {
    use crate::identify::tests::{CLIENT, randomx};
    let site = Site::new();
    let rules = site.load(SILENT).unwrap();
    let miner = elf(&[&[&randomx()[..]], CLIENT].concat());
    assert_eq!(identify(&rules, &miner).unwrap().class, Class::MinerBinary);
}

#[test]
fn threads_match_at_the_same_time() {
    let site = Site::new();
    let rules = site.load(STRICT).unwrap();
    let program = elf(&[b"wanted program"]);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| identify(&rules, &program).unwrap().class)).collect();
        assert!(all.into_iter().all(|t| t.join().unwrap() == Class::MinerBinary));
    });
}

mod model;

use super::*;
use miner_guard_common::{
    abi::verdict::Reason,
    table::{self, Answer, Blocks, Destination, Header},
};
use std::net::Ipv4Addr;

const REQUEST: CompileRequest =
    CompileRequest { generation: 7, mode: Mode::Enforce, key: SipKey(11, 22), canary: None };

fn ask(image: &Image, address: IpAddr, port: u16) -> Option<Answer> {
    let blocks = image.blocks();
    let header = Header::read(&blocks).unwrap();
    table::destination(&blocks, &header, &Destination { address: address.into(), port })
}

/// What is said at once must be what is said when asked; "ask" may always be said.
fn quick_agrees(image: &Image, address: IpAddr, port: u16) -> bool {
    let blocks = image.blocks();
    let header = Header::read(&blocks).unwrap();
    let Some(v4) = table::Address::from(address).is_v4() else { return true };
    let quick = table::quick4(&blocks, &header, v4, port);
    let asked = ask(image, address, port).map_or(table::Listed::NOTHING, |a| table::Listed::of(&a));
    quick == table::Listed::ASK || quick == asked
}

fn verdicts(of: &[Verdict]) -> Vec<Verdict> {
    std::iter::once(Verdict::Allow).chain(of.iter().copied()).collect()
}

fn random(n: usize) -> Vec<Entry<u32>> {
    let mut x = 1_u64;
    let mut v: Vec<_> = (0..n)
        .map(|_| {
            x = x.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            Entry { key: (x >> 32) as u32, rule: 1, ports: Ports::ANY }
        })
        .collect();
    v.sort_unstable();
    v.dedup();
    v
}

/// Counts the blocks that are read below `edge`, and all of them.
struct Counted<'a> {
    blocks: &'a [Block],
    edge: u32,
    read: std::cell::Cell<[u32; 2]>,
}

impl Blocks for Counted<'_> {
    fn block(&self, index: u32) -> Option<&Block> {
        let [below, all] = self.read.get();
        self.read.set([below + u32::from(index < self.edge), all + 1]);
        self.blocks.get(index as usize)
    }
}

/// Of `n` addresses every one is found; returns the reads below `edge`, and all reads, for 10,000 that are not listed.
fn reads_of_misses(n: usize, edge: u32) -> [u32; 2] {
    let addresses = random(n);
    let verdicts = verdicts(&[Verdict::Deny]);
    let image =
        compile(&Listed { verdicts: &verdicts, addresses4: &addresses, ..Listed::default() }, &REQUEST)
            .unwrap();
    assert!(image.len() * 64 <= addresses.len() * 12 + 256, "{} blocks", image.len());
    let blocks = image.blocks();
    for e in &addresses {
        let to = Ipv4Addr::from_bits(e.key).into();
        assert_eq!(ask(&image, to, 1).map(|a| (a.rule, a.reason)), Some((1, Reason::Address)));
        let quick = table::quick4(&blocks, &Header::read(&blocks).unwrap(), e.key, 1);
        assert_eq!(
            (quick.rule(), quick.verdict(), quick.reason()),
            (1, Some(Verdict::Deny), Reason::Address as u8)
        );
    }
    let counted = Counted { blocks, edge, read: Default::default() };
    let header = Header::read(&counted).unwrap();
    counted.read.set([0, 0]);
    for i in 0..10_000 {
        let address = table::Address::v4(i * 429_497);
        assert_eq!(table::destination(&counted, &header, &Destination { address, port: 9 }), None);
    }
    counted.read.get()
}

#[test]
fn every_one_of_many_addresses_is_found_and_most_misses_read_one_bucket() {
    let [_, all] = reads_of_misses(30_000, 0);
    assert!(all < 10_800, "{all} blocks for 10,000 misses");
}

#[test]
fn before_more_addresses_a_filter_knows_most_misses_and_forgets_no_address() {
    let buckets = 60_000_usize.div_ceil(6) as u32;
    assert!(buckets >= table::FILTERED_FROM);
    let [in_buckets, all] = reads_of_misses(60_000, 2 + buckets);
    assert!(in_buckets < 600, "{in_buckets} buckets for 10,000 misses");
    assert!(all - in_buckets == 10_000, "{all} blocks for 10,000 misses");
}

#[test]
fn a_mapped_address_is_the_ipv4_address_and_nat64_reaches_it() {
    let verdicts = verdicts(&[Verdict::Deny]);
    let listed = [Entry { key: 0xc000_0207, rule: 1, ports: Ports::ANY }];
    let image =
        compile(&Listed { verdicts: &verdicts, addresses4: &listed, ..Listed::default() }, &REQUEST).unwrap();
    for text in ["192.0.2.7", "::ffff:192.0.2.7", "64:ff9b::192.0.2.7"] {
        assert!(ask(&image, text.parse().unwrap(), 1).is_some(), "{text}");
    }
    for text in ["192.0.2.8", "::192.0.2.7", "::ffff:192.0.2.6", "2001:db8::c000:207"] {
        assert_eq!(ask(&image, text.parse().unwrap(), 1), None, "{text}");
    }
}

#[test]
fn protected_ranges_are_found_and_may_overlap() {
    let v4 = |a: [u8; 4]| Ipv4Addr::from(a).to_ipv6_mapped().to_bits();
    let ranges = [
        (v4([10, 0, 0, 0]), v4([10, 0, 0, 255]), 1),
        (v4([10, 0, 0, 128]), v4([10, 0, 1, 3]), 2),
        (v4([10, 0, 0, 9]), v4([10, 0, 0, 9]), 3),
        (u128::MAX - 1, u128::MAX, 4),
    ];
    let verdicts = verdicts(&[Verdict::Allow; 4]);
    let image =
        compile(&Listed { verdicts: &verdicts, protected: &ranges, ..Listed::default() }, &REQUEST).unwrap();
    let blocks = image.blocks();
    let header = Header::read(&blocks).unwrap();
    let rule = |text: &str| {
        let address: IpAddr = text.parse().unwrap();
        table::protected(&blocks, &header, &Destination { address: address.into(), port: 1 })
    };
    assert_eq!(rule("9.255.255.255"), None);
    assert_eq!(rule("10.0.0.9"), Some(1));
    assert_eq!(rule("::ffff:10.0.1.3"), Some(2));
    assert_eq!(rule("64:ff9b::10.0.1.3"), Some(2));
    assert_eq!(rule("10.0.1.4"), None);
    assert_eq!(rule("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"), Some(4));
    assert_eq!(rule("2001:db8::1"), None);
}

#[test]
fn exempt_tasks_and_names_are_found_under_their_own_class() {
    let verdicts = verdicts(&[Verdict::Deny, Verdict::Alert, Verdict::Allow]);
    let mut names = Names::default();
    names.push("Pool.example.com", Class::Domain, 1);
    names.push("example.com", Class::DomainBelow, 2);
    names.push("good.example.com", Class::AllowedDomain, 3);
    names.sort();
    let exempt = [(Class::Uid, 1000, 3), (Class::Cgroup, 1 << 40, 3)];
    let image = compile(
        &Listed { verdicts: &verdicts, names: Some(&names), exempt: &exempt, ..Listed::default() },
        &REQUEST,
    )
    .unwrap();
    let blocks = image.blocks();
    let header = Header::read(&blocks).unwrap();
    let suffix = |text: &str| {
        let mut h = table::name_hasher(&blocks).unwrap();
        text.bytes().rev().for_each(|b| h.push(b));
        h
    };
    let name = |text: &str, whole| table::name(&blocks, &header, &suffix(text), whole).map(|a| a.rule);
    assert_eq!(name("pool.example.com", true), Some(1));
    assert_eq!(name("pool.example.com", false), None);
    assert_eq!(name("example.com", false), Some(2));
    assert_eq!(name("example.com", true), None);
    assert_eq!(table::allowed_name(&blocks, &header, &suffix("good.example.com"), true), Some(3));
    assert_eq!(table::exempt_uid(&blocks, &header, 1000), Some(3));
    assert_eq!(table::exempt_gid(&blocks, &header, 1000), None);
    assert_eq!(table::exempt_cgroup(&blocks, &header, 1 << 40), Some(3));
}

#[test]
fn the_canary_is_denied_first_on_its_own_port_and_hides_no_other_rule() {
    let verdicts = verdicts(&[Verdict::Kill]);
    let listed = [Entry { key: 0xf000_0001, rule: 1, ports: Ports::ANY }];
    let canary = Canary { cgroup: 99, address: "240.0.0.1".parse().unwrap(), port: 9 };
    let request = CompileRequest { canary: Some(canary), ..REQUEST };
    let image =
        compile(&Listed { verdicts: &verdicts, addresses4: &listed, ..Listed::default() }, &request).unwrap();
    assert_eq!(image.canary_rule(), Some(2));
    assert_eq!(ask(&image, canary.address, 9).map(|a| (a.rule, a.verdict)), Some((2, Verdict::Deny)));
    assert_eq!(ask(&image, canary.address, 10).map(|a| a.rule), Some(1));
    let blocks = image.blocks();
    let details = table::Details::read(&blocks).unwrap();
    assert_eq!((details.canary_cgroup(), details.canary_rule(), details.generation()), (99, 2, 7));
}

#[test]
fn an_address_listed_on_very_many_ports_is_still_one_answer_each() {
    let verdicts = verdicts(&[Verdict::Deny, Verdict::Alert]);
    let listed: Vec<_> =
        (0..u16::MAX).map(|p| Entry { key: 1, rule: 1 + u32::from(p % 2), ports: Ports::one(p) }).collect();
    let image =
        compile(&Listed { verdicts: &verdicts, addresses4: &listed, ..Listed::default() }, &REQUEST).unwrap();
    for port in 0..u16::MAX {
        let answer = ask(&image, "0.0.0.1".parse().unwrap(), port).unwrap();
        assert_eq!((answer.rule, answer.reason), (1 + u32::from(port % 2), Reason::AddressPort));
    }
    assert_eq!(ask(&image, "0.0.0.1".parse().unwrap(), u16::MAX), None);
}

#[test]
fn no_policy_and_a_foreign_layout_have_no_header() {
    let empty: &[Block] = &[];
    assert!(Header::read(&empty).is_none());
    let mut image = compile(&Listed::default(), &REQUEST).unwrap();
    assert_eq!(image.len(), 2);
    assert_eq!(ask(&image, "192.0.2.1".parse().unwrap(), 1), None);
    image.blocks[0].0[word::ABI_MODE as usize] ^= 0x8000;
    assert!(Header::read(&image.blocks()).is_none());
}

/// The rule of every prefix is its place in the list; longer ones come later.
fn rules(prefixes: &[(u32, u8)]) -> Vec<Entry<(u32, u8)>> {
    let mut entries: Vec<_> =
        (1..).zip(prefixes).map(|(rule, key)| Entry { key: *key, rule, ports: Ports::ANY }).collect();
    entries.sort_unstable();
    entries
}

#[test]
fn a_second_level_with_many_divided_cells_is_not_read_and_says_the_same() {
    const NET: u32 = 0x0a14_0000;
    for (divided, reads) in [(1, 3), (127, 4), (128, 2), (129, 2), (200, 2), (256, 2)] {
        // Around it, beside it, on its last quarter whole, and in each divided /24 one or two /26.
        let mut prefixes = vec![(0x0a00_0000, 9), (NET + 0x0001_0000, 30), (NET + 0xc000, 18)];
        for i in 0..divided {
            let third = i * 5 % 256;
            prefixes.extend((0..=i % 2).map(|n| (NET + third * 256 + 128 * n, 26)));
        }
        let verdicts = verdicts(&vec![Verdict::Deny; prefixes.len()]);
        let listed = Listed { verdicts: &verdicts, prefixes4: &rules(&prefixes), ..Listed::default() };
        let image = compile(&listed, &REQUEST).unwrap();
        let mut most = 0;
        for address in NET - 300..NET + 0x1_0000 + 300 {
            let around = |&&(net, bits): &&(u32, u8)| (net ^ address) >> (32 - u32::from(bits)) == 0;
            let want = prefixes.iter().rposition(|p| around(&p));
            let to = Ipv4Addr::from_bits(address).into();
            assert_eq!(ask(&image, to, 1).map(|a| a.rule as usize), want.map(|i| i + 1), "{divided}: {to}");
            let counted = Counted { blocks: image.blocks(), edge: 0, read: Default::default() };
            let header = Header::read(&counted).unwrap();
            counted.read.set([0; 2]);
            table::quick4(&counted, &header, address, 1);
            if address >> 16 == NET >> 16 {
                most = most.max(counted.read.get()[1]);
            }
        }
        // The index and the last chunk; between them the second level's, and its values if there are many.
        assert_eq!(most, reads, "blocks read where {divided} are divided");
    }
}

#[test]
fn writing_an_image_clears_what_was_there() {
    let image = compile(&Listed::default(), &REQUEST).unwrap();
    let mut map = vec![Block([9; 16]); 4];
    image.write(&mut map);
    assert_eq!(&map[..2], image.blocks());
    assert_eq!(&map[2..], [Block::ZERO; 2]);
}

/// A measurement, not a test: `cargo test --release -p miner-guard -- --ignored --nocapture how_long`.
#[test]
#[ignore = "prints how long compiling takes"]
fn how_long_a_million_addresses_take() {
    let addresses = random(1_000_000);
    let prefixes: Vec<_> =
        random(100_000).iter().map(|e| Entry { key: (e.key, 26), rule: 1, ports: Ports::ANY }).collect();
    let verdicts = verdicts(&[Verdict::Deny]);
    for (what, listed) in [
        ("1 M addresses", Listed { verdicts: &verdicts, addresses4: &addresses, ..Listed::default() }),
        ("100 k prefixes", Listed { verdicts: &verdicts, prefixes4: &prefixes, ..Listed::default() }),
    ] {
        for _ in 0..3 {
            let start = std::time::Instant::now();
            let image = compile(&listed, &REQUEST).unwrap();
            println!("{what}: {:?}, {} bytes", start.elapsed(), image.len() * 64);
        }
    }
}

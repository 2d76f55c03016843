//! The compiled tables against a model that is slow and plain.

use super::*;
use miner_guard_common::{abi::verdict::Reason, table::Answer};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

#[derive(Clone, Debug, Default)]
struct Model {
    verdicts: Vec<Verdict>,
    prefixes: Vec<Entry<(u128, u8)>>,
    ports: Vec<Entry<()>>,
    v6: bool,
}

impl Model {
    fn bits(&self) -> u32 {
        if self.v6 { 128 } else { 32 }
    }

    /// The order of a verdict, word for word: slow and plain.
    fn ask(&self, address: u128, port: u16) -> Option<Answer> {
        let full = self.bits() as u8;
        let stage = |exact: bool| {
            let mut found: Vec<_> = self
                .prefixes
                .iter()
                .filter(|e| (e.key.1 == full) == exact && e.ports.low <= port && port <= e.ports.high)
                .filter(|e| {
                    let (first, last) = flatten::ends(e.key.0, e.key.1, self.bits());
                    (first..=last).contains(&address)
                })
                .collect();
            found.sort_by_key(|e| (e.ports == Ports::ANY, std::cmp::Reverse(e.key.1), e.rule));
            found
                .into_iter()
                .map(move |e| {
                    let plain = if exact { Reason::Address } else { Reason::Prefix };
                    (e.rule, if e.ports == Ports::ANY { plain } else { Reason::AddressPort })
                })
                .collect::<Vec<_>>()
        };
        let mut ports: Vec<_> =
            self.ports.iter().filter(|e| e.ports.low <= port && port <= e.ports.high).collect();
        ports.sort_by_key(|e| (e.ports == Ports::ANY, e.rule));
        let all = stage(true)
            .into_iter()
            .chain(stage(false))
            .chain(ports.into_iter().map(|e| (e.rule, Reason::Port)))
            .map(|(rule, reason)| Answer { rule, verdict: self.verdicts[rule as usize], reason })
            .collect::<Vec<_>>();
        all.iter().find(|a| a.verdict.stops()).or(all.first()).copied()
    }

    fn compile(&self) -> Image {
        let (exact, prefixes): (Vec<Entry<_>>, Vec<Entry<_>>) =
            self.prefixes.iter().copied().partition(|e| u32::from(e.key.1) == self.bits());
        let exact4: Vec<_> =
            exact.iter().map(|e| Entry { key: e.key.0 as u32, rule: e.rule, ports: e.ports }).collect();
        let exact6: Vec<_> =
            exact.iter().map(|e| Entry { key: e.key.0, rule: e.rule, ports: e.ports }).collect();
        let prefixes4: Vec<_> = prefixes
            .iter()
            .map(|e| Entry { key: (e.key.0 as u32, e.key.1), rule: e.rule, ports: e.ports })
            .collect();
        let mut listed = Listed { verdicts: &self.verdicts, ports: &self.ports, ..Listed::default() };
        if self.v6 {
            (listed.addresses6, listed.prefixes6) = (&exact6, &prefixes);
        } else {
            (listed.addresses4, listed.prefixes4) = (&exact4, &prefixes4);
        }
        compile(&listed, &REQUEST).unwrap()
    }
}

fn spans() -> impl Strategy<Value = Ports> {
    // Few values, so that rules meet.
    let port = prop_oneof![Just(0_u16), Just(80), Just(81), Just(3333), Just(65535), any::<u16>()];
    prop_oneof![
        3 => Just(Ports::ANY),
        2 => port.clone().prop_map(Ports::one),
        1 => (port.clone(), port).prop_map(|(a, b)| Ports { low: a.min(b), high: a.max(b) }),
    ]
}

fn models(v6: bool) -> impl Strategy<Value = Model> {
    let verdict = prop_oneof![Just(Verdict::Alert), Just(Verdict::Deny), Just(Verdict::Kill)];
    let bits = if v6 { 128_u8 } else { 32 };
    (1_u32..6)
        .prop_flat_map(move |rules| {
            // Addresses that differ in few bits, so that prefixes nest.
            let address = (any::<u8>(), any::<u8>(), any::<u8>(), 0_u8..4).prop_map(move |(a, b, c, d)| {
                let (a, b, c) = (a & 1, b & 3, c & 0x81);
                let v4 = u128::from(u32::from_be_bytes([10 + a, b, c, d]));
                if v6 { 0x2001_0db8_u128 << 96 | v4 << 40 | u128::from(d) } else { v4 }
            });
            let len = prop_oneof![2 => Just(bits), 1 => 0..=bits, 1 => bits / 2..=bits];
            let entry = (address, len, spans(), 1..=rules).prop_map(|(a, len, ports, rule)| Entry {
                key: (a, len),
                rule,
                ports,
            });
            let port = (spans(), 1..=rules).prop_map(|(ports, rule)| Entry { key: (), rule, ports });
            (
                prop::collection::vec(verdict.clone(), rules as usize),
                prop::collection::vec(entry, 0..40),
                prop::collection::vec(port, 0..3),
            )
        })
        .prop_map(move |(mut verdicts, prefixes, ports)| {
            verdicts.insert(0, Verdict::Allow);
            Model { verdicts, prefixes, ports, v6 }
        })
}

fn agree(model: &Model, extra: &[u128]) -> Result<(), TestCaseError> {
    let image = model.compile();
    let mut addresses = extra.to_vec();
    for e in &model.prefixes {
        let (first, last) = flatten::ends(e.key.0, e.key.1, model.bits());
        addresses.extend([first, last, first.wrapping_sub(1), last.wrapping_add(1), e.key.0]);
    }
    let mut ports = vec![0, 1, 79, 80, 82, 3333, 65534, 65535];
    ports.extend(model.prefixes.iter().flat_map(|e| [e.ports.low, e.ports.high.wrapping_add(1)]));
    for address in addresses {
        let ip: IpAddr = if model.v6 {
            Ipv6Addr::from_bits(address).into()
        } else {
            Ipv4Addr::from_bits(address as u32).into()
        };
        let address = if model.v6 { address } else { u128::from(address as u32) };
        for &port in &ports {
            prop_assert_eq!(ask(&image, ip, port), model.ask(address, port), "{} port {}", ip, port);
            prop_assert!(quick_agrees(&image, ip, port), "{} port {}", ip, port);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_compiled_ipv4_policy_answers_as_the_plain_model(model in models(false), other: [u32; 4]) {
        agree(&model, &other.map(u128::from))?;
    }

    #[test]
    fn the_compiled_ipv6_policy_answers_as_the_plain_model(model in models(true), other: [u128; 4]) {
        agree(&model, &other)?;
    }

    #[test]
    fn what_is_protected_is_found_wherever_it_lies(
        ranges in prop::collection::vec((any::<u32>(), 0..1_u32 << 28, any::<bool>()), 1..6), other: u32
    ) {
        // IPv4 ranges, and the same numbers as IPv6.
        let base = |v6: bool| if v6 { 0x2001_0db8_u128 << 96 } else { 0xffff << 32 };
        let ranges: Vec<(u128, u128, u32)> = ranges
            .iter()
            .map(|&(first, len, v6)| (base(v6) | u128::from(first), base(v6) | u128::from(first.saturating_add(len)), 1))
            .collect();
        let verdicts = verdicts(&[Verdict::Allow]);
        let image = compile(&Listed { verdicts: &verdicts, protected: &ranges, ..Listed::default() }, &REQUEST).unwrap();
        let blocks = image.blocks();
        let header = Header::read(&blocks).unwrap();
        let ends = ranges.iter().flat_map(|r| [r.0, r.1, r.0 - 1, r.1 + 1]);
        for n in ends.chain([base(false) | u128::from(other), base(true) | u128::from(other)]) {
            let to = Destination { address: Ipv6Addr::from_bits(n).into(), port: 1 };
            let inside = ranges.iter().any(|r| r.0 <= n && n <= r.1);
            prop_assert_eq!(table::protected(&blocks, &header, &to).is_some(), inside, "{}", Ipv6Addr::from_bits(n));
        }
    }

    #[test]
    fn any_blocks_at_all_are_read_without_a_panic(
        words in prop::collection::vec(any::<u32>(), 32..512), address: u32, port: u16
    ) {
        let mut blocks: Vec<Block> = words.as_chunks::<16>().0.iter().map(|w| Block(*w)).collect();
        blocks[0].0[0] = MAGIC;
        set_mode(&mut blocks[0], Mode::Audit);
        // Sections inside the blocks, so that the readers get somewhere.
        for at in [3, 5, 6, 7, 9, 11, 13] {
            blocks[0].0[at] %= 40;
        }
        let blocks = blocks.as_slice();
        let header = Header::read(&blocks).unwrap();
        for address in [IpAddr::from(Ipv4Addr::from_bits(address)), Ipv6Addr::from_bits(u128::from(address) << 90).into()] {
            let to = Destination { address: address.into(), port };
            let _ = table::destination(&blocks, &header, &to);
            let _ = table::protected(&blocks, &header, &to);
            if let Some(v4) = to.address.is_v4() {
                let _ = table::quick4(&blocks, &header, v4, port);
            }
            let _ = table::exempt_uid(&blocks, &header, port.into());
        }
    }
}

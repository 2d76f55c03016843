//! The same batches by one process under each of several configurations: what each of them adds.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{
    Bench,
    bpf::Hook,
    guard::Guard,
    page::{Table, ns},
    place::{Cgroup, Netns},
    stats::{Added, Random, added, median},
    worker::{Mode, Worker},
};

/// What is in force where a worker sits.
pub enum Under<'a> {
    Nothing,
    /// Programs that do nothing, at each packet out and in.
    EmptyHooks,
    /// The guard, in enforce, with this policy.
    Guard(&'a str),
}

/// A row of the table: its name, that of its cgroup and namespace, and what is in force. The first one is what the others
/// are compared with.
pub type Configuration<'a> = (&'static str, &'static str, Under<'a>);

/// What it came to: the table, and for each mode what each configuration adds to the first one.
pub struct Measured {
    pub table: Table,
    pub added: Vec<Vec<Added>>,
}

/// Dropped in this order.
struct Place {
    worker: Worker,
    _hook: Option<Hook>,
    _guard: Option<Guard>,
    _netns: Netns,
    _cgroup: Cgroup,
}

impl Place {
    fn new(bench: &Bench, dial: &Path, (_, short, under): &Configuration<'_>) -> Result<Self> {
        let (cgroup, netns) = (Cgroup::new(short)?, Netns::new(short)?);
        let (mut hook, mut guard) = (None, None);
        match under {
            Under::Nothing => {}
            Under::EmptyHooks => hook = Some(Hook::packets(cgroup.path())?),
            Under::Guard(policy) => {
                guard = Some(Guard::start(&bench.guard, bench.scratch.path(), short, &cgroup, policy)?);
            }
        }
        let worker = Worker::start(netns.command(&bench.worker), dial, &bench.tiny, &cgroup)?;
        Ok(Self { worker, _hook: hook, _guard: guard, _netns: netns, _cgroup: cgroup })
    }
}

/// One batch of `calls` of each configuration a round, in another order each time. Nothing may be refused.
pub fn run(
    bench: &Bench,
    dial: &Path,
    configurations: &[Configuration<'_>],
    modes: &[(Mode, &str)],
    calls: u32,
) -> Result<Measured> {
    let mut all = Vec::new();
    for configuration in configurations {
        all.push(Place::new(bench, dial, configuration)?);
    }
    let mut table = Table::new(&["configuration"]);
    let mut rows: Vec<Vec<String>> =
        configurations.iter().map(|(name, ..)| vec![(*name).to_owned()]).collect();
    let mut costs = Vec::new();
    let mut random = Random::new(29);
    for (mode, title) in modes {
        let mut samples = vec![Vec::new(); all.len()];
        let mut order: Vec<usize> = (0..all.len()).collect();
        for _ in 0..bench.rounds {
            random.shuffle(&mut order);
            for &i in &order {
                let (ns, refused) = all[i].worker.batch(*mode, calls)?;
                ensure!(refused == 0, "{title}: {refused} of {calls} were refused");
                samples[i].push(ns);
            }
        }
        table.column(&format!("{title} ({} alone)", ns(median(&samples[0]))));
        let added: Vec<Added> = samples.iter().map(|values| added(values, &samples[0])).collect();
        for (a, row) in added.iter().zip(&mut rows) {
            row.push(a.to_string());
        }
        costs.push(added);
    }
    rows.into_iter().skip(1).for_each(|row| table.row(row));
    Ok(Measured { table, added: costs })
}

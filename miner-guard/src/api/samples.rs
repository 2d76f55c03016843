//! A status, and a loop that answers as a daemon would: for the tests.

use std::{path::PathBuf, sync::Arc};

use miner_guard_common::abi::verdict::{Mode, Reason, Verdict};
use tokio::sync::{mpsc, oneshot};

use super::{control::*, hub::Hub, server, socket::Bound};
use crate::event::model::{Action, Event, GuardNews};

/// An event with this message.
pub(crate) fn news(message: &str) -> Arc<Event> {
    let news = GuardNews {
        action: Action::PolicyReloaded,
        mode: Mode::Audit,
        generation: 1,
        message: message.to_owned(),
        evidence: Vec::new(),
    };
    Arc::new(Event::of_guard(jiff::Timestamp::UNIX_EPOCH, None, news))
}

fn map(rows: &[(&str, u64)]) -> std::collections::BTreeMap<String, u64> {
    rows.iter().map(|(k, n)| ((*k).to_owned(), *n)).collect()
}

pub(crate) fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        abi: 1,
        pid: 4711,
        mode: Mode::Enforce,
        generation: 7,
        fingerprint: "3f2a9c0d".into(),
        rules: 12,
        indicators: map(&[("addresses", 4600), ("domains", 113)]),
        uptime_s: 11_530,
        hooks: vec![
            HookState { name: "connect4".into(), state: Attachment::Attached, why: None },
            HookState {
                name: "lsm-exec".into(),
                state: Attachment::Unavailable,
                why: Some("`bpf` is not among the active LSMs".into()),
            },
        ],
        canary: Canary { state: Proof::Proven, why: None, at: Some("2026-01-02T03:04:05Z".into()) },
        losses: map(&[("ring-connect", 2), ("aggregated", 9)]),
        events: map(&[("deny", 3), ("alert", 10)]),
        feeds: vec![FeedState {
            id: "builtin".into(),
            source: "built in".into(),
            used: 4713,
            ..FeedState::default()
        }],
        domains_note: Some("113 domains take no effect yet".into()),
        config: None,
        cgroup: "/sys/fs/cgroup".into(),
        pin_dir: "/sys/fs/bpf/miner-guard".into(),
        kernel: "6.1.0".into(),
        lsm: "lockdown,apparmor".into(),
        gpu: "no GPU".into(),
        isolated: Vec::new(),
    }
}

fn answer(command: Command, mode: &mut Mode) -> Result<Reply, CommandError> {
    Ok(match command {
        Command::Status => Reply::Status(Box::new(Status { mode: *mode, ..status() })),
        Command::SetMode(wanted) => {
            let changed = *mode != wanted;
            *mode = wanted;
            Reply::Mode(ModeReply { mode: wanted, generation: 8, changed })
        }
        Command::PolicyList => Reply::Policy(PolicyList {
            generation: 7,
            fingerprint: "3f2a9c0d".into(),
            mode: *mode,
            rules: vec![RuleView {
                id: "lab-pool".into(),
                action: "deny".into(),
                matches: "ip 192.0.2.0/24, port 3333".into(),
                origin: "config.toml:3".into(),
            }],
        }),
        Command::PolicyDiff => Reply::Changes(Changes { added: vec!["new".into()], ..Changes::default() }),
        Command::Reload => {
            return Err(CommandError::Policy(vec![
                "config.toml:3:1: rule.ip: `192.0.2.300` is no address; write it as a.b.c.d".into(),
                "config.toml:9:1: rule.id: `a` is there twice; rename one".into(),
            ]));
        }
        Command::FeedList => Reply::Feeds(FeedList {
            generation: 7,
            feeds: vec![FeedState {
                id: "site".into(),
                source: "/etc/pools.txt".into(),
                used: 3,
                ..FeedState::default()
            }],
        }),
        Command::FeedUpdate(FeedUpdateRequest { id, force }) => {
            let outcome = if force { UpdateOutcome::Updated } else { UpdateOutcome::Refused };
            let why = (!force).then(|| "/etc/pools.txt lists nothing, and listed 3 indicators before".into());
            let feed = FeedOutcome { id: id.unwrap_or("site".into()), outcome, used: 3, refused: 0, why };
            Reply::FeedUpdate(FeedUpdate { generation: 8, feeds: vec![feed] })
        }
        Command::Cases => Reply::Cases(CaseList { cases: Vec::new(), evicted: 3 }),
        Command::Isolate(IsolationRequest { target, .. }) => Reply::Isolation(Isolation {
            cgroup: target,
            isolated: true,
            enforced: true,
            changed: true,
            all: Vec::new(),
        }),
        Command::Release(cgroup) => Reply::Isolation(Isolation {
            cgroup,
            isolated: false,
            enforced: false,
            changed: true,
            all: Vec::new(),
        }),
        Command::Case(id) => return Err(CommandError::Request(format!("there is no case `{id}`"))),
        Command::Explain(thing) if thing == "?" => {
            return Err(CommandError::Request("`?` is no address, domain, path or pid".into()));
        }
        Command::Learned => Reply::Learned(LearnedList {
            addresses: vec![LearnedAddress {
                address: "192.0.2.9".parse().unwrap(),
                cause: "pool.example".into(),
                rule: "lab-pool".into(),
                chain: "www.example → pool.example".into(),
                denied: vec![LearnedFor { cgroup: "/job".into(), until: "2026-01-02T03:04:05Z".into() }],
                suspect_until: "2026-01-02T03:04:05Z".into(),
            }],
            left_out: map(&[("evicted", 1)]),
        }),
        Command::Forget(which) => {
            Reply::Forgotten(Forgotten { forgotten: if which.is_some() { 1 } else { 5 } })
        }
        Command::Explain(thing) => Reply::Explanation(Box::new(Explanation {
            thing,
            kind: "address".into(),
            verdict: Verdict::Deny,
            reason: Reason::Address,
            enforced: true,
            rule: Some("lab-pool".into()),
            origin: Some("config.toml:3".into()),
            steps: vec!["protected destination: no".into(), "listed address: yes".into()],
            case: None,
        })),
    })
}

/// A guard without a kernel, answering on a socket until it is dropped.
pub(crate) struct FakeGuard {
    dir: tempfile::TempDir,
    pub(crate) hub: Hub,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FakeGuard {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bound = Bound::at(&dir.path().join("api.sock")).unwrap();
        let hub = Hub::keeping(64);
        let (stop, stopped) = oneshot::channel();
        let watched = hub.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (commands, mut asked) = mpsc::channel::<Asked>(8);
                let answering = async {
                    let mut mode = Mode::Audit;
                    while let Some((command, to)) = asked.recv().await {
                        let _ = to.send(answer(command, &mut mode));
                    }
                };
                tokio::select! {
                    served = server::serve(bound, commands, watched) => served.unwrap(),
                    () = answering => {}
                    _ = stopped => {}
                }
            });
        });
        Self { dir, hub, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }
}

impl Drop for FakeGuard {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

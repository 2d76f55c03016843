//! Connections that are ended although they are open: those that a new rule stops ([`sweep`]), and those of which the egress
//! hook has just dropped what they said, so that their programs hear of it at once ([`reset`]).
//!
//! Each on a thread of its own: a machine with many sockets and network namespaces holds nobody up.

mod holders;
mod reset;
mod sweep;

use std::{io, net::SocketAddr, sync::mpsc, thread};

use miner_guard_common::abi::verdict::Mode;

use super::start::Guard;
use crate::{
    event::decode::PacketRecord,
    kernel::sockets::{self, SocketId},
};
use sweep::Sweep;
pub use sweep::Swept;

/// Network namespaces that are looked into.
const NAMESPACES: usize = 1024;
/// Connections that wait to be reset.
const QUEUE: usize = 1024;

/// The threads. They end with this.
#[derive(Debug)]
pub struct Closer {
    sweeps: mpsc::Sender<Sweep>,
    resets: mpsc::SyncSender<SocketId>,
}

impl Closer {
    /// Starts them. `report` is called on the sweeping thread; `false`: nobody listens any more.
    pub fn start(report: impl Fn(Swept) -> bool + Send + 'static) -> io::Result<Self> {
        let (sweeps, asked) = mpsc::channel();
        thread::Builder::new().name("sweep".into()).spawn(move || sweep::on_request(&asked, report))?;
        let (resets, cut) = mpsc::sync_channel(QUEUE);
        thread::Builder::new().name("reset".into()).spawn(move || reset::on_request(&cut))?;
        Ok(Self { sweeps, resets })
    }
}

impl Guard {
    /// Looks for connections that are open to what is denied by now; [`Guard::swept`] hears of them.
    pub(super) fn sweep(&self) {
        let image = match self.tables.image() {
            Ok(image) => image,
            Err(e) => return tracing::warn!("open connections are not looked at: {e}"),
        };
        let sweep = Sweep {
            image,
            files: self.lists(),
            learned: self.learner.rows(),
            mode: self.mode,
            generation: self.generation,
            cgroups: self.preflight.cgroup_root.clone(),
            scope: (!self.guarded.whole_host).then_some(self.guarded.id),
        };
        if self.closer.sweeps.send(sweep).is_err() {
            tracing::error!("open connections are not looked at: the thread for it has ended");
        }
    }

    /// Tells what a sweep found.
    pub(super) fn swept(&mut self, swept: Swept) {
        for trouble in &swept.troubles {
            tracing::warn!("open connections: {trouble}");
        }
        self.teller.lose("open-connections", swept.untold);
        for record in swept.records {
            self.teller.offer(record);
        }
    }

    /// Resets a connection of which the egress hook has dropped a packet: its program would wait for an answer for minutes.
    pub(super) fn reset(&mut self, cut: &PacketRecord) {
        if !cut.head.enforced || cut.head.mode != Mode::Enforce || cut.protocol != sockets::TCP || cut.frame {
            return;
        }
        let id = SocketId {
            protocol: sockets::TCP,
            local: canonical(cut.source),
            remote: canonical(cut.destination),
            cookie: Some(cut.cookie),
            pid: (cut.head.pid != 0).then_some(cut.head.pid),
            interface: 0,
        };
        if self.closer.resets.try_send(id).is_err() {
            // It stays cut, and hangs until its program gives up.
            self.teller.lose("reset-queue", 1);
        }
    }
}

fn canonical(a: SocketAddr) -> SocketAddr {
    SocketAddr::new(a.ip().to_canonical(), a.port())
}

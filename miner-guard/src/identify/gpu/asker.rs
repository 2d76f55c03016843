//! The thread that asks the driver, so that nobody else waits for it.

use super::{Gpus, Use};
use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
};

/// Asks when told to, and keeps what was said. Its thread ends with it, unless the driver never answers.
#[derive(Debug)]
pub struct Asker {
    ask: SyncSender<()>,
    answers: Receiver<(String, Vec<Use>)>,
    described: String,
    uses: Vec<Use>,
}

impl Asker {
    /// Begins, and asks for the GPUs' names.
    ///
    /// # Errors
    /// There can be no further thread.
    pub fn start(mut gpus: Gpus) -> io::Result<Self> {
        let (ask, asked) = sync_channel::<()>(1);
        let (say, answers) = sync_channel(1);
        thread::Builder::new().name("gpu".into()).spawn(move || {
            let mut answer = (gpus.describe(), Vec::new());
            while say.send(answer).is_ok() && asked.recv().is_ok() {
                answer = gpus.look();
            }
        })?;
        Ok(Self { ask, answers, described: "the driver has not answered yet".to_owned(), uses: Vec::new() })
    }

    /// As [`Gpus::describe`], when it was last asked.
    #[must_use]
    pub fn described(&mut self) -> &str {
        self.hear();
        &self.described
    }

    /// Has the driver asked; [`Self::take`] gives what it says. Nothing more is asked while it has not answered.
    pub fn ask(&self) {
        if let Err(TrySendError::Disconnected(())) = self.ask.try_send(()) {
            tracing::debug!("the thread that asks for GPUs is gone");
        }
    }

    /// What processes did on GPUs, once.
    #[must_use]
    pub fn take(&mut self) -> Vec<Use> {
        self.hear();
        std::mem::take(&mut self.uses)
    }

    fn hear(&mut self) {
        while let Ok((described, uses)) = self.answers.try_recv() {
            self.described = described;
            self.uses.extend(uses);
        }
    }
}

//! A rebuilder that works when it is asked for outcomes.

use super::{Outcome, Rebuilder, Work, Worker};

/// Events folded between two looks at what has come of them.
const SLICE: usize = 1024;

/// Makes reports again on the caller's thread, without delay: for tests and examples.
pub(crate) struct InlineRebuilder(Worker);

impl InlineRebuilder {
    pub(crate) fn new(worker: Worker) -> Self {
        Self(worker)
    }
}

impl Rebuilder for InlineRebuilder {
    fn submit(&mut self, work: Work) {
        self.0.submit(work);
    }

    fn poll(&mut self) -> Option<Outcome> {
        loop {
            if let Some(outcome) = self.0.take_outcome() {
                return Some(outcome);
            }
            if !self.0.work(SLICE) {
                return self.0.take_outcome();
            }
        }
    }

    fn committed(&mut self, sequence: u64) {
        self.0.committed(sequence);
    }
}

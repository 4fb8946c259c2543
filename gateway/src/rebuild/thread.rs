//! A rebuilder on a thread of its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Outcome, Rebuilder, Work, Worker};

/// Events folded between two looks at what else there is to do.
const SLICE: usize = 4096;
/// How long it waits for events that are not in the journal yet.
const WAIT_FOR_EVENTS: Duration = Duration::from_millis(1);
/// How often it looks whether a checkpoint is due.
const WAIT_FOR_WORK: Duration = Duration::from_millis(100);

/// Makes reports again on a thread of its own, which sleeps while there is nothing to do.
pub(crate) struct ThreadRebuilder {
    /// `None` once it has been told to end.
    work: Option<Sender<Work>>,
    outcomes: Receiver<Outcome>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    committed: AtomicU64,
    stop: AtomicBool,
}

impl ThreadRebuilder {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no room for it.
    pub(crate) fn start(worker: Worker) -> io::Result<Self> {
        let ((work, todo), (done, outcomes)) = (channel(), channel());
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("fix-rebuild".to_owned());
        let thread = thread.spawn(move || run(worker, &todo, &done, &of_thread))?;
        Ok(Self { work: Some(work), outcomes, shared, thread: Some(thread) })
    }
}

/// The thread. Ends when it is told to, or nobody takes its outcomes any more.
fn run(mut worker: Worker, todo: &Receiver<Work>, done: &Sender<Outcome>, shared: &Shared) {
    while !shared.stop.load(Ordering::Acquire) {
        todo.try_iter().for_each(|work| worker.submit(work));
        worker.committed(shared.committed.load(Ordering::Acquire));
        let worked = worker.work(SLICE);
        while let Some(outcome) = worker.take_outcome() {
            if done.send(outcome).is_err() {
                return;
            }
        }
        if worked {
            continue;
        }
        let patience = if worker.pause() { WAIT_FOR_EVENTS } else { WAIT_FOR_WORK };
        match todo.recv_timeout(patience) {
            Ok(work) => worker.submit(work),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Rebuilder for ThreadRebuilder {
    fn submit(&mut self, work: Work) {
        // Its thread ends only with this one, or by a panic, which the next poll tells.
        let _ = self.work.as_ref().map(|sender| sender.send(work));
    }

    fn poll(&mut self) -> Option<Outcome> {
        match self.outcomes.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => panic!("the thread that makes reports again has ended"),
        }
    }

    fn committed(&mut self, sequence: u64) {
        self.shared.committed.store(sequence, Ordering::Release);
    }
}

impl Drop for ThreadRebuilder {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.work = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

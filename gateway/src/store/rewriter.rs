//! The store's side of a rewriting: when it begins, the thread that does it, and taking over the new file.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use super::adopt::{push_heads, push_numbers};
use super::entry::{EntryKind, file_header, push_number};
use super::recent::Recent;
use super::rewrite::{Failed, Moved, Needed, Plan, Rewrite, Rewritten};
use super::{FORMAT, SessionState, Store, Stored};

/// How the new file is named while it is written.
const ENDING: &str = "rewriting";
/// A rewriting that has failed is tried again when the file has grown by this part of its limit.
const AGAIN_PART: u64 = 8;

/// What the thread is asked for.
enum Job {
    Rewrite(Plan),
    /// The old file and what was known of its messages: giving back so much disk and memory takes a while.
    Drop {
        _file: File,
        _messages: Vec<VecDeque<Stored>>,
    },
}

/// Rewrites the file on a thread of its own, which sleeps until it is asked to. It is started with the store, not by
/// the gateway's thread: that may be pinned, and its children with it.
pub(super) struct Rewriter {
    /// `None` once it has been told to end.
    jobs: Option<Sender<Job>>,
    outcomes: Receiver<Result<Rewritten, Failed>>,
    committed: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    busy: bool,
    /// Not before the file is so long.
    not_below: u64,
}

impl Rewriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no room for it.
    pub(super) fn start() -> io::Result<Self> {
        let ((jobs, todo), (done, outcomes)) = (channel::<Job>(), channel());
        let stop = Arc::new(AtomicBool::new(false));
        let of_thread = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("fix-store".to_owned()).spawn(move || {
            for job in todo {
                if let Job::Rewrite(plan) = job
                    && let Some(outcome) = run(plan, &of_thread)
                    && done.send(outcome).is_err()
                {
                    return;
                }
            }
        })?;
        Ok(Self {
            jobs: Some(jobs),
            outcomes,
            committed: Arc::default(),
            stop,
            thread: Some(thread),
            busy: false,
            not_below: 0,
        })
    }

    fn submit(&self, job: Job) {
        // Its thread ends only with this one, or by a panic, which the next poll tells.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(job));
    }

    /// Whether the file is being rewritten.
    #[inline]
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// So much of the old file is committed.
    #[inline]
    pub(super) fn committed(&self, length: u64) {
        self.committed.store(length, Ordering::Release);
    }

    /// What has come of a rewriting.
    fn poll(&mut self) -> Option<Result<Rewritten, Failed>> {
        match self.outcomes.try_recv() {
            Ok(outcome) => {
                self.busy = false;
                Some(outcome)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => panic!("the thread that rewrites the session store has ended"),
        }
    }
}

impl Drop for Rewriter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Rewrites the file; `None` if nobody wants it any more.
fn run(plan: Plan, stop: &AtomicBool) -> Option<Result<Rewritten, Failed>> {
    let target = plan.target.clone();
    let mut rewrite = match Rewrite::begin(plan) {
        Ok(rewrite) => rewrite,
        Err(failed) => return Some(Err(failed)),
    };
    loop {
        if stop.load(Ordering::Acquire) {
            let _ = std::fs::remove_file(&target);
            return None;
        }
        match rewrite.step() {
            Ok(true) => {}
            Ok(false) => return Some(Ok(rewrite.finish())),
            Err(failed) => return Some(Err(failed)),
        }
    }
}

/// Removes what a process that was killed while it rewrote has left behind.
pub(super) fn remove_leftover(path: &Path) {
    let _ = std::fs::remove_file(path.with_extension(ENDING));
}

impl Store {
    /// What is to be done to write the file again without what is not needed now.
    pub(super) fn plan_rewriting(&self) -> io::Result<Plan> {
        let mut head = file_header(FORMAT, self.gateway).to_vec();
        push_heads(&self.sessions, &mut head);
        let mut numbers = Vec::new();
        push_numbers(&self.sessions, &mut numbers);
        push_number(&mut numbers, EntryKind::Commit, 0, self.applied);
        self.rewriter.committed(self.file_length);
        Ok(Plan {
            source: self.file.try_clone()?,
            target: self.path.with_extension(ENDING),
            needed: self.sessions.iter().map(SessionState::needed).collect(),
            head,
            numbers,
            upto: self.file_length,
            committed: Arc::clone(&self.rewriter.committed),
        })
    }

    /// Has the file rewritten if it is too long and mostly of no use. Only committed state is rewritten.
    pub(super) fn begin_rewriting(&mut self) {
        debug_assert!(self.pending.is_empty(), "only committed state is rewritten");
        if self.rewriter.busy || self.file_length < self.rewriter.not_below {
            return;
        }
        match self.plan_rewriting() {
            Ok(plan) => {
                self.rewriter.busy = true;
                self.rewriter.submit(Job::Rewrite(plan));
            }
            Err(error) => self.postpone_rewriting(&error),
        }
    }

    /// Takes over the rewritten file if it is there.
    ///
    /// # Errors
    /// When a file failed; the gateway must stop then.
    pub(super) fn end_rewriting(&mut self) -> io::Result<()> {
        match self.rewriter.poll() {
            None => Ok(()),
            Some(outcome) => {
                let outcome = outcome.and_then(|rewritten| self.take_over(rewritten));
                self.settle(outcome)
            }
        }
    }

    /// A failure that says nothing about the disk's health is told, and the old file goes on.
    fn settle(&mut self, outcome: Result<(), Failed>) -> io::Result<()> {
        match outcome {
            Ok(()) => Ok(()),
            Err(Failed { error, harmless: true }) => {
                self.postpone_rewriting(&error);
                Ok(())
            }
            Err(Failed { error, .. }) => Err(error),
        }
    }

    /// There is no room for the new file: the old one goes on.
    fn postpone_rewriting(&mut self, error: &io::Error) {
        remove_leftover(&self.path);
        self.rewriter.not_below = self.file_length + self.limits.file_bytes / AGAIN_PART;
        self.notes.push(format!(
            "the session store {} cannot be rewritten now, it grows until it can: {error}",
            self.path.display()
        ));
    }

    /// Rewrites the file at once: at the start, when nobody waits.
    pub(super) fn compact(&mut self) -> io::Result<()> {
        assert!(self.pending.is_empty(), "only committed state is rewritten");
        let mut rewrite = match self.plan_rewriting().map_err(Failed::from).and_then(Rewrite::begin) {
            Ok(rewrite) => rewrite,
            Err(failed) => return self.settle(Err(failed)),
        };
        let outcome = loop {
            match rewrite.step() {
                Ok(true) => {}
                Ok(false) => break self.take_over(rewrite.finish()),
                Err(failed) => break Err(failed),
            }
        };
        self.settle(outcome)
    }

    /// Puts the new file in the old one's place. What came since it was written is copied first; what is pending goes to
    /// the new one.
    pub(super) fn take_over(&mut self, rewritten: Rewritten) -> Result<(), Failed> {
        let Rewritten { file, path, copied, length, upto, base, sessions } = rewritten;
        let mut rest = vec![0; (self.file_length - copied) as usize];
        self.file.read_exact_at(&mut rest, copied)?;
        file.write_all_at(&rest, length)?;
        std::fs::rename(&path, &self.path)?;
        let _file = std::mem::replace(&mut self.file, file);
        self.file_length = length + rest.len() as u64;
        self.rewriter.not_below = 0;
        let mut _messages = Vec::with_capacity(sessions.len());
        for ((index, state), moved) in self.sessions.iter_mut().enumerate().zip(sessions) {
            _messages.push(state.take_over(moved, (upto, base), (&self.recent, index as u16)));
        }
        self.rewriter.submit(Job::Drop { _file, _messages });
        Ok(())
    }
}

impl SessionState {
    fn needed(&self) -> Needed {
        let from = self.messages.front().map_or(u64::MAX, |it| it.offset);
        let kept = self.kept.front().and_then(|&number| {
            let at = self.messages.partition_point(|it| it.number < number);
            self.messages.get(at).filter(|it| it.number == number)
        });
        Needed { from, kept_from: kept.map_or(u64::MAX, |it| it.offset) }
    }

    /// The messages before `upto` are where `moved` says, those after it have moved to `base`. Some of them may have been
    /// forgotten since the new file was begun. Gives back what is of no use any more.
    fn take_over(
        &mut self,
        moved: Moved,
        (upto, base): (u64, u64),
        (recent, index): (&Recent, u16),
    ) -> VecDeque<Stored> {
        let Moved { mut messages, kept } = moved;
        let tail = self.messages.partition_point(|it| it.offset < upto);
        match self.messages.front().filter(|_| tail > 0) {
            None => messages.clear(),
            Some(first) => {
                let gone = messages.partition_point(|it| it.number < first.number);
                messages.drain(..gone);
            }
        }
        let first_kept = self.kept.front().copied().unwrap_or(u64::MAX);
        for number in kept.into_iter().take_while(|&number| number < first_kept) {
            let at = messages.partition_point(|it| it.number < number);
            messages.get_mut(at).filter(|it| it.number == number).into_iter().for_each(|it| it.length = 0);
        }
        self.keep_recent(&mut messages, tail, (recent, index));
        let shifted = |it: &Stored| Stored { offset: it.offset - upto + base, ..*it };
        messages.extend(self.messages.range(tail..).map(shifted));
        std::mem::replace(&mut self.messages, messages)
    }

    /// Takes over which of the messages before `tail` are in memory: the newest.
    fn keep_recent(&self, messages: &mut VecDeque<Stored>, tail: usize, (recent, index): (&Recent, u16)) {
        let mut at = messages.len();
        for known in self.messages.range(..tail).rev() {
            let Some(place) = known.recent else { continue };
            if recent.get(place, index, known.number).is_none() {
                return;
            }
            while at > 0 && messages[at - 1].number > known.number {
                at -= 1;
            }
            if at > 0 && messages[at - 1].number == known.number {
                messages[at - 1].recent = known.recent;
            }
        }
    }
}

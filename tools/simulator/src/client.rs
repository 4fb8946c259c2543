//! A pipelined client: many commands in flight, each answer matched with its command.
//!
//! Answers carry no number of the client's own, and need none: one source's commands are answered in the order in
//! which they were sent, and the last event of each answer is marked.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use machine::{Body, Projection, Record};
use marketdata::DepthBook;
use protocol::{
    EventKind, Limits, OrderAccepted, OrderCanceled, OrderId, OrderReplaced, RejectReason, Rejected, Trade,
};

use crate::{Venue, VenueError};

/// Why a feed stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The pipeline is gone.
    #[error(transparent)]
    Venue(#[from] VenueError),
    /// The input could not be read.
    #[error("cannot read the input: {0}")]
    Read(#[from] std::io::Error),
    /// No answer came.
    #[error("no answer for {seconds} s with {in_flight} commands in flight: is the exchange still running?")]
    Stalled {
        /// How long it was waited.
        seconds: u64,
        /// Commands without an answer.
        in_flight: usize,
    },
    /// Creating assets, instruments, accounts or funds was rejected.
    #[error(
        "setting up was rejected ({reason}) for command kind {kind}: feed into an empty data folder, with limits of at least what the scan says"
    )]
    SetUp {
        /// `RejectReason` by name.
        reason: &'static str,
        /// `CommandKind`.
        kind: u16,
    },
    /// The input contradicts itself or the limits.
    #[error("{0}")]
    Input(String),
}

/// All that one command brought about.
#[derive(Debug, Default)]
pub struct Answer {
    /// The order that was accepted.
    pub accepted: Option<OrderId>,
    /// The order that was replaced, and whether it kept its place.
    pub replaced: Option<OrderReplaced>,
    /// Trades, in order.
    pub trades: Vec<Trade>,
    /// Cancellations, in order.
    pub canceled: Vec<OrderCanceled>,
    /// Why it was rejected.
    pub rejected: Option<Rejected>,
}

impl Answer {
    fn clear(&mut self) {
        self.accepted = None;
        self.replaced = None;
        self.trades.clear();
        self.canceled.clear();
        self.rejected = None;
    }

    fn add(&mut self, event: Record<'_>) {
        match EventKind::from_code(event.header().kind) {
            Some(EventKind::OrderAccepted) => {
                self.accepted = event.body_as::<OrderAccepted>().map(|body| body.order_id);
            }
            Some(EventKind::OrderReplaced) => self.replaced = event.body_as().copied(),
            Some(EventKind::Trade) => self.trades.extend(event.body_as::<Trade>()),
            Some(EventKind::OrderCanceled) => self.canceled.extend(event.body_as::<OrderCanceled>()),
            Some(EventKind::Rejected) => self.rejected = event.body_as().copied(),
            _ => {}
        }
    }

    /// Name of the reject reason, if rejected.
    #[must_use]
    pub fn reject_name(&self) -> Option<&'static str> {
        let rejected = self.rejected.as_ref()?;
        Some(RejectReason::from_code(rejected.reason).map_or("unknown reason", RejectReason::name))
    }
}

/// Takes the answers of a [`Client`].
pub trait Answers<T> {
    /// One command, told by its tag, has been answered in full. `depth` is the books right after it.
    fn answered(&mut self, tag: T, answer: &Answer, depth: &DepthBook);
}

/// Sends commands with a tag each and hands back the answers with the tags, in order.
pub struct Client<V, T> {
    venue: V,
    window: usize,
    stall_timeout: Duration,
    in_flight: VecDeque<T>,
    answer: Answer,
    /// Folded from every event that the venue passed on, other sources' too.
    depth: DepthBook,
    sent: u64,
}

impl<V: Venue, T> Client<V, T> {
    /// At most `window` commands in flight; a book for an exchange of these limits.
    pub fn new(venue: V, limits: &Limits, window: usize) -> Self {
        Self {
            venue,
            window: window.max(1),
            stall_timeout: Duration::from_secs(30),
            in_flight: VecDeque::with_capacity(window),
            answer: Answer::default(),
            depth: DepthBook::new(limits, 16),
            sent: 0,
        }
    }

    /// The books after the last event seen.
    pub fn depth(&self) -> &DepthBook {
        &self.depth
    }

    /// Commands without an answer yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The tag of the command sent last, while it is in flight.
    pub fn newest_mut(&mut self) -> Option<&mut T> {
        self.in_flight.back_mut()
    }

    /// Commands sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends one command, polling while the window or the venue is full.
    ///
    /// # Errors
    /// The pipeline is gone or silent.
    pub fn send<B: Body>(
        &mut self,
        body: &B,
        tag: T,
        answers: &mut impl Answers<T>,
    ) -> Result<(), FeedError> {
        self.poll_until(answers, |client, _| client.in_flight.len() < client.window)?;
        let mut waited = Wait::new(self.stall_timeout);
        while !self.venue.send(B::KIND, body.as_bytes())? {
            let events = self.poll(answers)?;
            waited.check(events, self.in_flight.len())?;
        }
        self.in_flight.push_back(tag);
        self.sent += 1;
        Ok(())
    }

    /// Takes what has arrived.
    ///
    /// # Errors
    /// The pipeline is gone.
    pub fn poll(&mut self, answers: &mut impl Answers<T>) -> Result<usize, FeedError> {
        let Self { venue, in_flight, answer, depth, .. } = self;
        let source = venue.source();
        let events = venue.poll(&mut |event| {
            depth.apply(event);
            if event.header().source != source {
                return;
            }
            answer.add(event);
            if event.is_last_event() {
                if let Some(tag) = in_flight.pop_front() {
                    answers.answered(tag, answer, depth);
                }
                answer.clear();
            }
        })?;
        Ok(events)
    }

    /// Polls until `done`.
    ///
    /// # Errors
    /// The pipeline is gone, or nothing came for half a minute.
    pub fn poll_until<A: Answers<T>>(
        &mut self,
        answers: &mut A,
        done: impl Fn(&Self, &A) -> bool,
    ) -> Result<(), FeedError> {
        let mut waited = Wait::new(self.stall_timeout);
        while !done(self, answers) {
            let events = self.poll(answers)?;
            waited.check(events, self.in_flight.len())?;
        }
        Ok(())
    }

    /// Polls until every command has been answered.
    ///
    /// # Errors
    /// As [`Client::poll_until`].
    pub fn drain(&mut self, answers: &mut impl Answers<T>) -> Result<(), FeedError> {
        self.poll_until(answers, |client, _| client.in_flight.is_empty())
    }
}

/// Ends a wait that would last for ever. Time is looked at only when there was nothing to do.
struct Wait {
    since: Option<Instant>,
    timeout: Duration,
}

impl Wait {
    fn new(timeout: Duration) -> Self {
        Self { since: None, timeout }
    }

    fn check(&mut self, events: usize, in_flight: usize) -> Result<(), FeedError> {
        if events > 0 {
            self.since = None;
            return Ok(());
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() > self.timeout {
            return Err(FeedError::Stalled { seconds: self.timeout.as_secs(), in_flight });
        }
        std::thread::yield_now();
        Ok(())
    }
}

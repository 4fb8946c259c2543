//! A run: sends what is due, takes what comes, whatever the protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::plan::{Open, Plan, Step};
use crate::output::{Failure, progress_bar};

/// How long the last answers may take.
const DRAIN: Duration = Duration::from_secs(10);
/// Messages sent before answers are looked for again.
const BURST: u64 = 512;
/// While a session has so much output that its socket does not take, nothing more is sent: what is due stays due, and its latency
/// counts from then. Otherwise an exchange that is slower than the rate would fill this process's memory, and get messages
/// whose SendingTime is long past.
const UNSENT_BYTES: usize = 256 * 1024;
/// Cancels of orders that are left which wait for their answer at the same time.
const LEFT_OPEN: u64 = 1_024;

/// The answer to a message.
pub struct Answer<'a> {
    /// The message's number.
    pub number: u64,
    /// Why it was rejected, if it was.
    pub rejected: Option<&'a [u8]>,
}

/// A session of some protocol. Nothing of it blocks.
pub trait Session {
    /// Puts a new order into the output.
    fn enter(&mut self, number: u64);

    /// Puts the cancel of an order into the output, now or as soon as its order can be named.
    fn cancel(&mut self, number: u64, order: u64);

    /// Bytes of the output that the socket has not taken yet.
    fn unsent_bytes(&self) -> usize;

    /// Gives the socket what it takes.
    fn flush(&mut self) -> Result<(), Failure>;

    /// Takes what has arrived.
    fn receive(&mut self, take: &mut dyn FnMut(Answer<'_>)) -> Result<(), Failure>;

    /// Says goodbye.
    fn log_out(&mut self);
}

/// What a run has measured, however it ended.
pub struct Measured {
    /// From planned time to answer.
    pub latency: Histogram<u64>,
    /// Messages sent.
    pub sent: u64,
    /// Of these, answered by a rejection.
    pub rejected: u64,
    /// Why, in the words of the first.
    pub first_reject: Option<String>,
    /// From the start to the last answer.
    pub elapsed: Duration,
    /// Whether Ctrl-C ended it.
    pub interrupted: bool,
    /// What broke it off.
    pub failure: Option<Failure>,
}

/// A run in progress.
pub struct Run<'a, S> {
    sessions: &'a mut [S],
    plan: Plan,
    spin: bool,
    stop: Arc<AtomicBool>,
    open: Open,
    started: Instant,
    measured: Measured,
}

impl<'a, S: Session> Run<'a, S> {
    /// Over these sessions, which are logged on. `stop` ends it early.
    pub fn new(sessions: &'a mut [S], plan: Plan, spin: bool, stop: Arc<AtomicBool>) -> Self {
        let latency = Histogram::new_with_bounds(1, 60_000_000_000, 3);
        let measured = Measured {
            latency: latency.expect("the bounds are constant and valid"),
            sent: 0,
            rejected: 0,
            first_reject: None,
            elapsed: Duration::ZERO,
            interrupted: false,
            failure: None,
        };
        // The cancels of what is left have numbers of their own behind the plan's.
        let open = Open::new(2 * plan.messages());
        Self { sessions, plan, spin, stop, open, started: Instant::now(), measured }
    }

    /// Plays the plan, then cancels what is left of it.
    pub fn play(mut self, quiet: bool) -> Measured {
        let outcome = self.measure(quiet);
        self.measured.elapsed = self.started.elapsed();
        let outcome = outcome.and_then(|()| self.clean_up());
        self.measured.failure = outcome.err();
        self.measured
    }

    fn measure(&mut self, quiet: bool) -> Result<(), Failure> {
        let bar = progress_bar(self.plan.messages(), "messages", quiet);
        self.started = Instant::now();
        let mut last = self.plan.messages();
        while self.measured.sent < last || self.open.count() > 0 {
            if self.stop.load(Ordering::Relaxed) && !self.measured.interrupted {
                self.measured.interrupted = true;
                last = self.measured.sent;
            }
            let now_ns = self.started.elapsed().as_nanos() as u64;
            if now_ns > self.plan.due_ns(last) + DRAIN.as_nanos() as u64 {
                let open = self.open.count() + last - self.measured.sent;
                return Err(Failure::check(format!("{open} messages had no answer after {DRAIN:?}")));
            }
            let before = self.measured.sent;
            self.send_due(last, now_ns);
            if before / 8192 != self.measured.sent / 8192 {
                bar.set_position(self.measured.sent);
            }
            let open = self.open.count();
            self.exchange()?;
            if self.open.count() == open && !self.spin {
                // The exchange may need this very processor to answer.
                std::thread::yield_now();
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn send_due(&mut self, last: u64, now_ns: u64) {
        let burst = last.min(self.measured.sent + BURST);
        while self.measured.sent < burst && self.plan.due_ns(self.measured.sent) <= now_ns {
            let number = self.measured.sent;
            let session = &mut self.sessions[self.plan.session(number)];
            if session.unsent_bytes() >= UNSENT_BYTES {
                break;
            }
            match self.plan.step(number) {
                Step::Enter => session.enter(number),
                Step::Cancel(order) => session.cancel(number, order),
            }
            self.open.insert(number);
            self.measured.sent += 1;
        }
    }

    /// Gives the sockets what they take, and takes what they have.
    fn exchange(&mut self) -> Result<(), Failure> {
        let Self { sessions, open, plan, started, measured, .. } = self;
        for session in &mut **sessions {
            session.flush()?;
            let mut arrived_ns = None;
            session.receive(&mut |answer| {
                if !open.remove(answer.number) {
                    return;
                }
                if let Some(reason) = answer.rejected {
                    measured.rejected += 1;
                    let text = || String::from_utf8_lossy(reason).into_owned();
                    measured.first_reject.get_or_insert_with(text);
                }
                // Cancels of what is left are not measured.
                if answer.number < plan.messages() {
                    // All that was read at once was there at once.
                    let now_ns = *arrived_ns.get_or_insert_with(|| started.elapsed().as_nanos() as u64);
                    let latency_ns = now_ns.saturating_sub(plan.due_ns(answer.number));
                    measured.latency.saturating_record(latency_ns.max(1));
                }
            })?;
        }
        Ok(())
    }

    /// Cancels the orders that no message of the plan has cancelled.
    fn clean_up(&mut self) -> Result<(), Failure> {
        let start = Instant::now();
        let rejected = (self.measured.rejected, self.measured.first_reject.clone());
        let mut left = self.plan.left(self.measured.sent).peekable();
        while left.peek().is_some() || self.open.count() > 0 {
            if start.elapsed() > DRAIN {
                return Err(Failure::check(format!(
                    "orders that were left are not cancelled after {DRAIN:?}"
                )));
            }
            while self.open.count() < LEFT_OPEN
                && let Some(order) = left.next()
            {
                let number = self.plan.messages() + order;
                self.open.insert(number);
                self.sessions[self.plan.session(order)].cancel(number, order);
            }
            self.exchange()?;
            std::thread::yield_now();
        }
        // An order that was rejected cannot be cancelled: that is told once.
        (self.measured.rejected, self.measured.first_reject) = rejected;
        for session in &mut *self.sessions {
            session.log_out();
            session.flush()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const MESSAGE_BYTES: usize = 8 * 1024;

    /// A server that takes one message each time.
    #[derive(Default)]
    struct Slow {
        output: VecDeque<u64>,
        answers: Vec<u64>,
        most_unsent_bytes: usize,
    }

    impl Session for Slow {
        fn enter(&mut self, number: u64) {
            self.output.push_back(number);
            self.most_unsent_bytes = self.most_unsent_bytes.max(self.unsent_bytes());
        }

        fn cancel(&mut self, number: u64, _order: u64) {
            self.output.push_back(number);
        }

        fn unsent_bytes(&self) -> usize {
            self.output.len() * MESSAGE_BYTES
        }

        fn flush(&mut self) -> Result<(), Failure> {
            self.answers.extend(self.output.pop_front());
            Ok(())
        }

        fn receive(&mut self, take: &mut dyn FnMut(Answer<'_>)) -> Result<(), Failure> {
            self.answers.drain(..).for_each(|number| take(Answer { number, rejected: None }));
            Ok(())
        }

        fn log_out(&mut self) {}
    }

    /// At three times the rate that an exchange could do, the client kept what the socket did not take: gigabytes of it, until
    /// the exchange refused messages whose SendingTime was two minutes old.
    #[test]
    fn what_a_slow_server_does_not_take_stays_due_and_is_not_piled_up() {
        let mut sessions = [Slow::default(), Slow::default()];
        let plan = Plan::new(1_000_000_000, 5_000, 2);
        let measured = Run::new(&mut sessions, plan, true, Arc::default()).play(true);
        assert_eq!(measured.failure.map(|failure| failure.message), None);
        assert_eq!((measured.sent, measured.latency.len()), (5_000, 5_000));
        for session in &sessions {
            assert!((UNSENT_BYTES - MESSAGE_BYTES..=UNSENT_BYTES).contains(&session.most_unsent_bytes));
        }
    }
}

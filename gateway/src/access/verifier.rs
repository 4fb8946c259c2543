//! Checking passwords beside the gateway's own thread: a check takes as long as thousands of orders.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::PasswordHash;

/// Checks that may wait; a Logon beyond that is refused.
const QUEUE: usize = 64;

/// One check.
pub struct Work {
    /// Names the attempt.
    pub ticket: u64,
    /// What the password must hash to.
    pub hash: PasswordHash,
    /// What the client has sent.
    pub password: Vec<u8>,
}

/// Does checks, one after the other.
pub trait Verifier: Send {
    /// Takes a check; `false` if too many wait already.
    fn submit(&mut self, work: Work) -> bool;
    /// The next result: ticket, and whether the password was right.
    fn poll(&mut self) -> Option<(u64, bool)>;
}

/// Checks at once, on the caller's thread: for tests and tools.
#[derive(Default)]
pub struct InlineVerifier {
    done: VecDeque<(u64, bool)>,
}

impl Verifier for InlineVerifier {
    fn submit(&mut self, work: Work) -> bool {
        self.done.push_back((work.ticket, work.hash.verify(&work.password)));
        true
    }

    fn poll(&mut self) -> Option<(u64, bool)> {
        self.done.pop_front()
    }
}

/// Checks on a thread of its own, which ends with it.
pub struct ThreadVerifier {
    work: SyncSender<Work>,
    done: Receiver<(u64, bool)>,
}

impl ThreadVerifier {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start() -> std::io::Result<Self> {
        let (work, waiting) = sync_channel::<Work>(QUEUE);
        let (finished, done) = sync_channel(2 * QUEUE);
        std::thread::Builder::new().name("fix-passwords".to_owned()).spawn(move || {
            for work in waiting {
                let right = work.hash.verify(&work.password);
                if finished.send((work.ticket, right)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { work, done })
    }
}

impl Verifier for ThreadVerifier {
    fn submit(&mut self, work: Work) -> bool {
        self.work.try_send(work).is_ok()
    }

    fn poll(&mut self) -> Option<(u64, bool)> {
        self.done.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_answers_every_ticket_and_refuses_more_than_can_wait() {
        let hash = PasswordHash::create(b"secret", 8, 1).unwrap();
        let work = |ticket| {
            let password = if ticket % 2 == 0 { b"secret".to_vec() } else { b"wrong".to_vec() };
            Work { ticket, hash: hash.clone(), password }
        };
        let mut verifier = ThreadVerifier::start().unwrap();
        let taken: Vec<u64> = (0..500).filter(|&ticket| verifier.submit(work(ticket))).collect();
        assert!(taken.len() >= QUEUE);
        for ticket in taken {
            let done = loop {
                match verifier.poll() {
                    Some(done) => break done,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(done, (ticket, ticket % 2 == 0));
        }
        assert_eq!(verifier.poll(), None);
    }
}

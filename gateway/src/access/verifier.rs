//! Checking passwords beside the gateway's own thread: a check takes as long as thousands of orders.

use std::collections::{BTreeMap, VecDeque};
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
    /// The same, and if the password is right a new one is hashed.
    fn submit_change(&mut self, work: Work, new_password: Vec<u8>) -> bool;
    /// The next result: ticket, and whether the password was right.
    fn poll(&mut self) -> Option<(u64, bool)>;
    /// The hash of the new password of a change whose result [`Verifier::poll`] has given.
    fn take_hash(&mut self, ticket: u64) -> Option<PasswordHash>;
}

/// Memory in KiB and passes of a new hash: OWASP's least.
const NEW_HASH: (u32, u32) = (19_456, 2);

/// Does a check, and hashes the new password if there is one and the old one is right.
fn done(work: &Work, new_password: Option<&[u8]>) -> Done {
    let right = work.hash.verify(&work.password);
    let new = new_password.filter(|_| right);
    let hash = new.and_then(|new| PasswordHash::create(new, NEW_HASH.0, NEW_HASH.1).ok());
    Done { ticket: work.ticket, right, hash }
}

/// The result of a check.
struct Done {
    ticket: u64,
    right: bool,
    hash: Option<PasswordHash>,
}

/// Hashes of new passwords that have not been taken yet.
type Hashes = BTreeMap<u64, PasswordHash>;

fn told(done: Done, hashes: &mut Hashes) -> (u64, bool) {
    if let Some(hash) = done.hash {
        hashes.insert(done.ticket, hash);
    }
    (done.ticket, done.right)
}

/// Checks at once, on the caller's thread: for tests and tools.
#[derive(Default)]
pub struct InlineVerifier {
    done: VecDeque<(u64, bool)>,
    hashes: Hashes,
}

impl Verifier for InlineVerifier {
    fn submit(&mut self, work: Work) -> bool {
        self.done.push_back(told(done(&work, None), &mut self.hashes));
        true
    }

    fn submit_change(&mut self, work: Work, new_password: Vec<u8>) -> bool {
        self.done.push_back(told(done(&work, Some(&new_password)), &mut self.hashes));
        true
    }

    fn poll(&mut self) -> Option<(u64, bool)> {
        self.done.pop_front()
    }

    fn take_hash(&mut self, ticket: u64) -> Option<PasswordHash> {
        self.hashes.remove(&ticket)
    }
}

/// Checks on a thread of its own, which ends with it.
pub struct ThreadVerifier {
    work: SyncSender<(Work, Option<Vec<u8>>)>,
    done: Receiver<Done>,
    hashes: Hashes,
}

impl ThreadVerifier {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start() -> std::io::Result<Self> {
        let (work, waiting) = sync_channel::<(Work, Option<Vec<u8>>)>(QUEUE);
        let (finished, results) = sync_channel(2 * QUEUE);
        std::thread::Builder::new().name("fix-passwords".to_owned()).spawn(move || {
            for (work, new_password) in waiting {
                if finished.send(done(&work, new_password.as_deref())).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { work, done: results, hashes: Hashes::new() })
    }
}

impl Verifier for ThreadVerifier {
    fn submit(&mut self, work: Work) -> bool {
        self.work.try_send((work, None)).is_ok()
    }

    fn submit_change(&mut self, work: Work, new_password: Vec<u8>) -> bool {
        self.work.try_send((work, Some(new_password))).is_ok()
    }

    fn poll(&mut self) -> Option<(u64, bool)> {
        Some(told(self.done.try_recv().ok()?, &mut self.hashes))
    }

    fn take_hash(&mut self, ticket: u64) -> Option<PasswordHash> {
        self.hashes.remove(&ticket)
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

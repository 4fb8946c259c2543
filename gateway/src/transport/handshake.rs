//! TLS handshakes, on a thread of their own.
//!
//! At most as many at the same time as strangers are allowed, one step of one handshake at a time, so the most that
//! anybody can burn by beginning handshakes is this thread. A handshake ends in time or the connection does.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::ServerConnection;

use super::{TlsReload, TlsStream};

const WAKE: Token = Token(usize::MAX);
/// How often handshakes are looked at that make no step, while there are any.
const LOOK: Duration = Duration::from_millis(100);

/// What came of a handshake.
pub(crate) struct Outcome {
    /// Names the connection.
    pub(crate) ticket: u64,
    /// The stream, or why there is none.
    pub(crate) result: Result<Box<TlsStream>, String>,
}

struct Job {
    ticket: u64,
    socket: TcpStream,
    deadline: Instant,
}

struct Pending {
    ticket: u64,
    stream: Box<TlsStream>,
    deadline: Instant,
}

/// Takes connections and gives them back secured. Dropping it ends its thread.
pub(crate) struct Handshaker {
    jobs: Option<Sender<Job>>,
    done: Receiver<Outcome>,
    waker: Arc<Waker>,
    timeout: Duration,
}

impl Handshaker {
    /// Starts the thread. `notify` wakes whoever waits for outcomes.
    pub(crate) fn start(tls: TlsReload, notify: Waker, timeout: Duration) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (jobs, waiting) = channel();
        let (finished, done) = channel();
        let worker = Worker { poll, tls, waiting, finished, notify, pending: HashMap::new(), next_token: 0 };
        std::thread::Builder::new().name("tls-handshakes".to_owned()).spawn(move || worker.run())?;
        Ok(Self { jobs: Some(jobs), done, waker, timeout })
    }

    /// Begins the handshake of a connection that is registered nowhere.
    pub(crate) fn begin(&self, ticket: u64, socket: TcpStream) -> io::Result<()> {
        let job = Job { ticket, socket, deadline: Instant::now() + self.timeout };
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if !sent {
            return Err(io::Error::other("the thread for TLS handshakes has ended"));
        }
        self.waker.wake()
    }

    /// The next outcome, if there is one.
    pub(crate) fn poll(&self) -> Option<Outcome> {
        self.done.try_recv().ok()
    }
}

impl Drop for Handshaker {
    fn drop(&mut self) {
        self.jobs = None;
        // Without it the thread would sleep for ever; a failure leaves it asleep and harmless.
        let _ = self.waker.wake();
    }
}

struct Worker {
    poll: Poll,
    tls: TlsReload,
    waiting: Receiver<Job>,
    finished: Sender<Outcome>,
    notify: Waker,
    pending: HashMap<usize, Pending>,
    next_token: usize,
}

impl Worker {
    fn run(mut self) {
        let mut events = Events::with_capacity(256);
        loop {
            let timeout = (!self.pending.is_empty()).then_some(LOOK);
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return,
                _ => {}
            }
            let ready: Vec<usize> =
                events.iter().map(|event| event.token().0).filter(|&token| token != WAKE.0).collect();
            ready.into_iter().for_each(|token| self.step(token));
            self.end_late();
            if !self.take_jobs() {
                return;
            }
        }
    }

    /// `false` when there will be no more.
    fn take_jobs(&mut self) -> bool {
        loop {
            match self.waiting.try_recv() {
                Ok(job) => self.take(job),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn take(&mut self, mut job: Job) {
        let token = self.next_token;
        self.next_token = (self.next_token + 1) % WAKE.0;
        let both = Interest::READABLE | Interest::WRITABLE;
        let ready = self.poll.registry().register(&mut job.socket, Token(token), both);
        let session = ServerConnection::new(self.tls.current());
        match (ready, session) {
            (Ok(()), Ok(session)) => {
                let stream = Box::new(TlsStream { socket: job.socket, session });
                self.pending.insert(token, Pending { ticket: job.ticket, stream, deadline: job.deadline });
                self.step(token);
            }
            (Err(error), _) => self.give(job.ticket, Err(error.to_string())),
            (_, Err(error)) => self.give(job.ticket, Err(error.to_string())),
        }
    }

    /// Goes on with a handshake as far as bytes have come.
    fn step(&mut self, token: usize) {
        let Some(pending) = self.pending.get_mut(&token) else { return };
        let progress = advance(&mut pending.stream);
        if matches!(progress, Ok(false)) {
            return;
        }
        let Some(mut pending) = self.pending.remove(&token) else { return };
        let gone = self.poll.registry().deregister(&mut pending.stream.socket);
        let result = match (progress, gone) {
            (Ok(_), Ok(())) => Ok(pending.stream),
            (Err(text), _) => Err(text),
            (_, Err(error)) => Err(error.to_string()),
        };
        self.give(pending.ticket, result);
    }

    fn end_late(&mut self) {
        let now = Instant::now();
        let late: Vec<usize> =
            self.pending.iter().filter(|(_, it)| it.deadline <= now).map(|(token, _)| *token).collect();
        for token in late {
            if let Some(pending) = self.pending.remove(&token) {
                self.give(pending.ticket, Err("no TLS handshake in time".to_owned()));
            }
        }
    }

    fn give(&self, ticket: u64, result: Result<Box<TlsStream>, String>) {
        // Nobody listens any more when the gateway ends; the thread then ends too.
        let _ = self.finished.send(Outcome { ticket, result });
        let _ = self.notify.wake();
    }
}

/// Whether the handshake is complete; or why it has failed.
fn advance(stream: &mut TlsStream) -> Result<bool, String> {
    loop {
        if let Err(error) = stream.flush()
            && error.kind() != ErrorKind::WouldBlock
        {
            return Err(format!("TLS handshake: {error}"));
        }
        if !stream.session.is_handshaking() {
            // What is left to write (session tickets) goes first.
            return Ok(!stream.session.wants_write());
        }
        match stream.session.read_tls(&mut stream.socket) {
            Ok(0) => return Err("TLS handshake: the client closed the connection".to_owned()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(format!("TLS handshake: {error}")),
        }
        if let Err(error) = stream.session.process_new_packets() {
            // The alert tells the client why.
            let _ = stream.flush();
            return Err(format!("TLS handshake: {error}"));
        }
    }
}

//! The sockets: accepts, reads, and sends what the gateway has committed. Never blocks, unless the caller lets it wait.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use machine::Record;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::access::{AuditLog, ThreadVerifier};
use crate::config::GatewayConfig;
use crate::endpoint::Endpoint;
use crate::gateway::{CommandPort, Gateway, GatewayError, LinkId};
use crate::transport::{Handshaker, Outcome, Security, Stream, TlsSettings};

const LISTENER: Token = Token(0);
const TLS_LISTENER: Token = Token(usize::MAX - 1);
const HANDSHAKES: Token = Token(usize::MAX - 2);
/// Read from one connection in one duty cycle, so that none starves the others.
const READ_BYTES: usize = 16 * 1024;
/// Read from all connections in one duty cycle; those that have not had their turn come first in the next. Some hundred messages,
/// with all that becomes of them, fit a second cache; thousands on their way at a time do not.
const CYCLE_BYTES: usize = 64 * 1024;
/// Connections accepted in one duty cycle.
const ACCEPTS: usize = 16;
/// Notices kept for the operator; the oldest are dropped.
const NOTICES: usize = 256;
/// Whether a socket that gave less than was asked for is empty, and tells when there is more. So it is with edge-triggered
/// epoll (epoll(7), "Possible pitfalls"), except at the end of the stream.
const SHORT_READ_EMPTIES: bool = cfg!(any(target_os = "linux", target_os = "android"));
/// After running out of file descriptors, accepting is tried again this much later.
const ACCEPT_PAUSE_NS: u64 = 100_000_000;

/// Something that the operator may want to read in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The client's address, if it is about one.
    pub peer: Option<SocketAddr>,
    /// The client's CompID, if it was logged on.
    pub comp_id: Option<String>,
    /// What happened.
    pub text: String,
}

/// A port that is listened on.
struct Port {
    listener: TcpListener,
    acceptable: bool,
}

/// The TLS port and where its connections become secure.
struct TlsPort {
    port: Port,
    handshaker: Handshaker,
    /// Numbers the handshakes: a link may have another client by the time one ends.
    next_ticket: u64,
}

struct Connection {
    stream: Stream,
    /// Number of its handshake; 0 for plain TCP.
    ticket: u64,
    peer: SocketAddr,
    readable: bool,
    /// The client has said that nothing more comes: what is there is read to its end.
    half_closed: bool,
    writable: bool,
    ended: bool,
    /// When closing began: output that the client does not take is given up after a while.
    closing_since_ns: Option<u64>,
    comp_id: Option<String>,
    /// Whether it is among the links to be read, or to be written.
    reads: bool,
    writes: bool,
}

impl Connection {
    /// There is, or may be, something to be read on `link`, which is this one.
    fn is_readable(&mut self, link: LinkId, to_read: &mut Vec<LinkId>) {
        self.readable = true;
        if !self.reads {
            self.reads = true;
            to_read.push(link);
        }
    }

    /// There is, or may be, something to be written.
    fn is_to_write(&mut self, link: LinkId, to_write: &mut Vec<LinkId>) {
        if !self.writes {
            self.writes = true;
            to_write.push(link);
        }
    }
}

/// A [`Gateway`], or another [`Endpoint`], with its sockets.
pub struct Acceptor<E = Gateway> {
    gateway: E,
    poll: Poll,
    events: Events,
    plain: Port,
    tls: Option<TlsPort>,
    accept_again_ns: u64,
    connections: Vec<Option<Connection>>,
    /// Links that have, or may have, something to be read; each once.
    to_read: Vec<LinkId>,
    /// Links that have, or may have, something to be written or are to be closed; each once.
    to_write: Vec<LinkId>,
    /// Room for what the gateway names in one duty cycle.
    active: Vec<LinkId>,
    notices: VecDeque<Notice>,
    buffer: Vec<u8>,
    audit: Option<AuditLog>,
}

impl Acceptor {
    /// Opens the session store and listens.
    ///
    /// # Errors
    /// [`GatewayError`]
    pub fn open(config: GatewayConfig) -> Result<Self, GatewayError> {
        let (bind, tls) = (config.bind, config.tls.clone());
        let audit = config.audit_path.as_deref().map(AuditLog::open).transpose()?;
        let gateway = Gateway::open_threaded(config, Box::new(ThreadVerifier::start()?))?;
        Self::listen(gateway, bind, tls.as_ref(), audit)
    }

    /// Gives the gateway books of market data, see [`Gateway::seed_market`].
    pub fn seed_market(&mut self, depth: marketdata::DepthBook) {
        self.gateway.seed_market(depth);
    }
}

impl<E: Endpoint> Acceptor<E> {
    /// Listens for the clients of an endpoint.
    ///
    /// # Errors
    /// [`GatewayError::Io`], naming the address.
    pub(crate) fn listen(
        gateway: E,
        bind: SocketAddr,
        tls: Option<&TlsSettings>,
        audit: Option<AuditLog>,
    ) -> Result<Self, GatewayError> {
        let poll = Poll::new()?;
        let plain = Port::open(bind, LISTENER, &poll)?;
        let tls = match tls {
            None => None,
            Some(tls) => {
                let port = Port::open(tls.bind, TLS_LISTENER, &poll)?;
                let notify = Waker::new(poll.registry(), HANDSHAKES)?;
                let timeout = Duration::from_nanos(gateway.limits().logon_timeout_ns);
                let handshaker = Handshaker::start(tls.reload.clone(), notify, timeout)?;
                Some(TlsPort { port, handshaker, next_ticket: 0 })
            }
        };
        Ok(Self {
            gateway,
            poll,
            events: Events::with_capacity(1024),
            plain,
            tls,
            accept_again_ns: 0,
            connections: Vec::new(),
            to_read: Vec::new(),
            to_write: Vec::new(),
            active: Vec::new(),
            notices: VecDeque::new(),
            buffer: vec![0; READ_BYTES],
            audit,
        })
    }

    /// Where it listens: the port that the system chose, if the configuration says port 0.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.plain.listener.local_addr()
    }

    /// Where it listens for TLS, if it does.
    ///
    /// # Errors
    /// What the system says.
    pub fn tls_local_addr(&self) -> io::Result<Option<SocketAddr>> {
        self.tls.as_ref().map(|tls| tls.port.listener.local_addr()).transpose()
    }

    /// The gateway behind the sockets.
    #[must_use]
    pub fn gateway(&self) -> &E {
        &self.gateway
    }

    /// Takes the notices since the last call.
    pub fn take_notices(&mut self) -> impl Iterator<Item = Notice> + '_ {
        self.notices.drain(..)
    }

    /// Folds one event, see [`Gateway::on_event`].
    ///
    /// # Errors
    /// When the session store fails; stop then.
    pub fn on_event(&mut self, event: Record<'_>, now_ns: u64) -> io::Result<()> {
        self.gateway.on_event(event, now_ns)
    }

    /// The journal ends at this sequence, see [`Gateway::journal_ends_at`].
    pub fn journal_ends_at(&mut self, sequence: u64) {
        self.gateway.journal_ends_at(sequence);
    }

    /// Writes a checkpoint, see [`Gateway::finish`].
    pub fn finish(&mut self) {
        self.gateway.finish();
        for text in self.gateway.take_notes() {
            self.notice(None, None, text);
        }
    }

    /// All recovered events are in, see [`Gateway::finish_recovery`].
    ///
    /// # Errors
    /// [`GatewayError`]
    pub fn finish_recovery(&mut self) -> Result<(), GatewayError> {
        self.gateway.finish_recovery()
    }

    /// Begins an orderly shutdown, see [`Gateway::begin_shutdown`].
    pub fn begin_shutdown(&mut self, text: &str, now_ns: u64) {
        self.gateway.begin_shutdown(text, now_ns);
    }

    /// Whether everybody has gone.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.gateway.is_drained()
    }

    /// One duty cycle; how much there was to do. With `wait` it sleeps until a socket is ready or the time is up.
    ///
    /// # Errors
    /// When the session store or the poll fails; stop then. A connection that fails is closed, no error.
    pub fn do_work(&mut self, now_ns: u64, wait: Duration, port: &mut dyn CommandPort) -> io::Result<usize> {
        self.poll_sockets(wait)?;
        let mut work = self.accept(now_ns) + self.take_handshakes(now_ns);
        work += self.read_ready(now_ns, port)?;
        Ok(work + self.finish_cycle(now_ns, port)?)
    }

    /// The second half of a duty cycle: what time, received bytes and folded events have come to is kept and sent. It can be
    /// had by itself, so that reports leave before the sockets are looked at.
    ///
    /// # Errors
    /// As for [`Acceptor::do_work`].
    pub fn finish_cycle(&mut self, now_ns: u64, port: &mut dyn CommandPort) -> io::Result<usize> {
        self.gateway.on_tick(now_ns, port)?;
        for note in self.gateway.take_notes() {
            self.notice(None, None, note);
        }
        let attempts = self.gateway.take_attempts();
        if let Some(audit) = &mut self.audit {
            audit.write(&attempts)?;
        }
        Ok(if self.gateway.commit()? { self.write_ready(now_ns) } else { 0 })
    }

    /// Reads from those that are ready. Those that may have more, or that wait for room, stay.
    fn read_ready(&mut self, now_ns: u64, port: &mut dyn CommandPort) -> io::Result<usize> {
        let mut work = 0;
        let mut links = std::mem::take(&mut self.to_read);
        take_turns(&mut links, |link| {
            let length = self.read(link, now_ns, port)?;
            work += usize::from(length > 0);
            Ok(length)
        })?;
        links.retain(|&link| {
            let Some(connection) = self.connections[link].as_mut() else { return false };
            let closing = self.gateway.closing(link).is_some();
            connection.reads =
                !closing && (connection.readable || connection.ended || self.gateway.is_stalled(link));
            connection.reads
        });
        self.to_read = links;
        Ok(work)
    }

    /// Writes to those that have something to send. Those whose client does not take it stay.
    fn write_ready(&mut self, now_ns: u64) -> usize {
        let mut work = 0;
        let Self { gateway, connections, to_write, active, .. } = self;
        if !gateway.collect_active(active) {
            active.extend(0..connections.len());
        }
        for link in active.drain(..) {
            if let Some(Some(connection)) = connections.get_mut(link) {
                connection.is_to_write(link, to_write);
            }
        }
        let mut links = std::mem::take(&mut self.to_write);
        for &link in &links {
            work += self.write(link, now_ns);
        }
        links.retain(|&link| {
            let Some(connection) = self.connections[link].as_mut() else { return false };
            connection.writes = !self.gateway.output(link).is_empty()
                || connection.stream.has_pending()
                || self.gateway.closing(link).is_some();
            connection.writes
        });
        self.to_write = links;
        work
    }

    fn poll_sockets(&mut self, wait: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let Self { events, plain, tls, connections, to_read, .. } = self;
        for event in &*events {
            if event.token() == LISTENER {
                plain.acceptable = true;
            } else if event.token() == TLS_LISTENER {
                tls.iter_mut().for_each(|tls| tls.port.acceptable = true);
            } else if event.token() == HANDSHAKES {
                // What has come is taken in any case.
            } else if let Some(Some(connection)) = connections.get_mut(event.token().0 - 1) {
                connection.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
                connection.half_closed |= event.is_read_closed() || event.is_error();
                if event.is_readable() || connection.half_closed {
                    connection.is_readable(event.token().0 - 1, to_read);
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, now_ns: u64) -> usize {
        let mut work = 0;
        for secure in [false, true] {
            while work < ACCEPTS && now_ns >= self.accept_again_ns {
                let tls = self.tls.as_mut().map(|tls| &mut tls.port);
                let Some(port) = (if secure { tls } else { Some(&mut self.plain) }) else { break };
                if !port.acceptable {
                    break;
                }
                match port.listener.accept() {
                    Ok((stream, peer)) => self.take_connection(stream, peer, secure, now_ns),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => port.acceptable = false,
                    Err(error)
                        if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                    Err(error) => {
                        // Out of file descriptors or memory: it waits in the backlog until there are some.
                        self.accept_again_ns = now_ns + ACCEPT_PAUSE_NS;
                        self.notice(None, None, format!("cannot accept a connection: {error}"));
                    }
                }
                work += 1;
            }
        }
        work
    }

    fn take_connection(&mut self, stream: TcpStream, peer: SocketAddr, secure: bool, now_ns: u64) {
        let Some(link) = self.gateway.connect(peer.ip(), now_ns) else {
            return self.notice(Some(peer), None, "refused: as many connections as allowed".to_owned());
        };
        match self.prepare(stream, link, secure) {
            Ok((stream, ticket)) => {
                if link >= self.connections.len() {
                    self.connections.resize_with(link + 1, || None);
                }
                let is_handshaking = stream.is_handshaking();
                let connection = self.connections[link].insert(Connection {
                    readable: false,
                    half_closed: false,
                    writable: !is_handshaking,
                    stream,
                    ticket,
                    peer,
                    ended: false,
                    closing_since_ns: None,
                    comp_id: None,
                    reads: false,
                    writes: false,
                });
                if !is_handshaking {
                    connection.is_readable(link, &mut self.to_read);
                }
            }
            Err(error) => {
                self.gateway.disconnect(link);
                self.notice(Some(peer), None, format!("cannot use the connection: {error}"));
            }
        }
    }

    /// Registers a plain connection here, or begins the handshake of one that is to be secure.
    fn prepare(&mut self, stream: TcpStream, link: LinkId, secure: bool) -> io::Result<(Stream, u64)> {
        stream.set_nodelay(true)?;
        match self.tls.as_mut().filter(|_| secure) {
            Some(tls) => {
                tls.next_ticket += 1;
                tls.handshaker.begin(tls.next_ticket, stream)?;
                Ok((Stream::Handshaking, tls.next_ticket))
            }
            None => {
                let mut stream = Stream::Plain(stream);
                stream.register(self.poll.registry(), Token(link + 1))?;
                Ok((stream, 0))
            }
        }
    }

    /// Goes on with connections whose handshake has ended.
    fn take_handshakes(&mut self, now_ns: u64) -> usize {
        let mut work = 0;
        while let Some(Outcome { ticket, result }) = self.tls.as_ref().and_then(|tls| tls.handshaker.poll()) {
            work += 1;
            let waits = |it: &Option<Connection>| it.as_ref().is_some_and(|it| it.ticket == ticket);
            // The link may have been closed meanwhile; then the stream is dropped here.
            let Some(link) = self.connections.iter().position(waits) else { continue };
            let connection = self.connections[link].as_mut().expect("found above");
            let outcome = result.and_then(|stream| {
                let certificate = stream.session.peer_certificates().and_then(|chain| chain.first());
                let security = Security { tls: true, certificate: certificate.cloned() };
                connection.stream = Stream::Tls(stream);
                let registered = connection.stream.register(self.poll.registry(), Token(link + 1));
                registered.map(|()| security).map_err(|error| error.to_string())
            });
            match outcome {
                Ok(security) => {
                    connection.writable = true;
                    connection.is_readable(link, &mut self.to_read);
                    connection.is_to_write(link, &mut self.to_write);
                    self.gateway.secured(link, security);
                }
                Err(reason) => {
                    self.gateway.not_secured(link, now_ns);
                    self.drop_connection(link, &reason);
                }
            }
        }
        work
    }

    /// Reads from one connection and deals with what has come; how many bytes.
    fn read(&mut self, link: LinkId, now_ns: u64, port: &mut dyn CommandPort) -> io::Result<usize> {
        let Some(connection) = &mut self.connections[link] else { return Ok(0) };
        if self.gateway.closing(link).is_some() {
            return Ok(0);
        }
        let was_stalled = self.gateway.is_stalled(link);
        let mut received = 0;
        if connection.readable && !connection.ended && !was_stalled {
            // Before its Logon a client fills no more than the room of one message.
            let room = match connection.comp_id {
                Some(_) => READ_BYTES,
                None => {
                    let waiting = self.gateway.input(link).len();
                    self.gateway.limits().message_bytes.saturating_sub(waiting).clamp(1, READ_BYTES)
                }
            };
            match connection.stream.read(&mut self.buffer[..room]) {
                Ok(0) => connection.ended = true,
                Ok(length) => {
                    received = length;
                    let empties = SHORT_READ_EMPTIES && connection.stream.is_plain();
                    connection.readable = !empties || length == room || connection.half_closed;
                    self.gateway.input(link).extend_from_slice(&self.buffer[..length]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => connection.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => connection.ended = true,
            }
        }
        if received > 0 || was_stalled {
            self.gateway.receive(link, now_ns, port)?;
        }
        let connection = self.connections[link].as_mut().expect("looked at above");
        if connection.comp_id.is_none()
            && let Some(comp_id) = self.gateway.client_name(link)
        {
            connection.comp_id = Some(comp_id.to_owned());
            let (peer, comp_id) = (connection.peer, connection.comp_id.clone());
            self.notice(Some(peer), comp_id, "logged on".to_owned());
        }
        let ended = self.connections[link].as_ref().is_some_and(|it| it.ended);
        if ended && !self.gateway.is_stalled(link) && self.gateway.closing(link).is_none() {
            self.drop_connection(link, "client closed the connection");
        }
        Ok(received)
    }

    fn write(&mut self, link: LinkId, now_ns: u64) -> usize {
        let Some(connection) = &mut self.connections[link] else { return 0 };
        let closing = self.gateway.closing(link);
        let output = self.gateway.output(link);
        let mut work = 0;
        while connection.writable && (!output.is_empty() || connection.stream.has_pending()) {
            let written = match output.as_slice() {
                [] => connection.stream.flush().map(|()| 0),
                output => connection.stream.write(output),
            };
            match written {
                Ok(length) => {
                    output.drain(..length);
                    work = 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => connection.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.drop_connection(link, closing.unwrap_or("connection failed while sending"));
                    return 1;
                }
            }
        }
        let Some(reason) = closing else { return work };
        let timeout_ns = self.gateway.limits().logout_timeout_ns;
        let connection = self.connections[link].as_mut().expect("looked at above");
        let since_ns = *connection.closing_since_ns.get_or_insert(now_ns);
        let sent = self.gateway.output(link).is_empty() && !connection.stream.has_pending();
        if sent || connection.stream.is_handshaking() || now_ns.saturating_sub(since_ns) >= timeout_ns {
            self.drop_connection(link, reason);
        }
        1
    }

    fn drop_connection(&mut self, link: LinkId, reason: &str) {
        let Some(mut connection) = self.connections[link].take() else { return };
        // Fails only when the socket is gone already; dropping the stream closes it in any case.
        let _ = connection.stream.deregister(self.poll.registry());
        connection.stream.finish();
        // The place may be another's by the time that the lists are looked at again.
        self.to_read.retain(|&other| other != link);
        self.to_write.retain(|&other| other != link);
        self.gateway.disconnect(link);
        self.notice(Some(connection.peer), connection.comp_id, reason.to_owned());
    }

    fn notice(&mut self, peer: Option<SocketAddr>, comp_id: Option<String>, text: String) {
        if self.notices.len() == NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(Notice { peer, comp_id, text });
    }
}

/// Lets one link after the other be read, until [`CYCLE_BYTES`] have been. Those that have had their turn go to the end.
fn take_turns(links: &mut [LinkId], mut read: impl FnMut(LinkId) -> io::Result<usize>) -> io::Result<()> {
    let (mut received, mut turns) = (0, 0);
    for &link in &*links {
        if received >= CYCLE_BYTES {
            break;
        }
        received += read(link)?;
        turns += 1;
    }
    links.rotate_left(turns);
    Ok(())
}

impl Port {
    fn open(bind: SocketAddr, token: Token, poll: &Poll) -> io::Result<Self> {
        let mut listener = TcpListener::bind(bind)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {bind}: {error}")))?;
        poll.registry().register(&mut listener, token, Interest::READABLE)?;
        Ok(Self { listener, acceptable: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the same ones came first each time, four that send without end would keep all others from being heard.
    #[test]
    fn those_that_had_no_turn_come_first_in_the_next_cycle() {
        let mut links = [1, 2, 3, 4, 5, 6];
        let mut cycle = || {
            let mut heard = Vec::new();
            take_turns(&mut links, |link| {
                heard.push(link);
                Ok(READ_BYTES)
            })
            .unwrap();
            heard
        };
        assert_eq!([cycle(), cycle(), cycle()], [[1, 2, 3, 4], [5, 6, 1, 2], [3, 4, 5, 6]]);
    }

    #[test]
    fn those_with_little_all_have_their_turn_and_a_failure_ends_the_cycle() {
        let mut links: Vec<LinkId> = (0..100).collect();
        let mut heard = Vec::new();
        take_turns(&mut links, |link| {
            heard.push(link);
            Ok(100)
        })
        .unwrap();
        assert_eq!(heard, links);
        let failed =
            take_turns(&mut links, |link| if link < 3 { Ok(1) } else { Err(ErrorKind::Other.into()) });
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Other);
        take_turns(&mut [], |_| unreachable!("there is none")).unwrap();
    }
}

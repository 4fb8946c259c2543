//! What stands behind the sockets.

use std::io;
use std::net::IpAddr;

use machine::Record;

use crate::access::Attempt;
use crate::config::GatewayLimits;
use crate::gateway::{CommandPort, Gateway, GatewayError, LinkId};
use crate::transport::Security;

/// A protocol over byte streams, without its sockets: what [`crate::Acceptor`] and [`crate::GatewayAgent`] need of a
/// gateway. One duty cycle is: events, received bytes, time, then [`Endpoint::commit`]; only after it has returned
/// `true` may what stands in [`Endpoint::output`] be sent.
pub trait Endpoint {
    /// Name of its agent.
    const NAME: &'static str;

    /// Number of the gateway in the source of its commands.
    fn number(&self) -> u16;
    /// Limits of connections and time.
    fn limits(&self) -> &GatewayLimits;
    /// Folds one event, live or recovered.
    ///
    /// # Errors
    /// When its store cannot be written; it must stop then.
    fn on_event(&mut self, event: Record<'_>, now_ns: u64) -> io::Result<()>;
    /// All recovered events are in.
    ///
    /// # Errors
    /// [`GatewayError`]
    fn finish_recovery(&mut self) -> Result<(), GatewayError>;
    /// A client has connected; `None` when there are as many as allowed: close it.
    fn connect(&mut self, address: IpAddr, now_ns: u64) -> Option<LinkId>;
    /// The link's TLS handshake has succeeded.
    fn secured(&mut self, link: LinkId, security: Security);
    /// The link's TLS handshake has failed; it is disconnected next.
    fn not_secured(&mut self, link: LinkId, now_ns: u64);
    /// The link is gone; its place is free again.
    fn disconnect(&mut self, link: LinkId);
    /// Received bytes that have not been dealt with; the transport appends to it.
    fn input(&mut self, link: LinkId) -> &mut Vec<u8>;
    /// Bytes to send; the transport removes what it has sent.
    fn output(&mut self, link: LinkId) -> &mut Vec<u8>;
    /// Deals with what has been received, as far as there is room for commands.
    ///
    /// # Errors
    /// When its store cannot be read.
    fn receive(&mut self, link: LinkId, now_ns: u64, port: &mut dyn CommandPort) -> io::Result<()>;
    /// Time has passed.
    ///
    /// # Errors
    /// When its store cannot be read.
    fn on_tick(&mut self, now_ns: u64, port: &mut dyn CommandPort) -> io::Result<()>;
    /// Makes everything so far survive the process. `false`: nothing may be sent yet.
    ///
    /// # Errors
    /// When its store cannot be written; it must stop then.
    fn commit(&mut self) -> io::Result<bool>;
    /// Adds the links that may have something to send or are to be closed since the last call; `false` says that it does not
    /// know, and all are to be looked at.
    fn collect_active(&mut self, links: &mut Vec<LinkId>) -> bool {
        let _ = links;
        false
    }
    /// Why the link shall be closed once its output has been sent, if it shall.
    fn closing(&self, link: LinkId) -> Option<&'static str>;
    /// Whether the link's input waits: read no more from it.
    fn is_stalled(&self, link: LinkId) -> bool;
    /// Name of the client on this link, once it is logged on.
    fn client_name(&self, link: LinkId) -> Option<&str>;
    /// The attempts to log on since the last call, for the audit log.
    fn take_attempts(&mut self) -> Vec<Attempt>;
    /// The journal ends at this sequence, whether its last events have been shown or were not needed.
    fn journal_ends_at(&mut self, _sequence: u64) {}
    /// What the operator may want to read, since the last call.
    fn take_notes(&mut self) -> Vec<String> {
        Vec::new()
    }
    /// Everybody has gone: leaves what makes the next start shorter.
    fn finish(&mut self) {}
    /// Says goodbye to everybody with `text`, and takes no more connections.
    fn begin_shutdown(&mut self, text: &str, now_ns: u64);
    /// Whether nobody is connected any more.
    fn is_drained(&self) -> bool;
}

impl Endpoint for Gateway {
    const NAME: &'static str = "fix-gateway";

    fn number(&self) -> u16 {
        self.config().gateway
    }

    fn limits(&self) -> &GatewayLimits {
        &self.config().limits
    }

    fn on_event(&mut self, event: Record<'_>, now_ns: u64) -> io::Result<()> {
        self.on_event(event, now_ns)
    }

    fn finish_recovery(&mut self) -> Result<(), GatewayError> {
        self.finish_recovery()
    }

    fn connect(&mut self, address: IpAddr, now_ns: u64) -> Option<LinkId> {
        self.connect(address, now_ns)
    }

    fn secured(&mut self, link: LinkId, security: Security) {
        self.secured(link, security);
    }

    fn not_secured(&mut self, link: LinkId, now_ns: u64) {
        self.not_secured(link, now_ns);
    }

    fn disconnect(&mut self, link: LinkId) {
        self.disconnect(link);
    }

    fn input(&mut self, link: LinkId) -> &mut Vec<u8> {
        self.input(link)
    }

    fn output(&mut self, link: LinkId) -> &mut Vec<u8> {
        self.output(link)
    }

    fn receive(&mut self, link: LinkId, now_ns: u64, port: &mut dyn CommandPort) -> io::Result<()> {
        self.receive(link, now_ns, port)
    }

    fn on_tick(&mut self, now_ns: u64, port: &mut dyn CommandPort) -> io::Result<()> {
        self.on_tick(now_ns, port)
    }

    fn commit(&mut self) -> io::Result<bool> {
        self.commit()
    }

    fn collect_active(&mut self, links: &mut Vec<LinkId>) -> bool {
        self.collect_active(links);
        true
    }

    fn closing(&self, link: LinkId) -> Option<&'static str> {
        self.closing(link)
    }

    fn is_stalled(&self, link: LinkId) -> bool {
        self.is_stalled(link)
    }

    fn client_name(&self, link: LinkId) -> Option<&str> {
        self.comp_id(link)
    }

    fn take_attempts(&mut self) -> Vec<Attempt> {
        self.take_attempts()
    }

    fn journal_ends_at(&mut self, sequence: u64) {
        self.journal_ends_at(sequence);
    }

    fn take_notes(&mut self) -> Vec<String> {
        self.take_notes()
    }

    fn finish(&mut self) {
        self.finish();
    }

    fn begin_shutdown(&mut self, text: &str, now_ns: u64) {
        self.begin_shutdown(text, now_ns);
    }

    fn is_drained(&self) -> bool {
        self.is_drained()
    }
}

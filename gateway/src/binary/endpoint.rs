//! The binary gateway as the sockets see it.

use std::io;
use std::net::IpAddr;

use machine::Record;

use super::wire::packet;
use super::{BinaryGateway, Link, State};
use crate::access::Attempt;
use crate::config::GatewayLimits;
use crate::endpoint::Endpoint;
use crate::gateway::{CommandPort, GatewayError, LinkId};
use crate::transport::Security;

impl Endpoint for BinaryGateway {
    const NAME: &'static str = "binary-gateway";

    fn number(&self) -> u16 {
        self.config.gateway
    }

    fn limits(&self) -> &GatewayLimits {
        &self.config.limits
    }

    fn on_event(&mut self, event: Record<'_>, _now_ns: u64) -> io::Result<()> {
        let header = event.header();
        if header.sequence <= self.applied {
            return Ok(());
        }
        if self.applied == 0 && self.current.is_none() && header.sequence > 1 {
            // What came before is not shown: anybody may have entered orders then.
            self.sessions.iter_mut().for_each(|it| it.last_entered = header.sequence - 1);
        }
        let index = match self.current {
            Some((sequence, index)) if sequence == header.sequence => index,
            _ => 0,
        };
        self.current = Some((header.sequence, index + 1));
        self.note(event);
        self.distribute(event, index);
        if event.is_last_event() {
            self.finish_command();
            self.current = None;
            self.applied = header.sequence;
        }
        Ok(())
    }

    fn journal_ends_at(&mut self, sequence: u64) {
        if self.applied < sequence {
            // As above, and nothing came after.
            self.sessions.iter_mut().for_each(|it| it.last_entered = sequence);
            self.applied = sequence;
        }
    }

    fn finish_recovery(&mut self) -> Result<(), GatewayError> {
        Ok(())
    }

    fn connect(&mut self, address: IpAddr, now_ns: u64) -> Option<LinkId> {
        let limits = &self.config.limits;
        let open = || self.links.iter().flatten();
        let crowded = open().count() >= limits.connections
            || open().filter(|link| link.address == address).count() >= limits.connections_per_address
            || open().filter(|link| link.session().is_none()).count() >= limits.strangers;
        if self.shutting_down || crowded {
            return None;
        }
        let free = self.links.iter().position(Option::is_none).unwrap_or(self.links.len());
        if free == self.links.len() {
            self.links.push(None);
        }
        self.links[free] = Some(Link::new(address, now_ns));
        Some(free)
    }

    fn secured(&mut self, link: LinkId, security: Security) {
        self.link(link).security = security;
    }

    fn not_secured(&mut self, link: LinkId, now_ns: u64) {
        self.link(link).security.tls = true;
        self.counters.refused_logons += 1;
        self.note_attempt(link, b"", false, "TLS handshake failed", now_ns);
    }

    fn disconnect(&mut self, link: LinkId) {
        self.detach(link, self.now_ns);
        self.links[link] = None;
    }

    fn input(&mut self, link: LinkId) -> &mut Vec<u8> {
        &mut self.link(link).input
    }

    fn output(&mut self, link: LinkId) -> &mut Vec<u8> {
        &mut self.link(link).output
    }

    fn receive(&mut self, link: LinkId, now_ns: u64, port: &mut dyn CommandPort) -> io::Result<()> {
        let mut input = std::mem::take(self.input(link));
        let used = self.receive_all(link, &input, now_ns, port);
        if self.closing(link).is_none() {
            input.drain(..used);
            *self.input(link) = input;
        }
        Ok(())
    }

    fn on_tick(&mut self, now_ns: u64, port: &mut dyn CommandPort) -> io::Result<()> {
        if self.now_ns == 0 && self.config.cancel_on_disconnect {
            // Whoever was connected when the last process ended is away from now on.
            let due_ns = now_ns.saturating_add(self.config.cancel_grace_ns);
            self.sessions
                .iter_mut()
                .for_each(|it| it.cancel_due_ns = (it.last_entered > 0).then_some(due_ns));
        }
        self.now_ns = now_ns;
        // Logins and replays join the events between two commands.
        if self.current.is_none() {
            self.finish_logins(now_ns);
            self.go_on_with_replays(now_ns);
        }
        self.watch_links(now_ns);
        self.cancel_for_absent(now_ns, port);
        Ok(())
    }

    fn commit(&mut self) -> io::Result<bool> {
        Ok(self.current.is_none())
    }

    fn closing(&self, link: LinkId) -> Option<&'static str> {
        self.links[link].as_ref().and_then(|link| link.closing)
    }

    fn is_stalled(&self, link: LinkId) -> bool {
        self.links[link].as_ref().is_some_and(|link| {
            let waits = match &link.state {
                State::Checking { .. } | State::Queued(_) => true,
                State::Replaying(it) => !it.opened,
                State::Stranger | State::Live(_) => false,
            };
            link.stalled || waits
        })
    }

    fn client_name(&self, link: LinkId) -> Option<&str> {
        let session = self.links[link].as_ref()?.session()?;
        Some(&self.config.users[session].username)
    }

    fn take_attempts(&mut self) -> Vec<Attempt> {
        self.attempts.take()
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn begin_shutdown(&mut self, text: &str, now_ns: u64) {
        self.shutting_down = true;
        for at in 0..self.links.len() {
            let Some(link) = &mut self.links[at] else { continue };
            if link.closing.is_none() {
                link.send(packet::END_OF_SESSION, &[text.as_bytes()], now_ns);
                self.close(at, "shutting down", now_ns);
            }
        }
    }

    fn is_drained(&self) -> bool {
        self.links.iter().all(Option::is_none)
    }
}

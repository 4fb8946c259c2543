//! The gateway as an agent of the pipeline.

use std::time::Duration;

use sequencer::{Agent, AgentError, Clock, EventReader, Ingress, SendError};

use crate::acceptor::{Acceptor, Notice};
use crate::endpoint::Endpoint;
use crate::gateway::{CommandPort, Gateway, GatewayError};

/// Events folded in one duty cycle, so that sockets are looked at in between.
const EVENTS: usize = 1024;

/// Joins an [`Acceptor`] to the rings: commands out through an [`Ingress`], events in through an [`EventReader`].
///
/// The acceptor must have seen the recovered events ([`Acceptor::on_event`]) before.
pub struct GatewayAgent<E = Gateway> {
    name: &'static str,
    acceptor: Acceptor<E>,
    port: Option<IngressPort>,
    events: EventReader,
    clock: Clock,
    notify: Box<dyn FnMut(&Notice) + Send>,
}

struct IngressPort {
    ingress: Ingress,
    /// What cannot be cured by trying again.
    failed: Option<SendError>,
}

/// The way out of a gateway that sends no commands.
struct NoPort;

impl CommandPort for NoPort {
    fn try_send(&mut self, _session: u16, _kind: u16, _schema_version: u8, _body: &[u8]) -> bool {
        false
    }
}

impl CommandPort for IngressPort {
    fn try_send(&mut self, session: u16, kind: u16, schema_version: u8, body: &[u8]) -> bool {
        match self.ingress.try_send_bytes(session, kind, schema_version, body) {
            Ok(()) => true,
            // Closed: the pipeline is going down; what is not taken has not been received, and the client asks again.
            Err(SendError::Full | SendError::Closed) => false,
            Err(error) => {
                self.failed = Some(error);
                false
            }
        }
    }

    fn is_disk_full(&self) -> bool {
        self.ingress.is_disk_full()
    }
}

impl<E: Endpoint> GatewayAgent<E> {
    /// Joins them, and ends the recovery. `notify` gets what the operator may want to read in a log.
    ///
    /// # Errors
    /// When the session store and the recovered events do not belong together.
    ///
    /// # Panics
    /// If the ring belongs to another gateway: its events would not be recognised.
    pub fn new(
        mut acceptor: Acceptor<E>,
        ingress: Ingress,
        events: EventReader,
        clock: Clock,
        notify: Box<dyn FnMut(&Notice) + Send>,
    ) -> Result<Self, GatewayError> {
        assert_eq!(ingress.gateway(), acceptor.gateway().number(), "the ring is another gateway's");
        acceptor.finish_recovery()?;
        let port = Some(IngressPort { ingress, failed: None });
        Ok(Self { name: E::NAME, acceptor, port, events, clock, notify })
    }

    fn cycle(&mut self, wait: Duration) -> Result<usize, AgentError> {
        let now_ns = self.clock.now_ns();
        let acceptor = &mut self.acceptor;
        let mut outcome = Ok(());
        let folded = self.events.poll_while(EVENTS, |event| {
            outcome = acceptor.on_event(event, now_ns);
            outcome.is_ok()
        });
        outcome.map_err(AgentError::new)?;
        let folded = folded?;
        let port: &mut dyn CommandPort = match &mut self.port {
            Some(port) => port,
            None => &mut NoPort,
        };
        if folded > 0 {
            self.acceptor.finish_cycle(now_ns, port).map_err(AgentError::new)?;
        }
        let work = self.acceptor.do_work(now_ns, wait, port).map_err(AgentError::new)?;
        self.acceptor.take_notices().for_each(|notice| (self.notify)(&notice));
        match self.port.as_mut().and_then(|port| port.failed.take()) {
            Some(error) => Err(AgentError::new(error)),
            None => Ok(folded + work),
        }
    }
}

impl GatewayAgent {
    /// A gateway for market data alone: it has no ring, since it takes no orders.
    ///
    /// # Errors
    /// When the session store cannot be written.
    ///
    /// # Panics
    /// If its configuration lets orders be entered.
    pub fn market_data(
        mut acceptor: Acceptor,
        events: EventReader,
        clock: Clock,
        notify: Box<dyn FnMut(&Notice) + Send>,
    ) -> Result<Self, GatewayError> {
        assert!(!acceptor.gateway().config().order_entry, "orders need a ring");
        acceptor.finish_recovery()?;
        Ok(Self { name: "market-data", acceptor, port: None, events, clock, notify })
    }
}

impl<E: Endpoint> Agent for GatewayAgent<E> {
    fn name(&self) -> &str {
        self.name
    }

    fn do_work(&mut self) -> Result<usize, AgentError> {
        self.cycle(Duration::ZERO)
    }

    /// Says goodbye to every client and gives them the logout timeout to answer.
    fn on_close(&mut self) -> Result<(), AgentError> {
        self.acceptor.begin_shutdown("the exchange is shutting down", self.clock.now_ns());
        let timeout = Duration::from_nanos(self.acceptor.gateway().limits().logout_timeout_ns);
        // A wait of its own besides the clock's: a test's clock may stand still.
        for _ in 0..=timeout.as_millis() {
            if self.acceptor.is_drained() {
                break;
            }
            self.cycle(Duration::from_millis(1))?;
        }
        self.cycle(Duration::ZERO)?;
        self.acceptor.finish();
        self.acceptor.take_notices().for_each(|notice| (self.notify)(&notice));
        Ok(())
    }
}

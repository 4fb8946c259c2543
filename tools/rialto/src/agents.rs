//! The edges of the exchange as agents: the operator and the house traders (the FIX gateway brings its own).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use sequencer::{Agent, AgentError, Clock, EventReader, Ingress, SendError};
use simulator::house::House;

use crate::operator::{Operator, Status, Wish};

/// Events that an agent takes in one duty cycle.
const EVENTS_PER_CYCLE: usize = 1024;

/// Sends one command; `false` when there is no room now.
///
/// # Errors
/// When it can never be sent.
fn send(ingress: &mut Ingress, session: u16, kind: u16, body: &[u8]) -> Result<bool, AgentError> {
    match ingress.try_send_bytes(session, kind, 1, body) {
        Ok(()) => Ok(true),
        Err(SendError::Full | SendError::Closed) => Ok(false),
        Err(error) => Err(AgentError::new(error)),
    }
}

/// The operator in the pipeline.
pub struct OperatorAgent {
    operator: Operator,
    /// What people ask for at run time.
    asked: Receiver<Wish>,
    ingress: Ingress,
    events: EventReader,
    clock: Clock,
}

impl OperatorAgent {
    /// Over an operator that knows what the journal has.
    pub fn new(
        operator: Operator,
        asked: Receiver<Wish>,
        ingress: Ingress,
        events: EventReader,
        clock: Clock,
    ) -> Self {
        Self { operator, asked, ingress, events, clock }
    }
}

impl Agent for OperatorAgent {
    fn name(&self) -> &str {
        "operator"
    }

    fn do_work(&mut self) -> Result<usize, AgentError> {
        let operator = &mut self.operator;
        let events = self.events.poll(EVENTS_PER_CYCLE, |event| operator.on_event(event));
        let mut work = events?;
        self.asked.try_iter().for_each(|wish| operator.ask(wish));
        let Some(wish) = operator.next(self.clock.now_ns()) else { return Ok(work) };
        if send(&mut self.ingress, 0, wish.kind, &wish.body)? {
            operator.sent();
            work += 1;
        }
        Ok(work)
    }
}

/// The house traders in the pipeline.
pub struct HouseAgent {
    house: House,
    ingress: Ingress,
    events: EventReader,
    clock: Clock,
    /// Set once the operator has made its accounts.
    ready: Arc<Status>,
}

impl HouseAgent {
    /// Over a house that has seen all recovered events; it starts when the operator is ready.
    pub fn new(
        house: House,
        ingress: Ingress,
        events: EventReader,
        clock: Clock,
        ready: Arc<Status>,
    ) -> Self {
        Self { house, ingress, events, clock, ready }
    }
}

impl Agent for HouseAgent {
    fn name(&self) -> &str {
        "house"
    }

    fn do_work(&mut self) -> Result<usize, AgentError> {
        let house = &mut self.house;
        let events = self.events.poll(EVENTS_PER_CYCLE, |event| house.on_event(event));
        let mut work = events?;
        if !self.ready.ready.load(Ordering::Acquire) {
            return Ok(work);
        }
        let (ingress, mut failure) = (&mut self.ingress, None);
        house.on_timer(self.clock.now_ns(), &mut |command| {
            if ingress.is_disk_full() {
                return false;
            }
            let sent = send(ingress, 1, command.kind(), command.body());
            let sent = sent.unwrap_or_else(|error| {
                failure.get_or_insert(error);
                false
            });
            work += usize::from(sent);
            sent
        });
        if let Some(error) = failure {
            return Err(error);
        }
        Ok(work)
    }
}

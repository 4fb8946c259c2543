//! One configured user: its session, and what it has asked for that is not answered yet.

use std::collections::{HashMap, VecDeque};

use machine::Record;
use protocol::{
    ClientOrderId, CommandKind, EventKind, OrderAccepted, OrderCanceled, OrderReplaced, Rejected,
};

use super::LinkId;
use crate::access::Throttle;
use crate::orders::Request;
use crate::session::Session;

pub(super) struct Client {
    pub(super) session: Session,
    pub(super) link: Option<LinkId>,
    /// Commands sent whose events have not come yet, oldest first.
    in_flight: VecDeque<Request>,
    /// How many of them carry a ClOrdID.
    client_ids: HashMap<ClientOrderId, u32>,
    /// Cancels and replaces whose order is in flight itself.
    pub(super) parked: VecDeque<Request>,
    /// MsgSeqNums of order messages without their effect yet, and whether it has come meanwhile.
    outstanding: VecDeque<(u64, bool)>,
    /// The request whose events are coming in.
    current: Option<Request>,
    /// ClOrdIDs of requests that the gateway itself has refused since the sequences began, oldest first.
    refused: VecDeque<ClientOrderId>,
    pub(super) throttle: Throttle,
    /// Whose throttle it shares: place in `Gateway::firms`.
    pub(super) firm: Option<usize>,
    /// MsgSeqNum of the message that was counted last: one that had to wait comes again.
    pub(super) counted: u64,
    /// SendingTime of the last signed Logon: an earlier one is a copy.
    pub(super) signed_ns: u64,
}

/// Refused ClOrdIDs that are kept; for each, one repetition with PossResend is ignored instead of being refused again.
const REFUSED: usize = 1024;

impl Client {
    pub(super) fn new(session: Session, throttle: Throttle, firm: Option<usize>) -> Self {
        Self {
            session,
            link: None,
            in_flight: VecDeque::new(),
            client_ids: HashMap::new(),
            parked: VecDeque::new(),
            outstanding: VecDeque::new(),
            current: None,
            refused: VecDeque::new(),
            throttle,
            firm,
            counted: 0,
            signed_ns: 0,
        }
    }

    pub(super) fn commands_in_flight(&self) -> usize {
        self.in_flight.len() + self.parked.len()
    }

    pub(super) fn is_in_flight(&self, client_order_id: ClientOrderId) -> bool {
        self.client_ids.contains_key(&client_order_id)
    }

    /// The gateway has refused a request with this ClOrdID.
    pub(super) fn refuse(&mut self, client_order_id: ClientOrderId) {
        if self.refused.len() == REFUSED {
            self.refused.pop_front();
        }
        self.refused.push_back(client_order_id);
    }

    pub(super) fn has_refused(&self, client_order_id: ClientOrderId) -> bool {
        self.refused.contains(&client_order_id)
    }

    /// Whether a request with this ClOrdID waits, sent or parked.
    pub(super) fn is_waiting(&self, client_order_id: ClientOrderId) -> bool {
        self.is_in_flight(client_order_id)
            || self.parked.iter().any(|it| it.client_order_id == client_order_id)
    }

    /// A message's effect is outstanding from now on.
    pub(super) fn await_effect(&mut self, sequence: u64) {
        self.outstanding.push_back((sequence, false));
    }

    pub(super) fn sent(&mut self, request: Request) {
        *self.client_ids.entry(request.client_order_id).or_insert(0) += 1;
        self.in_flight.push_back(request);
    }

    /// The message with this number has had its effect.
    pub(super) fn effect_came(&mut self, sequence: u64) {
        if let Ok(at) = self.outstanding.binary_search_by_key(&sequence, |it| it.0) {
            self.outstanding[at].1 = true;
        }
        while self.outstanding.front().is_some_and(|it| it.1) {
            self.outstanding.pop_front();
        }
    }

    /// The number up to which everything has had its effect: where a new process would go on.
    pub(super) fn processed_in(&self) -> u64 {
        self.outstanding.front().map_or(self.session.expected_in(), |it| it.0)
    }

    /// The sequences have started anew: old numbers mean nothing any more.
    pub(super) fn forget_sequences(&mut self) {
        self.outstanding.clear();
        self.refused.clear();
        self.counted = 0;
        self.in_flight.iter_mut().chain(self.parked.iter_mut()).for_each(|it| it.sequence = 0);
    }

    /// Finds the request that this command's first event answers. Answers come in the order of the requests; one that
    /// has no request here was sent by the process before this one.
    pub(super) fn match_request(&mut self, event: Record<'_>) {
        let (kind, client_order_id) = match EventKind::from_code(event.header().kind) {
            Some(EventKind::OrderAccepted) => {
                (CommandKind::NewOrder, event.body_as::<OrderAccepted>().map(|it| it.client_order_id))
            }
            Some(EventKind::OrderCanceled) => {
                (CommandKind::CancelOrder, event.body_as::<OrderCanceled>().map(|it| it.client_order_id))
            }
            Some(EventKind::OrderReplaced) => {
                (CommandKind::ReplaceOrder, event.body_as::<OrderReplaced>().map(|it| it.client_order_id))
            }
            Some(EventKind::Rejected) => {
                let Some(body) = event.body_as::<Rejected>() else { return };
                let Some(kind) = CommandKind::from_code(body.command_kind) else { return };
                (kind, Some(body.client_order_id))
            }
            _ => return,
        };
        let matches = |it: &Request| it.kind == kind && Some(it.client_order_id) == client_order_id;
        let Some(at) = self.in_flight.iter().position(matches) else { return };
        self.current = self.in_flight.remove(at);
    }

    pub(super) fn current_request(&self) -> Option<&Request> {
        self.current.as_ref()
    }

    /// All events of the current command are in.
    pub(super) fn finish_request(&mut self) {
        let Some(request) = self.current.take() else { return };
        if let Some(count) = self.client_ids.get_mut(&request.client_order_id) {
            *count -= 1;
            if *count == 0 {
                self.client_ids.remove(&request.client_order_id);
            }
        }
        self.effect_came(request.sequence);
    }
}

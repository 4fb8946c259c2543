//! One configured user: its session, and what it has asked for that is not answered yet.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;

use machine::Record;
use protocol::{
    CancelReason, ClientOrderId, CommandKind, EventKind, ExtendedOrderAccepted, MassCancelAccepted,
    OrderAccepted, OrderCanceled, OrderId, OrderListAccepted, OrderReplaced, RejectReason, Rejected,
};

use super::LinkId;
use super::disconnect::CancelOnDisconnect;
use super::order_list::ListCancel;
use super::order_status::MassAnswer;
use crate::access::Throttle;
use crate::orders::{Asked, Extra, Hashed, IdHash, Request, Sent};
use crate::session::Session;

pub(super) struct Client {
    pub(super) session: Session,
    pub(super) link: Option<LinkId>,
    /// Commands sent whose events have not come yet, oldest first.
    in_flight: VecDeque<Sent>,
    /// How many of them, and of those that are parked, carry a ClOrdID.
    /// By the hash of the id alone, which has secret seeds: of thousands of ids one in 2^50 would be taken for another. Whole ids
    /// would be looked up in memory that is far away when much is in flight.
    client_ids: HashMap<u64, u32, BuildHasherDefault<Hashed>>,
    id_hash: IdHash,
    /// Cancels and replaces whose order is in flight itself, oldest first.
    parked: VecDeque<Request>,
    /// Whether something has come since the parked ones were looked at last that may let them go on.
    may_release: bool,
    /// MsgSeqNums of order messages without their effect yet, and whether it has come meanwhile.
    outstanding: VecDeque<(u64, bool)>,
    /// Place in `in_flight` of the one whose events are coming in.
    current: Option<usize>,
    /// ClOrdIDs of requests that the gateway itself has refused since the sequences began, oldest first.
    refused: VecDeque<ClientOrderId>,
    pub(super) throttle: Throttle,
    /// Whose throttle it shares: place in `Gateway::firms`.
    pub(super) firm: Option<usize>,
    /// MsgSeqNum of the message that was counted last: one that had to wait comes again.
    pub(super) counted: u64,
    /// Lists of which it has what is left cancelled, oldest first.
    pub(super) list_cancels: VecDeque<ListCancel>,
    /// Why the list whose events are coming in was rejected as a whole.
    pub(super) list_rejected: Option<RejectReason>,
    /// Mass status requests that are being answered.
    pub(super) answers: VecDeque<MassAnswer>,
    pub(super) on_disconnect: CancelOnDisconnect,
}

/// Refused ClOrdIDs that are kept; for each, one repetition with PossResend is ignored instead of being refused again.
const REFUSED: usize = 1024;

impl Client {
    pub(super) fn new(session: Session, throttle: Throttle, firm: Option<usize>) -> Self {
        Self {
            session,
            link: None,
            in_flight: VecDeque::new(),
            client_ids: HashMap::default(),
            id_hash: IdHash::default(),
            parked: VecDeque::new(),
            may_release: false,
            outstanding: VecDeque::new(),
            current: None,
            refused: VecDeque::new(),
            throttle,
            firm,
            counted: 0,
            list_cancels: VecDeque::new(),
            list_rejected: None,
            answers: VecDeque::new(),
            on_disconnect: CancelOnDisconnect::default(),
        }
    }

    /// Whether it has something to go on with, without hearing anything new.
    pub(super) fn is_busy(&self) -> bool {
        let waiting = [self.parked.is_empty(), self.answers.is_empty(), self.list_cancels.is_empty()];
        self.session.is_busy() || waiting.contains(&false)
    }

    pub(super) fn commands_in_flight(&self) -> usize {
        self.in_flight.len() + self.parked.len()
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
        self.client_ids.contains_key(&self.id_hash.of(0, &client_order_id.0))
    }

    /// How many requests wait for their order's acknowledgement.
    pub(super) fn parked_count(&self) -> usize {
        self.parked.len()
    }

    /// A request waits for its order's acknowledgement.
    pub(super) fn park(&mut self, request: Request) {
        self.count_ids(request.client_order_ids());
        self.parked.push_back(request);
    }

    /// Takes all that are parked, to look at each; none if nothing has come since that could let one go on.
    pub(super) fn take_parked(&mut self) -> VecDeque<Request> {
        if std::mem::take(&mut self.may_release) { std::mem::take(&mut self.parked) } else { VecDeque::new() }
    }

    /// Puts back those that still wait, in their order. `again` says that they are to be looked at again soon, whatever comes.
    pub(super) fn put_back_parked(&mut self, parked: VecDeque<Request>, again: bool) {
        self.parked = parked;
        self.may_release |= again;
    }

    /// A parked request goes on, or has been refused.
    pub(super) fn unpark(&mut self, request: &Request) {
        self.uncount_ids(request.client_order_ids());
        // It may be what another one has waited for.
        self.may_release = true;
    }

    fn count_ids(&mut self, ids: impl Iterator<Item = ClientOrderId>) {
        for id in ids {
            *self.client_ids.entry(self.id_hash.of(0, &id.0)).or_insert(0) += 1;
        }
    }

    fn uncount_ids(&mut self, ids: impl Iterator<Item = ClientOrderId>) {
        for id in ids {
            if let Entry::Occupied(mut count) = self.client_ids.entry(self.id_hash.of(0, &id.0)) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }

    /// A message's effect is outstanding from now on.
    pub(super) fn await_effect(&mut self, sequence: u64) {
        self.outstanding.push_back((sequence, false));
    }

    pub(super) fn sent(&mut self, request: Request) {
        self.count_ids(request.client_order_ids());
        self.in_flight.push_back(request.into_sent());
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
        self.in_flight.iter_mut().for_each(|it| it.sequence = 0);
        self.parked.iter_mut().for_each(|it| it.sequence = 0);
        self.list_cancels.iter_mut().for_each(|it| it.message = 0);
    }

    /// Finds the request that this event answers, if it answers one. Answers come in the order of the requests; one that
    /// has no request here was sent by the process before this one.
    pub(super) fn match_request(&mut self, event: Record<'_>) {
        let Some(answer) = answered(event) else { return };
        self.current = self.in_flight.iter().position(|it| answer.is_of(it));
        let rejected = event.body_as::<Rejected>().filter(|it| it.client_order_id.is_none());
        self.list_rejected = rejected.and_then(|it| RejectReason::from_code(it.reason));
    }

    /// What a reject's report needs of the request that it answers.
    pub(super) fn asked(&self, event: Record<'_>) -> Option<Asked> {
        let rejected = event.body_as::<Rejected>()?;
        Some(self.in_flight.get(self.current?)?.asked(rejected.client_order_id))
    }

    /// Whether a list with this id is on its way to the engine.
    pub(super) fn enters_list(&self, id: ClientOrderId) -> bool {
        let is_it = |it: &Sent| matches!(&it.extra, Extra::List(list) if list.id == id);
        self.in_flight.iter().any(is_it)
    }

    /// Whether the request is known whose events are coming in.
    pub(super) fn has_current_request(&self) -> bool {
        self.current.is_some()
    }

    /// All events of the current command are in; the request that it was.
    pub(super) fn finish_request(&mut self) -> Option<Sent> {
        let request = self.in_flight.remove(self.current.take()?)?;
        self.uncount_ids(request.client_order_ids());
        self.may_release = !self.parked.is_empty();
        self.effect_came(request.sequence);
        Some(request)
    }
}

/// What an event tells of the command that it answers.
struct Answer {
    /// As the plain one of its kind.
    kind: CommandKind,
    /// That of the request; of a list that was taken its ListID.
    client_order_id: ClientOrderId,
    /// The order that a cancel named.
    order_id: OrderId,
}

fn answered(event: Record<'_>) -> Option<Answer> {
    let answer = |kind, client_order_id| Answer { kind, client_order_id, order_id: OrderId::NONE };
    Some(match EventKind::from_code(event.header().kind)? {
        EventKind::OrderAccepted => {
            answer(CommandKind::NewOrder, event.body_as::<OrderAccepted>()?.client_order_id)
        }
        EventKind::ExtendedOrderAccepted => {
            answer(CommandKind::NewOrder, event.body_as::<ExtendedOrderAccepted>()?.order.client_order_id)
        }
        EventKind::OrderListAccepted => {
            answer(CommandKind::NewClientOrderList, event.body_as::<OrderListAccepted>()?.client_list_id)
        }
        EventKind::OrderCanceled => {
            let body = event.body_as::<OrderCanceled>()?;
            // What the time has brought, or another command of this session, answers no cancel.
            if body.reason != CancelReason::Requested.code() {
                return None;
            }
            Answer { order_id: body.order_id, ..answer(CommandKind::CancelOrder, body.client_order_id) }
        }
        EventKind::OrderReplaced => {
            answer(CommandKind::ReplaceOrder, event.body_as::<OrderReplaced>()?.client_order_id)
        }
        EventKind::MassCancelAccepted => {
            answer(CommandKind::MassCancel, event.body_as::<MassCancelAccepted>()?.client_order_id)
        }
        EventKind::Rejected => {
            let body = event.body_as::<Rejected>()?;
            let kind = plain(CommandKind::from_code(body.command_kind)?);
            Answer { order_id: body.order_id, ..answer(kind, body.client_order_id) }
        }
        _ => return None,
    })
}

/// The kind of the plain command that is answered in the same way.
fn plain(kind: CommandKind) -> CommandKind {
    match kind {
        CommandKind::NewExtendedOrder => CommandKind::NewOrder,
        CommandKind::ReplaceExtendedOrder | CommandKind::ReplaceOrderTerms => CommandKind::ReplaceOrder,
        other => other,
    }
}

impl Answer {
    /// Whether it answers this request. A list was taken, or is rejected as a whole or by one of its orders; cancels of the
    /// orders of a list have no ids.
    fn is_of(&self, request: &Sent) -> bool {
        let id = self.client_order_id;
        if plain(request.kind) != self.kind {
            return false;
        }
        match &request.extra {
            Extra::List(list) => {
                id.is_none() || list.id == id || request.client_order_ids().any(|it| it == id)
            }
            Extra::OfListCancel => id.is_none() && request.order_id == self.order_id,
            Extra::None | Extra::MassCancel(_) => request.client_order_id == id,
        }
    }
}

//! What an order has beyond a plain one: a side table by slot that plain orders never touch.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use machine::StateHasher;
use orderbook::{Order, OrderTable};
use protocol::{
    AmountMinor, InstrumentId, OrderId, OrderTerms, PriceTicks, QuantityLots, Side, TimeInForce, term_flags,
};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::timers::Expiries;

/// Bits of [`Order::flags`] besides the book's own.
pub(crate) mod flags {
    /// The order has a [`super::Special`]: it was answered with `ExtendedOrderAccepted`.
    pub(crate) const EXTENDED: u8 = 2;
}

/// Where an extended order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Place {
    /// In the shown or in the hidden book, or on its way there.
    Active = 0,
    /// In a queue of triggers.
    Waiting = 1,
    /// Outside the book until the closing auction.
    Parked = 2,
    /// Waits for the first order of its list.
    Inactive = 3,
}

/// Side table row of an extended order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct Special {
    /// As given, but for the expiry, which is 0 where there is none, and the trigger price, which is the one now.
    pub(crate) terms: OrderTerms,
    /// Limit or worst price, which its hold is for; 0 for a market order without one.
    pub(crate) limit_ticks: PriceTicks,
    /// What is held for it now.
    pub(crate) hold_minor: AmountMinor,
    /// What the other order of its pair needs held, while this one, the first, holds for both; else 0.
    pub(crate) pair_hold_minor: AmountMinor,
    /// The other order of its pair, or none.
    pub(crate) peer: OrderId,
    /// Orders that wait for this one to be filled.
    pub(crate) children: [OrderId; 2],
    /// Neighbours in its instrument's list of pegged, trailing or parked orders, as slot + 1.
    pub(crate) before: u32,
    pub(crate) after: u32,
    /// [`Place`].
    pub(crate) place_code: u8,
    /// [`protocol::OrderType`].
    pub(crate) order_type: u8,
    /// [`protocol::ListType`].
    pub(crate) list_type: u8,
    pub(crate) reserved: [u8; 5],
}

impl Special {
    pub(crate) fn place(&self) -> Place {
        match self.place_code {
            0 => Place::Active,
            1 => Place::Waiting,
            2 => Place::Parked,
            _ => Place::Inactive,
        }
    }

    pub(crate) fn set_place(&mut self, place: Place) {
        self.place_code = place as u8;
    }

    pub(crate) fn is_hidden(&self) -> bool {
        self.terms.flags & (term_flags::HIDDEN | term_flags::ALL_OR_NONE) != 0 || self.terms.peg != 0
    }

    pub(crate) fn is_all_or_none(&self) -> bool {
        self.terms.flags & term_flags::ALL_OR_NONE != 0
    }
}

/// A list of slots in order of their orders' ids, linked through the side table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotList {
    /// Slot + 1.
    first: u32,
    last: u32,
    pub(crate) length: u32,
}

impl SlotList {
    /// As a snapshot has it: first and last slot + 1, and length.
    pub(crate) fn to_words(self) -> [u32; 3] {
        [self.first, self.last, self.length]
    }

    /// From [`SlotList::to_words`].
    pub(crate) fn from_words([first, last, length]: [u32; 3]) -> Self {
        Self { first, last, length }
    }
}

/// Something that a list of orders has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Cancel the other order of a pair.
    CancelPeer(OrderId),
    /// Cancel the one or two orders whose first order ended unfilled.
    CancelChildren([OrderId; 2]),
    /// Set free the one or two orders that waited for a filled one.
    Free([OrderId; 2]),
}

impl Duty {
    /// Its number and its one or two orders.
    pub(crate) fn to_parts(self) -> (u32, [OrderId; 2]) {
        match self {
            Self::CancelPeer(id) => (1, [id, OrderId::NONE]),
            Self::CancelChildren(ids) => (2, ids),
            Self::Free(ids) => (3, ids),
        }
    }

    /// From [`Duty::to_parts`]; `None` for another number.
    pub(crate) fn from_parts(kind: u32, ids: [OrderId; 2]) -> Option<Self> {
        match kind {
            1 => Some(Self::CancelPeer(ids[0])),
            2 => Some(Self::CancelChildren(ids)),
            3 => Some(Self::Free(ids)),
            _ => None,
        }
    }
}

/// The side table, with what else only extended orders use.
pub(crate) struct Specials {
    rows: Box<[Special]>,
    pub(crate) expiries: Expiries,
    /// First come, first done. At most two for each order, so it never grows.
    pub(crate) duties: VecDeque<(InstrumentId, Duty)>,
}

impl Specials {
    pub(crate) fn with_capacity(orders: u32) -> Self {
        let rows = <[Special]>::new_box_zeroed_with_elems(orders as usize);
        Self {
            rows: rows.expect("memory for the side table at the start"),
            expiries: Expiries::with_capacity(orders),
            duties: VecDeque::with_capacity(orders as usize * 2 + 2),
        }
    }

    #[inline]
    pub(crate) fn at(&self, slot: u32) -> &Special {
        &self.rows[slot as usize]
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut Special {
        &mut self.rows[slot as usize]
    }

    /// The row of an order, or `None` for a plain one.
    #[inline]
    pub(crate) fn of(&self, order: &Order) -> Option<&Special> {
        (order.flags & flags::EXTENDED != 0).then(|| self.at(order.order_id.slot()))
    }

    /// Adds an order to a list that is in order of ids. New orders have the highest, so this looks at one neighbour but
    /// for orders that come back.
    pub(crate) fn join(&mut self, list: &mut SlotList, table: &OrderTable, slot: u32) {
        let id = |slot: u32| table.get(slot).expect("an order in a list is live").order_id;
        let mut before = list.last;
        while let Some(other) = before.checked_sub(1) {
            if id(other) < id(slot) {
                break;
            }
            before = self.at(other).before;
        }
        let after = match before.checked_sub(1) {
            Some(before) => core::mem::replace(&mut self.at_mut(before).after, slot + 1),
            None => core::mem::replace(&mut list.first, slot + 1),
        };
        match after.checked_sub(1) {
            Some(after) => self.at_mut(after).before = slot + 1,
            None => list.last = slot + 1,
        }
        let row = self.at_mut(slot);
        (row.before, row.after) = (before, after);
        list.length += 1;
    }

    pub(crate) fn take_out(&mut self, list: &mut SlotList, slot: u32) {
        let Special { before, after, .. } = *self.at(slot);
        match before.checked_sub(1) {
            Some(before) => self.at_mut(before).after = after,
            None => list.first = after,
        }
        match after.checked_sub(1) {
            Some(after) => self.at_mut(after).before = before,
            None => list.last = before,
        }
        list.length -= 1;
    }

    /// Slots of a list, lowest id first.
    pub(crate) fn slots<'a>(&'a self, list: &SlotList) -> impl Iterator<Item = u32> + 'a {
        let mut next = list.first;
        core::iter::from_fn(move || {
            let slot = next.checked_sub(1)?;
            next = self.at(slot).after;
            Some(slot)
        })
    }

    /// The slot behind another in its list.
    pub(crate) fn after(&self, slot: u32) -> Option<u32> {
        self.at(slot).after.checked_sub(1)
    }

    /// Notes what the lists of an order that has traded have to do, before it is known whether it has ended.
    pub(crate) fn has_traded(&mut self, order: &Order) {
        let peer = self.part(order.order_id.slot());
        if peer != OrderId::NONE {
            self.duties.push_back((order.instrument, Duty::CancelPeer(peer)));
        }
    }

    /// Dissolves a pair; returns the other order, or none.
    pub(crate) fn part(&mut self, slot: u32) -> OrderId {
        let row = self.at_mut(slot);
        let peer = core::mem::replace(&mut row.peer, OrderId::NONE);
        row.pair_hold_minor = 0;
        if peer != OrderId::NONE {
            let other = self.at_mut(peer.slot());
            (other.peer, other.pair_hold_minor) = (OrderId::NONE, 0);
        }
        peer
    }

    /// The first duty of an instrument.
    pub(crate) fn next_duty(&mut self, instrument: InstrumentId) -> Option<Duty> {
        let at = self.duties.iter().position(|&(of, _)| of == instrument)?;
        self.duties.remove(at).map(|(_, duty)| duty)
    }

    /// Notes what an order that has ended leaves behind: its pair, those that waited for it, its expiry.
    pub(crate) fn has_ended(&mut self, order: &Order, filled: bool) {
        self.has_traded(order);
        let row = self.at_mut(order.order_id.slot());
        let children = core::mem::take(&mut row.children);
        let expires = core::mem::take(&mut row.terms.expire_time_ns) != 0;
        if expires {
            self.expiries.remove(order.order_id);
        }
        if children[0] == OrderId::NONE {
            return;
        }
        let duty = if filled { Duty::Free(children) } else { Duty::CancelChildren(children) };
        self.duties.push_back((order.instrument, duty));
    }

    pub(crate) fn hash_into(&self, table: &OrderTable, hasher: &mut StateHasher) {
        for (slot, order) in table.iter().filter(|(_, order)| order.flags & flags::EXTENDED != 0) {
            let row = Special { before: 0, after: 0, ..*self.at(slot) };
            hasher.write_value(&order.order_id);
            hasher.write_value(&row);
        }
        hasher.write_value(&(self.duties.len() as u64));
        for (instrument, duty) in &self.duties {
            let (kind, ids) = duty.to_parts();
            hasher.write_value(&[*instrument, kind]);
            hasher.write_value(&ids);
        }
    }
}

/// The side that an order is on: one that waits for a trigger lies in its queue the other way round, since the lowest
/// trigger of the buys is the first to be met, as the lowest price of the sells is in a book.
#[inline]
pub(crate) fn side_of(order: &Order, special: Option<&Special>) -> Side {
    match special {
        Some(special) if special.place() == Place::Waiting => order.side().opposite(),
        _ => order.side(),
    }
}

/// Whether the time in force lets a remainder rest.
#[inline]
pub(crate) fn may_rest(time_in_force: u8) -> bool {
    time_in_force != TimeInForce::ImmediateOrCancel.code() && time_in_force != TimeInForce::FillOrKill.code()
}

/// What is left of an order, shown or not.
#[inline]
pub(crate) fn leaves_of(table: &OrderTable, order: &Order) -> QuantityLots {
    if order.flags & orderbook::order_flags::RESERVE == 0 {
        order.leaves_lots
    } else {
        order.leaves_lots + table.reserve(order.order_id.slot()).lots
    }
}

//! A live order, and small questions about it.

use protocol::{
    AccountId, ClientOrderId, InstrumentId, OrderId, OrderTerms, OrderType, Side, TimeInForce, term_flags,
};

use machine::Source;

/// Where a live order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Coming in: neither in a book nor waiting.
    Nowhere,
    /// In a book, since this reading of the clock.
    Book(u64),
    /// Waits for its trigger, since this reading of the clock.
    Trigger(u64),
    /// Waits for the closing auction.
    ForTheClose,
    /// Waits for the first order of its list.
    Inactive,
}

/// A live order.
#[derive(Clone, Debug)]
pub(crate) struct LiveOrder {
    pub(crate) id: OrderId,
    pub(crate) account: AccountId,
    pub(crate) instrument: InstrumentId,
    pub(crate) client_order_id: ClientOrderId,
    pub(crate) source: Source,
    pub(crate) side: Side,
    pub(crate) order_type: OrderType,
    pub(crate) time_in_force: TimeInForce,
    pub(crate) self_trade_prevention: u8,
    pub(crate) terms: OrderTerms,
    /// Answered with `ExtendedOrderAccepted`.
    pub(crate) extended: bool,
    /// Limit or worst price; 0 for none.
    pub(crate) price: i64,
    /// Where it rests or looks for a counterpart: the target of a pegged order, else the price.
    pub(crate) book_price: i64,
    pub(crate) quantity: i64,
    pub(crate) filled: i64,
    /// What an iceberg in the book does not show.
    pub(crate) reserve: i64,
    /// State of the random refills.
    pub(crate) refills: u64,
    /// What is held for it now.
    pub(crate) hold: i128,
    /// Its hold shrinks by what its fills cost: a market buy without a worst price, a spend-budget order.
    pub(crate) hold_is_spent: bool,
    /// Trigger price of one that waits for it.
    pub(crate) trigger: i64,
    pub(crate) place: Place,
    /// Of a one-cancels-other pair: the other order, as long as nothing has happened to the pair.
    pub(crate) pair: Option<OrderId>,
    /// Of an active pair: it holds for both.
    pub(crate) holds_for_pair: bool,
    /// Of a list: not to be replaced.
    pub(crate) of_list: bool,
    /// What waits for it to be filled.
    pub(crate) children: [OrderId; 2],
}

impl LiveOrder {
    pub(crate) fn leaves(&self) -> i64 {
        self.quantity - self.filled
    }

    /// What one incoming order can meet of it at a time.
    pub(crate) fn shown(&self) -> i64 {
        self.leaves() - self.reserve
    }

    pub(crate) fn is_all_or_none(&self) -> bool {
        self.terms.flags & term_flags::ALL_OR_NONE != 0
    }

    pub(crate) fn is_pegged(&self) -> bool {
        self.order_type == OrderType::Pegged
    }

    /// Whether it rests in the hidden book.
    pub(crate) fn is_hidden(&self) -> bool {
        self.is_pegged() || self.terms.flags != 0
    }

    /// Its limit is a worst price that it did not give itself.
    pub(crate) fn has_worst_price(&self) -> bool {
        matches!(self.order_type, OrderType::Market | OrderType::Stop)
    }

    pub(crate) fn clock(&self) -> u64 {
        match self.place {
            Place::Book(clock) | Place::Trigger(clock) => clock,
            _ => 0,
        }
    }

    pub(crate) fn is_in_book(&self) -> bool {
        matches!(self.place, Place::Book(_))
    }

    pub(crate) fn waits_for_trigger(&self) -> bool {
        matches!(self.place, Place::Trigger(_))
    }

    /// A price of this side that is better has a smaller rank.
    pub(crate) fn rank(&self) -> i64 {
        if self.side == Side::Buy { -self.book_price } else { self.book_price }
    }

    /// Whether it would trade at a price.
    pub(crate) fn accepts(&self, price: i64) -> bool {
        match self.side {
            _ if self.book_price == 0 => true,
            Side::Buy => price <= self.book_price,
            Side::Sell => price >= self.book_price,
        }
    }
}

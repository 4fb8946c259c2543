//! Which events a session sees, and what of them.
//!
//! A session sees the events of its account, and what defines assets and instruments. Of a trade it sees its own side:
//! the other's order, account, fee and leaves are zero, as is the source of a command that it has not sent itself. It is
//! the same function of the event whether the event is new or comes from the journal, so a replay gives the same bytes.

use machine::{Body, HEADER_LENGTH, Record, RecordHeader, Source, flags};
use protocol::{
    AccountCreated, AccountId, AccountOptionsSet, AccountStatusSet, Deposited, EventKind,
    ExtendedOrderAccepted, FeeCharged, MassCancelAccepted, MassCancelDone, OrderAccepted, OrderCanceled,
    OrderDecremented, OrderId, OrderListAccepted, OrderReplaced, OrderRepriced, OrderShown,
    OrderTermsReplaced, OrderTriggered, Rejected, RiskLimitsSet, Trade, TradeBusted, Withdrawn,
};
use zerocopy::IntoBytes as _;

use super::wire::{PACKET_HEADER, packet, push_packet};

/// Who may see an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Everybody.
    All,
    /// One account, or two.
    Accounts(AccountId, Option<AccountId>),
    /// Nobody.
    None,
}

fn of<T: Body>(event: Record<'_>, account: impl Fn(&T) -> AccountId) -> Audience {
    event.body_as::<T>().map_or(Audience::None, |body| Audience::Accounts(account(body), None))
}

/// Who may see this event.
pub(crate) fn audience(event: Record<'_>) -> Audience {
    let pair = |one, other| Audience::Accounts(one, (one != other).then_some(other));
    match EventKind::from_code(event.header().kind) {
        Some(EventKind::OrderAccepted) => of(event, |it: &OrderAccepted| it.account),
        Some(EventKind::OrderCanceled) => of(event, |it: &OrderCanceled| it.account),
        Some(EventKind::Trade) => match event.body_as::<Trade>() {
            Some(it) => pair(it.maker_account, it.taker_account),
            None => Audience::None,
        },
        Some(EventKind::Rejected) => of(event, |it: &Rejected| it.account),
        Some(EventKind::OrderReplaced) => of(event, |it: &OrderReplaced| it.account),
        Some(EventKind::ExtendedOrderAccepted) => of(event, |it: &ExtendedOrderAccepted| it.order.account),
        Some(EventKind::OrderTriggered) => of(event, |it: &OrderTriggered| it.account),
        Some(EventKind::OrderShown) => of(event, |it: &OrderShown| it.account),
        Some(EventKind::OrderRepriced) => of(event, |it: &OrderRepriced| it.account),
        Some(EventKind::OrderDecremented) => of(event, |it: &OrderDecremented| it.account),
        Some(EventKind::FeeCharged) => of(event, |it: &FeeCharged| it.account),
        Some(EventKind::MassCancelAccepted) => of(event, |it: &MassCancelAccepted| it.account),
        Some(EventKind::MassCancelDone) => of(event, |it: &MassCancelDone| it.account),
        Some(EventKind::OrderTermsReplaced) => of(event, |it: &OrderTermsReplaced| it.account),
        Some(EventKind::OrderListAccepted) => of(event, |it: &OrderListAccepted| it.account),
        Some(EventKind::TradeBusted) => match event.body_as::<TradeBusted>() {
            Some(it) => pair(it.maker_account, it.taker_account),
            None => Audience::None,
        },
        Some(EventKind::AccountCreated) => of(event, |it: &AccountCreated| it.account),
        Some(EventKind::Deposited) => of(event, |it: &Deposited| it.account),
        Some(EventKind::Withdrawn) => of(event, |it: &Withdrawn| it.account),
        Some(EventKind::AccountStatusSet) => of(event, |it: &AccountStatusSet| it.0.account),
        Some(EventKind::AccountOptionsSet) => of(event, |it: &AccountOptionsSet| it.0.account),
        Some(EventKind::RiskLimitsSet) => of(event, |it: &RiskLimitsSet| it.0.account),
        Some(
            EventKind::AssetCreated
            | EventKind::InstrumentCreated
            | EventKind::TickTableSet
            | EventKind::PhaseChanged,
        ) => Audience::All,
        _ => Audience::None,
    }
}

/// Whose eyes an event is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Viewer {
    /// The account.
    pub(crate) account: AccountId,
    /// What its own commands come from.
    pub(crate) source: Source,
}

/// Events on their way to one session: packets, and where the last event of the current command says that it is.
#[derive(Default)]
pub(crate) struct Feed {
    flags_at: Option<usize>,
}

impl Feed {
    /// Appends an event that the viewer may see; `index` is its place among its command's events.
    pub(crate) fn push(&mut self, event: Record<'_>, index: u32, viewer: Viewer, out: &mut Vec<u8>) {
        let given = event.header();
        let source = if given.source == viewer.source { given.source } else { Source::default() };
        let flags = given.flags & !flags::LAST_EVENT;
        let header = RecordHeader { source, flags, checksum: 0, ..*given };
        self.flags_at = Some(out.len() + PACKET_HEADER + size_of::<u32>() + FLAGS_OFFSET);
        let mut push = |body: &[u8]| {
            push_packet(out, packet::SEQUENCED, &[&index.to_le_bytes(), header.as_bytes(), body]);
        };
        if let Some(trade) = event.body_as::<Trade>() {
            push(own_side_of_trade(*trade, viewer.account).as_bytes());
        } else if let Some(busted) = event.body_as::<TradeBusted>() {
            push(own_side_of_bust(*busted, viewer.account).as_bytes());
        } else {
            push(event.body());
        }
    }

    /// The command has no more events: marks the last one that was pushed.
    pub(crate) fn finish_command(&mut self, out: &mut [u8]) {
        if let Some(flags) = self.flags_at.take().and_then(|at| out.get_mut(at)) {
            *flags |= flags::LAST_EVENT;
        }
    }
}

impl Feed {
    /// Whether no command is being written whose last packet is not known yet.
    pub(crate) fn is_between_commands(&self) -> bool {
        self.flags_at.is_none()
    }
}

/// Place of the flags in a record's header.
const FLAGS_OFFSET: usize = std::mem::offset_of!(RecordHeader, flags);
const _: () = assert!(FLAGS_OFFSET < HEADER_LENGTH);

fn own_side_of_trade(mut trade: Trade, account: AccountId) -> Trade {
    if trade.maker_account != account {
        trade.maker_order_id = OrderId::NONE;
        trade.maker_account = AccountId::default();
        (trade.maker_fee_minor, trade.maker_leaves_lots) = (0, 0);
    }
    if trade.taker_account != account {
        trade.taker_order_id = OrderId::NONE;
        trade.taker_account = AccountId::default();
        (trade.taker_fee_minor, trade.taker_leaves_lots) = (0, 0);
    }
    trade
}

fn own_side_of_bust(mut busted: TradeBusted, account: AccountId) -> TradeBusted {
    if busted.maker_account != account {
        busted.maker_order_id = OrderId::NONE;
        busted.maker_account = AccountId::default();
        (busted.maker_fee_minor, busted.maker_fee_asset) = (0, 0);
    }
    if busted.taker_account != account {
        busted.taker_order_id = OrderId::NONE;
        busted.taker_account = AccountId::default();
        (busted.taker_fee_minor, busted.taker_fee_asset) = (0, 0);
    }
    busted
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::CreateInstrument;

    const OWN: Viewer = Viewer { account: AccountId(2), source: Source { gateway: 3, session: 1 } };

    fn with_record<T: Body, R>(body: &T, source: Source, take: impl FnOnce(Record<'_>) -> R) -> R {
        let header = RecordHeader {
            length: (HEADER_LENGTH + size_of::<T>()) as u32,
            checksum: 0xAAAA_AAAA,
            sequence: 7,
            timestamp_ns: 8,
            kind: T::KIND,
            schema_version: 1,
            flags: flags::LAST_EVENT,
            source,
        };
        take(Record::from_parts(&header, body.as_bytes()))
    }

    fn trade() -> Trade {
        Trade {
            trade_id: 1,
            maker_order_id: OrderId(10),
            taker_order_id: OrderId(20),
            price_ticks: 100,
            quantity_lots: 5,
            quote_minor: 500,
            maker_fee_minor: 3,
            taker_fee_minor: 4,
            maker_leaves_lots: 6,
            taker_leaves_lots: 7,
            maker_account: AccountId(2),
            taker_account: AccountId(9),
            instrument: 1,
            taker_side: 1,
            ..Trade::default()
        }
    }

    #[test]
    fn of_a_trade_only_the_own_side_is_seen() {
        let stranger = Source { gateway: 1, session: 4 };
        with_record(&trade(), stranger, |event| {
            assert_eq!(audience(event), Audience::Accounts(AccountId(2), Some(AccountId(9))));
            let (mut feed, mut out) = (Feed::default(), Vec::new());
            feed.push(event, 3, OWN, &mut out);
            feed.finish_command(&mut out);
            assert_eq!(&out[..7], [0, 133, b'S', 3, 0, 0, 0]);
            let mut words = [0u64; 16];
            words.as_mut_bytes().copy_from_slice(&out[7..]);
            let seen = Record::parse(words.as_bytes()).unwrap();
            let header = RecordHeader { checksum: 0, source: Source::default(), ..*event.header() };
            assert_eq!(*seen.header(), header);
            let expected = Trade {
                taker_order_id: OrderId::NONE,
                taker_account: AccountId(0),
                taker_fee_minor: 0,
                taker_leaves_lots: 0,
                ..trade()
            };
            assert_eq!(*seen.body_as::<Trade>().unwrap(), expected);
        });
        let own_trade = Trade { taker_account: AccountId(2), ..trade() };
        with_record(&own_trade, OWN.source, |event| {
            assert_eq!(audience(event), Audience::Accounts(AccountId(2), None));
            let mut out = Vec::new();
            Feed::default().push(event, 0, OWN, &mut out);
            assert_eq!(&out[7 + HEADER_LENGTH..], own_trade.as_bytes(), "both sides are its own");
            assert_eq!(&out[7 + 28..7 + 32], [3, 0, 1, 0], "so is the command");
            assert_eq!(out[7 + FLAGS_OFFSET], 0, "more may follow");
        });
    }

    #[test]
    fn busts_are_treated_as_trades_are() {
        let busted = TradeBusted {
            trade_id: 1,
            maker_fee_minor: 3,
            taker_fee_minor: 4,
            maker_account: AccountId(9),
            taker_account: AccountId(2),
            maker_fee_asset: 5,
            taker_fee_asset: 6,
            maker_order_id: OrderId(10),
            taker_order_id: OrderId(20),
            ..TradeBusted::default()
        };
        let expected = TradeBusted {
            maker_fee_minor: 0,
            maker_account: AccountId(0),
            maker_fee_asset: 0,
            maker_order_id: OrderId::NONE,
            ..busted
        };
        with_record(&busted, Source::default(), |event| {
            let mut out = Vec::new();
            Feed::default().push(event, 0, OWN, &mut out);
            assert_eq!(&out[7 + HEADER_LENGTH..], expected.as_bytes());
        });
    }

    /// A kind that is added to the engine must be thought of here: nobody sees it until then.
    #[test]
    fn every_kind_has_an_audience_that_was_chosen() {
        let nobody = [
            EventKind::DayEnded,
            EventKind::InstrumentRulesSet,
            EventKind::FeeScheduleSet,
            EventKind::TimetableSet,
            EventKind::AuctionIndicative,
            EventKind::AuctionUncrossed,
            EventKind::TimeAdvanced,
        ];
        let bodies: Vec<usize> = protocol::layouts().iter().map(|it| it.body_length).collect();
        assert!(bodies.iter().all(|&it| it <= 256));
        for kind in EventKind::ALL {
            let length = protocol::layouts().iter().find(|it| it.kind == kind.code()).unwrap().body_length;
            let words = [0u64; 32];
            let header = RecordHeader {
                length: (HEADER_LENGTH + length) as u32,
                kind: kind.code(),
                schema_version: 1,
                ..RecordHeader::default()
            };
            let event = Record::from_parts(&header, &words.as_bytes()[..length]);
            assert_eq!(audience(event) == Audience::None, nobody.contains(kind), "{}", kind.name());
        }
        let instrument = protocol::InstrumentCreated(CreateInstrument::default());
        assert_eq!(with_record(&instrument, Source::default(), audience), Audience::All);
    }
}

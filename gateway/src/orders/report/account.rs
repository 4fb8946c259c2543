//! What an account owns: RequestForPositionsAck (35=AO), PositionReport (35=AP), CollateralReport (35=BA),
//! CollateralInquiryAck (35=BG) and AccountSummaryReport (35=CQ).

use protocol::{AccountId, QuantityLots};

use crate::fix::{Message, MessageWriter, Version, tags};
use crate::orders::{Asset, Balance, Catalog, Instrument, Number};

/// What stands in every answer to one request.
#[derive(Clone, Copy)]
pub(crate) struct AccountAnswer<'a> {
    /// The request.
    pub(crate) message: &'a Message<'a>,
    /// An id of the answer.
    pub(crate) id: &'a str,
    /// Whose account.
    pub(crate) account: AccountId,
    /// Messages that follow.
    pub(crate) reports: usize,
    /// When.
    pub(crate) now_ns: u64,
}

impl AccountAnswer<'_> {
    fn echo(&self, writer: &mut MessageWriter<'_>, tag: u32) {
        if let Some(value) = self.message.get(tag) {
            writer.bytes(tag, value);
        }
    }

    fn account(&self, writer: &mut MessageWriter<'_>) {
        writer.integer(tags::ACCOUNT, u64::from(self.account.0));
        // Customer's.
        writer.bytes(tags::ACCOUNT_TYPE, self.message.get(tags::ACCOUNT_TYPE).unwrap_or(b"1"));
    }
}

/// PosReqResult (728): valid; none found; not supported.
const POSITIONS: [u64; 3] = [0, 2, 4];

/// RequestForPositionsAck; with `refusal` the request is rejected.
pub(crate) fn write_positions_ack(
    writer: &mut MessageWriter<'_>,
    answer: &AccountAnswer<'_>,
    refusal: Option<&str>,
) {
    answer.account(writer);
    if let Some(text) = refusal {
        writer.bytes(tags::TEXT, text.as_bytes());
    }
    answer.echo(writer, tags::POS_REQ_ID);
    writer.bytes(tags::POS_MAINT_RPT_ID, answer.id.as_bytes());
    writer.integer(tags::TOTAL_NUM_POS_REPORTS, answer.reports as u64);
    let result = if refusal.is_some() { 2 } else { usize::from(answer.reports == 0) };
    writer.integer(tags::POS_REQ_RESULT, POSITIONS[result]);
    writer.integer(tags::POS_REQ_STATUS, if refusal.is_some() { 2 } else { 0 });
}

/// PositionReport of one instrument. There is no settlement price: FIX.4.4 demands one and gets 0.
pub(crate) fn write_position(
    writer: &mut MessageWriter<'_>,
    answer: &AccountAnswer<'_>,
    instrument: &Instrument,
    position_lots: QuantityLots,
) {
    answer.account(writer);
    writer.bytes(tags::SYMBOL, instrument.symbol.as_bytes());
    writer.integer(tags::NO_POSITIONS, 1);
    writer.bytes(tags::POS_TYPE, b"TQ");
    let tag = if position_lots < 0 { tags::SHORT_QTY } else { tags::LONG_QTY };
    instrument.quantity(position_lots.saturating_abs()).write(writer, tag);
    answer.echo(writer, tags::POS_REQ_ID);
    answer.echo(writer, tags::CLEARING_BUSINESS_DATE);
    writer.display(tags::POS_MAINT_RPT_ID, format_args!("{}-{}", answer.id, instrument.id));
    writer.integer(tags::TOTAL_NUM_POS_REPORTS, answer.reports as u64);
    writer.integer(tags::POS_REQ_RESULT, POSITIONS[0]);
    if writer.version() == Version::Fix44 {
        writer.bytes(tags::SETTL_PRICE, b"0");
        writer.bytes(tags::SETTL_PRICE_TYPE, b"2");
        writer.bytes(tags::PRIOR_SETTL_PRICE, b"0");
    }
}

fn amount(minor: i64, asset: &Asset) -> Number {
    Number::new(minor, u32::from(asset.scale))
}

/// AccountSummaryReport: of each asset the balance, and what of it is available.
pub(crate) fn write_account_summary(
    writer: &mut MessageWriter<'_>,
    answer: &AccountAnswer<'_>,
    catalog: &Catalog,
    balances: &[Balance],
) {
    writer.time(tags::TRANSACT_TIME, answer.now_ns);
    writer.integer(tags::NO_PARTY_IDS, 1);
    writer.integer(tags::PARTY_ID, u64::from(answer.account.0));
    writer.bytes(tags::PARTY_ID_SOURCE, b"D");
    writer.bytes(tags::PARTY_ROLE, b"24");
    answer.echo(writer, tags::CLEARING_BUSINESS_DATE);
    writer.display(tags::ACCOUNT_SUMMARY_REPORT_ID, format_args!("{}-S", answer.id));
    let known: Vec<(&Asset, &Balance)> =
        balances.iter().filter_map(|it| Some((catalog.asset(it.asset)?, it))).collect();
    writer.integer(tags::NO_COLLATERAL_AMOUNTS, 2 * known.len() as u64);
    for (asset, balance) in known {
        let available_minor = balance.balance_minor - balance.held_minor;
        for (kind, minor) in [("BALANCE", balance.balance_minor), ("AVAILABLE", available_minor)] {
            amount(minor, asset).write(writer, tags::CURRENT_COLLATERAL_AMOUNT);
            writer.bytes(tags::COLLATERAL_CURRENCY, asset.name.as_bytes());
            writer.bytes(tags::COLLATERAL_TYPE, kind.as_bytes());
        }
    }
}

/// CollateralReport of one asset: TotalNetValue is the balance, MarginExcess what of it is available.
pub(crate) fn write_collateral(
    writer: &mut MessageWriter<'_>,
    answer: &AccountAnswer<'_>,
    asset: &Asset,
    balance: &Balance,
    last: bool,
) {
    writer.integer(tags::ACCOUNT, u64::from(answer.account.0));
    writer.bytes(tags::CURRENCY, asset.name.as_bytes());
    amount(balance.balance_minor - balance.held_minor, asset).write(writer, tags::MARGIN_EXCESS);
    amount(balance.balance_minor, asset).write(writer, tags::TOTAL_NET_VALUE);
    writer.display(tags::COLL_RPT_ID, format_args!("{}-{}", answer.id, balance.asset));
    answer.echo(writer, tags::COLL_INQUIRY_ID);
    // Assigned (accepted).
    writer.bytes(tags::COLL_STATUS, b"3");
    writer.integer(tags::TOT_NUM_REPORTS, answer.reports as u64);
    writer.bytes(tags::LAST_RPT_REQUESTED, if last { b"Y" } else { b"N" });
}

/// CollateralInquiryAck where there is nothing to report, or the inquiry is refused.
pub(crate) fn write_collateral_ack(
    writer: &mut MessageWriter<'_>,
    answer: &AccountAnswer<'_>,
    refusal: Option<&str>,
) {
    writer.integer(tags::ACCOUNT, u64::from(answer.account.0));
    if let Some(text) = refusal {
        writer.bytes(tags::TEXT, text.as_bytes());
    }
    writer.bytes(tags::COLL_INQUIRY_ID, answer.message.get(tags::COLL_INQUIRY_ID).unwrap_or(b"NONE"));
    writer.integer(tags::TOT_NUM_REPORTS, 0);
    writer.integer(tags::COLL_INQUIRY_STATUS, if refusal.is_some() { 4 } else { 2 });
    if refusal.is_some() {
        writer.integer(tags::COLL_INQUIRY_RESULT, 99);
    }
}

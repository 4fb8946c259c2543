//! The layout test: every record body with its kind and size, as the journal's readers may rely on them.

use machine::Body;

use crate::commands::{
    CancelOrder, CreateAccount, CreateAsset, CreateInstrument, Deposit, EndDay, NewOrder, ReplaceOrder,
    Withdraw,
};
use crate::events::{
    AccountCreated, AssetCreated, DayEnded, Deposited, InstrumentCreated, OrderAccepted, OrderCanceled,
    OrderReplaced, Rejected, Trade, Withdrawn,
};
use crate::special::{
    AdvanceTime, BustTrade, MassCancel, NewClientOrderList, NewExtendedOrder, NewOrderList,
    ReplaceExtendedOrder, ReplaceOrderTerms, SetAccountOptions, SetAccountStatus, SetFeeSchedule,
    SetInstrumentRules, SetPhase, SetRiskLimits, SetTickTable, SetTimetable,
};
use crate::special_events::{
    AccountOptionsSet, AccountStatusSet, AuctionIndicative, AuctionUncrossed, ExtendedOrderAccepted,
    FeeCharged, FeeScheduleSet, InstrumentRulesSet, MassCancelAccepted, MassCancelDone, OrderDecremented,
    OrderListAccepted, OrderRepriced, OrderShown, OrderTermsReplaced, OrderTriggered, PhaseChanged,
    RiskLimitsSet, TickTableSet, TimeAdvanced, TimetableSet, TradeBusted,
};

/// Name, kind, schema version and body size of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Name of the struct.
    pub name: &'static str,
    /// Record kind.
    pub kind: u16,
    /// Layout version.
    pub schema_version: u8,
    /// Bytes of the body.
    pub body_length: usize,
}

const fn of<T: Body>(name: &'static str) -> Layout {
    Layout { name, kind: T::KIND, schema_version: T::SCHEMA_VERSION, body_length: size_of::<T>() }
}

/// Every record of the exchange, in order of kind.
#[must_use]
pub const fn layouts() -> [Layout; 58] {
    [
        of::<CreateAsset>("CreateAsset"),
        of::<CreateInstrument>("CreateInstrument"),
        of::<CreateAccount>("CreateAccount"),
        of::<Deposit>("Deposit"),
        of::<Withdraw>("Withdraw"),
        of::<NewOrder>("NewOrder"),
        of::<CancelOrder>("CancelOrder"),
        of::<ReplaceOrder>("ReplaceOrder"),
        of::<EndDay>("EndDay"),
        of::<NewExtendedOrder>("NewExtendedOrder"),
        of::<NewOrderList>("NewOrderList"),
        of::<ReplaceExtendedOrder>("ReplaceExtendedOrder"),
        of::<MassCancel>("MassCancel"),
        of::<SetAccountStatus>("SetAccountStatus"),
        of::<SetAccountOptions>("SetAccountOptions"),
        of::<SetRiskLimits>("SetRiskLimits"),
        of::<SetInstrumentRules>("SetInstrumentRules"),
        of::<SetTickTable>("SetTickTable"),
        of::<SetFeeSchedule>("SetFeeSchedule"),
        of::<SetTimetable>("SetTimetable"),
        of::<SetPhase>("SetPhase"),
        of::<BustTrade>("BustTrade"),
        of::<AdvanceTime>("AdvanceTime"),
        of::<NewClientOrderList>("NewClientOrderList"),
        of::<ReplaceOrderTerms>("ReplaceOrderTerms"),
        of::<Rejected>("Rejected"),
        of::<AssetCreated>("AssetCreated"),
        of::<InstrumentCreated>("InstrumentCreated"),
        of::<AccountCreated>("AccountCreated"),
        of::<Deposited>("Deposited"),
        of::<Withdrawn>("Withdrawn"),
        of::<OrderAccepted>("OrderAccepted"),
        of::<OrderCanceled>("OrderCanceled"),
        of::<OrderReplaced>("OrderReplaced"),
        of::<DayEnded>("DayEnded"),
        of::<Trade>("Trade"),
        of::<ExtendedOrderAccepted>("ExtendedOrderAccepted"),
        of::<OrderTriggered>("OrderTriggered"),
        of::<OrderShown>("OrderShown"),
        of::<OrderRepriced>("OrderRepriced"),
        of::<OrderDecremented>("OrderDecremented"),
        of::<FeeCharged>("FeeCharged"),
        of::<MassCancelAccepted>("MassCancelAccepted"),
        of::<MassCancelDone>("MassCancelDone"),
        of::<AccountStatusSet>("AccountStatusSet"),
        of::<AccountOptionsSet>("AccountOptionsSet"),
        of::<RiskLimitsSet>("RiskLimitsSet"),
        of::<InstrumentRulesSet>("InstrumentRulesSet"),
        of::<TickTableSet>("TickTableSet"),
        of::<FeeScheduleSet>("FeeScheduleSet"),
        of::<TimetableSet>("TimetableSet"),
        of::<PhaseChanged>("PhaseChanged"),
        of::<AuctionIndicative>("AuctionIndicative"),
        of::<AuctionUncrossed>("AuctionUncrossed"),
        of::<TradeBusted>("TradeBusted"),
        of::<TimeAdvanced>("TimeAdvanced"),
        of::<OrderListAccepted>("OrderListAccepted"),
        of::<OrderTermsReplaced>("OrderTermsReplaced"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::{CommandKind, EventKind};

    /// A change here is a change of the journal's format: raise the body's `SCHEMA_VERSION` and keep reading the old.
    #[test]
    fn layouts_are_the_published_ones() {
        let sizes: [(u16, usize); 58] = [
            (0x0001, 24),
            (0x0002, 64),
            (0x0003, 24),
            (0x0004, 24),
            (0x0005, 24),
            (0x0006, 64),
            (0x0007, 56),
            (0x0008, 72),
            (0x0009, 8),
            (0x000A, 128),
            (0x000B, 16),
            (0x000C, 88),
            (0x000D, 56),
            (0x000E, 8),
            (0x000F, 24),
            (0x0010, 40),
            (0x0011, 104),
            (0x0012, 136),
            (0x0013, 72),
            (0x0014, 56),
            (0x0015, 16),
            (0x0016, 16),
            (0x0017, 8),
            (0x0018, 56),
            (0x0019, 88),
            (0x8000, 64),
            (0x8001, 24),
            (0x8002, 64),
            (0x8003, 24),
            (0x8004, 32),
            (0x8005, 32),
            (0x8006, 80),
            (0x8007, 72),
            (0x8008, 88),
            (0x8009, 8),
            (0x800A, 96),
            (0x800B, 160),
            (0x800C, 48),
            (0x800D, 40),
            (0x800E, 32),
            (0x800F, 48),
            (0x8010, 32),
            (0x8011, 56),
            (0x8012, 56),
            (0x8013, 8),
            (0x8014, 24),
            (0x8015, 40),
            (0x8016, 104),
            (0x8017, 136),
            (0x8018, 72),
            (0x8019, 56),
            (0x801A, 32),
            (0x801B, 32),
            (0x801C, 32),
            (0x801D, 96),
            (0x801E, 8),
            (0x801F, 48),
            (0x8020, 40),
        ];
        for (layout, (kind, body_length)) in layouts().iter().zip(sizes) {
            assert_eq!(
                (layout.kind, layout.body_length, layout.schema_version),
                (kind, body_length, 1),
                "{layout:?}"
            );
        }
    }

    #[test]
    fn every_kind_has_a_layout_of_its_name() {
        let names = CommandKind::ALL.iter().map(|kind| (kind.code(), kind.name()));
        let names = names.chain(EventKind::ALL.iter().map(|kind| (kind.code(), kind.name())));
        assert!(names.eq(layouts().iter().map(|layout| (layout.kind, layout.name))));
    }
}

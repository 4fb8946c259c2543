//! Reports of trades whose fees are told by later events of the same command.
//!
//! A fee in the quote asset stands in the trade's event. One that is paid in the instrument's fee asset follows in an
//! event of its own ([`FeeCharged`]), and the fill's report names it: so the reports of a trade that such an event may
//! follow are held until the event after it, which is of the same command. They are still the reports of the trade: its
//! place, its ExecID.

use machine::Record;
use protocol::{AccountOptionsSet, FeeCharged, Trade};

use super::{Orders, Report, Reports};

/// The reports of a trade that wait for its fees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldReports {
    trade_id: u64,
    /// Place of the trade among its command's events.
    pub(crate) index: u32,
    pub(crate) reports: Reports,
}

/// Role in [`FeeCharged`], and which of the trade's reports is that party's.
const ROLES: [(u8, usize); 2] = [(2, 0), (1, 1)];

impl Orders {
    /// Call this with each event before it is folded: gives the reports that it lets go, which come before its own.
    #[inline]
    pub(crate) fn release_before(&mut self, event: Record<'_>) -> Option<HeldReports> {
        if self.held.is_none() { None } else { self.name_fee_or_release(event) }
    }

    /// Call this when the last event of a command has been folded.
    #[inline]
    pub(crate) fn release_last(&mut self) -> Option<HeldReports> {
        self.held.take()
    }

    /// Whether reports wait.
    pub(crate) fn holds_reports(&self) -> bool {
        self.held.is_some()
    }

    fn name_fee_or_release(&mut self, event: Record<'_>) -> Option<HeldReports> {
        let charged = event.body_as::<FeeCharged>();
        match (charged, &mut self.held) {
            (Some(charged), Some(held)) if charged.trade_id == held.trade_id => {
                let at = ROLES.iter().find(|it| it.0 == charged.role).map(|it| it.1);
                if let Some(Some(Report::Execution(report))) = at.and_then(|at| held.reports.get_mut(at))
                    && let Some(fill) = &mut report.fill
                {
                    (fill.fee_minor, fill.fee_asset) = (charged.amount_minor, charged.asset);
                }
                None
            }
            _ => self.held.take(),
        }
    }

    /// The reports of a trade, unless they must wait for its fees.
    #[inline]
    pub(super) fn hold(&mut self, event: Record<'_>, body: &Trade, index: u32, reports: Reports) -> Reports {
        if self.fee_payers.is_empty() || event.is_last_event() || !self.may_follow(body) {
            return reports;
        }
        self.held = Some(HeldReports { trade_id: body.trade_id, index, reports });
        [None, None]
    }

    /// Whether a fee of this trade may be paid in the fee asset: then there is none in the quote asset.
    fn may_follow(&self, body: &Trade) -> bool {
        let pays = |account, fee_minor| fee_minor == 0 && self.fee_payers.binary_search(&account).is_ok();
        pays(body.maker_account, body.maker_fee_minor) || pays(body.taker_account, body.taker_fee_minor)
    }

    /// An account pays in fee assets from now on, or does not.
    pub(super) fn on_options(&mut self, AccountOptionsSet(options): &AccountOptionsSet) {
        if !self.session_of.contains_key(&options.account) {
            return;
        }
        let at = self.fee_payers.binary_search(&options.account);
        match (at, options.pays_in_fee_asset == 1) {
            (Err(at), true) => self.fee_payers.insert(at, options.account),
            (Ok(at), false) => drop(self.fee_payers.remove(at)),
            _ => {}
        }
    }
}

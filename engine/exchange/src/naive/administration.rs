//! Which command is which, and the commands that set things.

use machine::{Body, EventBuffer, Record};
use protocol::{
    AccountCreated, AccountId, AccountOptionsSet, AccountStatus, AccountStatusSet, AssetCreated, BandAction,
    CancelReason, CommandKind, CreateAccount, CreateAsset, CreateInstrument, Deposit, Deposited,
    FeeScheduleSet, InstrumentCreated, InstrumentRulesSet, MassCancel, NewExtendedOrder, OrderTerms, Phase,
    RejectReason, Rejected, ReplaceExtendedOrder, ReplaceOrderTerms, RiskLimitsSet, SetAccountOptions,
    SetAccountStatus, SetFeeSchedule, SetInstrumentRules, SetRiskLimits, SetTickTable, TickRow, TickTableSet,
    Withdraw, Withdrawn,
};

use super::checks::Reasons;
use super::{Account, MAX_40_BITS, MAX_AMOUNT, Market, NaiveExchange, form, names};

const DAY_NS: u64 = 86_400_000_000_000;

/// A command's body; a record of another size or version is malformed and names nothing.
fn body<T: Body>(command: Record<'_>) -> Result<T, Rejected> {
    let malformed = names::reject(RejectReason::Malformed, Rejected::default());
    command.body_as::<T>().copied().ok_or(malformed)
}

impl NaiveExchange {
    /// The command itself, between catch-up and follow-up.
    pub(crate) fn run(&mut self, command: Record<'_>, events: &mut EventBuffer) -> Result<(), Rejected> {
        let malformed = names::reject(RejectReason::Malformed, Rejected::default());
        match CommandKind::from_code(command.header().kind).ok_or(malformed)? {
            CommandKind::NewOrder => {
                let it = NewExtendedOrder { order: body(command)?, terms: OrderTerms::default() };
                self.new_order(&it, events)
            }
            CommandKind::NewExtendedOrder => self.new_order(&body(command)?, events),
            CommandKind::NewOrderList | CommandKind::NewClientOrderList => self.new_list(command, events),
            CommandKind::ReplaceOrder => {
                let replace = body(command)?;
                self.replace(&ReplaceExtendedOrder { replace, ..Default::default() }, false, events)
            }
            CommandKind::ReplaceExtendedOrder => self.replace(&body(command)?, false, events),
            CommandKind::ReplaceOrderTerms => {
                self.replace(&body::<ReplaceOrderTerms>(command)?.0, true, events)
            }
            kind => {
                let (result, named) = self.run_other(kind, command, events)?;
                result.map_err(|reason| names::reject(reason, named))
            }
        }
    }

    /// The commands that are not about entering and changing orders: what came of it, and what the command names.
    fn run_other(
        &mut self,
        kind: CommandKind,
        command: Record<'_>,
        events: &mut EventBuffer,
    ) -> Result<(Result<(), RejectReason>, Rejected), Rejected> {
        let mut named = Rejected::default();
        macro_rules! run {
            ($rule:ident $(, $field:ident = $from:ident)*) => {{
                let it = body(command)?;
                let result = self.$rule(&it, events);
                $(named.$field = it.$from;)*
                result
            }};
        }
        let result = match kind {
            CommandKind::CreateAsset => run!(create_asset, asset = asset),
            CommandKind::CreateInstrument => {
                run!(create_instrument, instrument = instrument, asset = base_asset)
            }
            CommandKind::CreateAccount => run!(create_account, account = account),
            CommandKind::Deposit => run!(deposit, account = account, asset = asset),
            CommandKind::Withdraw => run!(withdraw, account = account, asset = asset),
            CommandKind::CancelOrder => run!(
                cancel_order,
                order_id = order_id,
                account = account,
                instrument = instrument,
                client_order_id = client_order_id
            ),
            CommandKind::EndDay => run!(end_day, instrument = instrument),
            CommandKind::MassCancel => run!(
                mass_cancel,
                account = account,
                instrument = instrument,
                client_order_id = client_order_id
            ),
            CommandKind::SetAccountStatus => run!(set_status, account = account),
            CommandKind::SetAccountOptions => run!(set_options, account = account),
            CommandKind::SetRiskLimits => run!(set_risk, account = account, instrument = instrument),
            CommandKind::SetInstrumentRules => run!(set_rules, instrument = instrument, asset = fee_asset),
            CommandKind::SetTickTable => run!(set_ticks, instrument = instrument),
            CommandKind::SetFeeSchedule => run!(set_fees, instrument = instrument),
            CommandKind::SetTimetable => run!(set_timetable, instrument = instrument),
            CommandKind::SetPhase => run!(set_phase, instrument = instrument),
            CommandKind::BustTrade => run!(bust),
            CommandKind::AdvanceTime => run!(advance_time),
            CommandKind::NewOrder
            | CommandKind::NewExtendedOrder
            | CommandKind::NewOrderList
            | CommandKind::NewClientOrderList
            | CommandKind::ReplaceOrder
            | CommandKind::ReplaceExtendedOrder
            | CommandKind::ReplaceOrderTerms => unreachable!("these are run before"),
        };
        Ok((result, named))
    }

    fn create_asset(&mut self, it: &CreateAsset, events: &mut EventBuffer) -> Result<(), RejectReason> {
        self.check_form(it.reserved == [0; 3])?;
        let mut reasons = Reasons::default();
        reasons.unless((1..=self.limits.assets).contains(&it.asset), RejectReason::IdOutOfRange);
        reasons.unless(!self.assets.contains_key(&it.asset), RejectReason::AlreadyExists);
        reasons.unless(it.scale <= 18 && it.name.is_well_formed(), RejectReason::InvalidParameter);
        reasons.result()?;
        self.assets.insert(it.asset, *it);
        let CreateAsset { asset, scale, reserved, name } = *it;
        events.push(&AssetCreated { asset, scale, reserved, name });
        Ok(())
    }

    fn create_instrument(
        &mut self,
        it: &CreateInstrument,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        self.check_form(true)?;
        let mut reasons = Reasons::default();
        let assets_exist =
            self.assets.contains_key(&it.base_asset) && self.assets.contains_key(&it.quote_asset);
        reasons.unless(assets_exist, RejectReason::UnknownAsset);
        reasons.unless((1..=self.limits.instruments).contains(&it.instrument), RejectReason::IdOutOfRange);
        reasons.unless(!self.markets.contains_key(&it.instrument), RejectReason::AlreadyExists);
        let units = 1..=1i64 << 40;
        let ladders = [0, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072];
        let valid = units.contains(&it.quote_minor_per_tick_lot)
            && units.contains(&it.base_minor_per_lot)
            && (0..=MAX_40_BITS).contains(&it.reference_price_ticks)
            && it.base_asset != it.quote_asset
            && it.maker_fee_ppm <= 100_000
            && it.taker_fee_ppm <= 100_000
            && ladders.contains(&it.ladder_levels)
            && it.name.is_well_formed();
        reasons.unless(valid, RejectReason::InvalidParameter);
        reasons.result()?;
        let market = Market {
            created: *it,
            rules: SetInstrumentRules::default(),
            ticks: SetTickTable::default(),
            schedule: SetFeeSchedule::default(),
            timetable: alloc::vec::Vec::new(),
            next_entry: 0,
            repeat_ns: 0,
            phase: Phase::Continuous,
            until_ns: 0,
            reference: 0,
            last_trade: 0,
            trades: None,
            uncross: None,
            list_work: alloc::collections::VecDeque::new(),
            indicative: None,
        };
        self.markets.insert(it.instrument, market);
        events.push(&InstrumentCreated(*it));
        self.leave_work(it.instrument);
        Ok(())
    }

    fn create_account(&mut self, it: &CreateAccount, events: &mut EventBuffer) -> Result<(), RejectReason> {
        self.check_form(it.reserved == 0)?;
        let mut reasons = Reasons::default();
        reasons.unless((2..=self.limits.accounts).contains(&it.account.0), RejectReason::IdOutOfRange);
        reasons.unless(!self.accounts.contains_key(&it.account), RejectReason::AlreadyExists);
        reasons.unless(it.name.is_well_formed(), RejectReason::InvalidParameter);
        reasons.result()?;
        let CreateAccount { account, reserved, name } = *it;
        let options = SetAccountOptions { account, ..SetAccountOptions::default() };
        self.accounts.insert(account, Account { suspended: false, options, interval: None });
        events.push(&AccountCreated { account, reserved, name });
        Ok(())
    }

    fn deposit(&mut self, it: &Deposit, events: &mut EventBuffer) -> Result<(), RejectReason> {
        self.check_form(true)?;
        let Deposit { amount_minor, reference, account, asset } = *it;
        let amount = i128::from(amount_minor);
        let mut reasons = Reasons::default();
        reasons.unless(self.accounts.contains_key(&account), RejectReason::UnknownAccount);
        reasons.unless(self.assets.contains_key(&asset), RejectReason::UnknownAsset);
        reasons.unless((1..=MAX_AMOUNT).contains(&amount), RejectReason::InvalidAmount);
        reasons.unless(self.total(asset) + amount <= MAX_AMOUNT, RejectReason::InvalidAmount);
        reasons.unless(self.room_for(&[(account, asset)]), RejectReason::BalanceTableFull);
        reasons.result()?;
        let funds = self.funds_mut(account, asset);
        funds.balance += amount;
        let balance_minor = funds.balance as i64;
        events.push(&Deposited { amount_minor, reference, balance_minor, account, asset });
        Ok(())
    }

    fn withdraw(&mut self, it: &Withdraw, events: &mut EventBuffer) -> Result<(), RejectReason> {
        self.check_form(true)?;
        let Withdraw { amount_minor, reference, account, asset } = *it;
        let amount = i128::from(amount_minor);
        let mut reasons = Reasons::default();
        reasons.unless(self.accounts.contains_key(&account), RejectReason::UnknownAccount);
        reasons.unless(self.assets.contains_key(&asset), RejectReason::UnknownAsset);
        reasons.unless((1..=MAX_AMOUNT).contains(&amount), RejectReason::InvalidAmount);
        reasons.unless(amount <= self.available_funds(account, asset), RejectReason::InsufficientFunds);
        reasons.result()?;
        let funds = self.funds_mut(account, asset);
        funds.balance -= amount;
        let balance_minor = funds.balance as i64;
        events.push(&Withdrawn { amount_minor, reference, balance_minor, account, asset });
        Ok(())
    }

    fn set_status(&mut self, it: &SetAccountStatus, events: &mut EventBuffer) -> Result<(), RejectReason> {
        self.check_form(form::account_status(it))?;
        let suspends = it.status == AccountStatus::Suspended.code();
        let kills = it.cancel_orders == 1;
        let mut reasons = Reasons::default();
        reasons.unless(self.accounts.contains_key(&it.account), RejectReason::UnknownAccount);
        reasons.unless(suspends || !kills, RejectReason::InvalidParameter);
        reasons.unless(!kills || self.has_room_for_sweep(), RejectReason::TooManySweeps);
        reasons.result()?;
        self.accounts.get_mut(&it.account).expect("it was checked").suspended = suspends;
        events.push(&AccountStatusSet(*it));
        if kills {
            let reason = CancelReason::Operator.code();
            let wish = MassCancel { account: it.account, reason, ..MassCancel::default() };
            self.begin_mass_cancel(&wish, events);
        }
        Ok(())
    }

    fn set_options(&mut self, it: &SetAccountOptions, events: &mut EventBuffer) -> Result<(), RejectReason> {
        self.check_form(form::account_options(it))?;
        let mut reasons = Reasons::default();
        reasons.unless(self.accounts.contains_key(&it.account), RejectReason::UnknownAccount);
        let rate_fits = (it.interval_ns == 0) == (it.max_orders == 0);
        reasons.unless(rate_fits, RejectReason::InvalidParameter);
        reasons.result()?;
        let account = self.accounts.get_mut(&it.account).expect("it was checked");
        (account.options, account.interval) = (*it, None);
        events.push(&AccountOptionsSet(*it));
        Ok(())
    }

    fn set_risk(&mut self, it: &SetRiskLimits, events: &mut EventBuffer) -> Result<(), RejectReason> {
        self.check_form(true)?;
        let mut reasons = Reasons::default();
        let account_fits = it.account == AccountId(0) || self.accounts.contains_key(&it.account);
        reasons.unless(account_fits, RejectReason::UnknownAccount);
        reasons.unless(self.markets.contains_key(&it.instrument), RejectReason::UnknownInstrument);
        let amounts = [it.max_order_lots, it.max_order_notional_minor, it.max_position_lots];
        let fits = amounts.iter().all(|&amount| amount >= 0) && it.price_collar_bps <= 10_000;
        reasons.unless(fits, RejectReason::InvalidParameter);
        let is_known = it.account == AccountId(0) || self.risk.contains_key(&(it.account, it.instrument));
        let of_accounts = self.risk.keys().filter(|(account, _)| *account != AccountId(0)).count();
        let has_place = is_known || of_accounts < self.limits.positions as usize;
        reasons.unless(has_place, RejectReason::RiskTableFull);
        reasons.result()?;
        self.risk.insert((it.account, it.instrument), *it);
        events.push(&RiskLimitsSet(*it));
        self.leave_work(it.instrument);
        Ok(())
    }

    fn rules_fit(&self, it: &SetInstrumentRules) -> bool {
        let in_order = |least: i64, most: i64| least >= 0 && most >= 0 && (most == 0 || least <= most);
        let bps = [it.static_band_bps, it.dynamic_band_bps, it.collar_bps];
        let interrupts = it.band_action == BandAction::Auction.code();
        let created = self.markets.get(&it.instrument).map(|market| market.created);
        let own_assets = created.map_or([0; 2], |it| [it.base_asset, it.quote_asset]);
        in_order(it.min_quantity_lots, it.max_quantity_lots)
            && in_order(it.min_notional_minor, it.max_notional_minor)
            && it.round_lot_lots >= 0
            && bps.iter().all(|&bps| bps <= 10_000)
            && (0..=MAX_40_BITS).contains(&it.reference_price_ticks)
            && (!interrupts || it.volatility_auction_ns > 0)
            && it.volatility_auction_ns <= DAY_NS
            && it.random_end_ns <= DAY_NS
            && (it.fee_asset == 0 || !own_assets.contains(&it.fee_asset))
            && (it.fee_asset == 0) == (it.fee_asset_rate_ppm == 0)
    }

    fn set_rules(&mut self, it: &SetInstrumentRules, events: &mut EventBuffer) -> Result<(), RejectReason> {
        self.check_form(form::rules(it))?;
        let mut reasons = Reasons::default();
        reasons.unless(self.markets.contains_key(&it.instrument), RejectReason::UnknownInstrument);
        let asset_fits = it.fee_asset == 0 || self.assets.contains_key(&it.fee_asset);
        reasons.unless(asset_fits, RejectReason::UnknownAsset);
        reasons.unless(self.rules_fit(it), RejectReason::InvalidParameter);
        let fees = (AccountId::FEES, it.fee_asset);
        reasons.unless(it.fee_asset == 0 || self.room_for(&[fees]), RejectReason::BalanceTableFull);
        reasons.result()?;
        if it.fee_asset != 0 {
            self.funds_mut(fees.0, fees.1);
        }
        let market = self.market_mut(it.instrument);
        if it.reference_price_ticks != 0 {
            market.reference = it.reference_price_ticks;
        }
        let rules = SetInstrumentRules { reference_price_ticks: market.reference, ..*it };
        market.rules = rules;
        events.push(&InstrumentRulesSet(rules));
        self.leave_work(it.instrument);
        Ok(())
    }

    fn set_ticks(&mut self, it: &SetTickTable, events: &mut EventBuffer) -> Result<(), RejectReason> {
        self.check_form(true)?;
        let rows = it.rows.get(..it.count as usize);
        let fits = rows.is_some_and(|rows| {
            let in_range =
                |row: &TickRow| row.from_price_ticks < 1 << 40 && (1..=1 << 20).contains(&row.tick_ticks);
            rows.first().is_none_or(|row| row.from_price_ticks == 1)
                && rows.windows(2).all(|pair| pair[0].from_price_ticks < pair[1].from_price_ticks)
                && rows.iter().all(in_range)
                && it.rows[rows.len()..].iter().all(|row| *row == TickRow::default())
        });
        let mut reasons = Reasons::default();
        reasons.unless(self.markets.contains_key(&it.instrument), RejectReason::UnknownInstrument);
        reasons.unless(fits, RejectReason::InvalidParameter);
        reasons.result()?;
        self.market_mut(it.instrument).ticks = *it;
        events.push(&TickTableSet(*it));
        self.leave_work(it.instrument);
        Ok(())
    }

    fn set_fees(&mut self, it: &SetFeeSchedule, events: &mut EventBuffer) -> Result<(), RejectReason> {
        self.check_form(true)?;
        let mut reasons = Reasons::default();
        reasons.unless(self.markets.contains_key(&it.instrument), RejectReason::UnknownInstrument);
        reasons.unless(self.fee_schedule_fits(it), RejectReason::InvalidParameter);
        reasons.result()?;
        self.market_mut(it.instrument).schedule = *it;
        events.push(&FeeScheduleSet(*it));
        self.leave_work(it.instrument);
        Ok(())
    }
}

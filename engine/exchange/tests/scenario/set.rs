//! Lines that set the stage, and the operator's.

use protocol::{
    AccountId, AccountStatus, AdvanceTime, BandAction, BustTrade, CancelReason, CreateAccount, CreateAsset,
    CreateInstrument, Deposit, EndDay, FeeTier, MassCancel, Phase, SetAccountOptions, SetAccountStatus,
    SetFeeSchedule, SetInstrumentRules, SetPhase, SetRiskLimits, SetTickTable, SetTimetable, Side, TickRow,
    Withdraw,
};

use super::machine::Machine;
use super::words::Words;
use super::{Asset, Problem, Scenario, client_order_id, name};

/// The first `N` entries of a line of entries with a comma between them.
fn entries<T: Default + Copy, const N: usize>(
    text: &str,
    parse: impl Fn(&mut Words<'_>) -> Result<T, Problem>,
) -> Result<([T; N], u32), Problem> {
    let mut all = [T::default(); N];
    let mut count = 0;
    for entry in text.split(',').filter(|entry| !entry.trim().is_empty()) {
        let mut words = Words::new(entry);
        *all.get_mut(count as usize).ok_or("too many entries")? = parse(&mut words)?;
        words.end()?;
        count += 1;
    }
    Ok((all, count))
}

impl<M: Machine> Scenario<M> {
    pub(super) fn set(&mut self, verb: &str, words: &mut Words<'_>) -> Result<(), Problem> {
        match verb {
            "limit" => self.limit(words),
            "asset" => self.asset(words),
            "account" => self.account(words),
            "instrument" => self.instrument(words),
            "deposit" | "withdraw" => self.money(verb, words),
            "end-day" => {
                let instrument = self.names.instrument(words.need("an instrument")?)?.instrument;
                self.send(&EndDay { instrument, reserved: 0 });
                Ok(())
            }
            "session" => {
                let (gateway, session) = session(words.need("GATEWAY/SESSION")?)?;
                (self.source.gateway, self.source.session) = (gateway, session);
                Ok(())
            }
            "time" => {
                self.now_ns += words.duration()?;
                Ok(())
            }
            "advance" => self.advance(words),
            "mass-cancel" => self.mass_cancel(words),
            "suspend" | "kill" | "resume" => self.status(verb, words),
            "options" => self.options(words),
            "risk" => self.risk(words),
            "rules" => self.rules(words),
            "ticks" => self.ticks(words),
            "tiers" => self.tiers(words),
            "timetable" => self.timetable(words),
            "phase" => self.phase(words),
            "bust" => {
                let trade_id = words.number("a trade")? as u64;
                self.send(&BustTrade { trade_id, reference: 0 });
                Ok(())
            }
            _ => Err(format!("no such line: `{verb}`")),
        }
    }

    fn limit(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let (field, value) = (words.need("a limit")?, words.number("its value")?);
        let place = match field {
            "orders" => &mut self.limits.orders,
            "fills" => &mut self.limits.fills_per_command,
            "balances" => &mut self.limits.balances,
            "positions" => &mut self.limits.positions,
            "recent-ids" => &mut self.limits.recent_client_ids,
            _ => return Err(format!("no such limit: {field}")),
        };
        *place = value as u32;
        Ok(())
    }

    fn asset(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let (code, scale) = (words.need("a code")?, words.number("decimal places")? as u8);
        let id = self.names.assets.len() as u32 + 1;
        self.names.assets.insert(code.to_owned(), Asset { id, scale });
        self.send(&CreateAsset { asset: id, scale, reserved: [0; 3], name: name(code)? });
        Ok(())
    }

    fn account(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let owner = words.need("an owner")?;
        let account = AccountId(self.names.accounts.len() as u32 + 2);
        self.names.accounts.insert(owner.to_owned(), account);
        self.send(&CreateAccount { account, reserved: 0, name: name(owner)? });
        Ok(())
    }

    /// `instrument BASE/QUOTE fees MAKER TAKER` (millionths): one lot is one unit of the base asset's smallest, one
    /// tick is one whole unit of the quote asset per lot.
    fn instrument(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let symbol = words.need("a symbol")?;
        words.literal("fees")?;
        let (base, quote) = symbol.split_once('/').ok_or("a symbol is BASE/QUOTE")?;
        let quote = self.names.asset(quote)?;
        let create = CreateInstrument {
            quote_minor_per_tick_lot: 10i64.pow(u32::from(quote.scale)),
            base_minor_per_lot: 1,
            instrument: self.names.instruments.len() as u32 + 1,
            base_asset: self.names.asset(base)?.id,
            quote_asset: quote.id,
            maker_fee_ppm: words.number("the maker's fee")? as u32,
            taker_fee_ppm: words.number("the taker's fee")? as u32,
            name: name(symbol)?,
            ..CreateInstrument::default()
        };
        self.names.instruments.insert(symbol.to_owned(), create);
        self.send(&create);
        Ok(())
    }

    fn money(&mut self, verb: &str, words: &mut Words<'_>) -> Result<(), Problem> {
        let account = self.names.account(words.need("an account")?)?;
        let asset = self.names.asset(words.need("an asset")?)?;
        let amount_minor = words.amount(asset.scale)?;
        if verb == "deposit" {
            self.send(&Deposit { amount_minor, reference: 0, account, asset: asset.id });
        } else {
            self.send(&Withdraw { amount_minor, reference: 0, account, asset: asset.id });
        }
        Ok(())
    }

    fn advance(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        if let Some(word) = words.next() {
            self.now_ns += Words::new(word).duration()?;
        }
        self.send(&AdvanceTime { reserved: 0 });
        Ok(())
    }

    fn mass_cancel(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let mut it = MassCancel { reason: CancelReason::MassCancel.code(), ..MassCancel::default() };
        while let Some(word) = words.next() {
            match word {
                "of" => it.account = self.names.account(words.need("an account")?)?,
                "on" => it.instrument = self.names.instrument(words.need("a symbol")?)?.instrument,
                "buys" => it.side = Side::Buy.code(),
                "sells" => it.side = Side::Sell.code(),
                "session" => {
                    (it.gateway, it.session) = session(words.need("GATEWAY/SESSION")?)?;
                    it.of_session = 1;
                }
                "disconnected" => it.reason = CancelReason::Disconnected.code(),
                "operator" => it.reason = CancelReason::Operator.code(),
                "as" => it.client_order_id = client_order_id(words.need("an id")?)?,
                other => return Err(format!("`{other}` makes no sense here")),
            }
        }
        self.send(&it);
        Ok(())
    }

    fn status(&mut self, verb: &str, words: &mut Words<'_>) -> Result<(), Problem> {
        let account = self.names.account(words.need("an account")?)?;
        let status = if verb == "resume" { AccountStatus::Active } else { AccountStatus::Suspended };
        let cancel_orders = u8::from(verb == "kill");
        self.send(&SetAccountStatus { account, status: status.code(), cancel_orders, reserved: [0; 2] });
        Ok(())
    }

    fn options(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let account = self.names.account(words.need("an account")?)?;
        let mut it = SetAccountOptions { account, ..SetAccountOptions::default() };
        while let Some(word) = words.next() {
            match word {
                "stp" => it.self_trade_prevention = words.self_trade_prevention()?,
                "fees-in-fee-asset" => it.pays_in_fee_asset = 1,
                "rate" => {
                    it.max_orders = words.number("a number of orders")? as u32;
                    words.literal("per")?;
                    it.interval_ns = words.duration()?;
                }
                other => return Err(format!("`{other}` makes no sense here")),
            }
        }
        self.send(&it);
        Ok(())
    }

    fn risk(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let account = match words.need("an account, or everyone")? {
            "everyone" => AccountId(0),
            owner => self.names.account(owner)?,
        };
        let mut it = SetRiskLimits { account, instrument: 1, ..SetRiskLimits::default() };
        while let Some(word) = words.next() {
            match word {
                "lots" => it.max_order_lots = words.number("a quantity")?,
                "notional" => it.max_order_notional_minor = words.amount(self.quote_scale())?,
                "position" => it.max_position_lots = words.number("a quantity")?,
                "open" => it.max_open_orders = words.number("a number of orders")? as u32,
                "collar" => it.price_collar_bps = words.number("basis points")? as u32,
                "on" => it.instrument = self.names.instrument(words.need("a symbol")?)?.instrument,
                other => return Err(format!("`{other}` makes no sense here")),
            }
        }
        self.send(&it);
        Ok(())
    }

    fn rules(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let mut it = SetInstrumentRules { instrument: 1, ..SetInstrumentRules::default() };
        while let Some(word) = words.next() {
            match word {
                "reference" => it.reference_price_ticks = words.number("a price")?,
                "min" => it.min_quantity_lots = words.number("a quantity")?,
                "max" => it.max_quantity_lots = words.number("a quantity")?,
                "round" => it.round_lot_lots = words.number("a quantity")?,
                "min-notional" => it.min_notional_minor = words.amount(self.quote_scale())?,
                "max-notional" => it.max_notional_minor = words.amount(self.quote_scale())?,
                "static-band" => it.static_band_bps = words.number("basis points")? as u32,
                "dynamic-band" => it.dynamic_band_bps = words.number("basis points")? as u32,
                "collar" => it.collar_bps = words.number("basis points")? as u32,
                "band-auction" => {
                    it.band_action = BandAction::Auction.code();
                    it.volatility_auction_ns = words.duration()?;
                }
                "random-end" => it.random_end_ns = words.duration()?,
                "seed" => it.seed = words.number("a seed")? as u64,
                "fee-asset" => {
                    it.fee_asset = self.names.asset(words.need("an asset")?)?.id;
                    it.fee_asset_rate_ppm = words.number("a rate")? as u32;
                }
                "on" => it.instrument = self.names.instrument(words.need("a symbol")?)?.instrument,
                other => return Err(format!("`{other}` makes no sense here")),
            }
        }
        self.send(&it);
        Ok(())
    }

    fn ticks(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let (rows, count) = entries(&words.rest(), |words| {
            Ok(TickRow { from_price_ticks: words.number("a price")?, tick_ticks: words.number("a tick")? })
        })?;
        self.send(&SetTickTable { rows, instrument: 1, count });
        Ok(())
    }

    fn tiers(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let scale = self.quote_scale();
        let (tiers, count) = entries(&words.rest(), |words| {
            Ok(FeeTier {
                min_volume_minor: words.amount(scale)?,
                maker_fee_ppm: words.number("the maker's fee")? as i32,
                taker_fee_ppm: words.number("the taker's fee")? as i32,
            })
        })?;
        self.send(&SetFeeSchedule { tiers, instrument: 1, count });
        Ok(())
    }

    fn timetable(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let mut it = SetTimetable { instrument: 1, ..SetTimetable::default() };
        while let Some(word) = words.next() {
            let time_ns = words.duration()?;
            let place = match word {
                "pre-open" => &mut it.pre_open_ns,
                "opening" => &mut it.opening_auction_ns,
                "continuous" => &mut it.continuous_ns,
                "closing" => &mut it.closing_auction_ns,
                "closed" => &mut it.closed_ns,
                "repeat" => {
                    it.repeat_ns = time_ns;
                    continue;
                }
                other => return Err(format!("`{other}` makes no sense here")),
            };
            *place = self.now_ns + time_ns;
        }
        self.send(&it);
        Ok(())
    }

    fn phase(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let word = words.need("a phase")?;
        let phase = Phase::ALL.iter().find(|phase| phase.name() == word);
        let phase = phase.ok_or_else(|| format!("`{word}` is no phase"))?.code();
        let until_ns = if words.takes("until") { self.now_ns + words.duration()? } else { 0 };
        let instrument = self.instrument_of(words)?;
        self.send(&SetPhase { until_ns, instrument, phase, reserved: [0; 3] });
        Ok(())
    }
}

fn session(word: &str) -> Result<(u16, u16), Problem> {
    let problem = || format!("`{word}` is not GATEWAY/SESSION");
    let (gateway, session) = word.split_once('/').ok_or_else(problem)?;
    Ok((gateway.parse().map_err(|_| problem())?, session.parse().map_err(|_| problem())?))
}

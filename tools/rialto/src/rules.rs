//! The parts of the configuration that may change from start to start: instrument rules, tick tables, fee schedules,
//! timetables, account options and risk limits. Decimals in, commands out.

use protocol::{
    AccountId, AssetId, BandAction, CreateInstrument, FeeTier, MAX_FEE_TIERS, MAX_TICK_ROWS,
    SelfTradePrevention, SetAccountOptions, SetFeeSchedule, SetInstrumentRules, SetRiskLimits, SetTickTable,
    SetTimetable, TickRow,
};
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::decimal::to_minor;

/// Nanoseconds of a day.
pub const DAY_NS: u64 = 86_400 * SECOND_NS;
const SECOND_NS: u64 = 1_000_000_000;
/// The widest tick that the exchange takes.
const MAX_TICK_TICKS: i64 = 1 << 20;

/// What an instrument may have besides its tick, lot and fees.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRules {
    min_quantity: Option<Decimal>,
    max_quantity: Option<Decimal>,
    round_lot: Option<Decimal>,
    min_notional: Option<Decimal>,
    max_notional: Option<Decimal>,
    static_band: Option<Decimal>,
    dynamic_band: Option<Decimal>,
    collar: Option<Decimal>,
    band_action: Option<String>,
    volatility_auction_s: Option<u64>,
    random_end_s: Option<u64>,
    #[serde(default)]
    seed: u64,
    fee_asset: Option<String>,
    fee_asset_rate: Option<Decimal>,
}

/// A row of a tick table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileTickRow {
    from_price: Decimal,
    tick: Decimal,
}

/// A tier of a fee schedule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFeeTier {
    min_volume: Decimal,
    maker_fee: Decimal,
    taker_fee: Decimal,
}

/// A trading day, each time as `HH:MM` or `HH:MM:SS` UTC; it comes again every day.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileTimetable {
    pre_open: Option<String>,
    opening_auction: Option<String>,
    continuous: Option<String>,
    closing_auction: Option<String>,
    closed: Option<String>,
}

/// How an account trades.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileOptions {
    self_trade_prevention: Option<String>,
    #[serde(default)]
    pays_in_fee_asset: bool,
    #[serde(default)]
    max_orders: u32,
    #[serde(default)]
    interval_ms: u64,
}

/// What an account may do on an instrument.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRiskLimits {
    /// 0 or left out: every account without limits of its own there.
    #[serde(default)]
    account: u32,
    /// Symbol.
    pub instrument: String,
    max_order_quantity: Option<Decimal>,
    max_order_notional: Option<Decimal>,
    max_position: Option<Decimal>,
    #[serde(default)]
    max_open_orders: u32,
    price_collar: Option<Decimal>,
}

/// A value that cannot be: its field below the table, and why.
pub type Mistake = (&'static str, String);

/// Decimals of one instrument, as the exchange counts.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Units of the quote asset for one unit of the base asset that are one tick.
    pub tick_size: Decimal,
    /// Units of the base asset in a lot.
    pub lot_size: Decimal,
    /// Decimal places of the quote asset.
    pub quote_scale: u8,
}

impl Scale {
    fn whole(field: &'static str, value: Option<Decimal>, unit: Decimal) -> Result<i64, Mistake> {
        let Some(value) = value else { return Ok(0) };
        let units = value.checked_div(unit).and_then(|units| to_minor(units, 0));
        let exact = units.filter(|&units| units > 0 && Decimal::from(units).checked_mul(unit) == Some(value));
        exact.ok_or((field, format!("{value} is not a multiple of {unit} above 0, or too large")))
    }

    fn lots(&self, field: &'static str, value: Option<Decimal>) -> Result<i64, Mistake> {
        Self::whole(field, value, self.lot_size)
    }

    fn ticks(&self, field: &'static str, value: Decimal) -> Result<i64, Mistake> {
        Self::whole(field, Some(value), self.tick_size)
    }

    fn quote_minor(&self, field: &'static str, value: Option<Decimal>) -> Result<i64, Mistake> {
        let Some(value) = value else { return Ok(0) };
        let minor = to_minor(value, self.quote_scale).filter(|&minor| minor >= 0);
        minor.ok_or((
            field,
            format!("{value} is not a whole number of 10^-{}, or too large", self.quote_scale),
        ))
    }
}

/// A fraction as basis points; 0 for none.
fn basis_points(field: &'static str, value: Option<Decimal>) -> Result<u32, Mistake> {
    let Some(value) = value else { return Ok(0) };
    let points = to_minor(value, 4).and_then(|points| u32::try_from(points).ok());
    let points = points.filter(|points| (1..=10_000).contains(points));
    points.ok_or((field, format!("{value} is outside 0.0001 (a basis point) to 1, or no whole basis points")))
}

fn seconds(field: &'static str, value: Option<u64>) -> Result<u64, Mistake> {
    let value = value.unwrap_or(0);
    if value > 86_400 {
        return Err((field, format!("{value} s is more than a day")));
    }
    Ok(value * SECOND_NS)
}

impl FileRules {
    /// The command. `fee_asset` finds an asset by its name: id and decimal places.
    ///
    /// # Errors
    /// [`Mistake`]
    pub fn command(
        &self,
        instrument: &CreateInstrument,
        scale: &Scale,
        fee_asset: impl Fn(&str) -> Option<(AssetId, u8)>,
    ) -> Result<SetInstrumentRules, Mistake> {
        let band_action = match self.band_action.as_deref() {
            None | Some("reject") => BandAction::Reject,
            Some("auction") => BandAction::Auction,
            Some(other) => return Err(("band_action", format!("{other:?} is none of reject, auction"))),
        };
        let (fee_asset, fee_asset_rate_ppm) = match (&self.fee_asset, self.fee_asset_rate) {
            (None, None) => (0, 0),
            (Some(name), Some(rate)) => {
                let found =
                    fee_asset(name).ok_or(("fee_asset", format!("{name:?} is not among [[assets]]")))?;
                (found.0, rate_ppm(rate, found.1, scale.quote_scale)?)
            }
            _ => return Err(("fee_asset_rate", "goes with fee_asset, and fee_asset with it".to_string())),
        };
        if fee_asset == instrument.base_asset || fee_asset == instrument.quote_asset {
            return Err(("fee_asset", "must be neither the base nor the quote asset".to_string()));
        }
        let least = scale.lots("min_quantity", self.min_quantity)?;
        let most = scale.lots("max_quantity", self.max_quantity)?;
        let least_minor = scale.quote_minor("min_notional", self.min_notional)?;
        let most_minor = scale.quote_minor("max_notional", self.max_notional)?;
        for (field, least, most) in [("max_quantity", least, most), ("max_notional", least_minor, most_minor)]
        {
            if most != 0 && least > most {
                return Err((field, "is below the least".to_string()));
            }
        }
        let volatility_auction_ns = seconds("volatility_auction_s", self.volatility_auction_s)?;
        if band_action == BandAction::Auction && volatility_auction_ns == 0 {
            return Err(("volatility_auction_s", "must be given where band_action is auction".to_string()));
        }
        Ok(SetInstrumentRules {
            min_quantity_lots: least,
            max_quantity_lots: most,
            round_lot_lots: scale.lots("round_lot", self.round_lot)?,
            min_notional_minor: least_minor,
            max_notional_minor: most_minor,
            reference_price_ticks: instrument.reference_price_ticks,
            volatility_auction_ns,
            random_end_ns: seconds("random_end_s", self.random_end_s)?,
            seed: self.seed,
            static_band_bps: basis_points("static_band", self.static_band)?,
            dynamic_band_bps: basis_points("dynamic_band", self.dynamic_band)?,
            collar_bps: basis_points("collar", self.collar)?,
            instrument: instrument.instrument,
            fee_asset,
            fee_asset_rate_ppm,
            band_action: band_action.code(),
            reserved: [0; 7],
        })
    }
}

/// Units of the fee asset for a unit of the quote asset, as millionths between their minor units.
fn rate_ppm(rate: Decimal, fee_scale: u8, quote_scale: u8) -> Result<u32, Mistake> {
    let places = 6 + i32::from(fee_scale) - i32::from(quote_scale);
    let power = Decimal::from_i128_with_scale(10i128.pow(places.unsigned_abs()), 0);
    let ppm = if places < 0 { rate.checked_div(power) } else { rate.checked_mul(power) };
    let ppm =
        ppm.and_then(|ppm| to_minor(ppm, 0)).and_then(|ppm| u32::try_from(ppm).ok()).filter(|&ppm| ppm > 0);
    ppm.ok_or_else(|| {
        let reason =
            format!("{rate} is not a whole number of millionths between the minor units, or too large");
        ("fee_asset_rate", reason)
    })
}

/// A tick table.
///
/// # Errors
/// [`Mistake`]
pub fn tick_table(rows: &[FileTickRow], instrument: u32, scale: &Scale) -> Result<SetTickTable, Mistake> {
    if rows.len() > MAX_TICK_ROWS {
        return Err(("from_price", format!("there are {} rows; {MAX_TICK_ROWS} at most", rows.len())));
    }
    let mut table = SetTickTable { instrument, count: rows.len() as u32, ..SetTickTable::default() };
    let mut last_ticks = 0;
    for (place, row) in table.rows.iter_mut().zip(rows) {
        let from_price_ticks = scale.ticks("from_price", row.from_price)?;
        if from_price_ticks <= last_ticks || (last_ticks == 0 && from_price_ticks != 1) {
            let reason = format!("the first row begins at {}, and rows rise", scale.tick_size);
            return Err(("from_price", reason));
        }
        last_ticks = from_price_ticks;
        let tick_ticks = scale.ticks("tick", row.tick)?;
        if tick_ticks > MAX_TICK_TICKS {
            return Err((
                "tick",
                format!("{} is more than {MAX_TICK_TICKS} of {}", row.tick, scale.tick_size),
            ));
        }
        *place = TickRow { from_price_ticks, tick_ticks };
    }
    Ok(table)
}

/// A fee schedule. `created` has the fees that it must keep within.
///
/// # Errors
/// [`Mistake`]
pub fn fee_schedule(
    tiers: &[FileFeeTier],
    created: &CreateInstrument,
    scale: &Scale,
) -> Result<SetFeeSchedule, Mistake> {
    if tiers.len() > MAX_FEE_TIERS {
        return Err(("min_volume", format!("there are {} tiers; {MAX_FEE_TIERS} at most", tiers.len())));
    }
    let ppm = |field, value: Decimal| {
        let ppm = to_minor(value, 6).and_then(|ppm| i32::try_from(ppm).ok());
        let ppm = ppm.filter(|ppm| ppm.unsigned_abs() <= protocol::MAX_FEE_PPM);
        ppm.ok_or((field, format!("{value} is outside -0.1 to 0.1, or no whole millionths")))
    };
    let count = tiers.len() as u32;
    let mut schedule = SetFeeSchedule { instrument: created.instrument, count, ..SetFeeSchedule::default() };
    for (place, tier) in schedule.tiers.iter_mut().zip(tiers) {
        *place = FeeTier {
            min_volume_minor: scale.quote_minor("min_volume", Some(tier.min_volume))?,
            maker_fee_ppm: ppm("maker_fee", tier.maker_fee)?,
            taker_fee_ppm: ppm("taker_fee", tier.taker_fee)?,
        };
    }
    check_tiers(&schedule.tiers[..tiers.len()], created)?;
    Ok(schedule)
}

/// What holds cover, and what pays for rebates: see "Fees" in `docs/exchange.md`.
fn check_tiers(tiers: &[FeeTier], created: &CreateInstrument) -> Result<(), Mistake> {
    let from_zero = tiers.first().is_none_or(|tier| tier.min_volume_minor == 0);
    if !from_zero || !tiers.is_sorted_by(|one, next| one.min_volume_minor < next.min_volume_minor) {
        return Err(("min_volume", "the first tier begins at 0, and tiers rise".to_string()));
    }
    let most_taker = i64::from(created.taker_fee_ppm);
    let most_maker = most_taker.max(created.maker_fee_ppm.into());
    let least_taker = tiers.iter().map(|tier| i64::from(tier.taker_fee_ppm)).min().unwrap_or(0);
    for tier in tiers {
        if !(0..=most_taker).contains(&tier.taker_fee_ppm.into()) {
            return Err(("taker_fee", "must be from 0 to the instrument's taker_fee".to_string()));
        }
        if !(-least_taker..=most_maker).contains(&tier.maker_fee_ppm.into()) {
            let reason = "must be at most the higher of the instrument's fees, and a rebate at most the lowest \
                          taker_fee of all tiers";
            return Err(("maker_fee", reason.to_string()));
        }
    }
    Ok(())
}

/// Seconds after midnight of `HH:MM` or `HH:MM:SS`.
pub fn time_of_day(text: &str) -> Option<u64> {
    let parts = text.split(':').map(|part| part.parse::<u64>().ok()).collect::<Option<Vec<_>>>()?;
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] => (hours, minutes, 0),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    (hours < 24 && minutes < 60 && seconds < 60).then_some(hours * 3600 + minutes * 60 + seconds)
}

impl FileTimetable {
    /// The command for day 0; [`on_day`] moves it. A time that is not after the one before belongs to the next day.
    ///
    /// # Errors
    /// [`Mistake`]
    pub fn command(&self, instrument: u32) -> Result<SetTimetable, Mistake> {
        let mut timetable = SetTimetable { instrument, repeat_ns: DAY_NS, ..SetTimetable::default() };
        let (mut first_ns, mut last_ns) = (None, 0);
        let entries: [(&'static str, &Option<String>, &mut u64); 5] = [
            ("pre_open", &self.pre_open, &mut timetable.pre_open_ns),
            ("opening_auction", &self.opening_auction, &mut timetable.opening_auction_ns),
            ("continuous", &self.continuous, &mut timetable.continuous_ns),
            ("closing_auction", &self.closing_auction, &mut timetable.closing_auction_ns),
            ("closed", &self.closed, &mut timetable.closed_ns),
        ];
        for (field, text, place) in entries {
            let Some(text) = text else { continue };
            let time_s = time_of_day(text);
            let time_s = time_s.ok_or((field, format!("{text:?} is not a time like \"08:30\"")))?;
            // Day 1, since a time of 0 would mean that there is no such entry.
            let mut time_ns = DAY_NS + time_s * SECOND_NS;
            let first_ns = *first_ns.get_or_insert(time_ns);
            if time_ns <= last_ns {
                time_ns += DAY_NS;
            }
            if time_ns <= last_ns || time_ns - first_ns >= DAY_NS {
                return Err((field, "all times must lie within one day, one after the other".to_string()));
            }
            last_ns = time_ns;
            *place = time_ns;
        }
        Ok(timetable)
    }
}

/// The timetable with its first entry at the last time before `now_ns` that has its time of day: what has passed of that
/// day takes effect at once, and so the instrument comes into the phase that it should be in now.
pub fn on_day(timetable: &SetTimetable, now_ns: u64) -> SetTimetable {
    let mut moved = *timetable;
    let times = [
        &mut moved.pre_open_ns,
        &mut moved.opening_auction_ns,
        &mut moved.continuous_ns,
        &mut moved.closing_auction_ns,
        &mut moved.closed_ns,
    ];
    let first_ns = times.iter().map(|time| **time).find(|&time_ns| time_ns != 0).unwrap_or(0) % DAY_NS;
    let day = now_ns.saturating_sub(first_ns) / DAY_NS;
    for time_ns in times.into_iter().filter(|time_ns| **time_ns != 0) {
        *time_ns = *time_ns - DAY_NS + day * DAY_NS;
    }
    moved
}

/// A self-trade prevention by its name in configurations.
pub fn self_trade_prevention(name: &str) -> Result<SelfTradePrevention, Mistake> {
    Ok(match name {
        "allow" => SelfTradePrevention::Allow,
        "cancel_newest" => SelfTradePrevention::CancelNewest,
        "cancel_oldest" => SelfTradePrevention::CancelOldest,
        "cancel_both" => SelfTradePrevention::CancelBoth,
        "decrement" => SelfTradePrevention::DecrementAndCancel,
        other => {
            let reason =
                format!("{other:?} is none of allow, cancel_newest, cancel_oldest, cancel_both, decrement");
            return Err(("self_trade_prevention", reason));
        }
    })
}

impl FileOptions {
    /// The command.
    ///
    /// # Errors
    /// [`Mistake`]
    pub fn command(&self, account: AccountId) -> Result<SetAccountOptions, Mistake> {
        if (self.max_orders == 0) != (self.interval_ms == 0) {
            return Err(("interval_ms", "goes with max_orders, and max_orders with it".to_string()));
        }
        let prevention = self.self_trade_prevention.as_deref().map(self_trade_prevention).transpose()?;
        let interval_ns = self.interval_ms.checked_mul(1_000_000);
        Ok(SetAccountOptions {
            interval_ns: interval_ns.ok_or(("interval_ms", "is too long".to_string()))?,
            account,
            max_orders: self.max_orders,
            self_trade_prevention: prevention.unwrap_or(SelfTradePrevention::Allow).code(),
            pays_in_fee_asset: u8::from(self.pays_in_fee_asset),
            reserved: [0; 6],
        })
    }
}

impl FileRiskLimits {
    /// The command.
    ///
    /// # Errors
    /// [`Mistake`]
    pub fn command(&self, instrument: u32, scale: &Scale) -> Result<SetRiskLimits, Mistake> {
        Ok(SetRiskLimits {
            max_order_lots: scale.lots("max_order_quantity", self.max_order_quantity)?,
            max_order_notional_minor: scale.quote_minor("max_order_notional", self.max_order_notional)?,
            max_position_lots: scale.lots("max_position", self.max_position)?,
            account: AccountId(self.account),
            instrument,
            max_open_orders: self.max_open_orders,
            price_collar_bps: basis_points("price_collar", self.price_collar)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_NS: u64 = 3_600 * SECOND_NS;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn scale() -> Scale {
        Scale { tick_size: decimal("0.01"), lot_size: decimal("0.5"), quote_scale: 4 }
    }

    #[test]
    fn decimals_are_exact_or_refused_with_their_field() {
        let it = scale();
        assert_eq!(it.lots("a", Some(decimal("2.5"))), Ok(5));
        assert_eq!(it.lots("a", None), Ok(0));
        assert_eq!(it.lots("a", Some(decimal("2.6"))).unwrap_err().0, "a");
        assert_eq!(it.lots("a", Some(Decimal::ZERO)).unwrap_err().0, "a");
        assert_eq!(it.quote_minor("b", Some(decimal("1.5"))), Ok(15_000));
        assert_eq!(it.quote_minor("b", Some(decimal("0.00001"))).unwrap_err().0, "b");
        assert_eq!(basis_points("c", Some(decimal("0.05"))), Ok(500));
        assert_eq!(basis_points("c", Some(decimal("1.1"))).unwrap_err().0, "c");
        assert_eq!(basis_points("c", Some(decimal("0.00001"))).unwrap_err().0, "c");
        // Two and a half of an asset with 8 places for one with 6: 250 minor units for one.
        assert_eq!(rate_ppm(decimal("2.5"), 8, 6), Ok(250_000_000));
        assert_eq!(rate_ppm(decimal("2.5"), 6, 8), Ok(25_000));
        assert!(rate_ppm(decimal("0.0000001"), 6, 6).is_err());
        assert!(rate_ppm(decimal("99999"), 8, 6).is_err());
    }

    #[test]
    fn tables_rise_and_have_room() {
        let row = |from: &str, tick: &str| FileTickRow { from_price: decimal(from), tick: decimal(tick) };
        let table = tick_table(&[row("0.01", "0.01"), row("100", "0.05")], 3, &scale()).unwrap();
        assert_eq!((table.count, table.rows[1]), (2, TickRow { from_price_ticks: 10_000, tick_ticks: 5 }));
        assert!(tick_table(&[row("0.02", "0.01")], 3, &scale()).is_err());
        assert!(tick_table(&[row("0.01", "0.01"), row("0.01", "0.01")], 3, &scale()).is_err());
        assert!(tick_table(&[row("0.01", "0.015")], 3, &scale()).is_err());
        assert!(tick_table(&[row("0.01", "10485.76")], 3, &scale()).is_ok());
        assert_eq!(tick_table(&[row("0.01", "10485.77")], 3, &scale()).unwrap_err().0, "tick");
        let tier = || FileFeeTier {
            min_volume: decimal("0"),
            maker_fee: decimal("-0.0001"),
            taker_fee: decimal("0.001"),
        };
        let created = CreateInstrument { taker_fee_ppm: 1_000, ..created() };
        let schedule = fee_schedule(&[tier()], &created, &scale()).unwrap();
        assert_eq!((schedule.tiers[0].maker_fee_ppm, schedule.tiers[0].taker_fee_ppm), (-100, 1_000));
        assert!(fee_schedule(&[tier(), tier(), tier(), tier(), tier()], &created, &scale()).is_err());
    }

    fn created() -> CreateInstrument {
        CreateInstrument {
            quote_minor_per_tick_lot: 50,
            base_minor_per_lot: 1,
            reference_price_ticks: 0,
            instrument: 3,
            base_asset: 1,
            quote_asset: 2,
            maker_fee_ppm: 500,
            taker_fee_ppm: 1_000,
            ladder_levels: 0,
            name: protocol::Name([0; 16]),
        }
    }

    /// Tiers that the exchange refuses were found only when it ran, after a data folder had been made, and then the
    /// message was "was rejected: InvalidParameter", without a field.
    #[test]
    fn tiers_beyond_what_holds_and_rebates_allow_are_refused_with_their_field() {
        let schedule = |tiers: &[(&str, &str, &str)]| {
            let tier = |&(volume, maker, taker): &(&str, &str, &str)| FileFeeTier {
                min_volume: decimal(volume),
                maker_fee: decimal(maker),
                taker_fee: decimal(taker),
            };
            let tiers: Vec<_> = tiers.iter().map(tier).collect();
            fee_schedule(&tiers, &created(), &scale()).map(|it| it.count).map_err(|(field, _)| field)
        };
        assert_eq!(schedule(&[("0", "0.001", "0.001"), ("5", "-0.0008", "0.0008")]), Ok(2));
        assert_eq!(schedule(&[("1", "0", "0")]), Err("min_volume"));
        assert_eq!(schedule(&[("0", "0", "0"), ("5", "0", "0"), ("5", "0", "0")]), Err("min_volume"));
        assert_eq!(schedule(&[("0", "0", "0.001001")]), Err("taker_fee"));
        assert_eq!(schedule(&[("0", "0", "-0.000001")]), Err("taker_fee"));
        assert_eq!(schedule(&[("0", "0.001001", "0.001")]), Err("maker_fee"));
        assert_eq!(schedule(&[("0", "-0.0008", "0.001"), ("5", "0", "0.0007")]), Err("maker_fee"));
    }

    /// As with tiers: rules that contradict each other were refused by the running exchange, which does not say where.
    #[test]
    fn rules_that_contradict_each_other_are_refused_with_their_field() {
        let field = |rules: &FileRules| {
            rules.command(&created(), &scale(), |_| Some((2, 4))).map_err(|(field, _)| field).err()
        };
        let some = |text: &str| Some(decimal(text));
        let quantities =
            |least, most| FileRules { min_quantity: least, max_quantity: most, ..Default::default() };
        assert_eq!(field(&quantities(some("2"), some("2"))), None);
        assert_eq!(field(&quantities(some("2"), None)), None);
        assert_eq!(field(&quantities(some("2"), some("1.5"))), Some("max_quantity"));
        let notionals = FileRules { min_notional: some("2"), max_notional: some("1"), ..Default::default() };
        assert_eq!(field(&notionals), Some("max_notional"));
        let auction = |time| FileRules {
            band_action: Some("auction".into()),
            volatility_auction_s: time,
            ..Default::default()
        };
        assert_eq!(field(&auction(Some(1))), None);
        assert_eq!(field(&auction(Some(0))), Some("volatility_auction_s"));
        assert_eq!(field(&auction(None)), Some("volatility_auction_s"));
        let fees =
            FileRules { fee_asset: Some("USD".into()), fee_asset_rate: some("1"), ..Default::default() };
        assert_eq!(field(&fees), Some("fee_asset"));
    }

    fn day(times: [&str; 5]) -> Result<SetTimetable, Mistake> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_string());
        let [pre_open, opening_auction, continuous, closing_auction, closed] = times.map(text);
        FileTimetable { pre_open, opening_auction, continuous, closing_auction, closed }.command(1)
    }

    #[test]
    fn a_timetable_begins_at_its_last_first_entry() {
        let timetable = day(["", "08:50", "09:00", "17:30", "17:35"]).unwrap();
        let today_ns = 20_000 * DAY_NS;
        let moved = on_day(&timetable, today_ns + 12 * HOUR_NS);
        assert_eq!((moved.pre_open_ns, moved.continuous_ns), (0, today_ns + 9 * HOUR_NS));
        assert_eq!(moved.repeat_ns, DAY_NS);
        let before = on_day(&timetable, today_ns + 8 * HOUR_NS);
        assert_eq!(before.continuous_ns, today_ns - DAY_NS + 9 * HOUR_NS, "the day before, which has ended");

        let overnight = day(["22:00", "", "23:00", "", "05:00"]).unwrap();
        let moved = on_day(&overnight, today_ns + HOUR_NS);
        assert_eq!((moved.pre_open_ns, moved.closed_ns), (today_ns - 2 * HOUR_NS, today_ns + 5 * HOUR_NS));
        assert_eq!(on_day(&day(["", "", "00:00", "", ""]).unwrap(), today_ns).continuous_ns, today_ns);
    }

    #[test]
    fn times_that_are_none_or_not_within_a_day_are_refused() {
        assert_eq!(day(["25:00", "", "", "", ""]).unwrap_err().0, "pre_open");
        assert_eq!(day(["08:00", "", "08:00", "", ""]).unwrap_err().0, "continuous");
        assert_eq!(day(["08:00", "", "07:00", "", "08:30"]).unwrap_err().0, "closed");
        assert_eq!(time_of_day("08:30:15"), Some(8 * 3600 + 30 * 60 + 15));
        for bad in ["", "8", "08:60", "08:00:00:00", "-1:00", "08:00:60"] {
            assert_eq!(time_of_day(bad), None, "{bad}");
        }
    }

    #[test]
    fn options_and_limits_are_named_by_their_fields() {
        let options = FileOptions {
            self_trade_prevention: Some("decrement".into()),
            pays_in_fee_asset: true,
            max_orders: 10,
            interval_ms: 1_000,
        };
        let command = options.command(AccountId(4)).unwrap();
        assert_eq!((command.self_trade_prevention, command.interval_ns), (4, SECOND_NS));
        assert_eq!(
            FileOptions { interval_ms: 0, ..options }.command(AccountId(4)).unwrap_err().0,
            "interval_ms"
        );
        assert_eq!(self_trade_prevention("x").unwrap_err().0, "self_trade_prevention");
    }
}

//! What a fee must be: schedules, volumes, and the asset it is paid in.

use protocol::{
    AccountId, AmountMinor, AssetId, CreateInstrument, FeeScheduleSet, FeeTier, MAX_AMOUNT_MINOR, VOLUME_DAYS,
};

use crate::Ledger;
use crate::fold::{Problem, ensure};

const DAY_NS: u64 = 86_400_000_000_000;

/// Maker or taker; the number is that of `FeeCharged::role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Maker = 1,
    Taker = 2,
}

impl Ledger {
    /// A schedule that holds and takers' fees could not cover is refused here as it is by the exchange.
    pub(crate) fn schedule_set(&mut self, event: &FeeScheduleSet) -> Result<(), Problem> {
        let FeeScheduleSet(schedule) = event;
        let instrument = self.instruments.get(&schedule.instrument).ok_or("the instrument is unknown")?;
        let tiers = schedule.tiers.get(..schedule.count as usize).ok_or("a schedule has too many tiers")?;
        let highest_ppm = i64::from(instrument.maker_fee_ppm.max(instrument.taker_fee_ppm));
        let least_taker_ppm = tiers.iter().map(|tier| i64::from(tier.taker_fee_ppm)).min().unwrap_or(0);
        let covered = tiers.iter().all(|tier| {
            let (maker_ppm, taker_ppm) = (i64::from(tier.maker_fee_ppm), i64::from(tier.taker_fee_ppm));
            maker_ppm <= highest_ppm
                && (0..=i64::from(instrument.taker_fee_ppm)).contains(&taker_ppm)
                && -maker_ppm <= least_taker_ppm
        });
        ensure(covered, "holds do not cover a fee, or takers' fees a rebate")?;
        let rises = tiers.is_sorted_by(|one, two| one.min_volume_minor < two.min_volume_minor);
        let from_zero = tiers.first().is_none_or(|tier| tier.min_volume_minor == 0);
        ensure(rises && from_zero, "a schedule's volumes do not rise from 0")?;
        self.schedules.insert(schedule.instrument, *schedule);
        Ok(())
    }

    /// The account's fee in millionths: by its tier, or by `CreateInstrument`.
    pub(crate) fn fee_ppm(
        &self,
        instrument: &CreateInstrument,
        account: AccountId,
        role: Role,
        timestamp_ns: u64,
    ) -> i32 {
        let schedule = self.schedules.get(&instrument.instrument);
        let tiers = schedule.and_then(|schedule| schedule.tiers.get(..schedule.count as usize));
        let of_instrument = FeeTier {
            min_volume_minor: 0,
            maker_fee_ppm: instrument.maker_fee_ppm as i32,
            taker_fee_ppm: instrument.taker_fee_ppm as i32,
        };
        let volume_minor = self.volume_before(account, instrument.quote_asset, timestamp_ns);
        let reached = |tier: &&FeeTier| i128::from(tier.min_volume_minor) <= volume_minor;
        let tier = tiers.and_then(|tiers| tiers.iter().rev().find(reached)).unwrap_or(&of_instrument);
        match role {
            Role::Maker => tier.maker_fee_ppm,
            Role::Taker => tier.taker_fee_ppm,
        }
    }

    /// What the account traded on the days that count: those before the day of `timestamp_ns`.
    fn volume_before(&self, account: AccountId, quote_asset: AssetId, timestamp_ns: u64) -> i128 {
        let today = timestamp_ns / DAY_NS;
        let first = today.saturating_sub(u64::from(VOLUME_DAYS));
        let days = self.volumes.get(&(account, quote_asset)).into_iter();
        days.flat_map(|days| days.range(first..today)).map(|(_, &minor)| i128::from(minor)).sum()
    }

    /// Adds to today's volume, and forgets days that will never count again.
    pub(crate) fn add_volume(
        &mut self,
        account: AccountId,
        quote_asset: AssetId,
        timestamp_ns: u64,
        quote_minor: AmountMinor,
    ) {
        let today = timestamp_ns / DAY_NS;
        let days = self.volumes.entry((account, quote_asset)).or_default();
        let volume_minor = days.entry(today).or_default();
        *volume_minor = volume_minor.saturating_add(quote_minor).min(MAX_AMOUNT_MINOR);
        let first = today.saturating_sub(u64::from(VOLUME_DAYS));
        while days.first_key_value().is_some_and(|(&day, _)| day < first) {
            days.pop_first();
        }
    }

    /// The fee in the fee asset if it is to be paid in that, else `None`. `spoken_for_minor` of what the account has
    /// of the fee asset goes to another fee of the same trade.
    pub(crate) fn converted(
        &self,
        instrument: &CreateInstrument,
        account: AccountId,
        fee_minor: AmountMinor,
        spoken_for_minor: AmountMinor,
    ) -> Option<(AssetId, AmountMinor)> {
        let rules = self.rules.get(&instrument.instrument).filter(|rules| rules.fee_asset != 0)?;
        let options = self.options.get(&account).filter(|options| options.pays_in_fee_asset == 1);
        if fee_minor <= 0 || options.is_none() {
            return None;
        }
        let wanted = i128::from(fee_minor) * i128::from(rules.fee_asset_rate_ppm) / 1_000_000;
        let balance = self.balance(account, rules.fee_asset);
        let available_minor = balance.balance_minor - balance.held_minor - spoken_for_minor;
        let amount_minor = i64::try_from(wanted).ok().filter(|&wanted| wanted <= available_minor)?;
        Some((rules.fee_asset, amount_minor))
    }
}

//! Who pays which fee, in what.

use protocol::{AccountId, AmountMinor, AssetId, FeeCharged, SetInstrumentRules, signed_fee};
use wallet::{BalanceSlot, Wallet};

use crate::accounts::Accounts;
use crate::fees::FeeSchedule;
use crate::terms::Terms;
use crate::volumes::Volumes;

/// One party's fee of one trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
    /// In the quote asset; negative is a rebate.
    Quote(AmountMinor),
    /// In the fee asset.
    FeeAsset { asset: AssetId, amount_minor: AmountMinor, payer: BalanceSlot, fees: BalanceSlot },
}

impl Charge {
    #[inline]
    pub(crate) fn in_quote(fee_minor: AmountMinor) -> Self {
        Self::Quote(fee_minor)
    }

    /// What it takes of the quote asset.
    #[inline]
    pub(crate) fn quote_minor(&self) -> AmountMinor {
        match *self {
            Self::Quote(fee_minor) => fee_minor,
            Self::FeeAsset { .. } => 0,
        }
    }

    /// What it takes of whatever it is paid in.
    #[inline]
    pub(crate) fn amount_minor(&self) -> AmountMinor {
        match *self {
            Self::Quote(fee_minor) => fee_minor,
            Self::FeeAsset { amount_minor, .. } => amount_minor,
        }
    }

    /// The fee asset, if it is paid in that.
    #[inline]
    pub(crate) fn asset(&self) -> Option<AssetId> {
        match *self {
            Self::Quote(_) => None,
            Self::FeeAsset { asset, .. } => Some(asset),
        }
    }

    /// Moves it. `quote` and `quote_fees` are the party's and FEES' balances of the quote asset.
    #[inline]
    pub(crate) fn pay(&self, wallet: &mut Wallet, quote: BalanceSlot, quote_fees: BalanceSlot) {
        match *self {
            Self::Quote(fee_minor) if fee_minor >= 0 => wallet.transfer(quote, quote_fees, fee_minor),
            Self::Quote(fee_minor) => wallet.transfer(quote_fees, quote, -fee_minor),
            Self::FeeAsset { amount_minor: 0, .. } => {}
            Self::FeeAsset { amount_minor, payer, fees, .. } => wallet.transfer(payer, fees, amount_minor),
        }
    }

    /// The event for a fee in the fee asset.
    #[inline]
    pub(crate) fn event(&self, trade_id: u64, account: AccountId, role: u8) -> Option<FeeCharged> {
        match *self {
            Self::Quote(_) => None,
            Self::FeeAsset { asset, amount_minor, .. } => {
                Some(FeeCharged { trade_id, amount_minor, account, asset, role, reserved: [0; 7] })
            }
        }
    }
}

/// Who pays.
pub(crate) struct Payer {
    pub(crate) account: AccountId,
    /// Its balance of the quote asset, which its volume is kept under.
    pub(crate) quote: BalanceSlot,
}

/// What fees depend on.
pub(crate) struct Tariff<'a> {
    pub(crate) schedule: Option<&'a FeeSchedule>,
    pub(crate) rules: &'a SetInstrumentRules,
    pub(crate) terms: &'a Terms,
    pub(crate) wallet: &'a Wallet,
    pub(crate) volumes: &'a Volumes,
    pub(crate) accounts: &'a Accounts,
    pub(crate) day: u32,
}

impl Tariff<'_> {
    /// The maker's and the taker's charge on a quote amount (`docs/exchange.md`, "Fees").
    pub(crate) fn charges(&self, maker: &Payer, taker: &Payer, quote_minor: AmountMinor) -> (Charge, Charge) {
        let (maker_fee_minor, taker_fee_minor) = match self.schedule {
            None => (self.terms.maker_fee_minor(quote_minor), self.terms.taker_fee_minor(quote_minor)),
            Some(schedule) => {
                let tier = |payer: &Payer| schedule.tier(self.volumes.volume_minor(payer.quote, self.day));
                let (maker, taker) = (tier(maker), tier(taker));
                (signed_fee(quote_minor, maker.maker_fee_ppm), signed_fee(quote_minor, taker.taker_fee_ppm))
            }
        };
        // The taker's fee first, since an account that is both must have enough left for the second.
        let taker_charge = match maker_fee_minor {
            ..0 => Charge::Quote(taker_fee_minor),
            _ => self.charge(taker, taker_fee_minor, None),
        };
        let own = (maker.account == taker.account).then_some(taker_charge);
        (self.charge(maker, maker_fee_minor, own), taker_charge)
    }

    /// In the fee asset, if the account wants that and has enough; `before` is what the same account pays first.
    fn charge(&self, payer: &Payer, fee_minor: AmountMinor, before: Option<Charge>) -> Charge {
        self.in_fee_asset(payer, fee_minor, before).unwrap_or(Charge::Quote(fee_minor))
    }

    fn in_fee_asset(&self, payer: &Payer, fee_minor: AmountMinor, before: Option<Charge>) -> Option<Charge> {
        let asset = self.rules.fee_asset;
        if fee_minor <= 0 || asset == 0 || self.accounts.get(payer.account).pays_in_fee_asset == 0 {
            return None;
        }
        let amount = i128::from(fee_minor) * i128::from(self.rules.fee_asset_rate_ppm) / 1_000_000;
        let amount_minor = i64::try_from(amount).ok()?;
        let fees = self.wallet.find(AccountId::FEES, asset)?;
        if amount_minor == 0 {
            // Nothing is moved, so the account needs no balance of that asset.
            return Some(Charge::FeeAsset { asset, amount_minor, payer: fees, fees });
        }
        let balance = self.wallet.find(payer.account, asset)?;
        let paid_minor = match before {
            Some(Charge::FeeAsset { amount_minor, .. }) => amount_minor,
            _ => 0,
        };
        let available_minor = self.wallet.at(balance).available_minor() - paid_minor;
        (amount_minor <= available_minor).then_some(Charge::FeeAsset {
            asset,
            amount_minor,
            payer: balance,
            fees,
        })
    }
}

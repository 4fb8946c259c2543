//! From an operator's words to commands.

use std::collections::BTreeMap;

use exchange::Exchange;
use machine::Record;
use protocol::{
    AccountCreated, AccountId, AccountStatus, AssetCreated, BustTrade, CancelReason, Deposit, EndDay,
    EventKind, InstrumentCreated, InstrumentId, MassCancel, Phase, SetAccountStatus, SetPhase, Side,
    Withdraw,
};
use rust_decimal::Decimal;

use super::{AdminCommand, PhaseName, SideName};
use crate::decimal::to_minor;
use crate::operator::Wish;

/// What the exchange has, by the names that people use; asked of the machine, then folded from events.
#[derive(Debug, Default)]
pub struct Names {
    instruments: BTreeMap<String, InstrumentId>,
    /// Id and decimal places.
    assets: BTreeMap<String, (u32, u8)>,
    accounts: BTreeMap<String, AccountId>,
    /// FIX sessions: SenderCompID to gateway and session number.
    pub sessions: BTreeMap<String, (u16, u16)>,
}

impl Names {
    /// Whether an event of this kind is of interest.
    pub fn wants(kind: u16) -> bool {
        matches!(
            EventKind::from_code(kind),
            Some(EventKind::AssetCreated | EventKind::InstrumentCreated | EventKind::AccountCreated)
        )
    }

    /// Of what a machine has.
    pub fn of(machine: &Exchange) -> Self {
        let instruments = machine.instruments().map(|it| (it.name.to_string(), it.instrument));
        let assets = machine.assets().map(|it| (it.name.to_string(), (it.asset, it.scale)));
        let accounts = machine.accounts().map(|(account, name)| (name.to_string(), account));
        Self {
            instruments: instruments.collect(),
            assets: assets.collect(),
            accounts: accounts.collect(),
            sessions: BTreeMap::new(),
        }
    }

    /// Folds one event.
    pub fn apply(&mut self, event: Record<'_>) {
        if let Some(created) = event.body_as::<AssetCreated>() {
            self.assets.insert(created.name.to_string(), (created.asset, created.scale));
        } else if let Some(created) = event.body_as::<InstrumentCreated>() {
            self.instruments.insert(created.0.name.to_string(), created.0.instrument);
        } else if let Some(created) = event.body_as::<AccountCreated>() {
            self.accounts.insert(created.name.to_string(), created.account);
        }
    }

    /// The command that a request stands for.
    ///
    /// # Errors
    /// What is wrong, in words for the operator.
    pub fn command(&self, request: &AdminCommand, now_ns: u64) -> Result<Wish, String> {
        let what = serde_json::to_string(request).unwrap_or_default();
        match request {
            AdminCommand::Halt { symbol, for_s } => self.phase(symbol, Phase::Halted, *for_s, now_ns, what),
            AdminCommand::Resume { symbol } => self.phase(symbol, Phase::Continuous, None, now_ns, what),
            AdminCommand::Phase { symbol, phase, for_s } => {
                self.phase(symbol, phase_of(*phase), *for_s, now_ns, what)
            }
            AdminCommand::EndDay { symbol } => {
                Ok(Wish::of(&EndDay { instrument: self.instrument(symbol)?, reserved: 0 }, what))
            }
            AdminCommand::Bust { trade_id, reference } => {
                Ok(Wish::of(&BustTrade { trade_id: *trade_id, reference: *reference }, what))
            }
            AdminCommand::Cancel { account, symbol, side, session } => {
                let criteria = (account.as_deref(), symbol.as_deref(), *side, session.as_deref());
                Ok(Wish::of(&self.mass_cancel(criteria)?, what))
            }
            AdminCommand::Kill { account } => self.status(account, AccountStatus::Suspended, true, what),
            AdminCommand::Suspend { account } => self.status(account, AccountStatus::Suspended, false, what),
            AdminCommand::Activate { account } => self.status(account, AccountStatus::Active, false, what),
            AdminCommand::Deposit { account, amount, asset, reference } => {
                let (asset, amount_minor) = self.amount(amount, asset)?;
                let account = self.account(account)?;
                Ok(Wish::of(&Deposit { amount_minor, reference: *reference, account, asset }, what))
            }
            AdminCommand::Withdraw { account, amount, asset, reference } => {
                let (asset, amount_minor) = self.amount(amount, asset)?;
                let account = self.account(account)?;
                Ok(Wish::of(&Withdraw { amount_minor, reference: *reference, account, asset }, what))
            }
        }
    }

    fn phase(
        &self,
        symbol: &str,
        phase: Phase,
        for_s: Option<u64>,
        now_ns: u64,
        what: String,
    ) -> Result<Wish, String> {
        let length_ns = for_s.map(|seconds| seconds.checked_mul(1_000_000_000));
        let until_ns = match length_ns {
            None => 0,
            Some(length_ns) => length_ns
                .and_then(|length_ns| now_ns.checked_add(length_ns))
                .filter(|&until_ns| until_ns > now_ns && until_ns < 1 << 62)
                .ok_or("for_s must be at least 1 second, and end within the next decades")?,
        };
        let instrument = self.instrument(symbol)?;
        Ok(Wish::of(&SetPhase { until_ns, instrument, phase: phase.code(), reserved: [0; 3] }, what))
    }

    fn status(
        &self,
        account: &str,
        status: AccountStatus,
        cancel: bool,
        what: String,
    ) -> Result<Wish, String> {
        let account = self.account(account)?;
        let command = SetAccountStatus {
            account,
            status: status.code(),
            cancel_orders: u8::from(cancel),
            ..SetAccountStatus::default()
        };
        Ok(Wish::of(&command, what))
    }

    fn mass_cancel(
        &self,
        (account, symbol, side, session): (Option<&str>, Option<&str>, Option<SideName>, Option<&str>),
    ) -> Result<MassCancel, String> {
        if account.is_none() && symbol.is_none() && side.is_none() && session.is_none() {
            return Err("which orders? give at least one of account, symbol, side and session".to_owned());
        }
        let source = session.map(|name| {
            let known = || self.sessions.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            self.sessions
                .get(name)
                .copied()
                .ok_or_else(|| format!("no session {name:?}; there are: {}", known()))
        });
        let (gateway, number) = source.transpose()?.unwrap_or_default();
        Ok(MassCancel {
            account: account.map(|it| self.account(it)).transpose()?.unwrap_or_default(),
            instrument: symbol.map(|it| self.instrument(it)).transpose()?.unwrap_or_default(),
            gateway,
            session: number,
            side: side.map_or(0, |it| side_of(it).code()),
            of_session: u8::from(session.is_some()),
            reason: CancelReason::Operator.code(),
            ..MassCancel::default()
        })
    }

    fn instrument(&self, symbol: &str) -> Result<InstrumentId, String> {
        let known = || self.instruments.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let found = self.instruments.get(symbol).copied();
        found.ok_or_else(|| format!("no instrument {symbol:?}; there are: {}", known()))
    }

    fn account(&self, text: &str) -> Result<AccountId, String> {
        let number = text.parse().ok().map(AccountId).filter(|it| self.accounts.values().any(|id| id == it));
        let found = self.accounts.get(text).copied().or(number);
        found.ok_or_else(|| format!("no account {text:?}: give its number or its name"))
    }

    fn amount(&self, text: &str, asset: &str) -> Result<(u32, i64), String> {
        let known = || self.assets.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let &(id, scale) =
            self.assets.get(asset).ok_or_else(|| format!("no asset {asset:?}; there are: {}", known()))?;
        let amount = text.parse::<Decimal>().ok().and_then(|amount| to_minor(amount, scale));
        match amount {
            Some(amount_minor) if amount_minor > 0 => Ok((id, amount_minor)),
            _ => Err(format!("{text:?} is no amount of {asset}: above 0, with at most {scale} decimals")),
        }
    }
}

fn phase_of(name: PhaseName) -> Phase {
    match name {
        PhaseName::Continuous => Phase::Continuous,
        PhaseName::PreOpen => Phase::PreOpen,
        PhaseName::OpeningAuction => Phase::OpeningAuction,
        PhaseName::VolatilityAuction => Phase::VolatilityAuction,
        PhaseName::ClosingAuction => Phase::ClosingAuction,
        PhaseName::Closed => Phase::Closed,
        PhaseName::Halted => Phase::Halted,
    }
}

fn side_of(name: SideName) -> Side {
    match name {
        SideName::Buy => Side::Buy,
        SideName::Sell => Side::Sell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromBytes;

    fn names() -> Names {
        let mut names = Names::default();
        names.instruments.insert("BTC/USD".into(), 1);
        names.assets.insert("USD".into(), (2, 2));
        names.accounts.insert("alice".into(), AccountId(7));
        names.sessions.insert("ALICE".into(), (1, 3));
        names
    }

    fn parsed(text: &str) -> AdminCommand {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn words_become_commands() {
        let names = names();
        let wish = names.command(&parsed(r#"{"command":"halt","symbol":"BTC/USD","for_s":5}"#), 100).unwrap();
        let body = SetPhase::read_from_bytes(&wish.body).unwrap();
        assert_eq!((body.instrument, body.phase, body.until_ns), (1, Phase::Halted.code(), 5_000_000_100));
        let wish =
            names.command(&parsed(r#"{"command":"cancel","session":"ALICE","side":"buy"}"#), 0).unwrap();
        let body = MassCancel::read_from_bytes(&wish.body).unwrap();
        assert_eq!((body.gateway, body.session, body.of_session, body.side), (1, 3, 1, 1));
        for account in ["alice", "7"] {
            let text =
                format!(r#"{{"command":"deposit","account":"{account}","amount":"1.5","asset":"USD"}}"#);
            let wish = names.command(&parsed(&text), 0).unwrap();
            let body = Deposit::read_from_bytes(&wish.body).unwrap();
            assert_eq!((body.account, body.asset, body.amount_minor), (AccountId(7), 2, 150));
        }
    }

    #[test]
    fn what_makes_no_sense_is_explained() {
        let names = names();
        let error = |text: &str| names.command(&parsed(text), 0).unwrap_err();
        assert!(error(r#"{"command":"halt","symbol":"X"}"#).contains("there are: BTC/USD"));
        assert!(error(r#"{"command":"halt","symbol":"BTC/USD","for_s":0}"#).contains("at least 1 second"));
        assert!(error(r#"{"command":"cancel"}"#).contains("at least one of"));
        assert!(error(r#"{"command":"cancel","session":"BOB"}"#).contains("there are: ALICE"));
        assert!(error(r#"{"command":"kill","account":"8"}"#).contains("no account"));
        for amount in ["0", "-1", "0.001", "x"] {
            let text = format!(r#"{{"command":"withdraw","account":"7","amount":"{amount}","asset":"USD"}}"#);
            assert!(error(&text).contains("is no amount"), "{amount}");
        }
        assert!(serde_json::from_str::<AdminCommand>(r#"{"command":"halt","symbol":"X","y":1}"#).is_err());
    }
}

//! The configuration file: read, checked, and turned into what the parts take.
//!
//! Every mistake is an error that names the file and the field; nothing is guessed or silently dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gateway::access::ThrottleLimits;
use gateway::{GatewayLimits, UserConfig};
use protocol::{AccountId, AmountMinor, CreateAccount, CreateAsset, CreateInstrument, Limits, Name};
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::cli::Durability;
use crate::fix_config::{self, FileGateway, FileMarketData, FileSession, FileThrottle, FileUser, MarketData};
use crate::journal_config::{FileJournal, JournalBatch};
use crate::ports_config::{BinaryPort, FileBinary, FileTls, TlsPort};
use crate::rules::{
    self, FileFeeTier, FileOptions, FileRiskLimits, FileRules, FileTickRow, FileTimetable, Mistake, Scale,
};
use crate::settings::Setting;
use crate::snapshots::{FileSnapshots, SnapshotSettings};
use crate::threads::Profile;

/// The configuration that is used when no file is given.
pub const DEFAULT: &str = include_str!("../default.toml");

/// Milliseconds between two `AdvanceTime` where the file does not say.
const DEFAULT_ADVANCE_TIME_MS: u64 = 100;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read configuration {file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, or a field is missing, unknown or of the wrong type.
    #[error("configuration {file} is malformed: {message}")]
    Malformed {
        /// The file.
        file: String,
        /// Line, column and reason, from the TOML parser.
        message: String,
    },
    /// A value that cannot be.
    #[error("configuration {file}: {field}: {reason}")]
    Invalid {
        /// The file.
        file: String,
        /// Which value.
        field: String,
        /// What is wrong with it and what it may be.
        reason: String,
    },
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: PathBuf,
    durability: Durability,
    day_end_utc: Option<String>,
    advance_time_ms: Option<u64>,
    limits: FileLimits,
    #[serde(default)]
    journal: FileJournal,
    #[serde(default)]
    threads: BTreeMap<String, Thread>,
    #[serde(default)]
    profile: Profile,
    #[serde(default)]
    snapshots: FileSnapshots,
    fix: FileFix,
    tls: Option<FileTls>,
    binary: Option<FileBinary>,
    #[serde(default)]
    gateway: FileGateway,
    #[serde(default)]
    market_data: FileMarketData,
    #[serde(default)]
    sessions: FileSession,
    #[serde(default)]
    firms: BTreeMap<String, FileThrottle>,
    assets: Vec<FileAsset>,
    instruments: Vec<FileInstrument>,
    accounts: Vec<FileAccount>,
    #[serde(default)]
    risk_limits: Vec<FileRiskLimits>,
    #[serde(default)]
    users: Vec<FileUser>,
    demo: Option<FileDemo>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLimits {
    assets: u32,
    instruments: u32,
    accounts: u32,
    balances: u32,
    orders: u32,
    fills_per_command: u32,
    positions: u32,
    recent_client_ids: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileFix {
    bind: SocketAddr,
    target_comp_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileAsset {
    id: u32,
    name: String,
    scale: u8,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileInstrument {
    id: u32,
    symbol: String,
    base: String,
    quote: String,
    tick_size: Decimal,
    lot_size: Decimal,
    maker_fee: Decimal,
    taker_fee: Decimal,
    reference_price: Option<Decimal>,
    #[serde(default)]
    ladder_levels: u32,
    rules: Option<FileRules>,
    #[serde(default)]
    ticks: Vec<FileTickRow>,
    #[serde(default)]
    fees: Vec<FileFeeTier>,
    timetable: Option<FileTimetable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileAccount {
    id: u32,
    name: String,
    #[serde(default)]
    deposit: BTreeMap<String, Decimal>,
    options: Option<FileOptions>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDemo {
    maker_account: u32,
    taker_account: u32,
    seed: u64,
}

/// How a named thread runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thread {
    /// Agents to run on it, beside those that it has; each is taken from the thread that had it.
    pub agents: Option<Vec<String>>,
    /// Idle strategy, in the sequencer's words.
    pub idle: Option<String>,
    /// Processor to pin to.
    pub core: Option<usize>,
    /// Time slice in microseconds; 0 for the system's.
    pub slice_us: Option<u64>,
}

/// Money that an account starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpeningDeposit {
    /// To whom.
    pub account: AccountId,
    /// Of what.
    pub asset: u32,
    /// How much.
    pub amount_minor: AmountMinor,
}

/// House traders of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demo {
    /// Account of the market maker.
    pub maker_account: AccountId,
    /// Account of the taker.
    pub taker_account: AccountId,
    /// Seed of their decisions.
    pub seed: u64,
}

/// A checked configuration.
pub struct Config {
    /// Data folder.
    pub data: PathBuf,
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// Seconds after midnight UTC at which day orders end.
    pub day_end_utc_s: Option<u64>,
    /// Milliseconds between two `AdvanceTime`, where the time can bring something; 0 for none.
    pub advance_time_ms: u64,
    /// Table sizes of a new journal.
    pub limits: Limits,
    /// How commands gather before they are synced together.
    pub journal: JournalBatch,
    /// Threads by name.
    pub threads: BTreeMap<String, Thread>,
    /// When snapshots are taken.
    pub snapshots: SnapshotSettings,
    /// The thread map that they change.
    pub profile: Profile,
    /// Address of the FIX port.
    pub fix_bind: SocketAddr,
    /// Our CompID.
    pub target_comp_id: String,
    /// FIX over TLS.
    pub tls: Option<TlsPort>,
    /// Binary order entry.
    pub binary: Option<BinaryPort>,
    /// Assets to create.
    pub assets: Vec<CreateAsset>,
    /// Instruments to create.
    pub instruments: Vec<CreateInstrument>,
    /// Accounts to create.
    pub accounts: Vec<CreateAccount>,
    /// Deposits to make, each once.
    pub deposits: Vec<OpeningDeposit>,
    /// Rules, tables, options and limits to bring into force.
    pub settings: Vec<Setting>,
    /// FIX users.
    pub users: Vec<UserConfig>,
    /// Throttles of firms.
    pub firms: BTreeMap<String, ThrottleLimits>,
    /// Limits of the FIX gateway.
    pub gateway: GatewayLimits,
    /// How market data is offered.
    pub market_data: MarketData,
    /// House traders.
    pub demo: Option<Demo>,
}

impl Config {
    /// Reads `file`, or the embedded default.
    ///
    /// # Errors
    /// [`ConfigError`], naming file and field.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = file else {
            return Self::parse(DEFAULT, "(embedded default)");
        };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { file: name.clone(), source })?;
        Self::parse(&text, &name)
    }

    /// Checks the text of a configuration; `name` stands for the file in errors.
    ///
    /// # Errors
    /// [`ConfigError`], naming file and field.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text)
            .map_err(|error| ConfigError::Malformed { file: name.to_string(), message: error.to_string() })?;
        Checker { file: name, assets: BTreeMap::new() }.check(file)
    }
}

/// Turns the file's words into numbers, remembering which asset is which.
struct Checker<'a> {
    file: &'a str,
    /// Asset name to id and scale.
    assets: BTreeMap<String, (u32, u8)>,
}

impl Checker<'_> {
    fn invalid(&self, field: impl Into<String>, reason: impl Into<String>) -> ConfigError {
        ConfigError::Invalid { file: self.file.to_string(), field: field.into(), reason: reason.into() }
    }

    fn check(&mut self, file: File) -> Result<Config, ConfigError> {
        let limits = Limits {
            assets: file.limits.assets,
            instruments: file.limits.instruments,
            accounts: file.limits.accounts,
            balances: file.limits.balances,
            orders: file.limits.orders,
            fills_per_command: file.limits.fills_per_command,
            positions: file.limits.positions,
            recent_client_ids: file.limits.recent_client_ids,
        };
        exchange::check_limits(&limits).map_err(|error| self.invalid("limits", error.to_string()))?;
        let assets = self.assets(&file.assets)?;
        let instruments =
            file.instruments.iter().map(|it| self.instrument(it)).collect::<Result<Vec<_>, _>>()?;
        self.unique("instruments", "id", instruments.iter().map(|it| it.instrument.to_string()))?;
        self.unique("instruments", "symbol", instruments.iter().map(|it| it.name.to_string()))?;
        let (accounts, deposits) = self.accounts(&file.accounts)?;
        let settings = self.settings(&file.instruments, &instruments, &file.accounts, &file.risk_limits)?;
        let users = self.users(file.users, &file.sessions, &accounts)?;
        let day_end_utc_s = file.day_end_utc.as_deref().map(|text| self.time_of_day(text)).transpose()?;
        if file.fix.target_comp_id.is_empty()
            || !file.fix.target_comp_id.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(self.invalid("fix.target_comp_id", "must be printable ASCII without spaces"));
        }
        let snapshots = file.snapshots.check().map_err(|(field, reason)| self.invalid(field, reason))?;
        let binary = file.binary.map(|it| it.port(file.tls.is_some())).transpose();
        let binary = binary.map_err(|(field, reason)| self.invalid(format!("binary.{field}"), reason))?;
        let market_data = file.market_data.check(file.tls.is_some());
        let journal = file.journal.check().map_err(|(field, reason)| self.invalid(field, reason))?;
        Ok(Config {
            data: file.data,
            durability: file.durability,
            day_end_utc_s,
            advance_time_ms: file.advance_time_ms.unwrap_or(DEFAULT_ADVANCE_TIME_MS),
            limits,
            journal,
            threads: file.threads,
            profile: file.profile,
            snapshots,
            fix_bind: file.fix.bind,
            target_comp_id: file.fix.target_comp_id,
            tls: file.tls.map(FileTls::port),
            binary,
            assets,
            instruments,
            accounts,
            deposits,
            settings,
            users,
            firms: fix_config::firms(&file.firms),
            gateway: file.gateway.limits(),
            market_data: market_data.map_err(|(field, reason)| self.invalid(field, reason))?,
            demo: file.demo.map(|demo| Demo {
                maker_account: AccountId(demo.maker_account),
                taker_account: AccountId(demo.taker_account),
                seed: demo.seed,
            }),
        })
    }

    fn unique(
        &self,
        table: &str,
        field: &str,
        values: impl Iterator<Item = String>,
    ) -> Result<(), ConfigError> {
        let mut seen = BTreeSet::new();
        for value in values {
            if !seen.insert(value.clone()) {
                return Err(self.invalid(format!("{table}.{field}"), format!("{value} is given twice")));
            }
        }
        Ok(())
    }

    fn name(&self, field: &str, text: &str) -> Result<Name, ConfigError> {
        Name::from_text(text).ok_or_else(|| {
            self.invalid(field, format!("{text:?} must be 1 to 16 printable ASCII characters without spaces"))
        })
    }

    fn assets(&mut self, assets: &[FileAsset]) -> Result<Vec<CreateAsset>, ConfigError> {
        self.unique("assets", "id", assets.iter().map(|it| it.id.to_string()))?;
        let mut checked = Vec::with_capacity(assets.len());
        for asset in assets {
            let name = self.name("assets.name", &asset.name)?;
            if asset.scale > 18 {
                return Err(self.invalid(format!("assets.{name}.scale"), "must be 0 to 18 decimal places"));
            }
            if self.assets.insert(asset.name.clone(), (asset.id, asset.scale)).is_some() {
                return Err(self.invalid("assets.name", format!("{name} is given twice")));
            }
            checked.push(CreateAsset { asset: asset.id, scale: asset.scale, reserved: [0; 3], name });
        }
        Ok(checked)
    }

    fn asset(&self, field: &str, name: &str) -> Result<(u32, u8), ConfigError> {
        self.assets
            .get(name)
            .copied()
            .ok_or_else(|| self.invalid(field, format!("asset {name:?} is not among [[assets]]")))
    }

    fn instrument(&self, it: &FileInstrument) -> Result<CreateInstrument, ConfigError> {
        let at = |field: &str| format!("instruments.{}.{field}", it.symbol);
        let name = self.name("instruments.symbol", &it.symbol)?;
        let (base_asset, base_scale) = self.asset(&at("base"), &it.base)?;
        let (quote_asset, quote_scale) = self.asset(&at("quote"), &it.quote)?;
        let positive = |field: &str, value: Decimal| {
            if value > Decimal::ZERO {
                Ok(value)
            } else {
                Err(self.invalid(at(field), "must be greater than 0"))
            }
        };
        let tick_size = positive("tick_size", it.tick_size)?;
        let lot_size = positive("lot_size", it.lot_size)?;
        let tick_lot =
            tick_size.checked_mul(lot_size).ok_or_else(|| self.invalid(at("tick_size"), "is too large"))?;
        let quote_minor_per_tick_lot = self.minor(&at("tick_size x lot_size"), tick_lot, quote_scale)?;
        let base_minor_per_lot = self.minor(&at("lot_size"), lot_size, base_scale)?;
        let reference_price_ticks = match it.reference_price {
            None => 0,
            Some(price) => self.minor(&at("reference_price / tick_size"), price / tick_size, 0)?,
        };
        Ok(CreateInstrument {
            quote_minor_per_tick_lot,
            base_minor_per_lot,
            reference_price_ticks,
            instrument: it.id,
            base_asset,
            quote_asset,
            maker_fee_ppm: self.fee_ppm(&at("maker_fee"), it.maker_fee)?,
            taker_fee_ppm: self.fee_ppm(&at("taker_fee"), it.taker_fee)?,
            ladder_levels: it.ladder_levels,
            name,
        })
    }

    /// `value` as a whole number of 10^-scale.
    fn minor(&self, field: &str, value: Decimal, scale: u8) -> Result<i64, ConfigError> {
        crate::decimal::to_minor(value, scale).ok_or_else(|| {
            self.invalid(field, format!("{value} is not a whole number of 10^-{scale}, or too large"))
        })
    }

    fn fee_ppm(&self, field: &str, value: Decimal) -> Result<u32, ConfigError> {
        let ppm = self.minor(field, value, 6)?;
        u32::try_from(ppm)
            .ok()
            .filter(|&ppm| ppm <= protocol::MAX_FEE_PPM)
            .ok_or_else(|| self.invalid(field, format!("{value} is outside 0 to 0.1")))
    }

    fn accounts(
        &self,
        accounts: &[FileAccount],
    ) -> Result<(Vec<CreateAccount>, Vec<OpeningDeposit>), ConfigError> {
        self.unique("accounts", "id", accounts.iter().map(|it| it.id.to_string()))?;
        let mut created = Vec::new();
        let mut deposits = Vec::new();
        for it in accounts {
            let account = AccountId(it.id);
            if account < AccountId::FIRST_CLIENT {
                return Err(self.invalid("accounts.id", "0 and 1 are the exchange's own; start with 2"));
            }
            created.push(CreateAccount { account, reserved: 0, name: self.name("accounts.name", &it.name)? });
            for (asset, &amount) in &it.deposit {
                let field = format!("accounts.{}.deposit.{asset}", it.name);
                let (asset, scale) = self.asset(&field, asset)?;
                let amount_minor = self.minor(&field, amount, scale)?;
                if !(1..=protocol::MAX_AMOUNT_MINOR).contains(&amount_minor) {
                    return Err(self.invalid(field, format!("{amount} is outside what an account can hold")));
                }
                deposits.push(OpeningDeposit { account, asset, amount_minor });
            }
        }
        Ok((created, deposits))
    }

    fn users(
        &self,
        users: Vec<FileUser>,
        sessions: &FileSession,
        accounts: &[CreateAccount],
    ) -> Result<Vec<UserConfig>, ConfigError> {
        self.unique("users", "sender_comp_id", users.iter().map(|it| it.sender_comp_id.clone()))?;
        let mut checked = Vec::with_capacity(users.len());
        for it in users {
            let account = AccountId(it.account);
            let listens = account == AccountId::WORLD;
            if !listens && !accounts.iter().any(|known| known.account == account) {
                let field = format!("users.{}.account", it.sender_comp_id);
                return Err(self.invalid(field, format!("account {account} is not among [[accounts]]")));
            }
            checked.push(it.check(sessions).map_err(|(field, reason)| self.invalid(field, reason))?);
        }
        Ok(checked)
    }

    fn time_of_day(&self, text: &str) -> Result<u64, ConfigError> {
        rules::time_of_day(text)
            .ok_or_else(|| self.invalid("day_end_utc", format!("{text:?} is not a time like \"21:00\"")))
    }

    /// Everything that may be set anew at every start. `created` are the commands of `instruments`, in order.
    fn settings(
        &self,
        instruments: &[FileInstrument],
        created: &[CreateInstrument],
        accounts: &[FileAccount],
        risk_limits: &[FileRiskLimits],
    ) -> Result<Vec<Setting>, ConfigError> {
        let mut settings = Vec::new();
        for (it, created) in instruments.iter().zip(created) {
            let add = |table: &str| {
                let at = format!("instruments.{}.{table}", it.symbol);
                move |(field, reason): Mistake| self.invalid(format!("{at}.{field}"), reason)
            };
            let scale = self.scale(it)?;
            let fee_asset = |name: &str| self.assets.get(name).copied();
            let rules = it.rules.as_ref().map(|rules| rules.command(created, &scale, fee_asset));
            settings.extend(rules.transpose().map_err(add("rules"))?.map(Setting::Rules));
            if !it.ticks.is_empty() {
                let table = rules::tick_table(&it.ticks, it.id, &scale).map_err(add("ticks"))?;
                settings.push(Setting::Ticks(table));
            }
            if !it.fees.is_empty() {
                let schedule = rules::fee_schedule(&it.fees, created, &scale).map_err(add("fees"))?;
                settings.push(Setting::Fees(schedule));
            }
            let timetable = it.timetable.as_ref().map(|timetable| timetable.command(it.id));
            settings.extend(timetable.transpose().map_err(add("timetable"))?.map(Setting::Timetable));
        }
        for it in accounts {
            let options = it.options.as_ref().map(|options| options.command(AccountId(it.id)));
            let options = options.transpose().map_err(|(field, reason)| {
                self.invalid(format!("accounts.{}.options.{field}", it.name), reason)
            })?;
            settings.extend(options.map(Setting::Options));
        }
        for it in risk_limits {
            let instrument = instruments.iter().find(|instrument| instrument.symbol == it.instrument);
            let instrument = instrument.ok_or_else(|| {
                self.invalid(
                    "risk_limits.instrument",
                    format!("{:?} is not among [[instruments]]", it.instrument),
                )
            })?;
            let limits = it.command(instrument.id, &self.scale(instrument)?);
            let limits = limits.map_err(|(field, reason)| {
                self.invalid(format!("risk_limits.{}.{field}", it.instrument), reason)
            })?;
            settings.push(Setting::Risk(limits));
        }
        let keys = settings.iter().map(|setting| format!("{:?}", setting.key()));
        self.unique("risk_limits", "account and instrument", keys)?;
        Ok(settings)
    }

    fn scale(&self, it: &FileInstrument) -> Result<Scale, ConfigError> {
        let (_, quote_scale) = self.asset(&format!("instruments.{}.quote", it.symbol), &it.quote)?;
        Ok(Scale { tick_size: it.tick_size, lot_size: it.lot_size, quote_scale })
    }
}

#[cfg(test)]
mod tests;

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
use crate::fix_config::{self, FileGateway, FileSession, FileThrottle, FileUser};
use crate::rules::{
    self, FileFeeTier, FileOptions, FileRiskLimits, FileRules, FileTickRow, FileTimetable, Mistake, Scale,
};
use crate::settings::Setting;

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
    threads: BTreeMap<String, FileThread>,
    fix: FileFix,
    #[serde(default)]
    gateway: FileGateway,
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

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileJournal {
    batch_bytes: Option<usize>,
    batch_wait_us: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileThread {
    idle: Option<String>,
    core: Option<usize>,
    slice_us: Option<u64>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// Idle strategy, in the sequencer's words.
    pub idle: Option<String>,
    /// Processor to pin to.
    pub core: Option<usize>,
    /// Time slice in microseconds; 0 for the system's.
    pub slice_us: Option<u64>,
}

/// How commands gather before they are synced together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalBatch {
    /// Most bytes of commands that gather while a sync runs; 4096 to [`MAX_BATCH_BYTES`].
    pub bytes: usize,
    /// Microseconds that a sync waits for more commands; 0 to [`MAX_BATCH_WAIT_US`].
    pub wait_us: u64,
}

/// Half the ring that commands wait in: 8 MiB.
const MAX_BATCH_BYTES: usize = 8 << 20;
/// A tenth of a second, which every command may then have to wait.
const MAX_BATCH_WAIT_US: u64 = sequencer::MAX_JOURNAL_WAIT_NS / 1000;

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
    /// Address of the FIX port.
    pub fix_bind: SocketAddr,
    /// Our CompID.
    pub target_comp_id: String,
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
        let threads = file
            .threads
            .into_iter()
            .map(|(name, it)| (name, Thread { idle: it.idle, core: it.core, slice_us: it.slice_us }))
            .collect();
        let journal = self.journal(&file.journal)?;
        Ok(Config {
            data: file.data,
            durability: file.durability,
            day_end_utc_s,
            advance_time_ms: file.advance_time_ms.unwrap_or(DEFAULT_ADVANCE_TIME_MS),
            limits,
            journal,
            threads,
            fix_bind: file.fix.bind,
            target_comp_id: file.fix.target_comp_id,
            assets,
            instruments,
            accounts,
            deposits,
            settings,
            users,
            firms: fix_config::firms(&file.firms),
            gateway: file.gateway.limits(),
            demo: file.demo.map(|demo| Demo {
                maker_account: AccountId(demo.maker_account),
                taker_account: AccountId(demo.taker_account),
                seed: demo.seed,
            }),
        })
    }

    fn journal(&self, file: &FileJournal) -> Result<JournalBatch, ConfigError> {
        let bytes = file.batch_bytes.unwrap_or(1 << 20);
        if !(4096..=MAX_BATCH_BYTES).contains(&bytes) {
            let reason =
                format!("{bytes} must be 4096 to {MAX_BATCH_BYTES}: half the ring that commands wait in");
            return Err(self.invalid("journal.batch_bytes", reason));
        }
        let wait_us = file.batch_wait_us.unwrap_or(0);
        if wait_us > MAX_BATCH_WAIT_US {
            let reason =
                format!("{wait_us} must be 0 to {MAX_BATCH_WAIT_US}: every command may have to wait so long");
            return Err(self.invalid("journal.batch_wait_us", reason));
        }
        Ok(JournalBatch { bytes, wait_us })
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
                let schedule = rules::fee_schedule(&it.fees, it.id, &scale).map_err(add("fees"))?;
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
mod tests {
    use super::*;

    fn broken(from: &str, to: &str) -> String {
        assert!(DEFAULT.contains(from), "the default configuration no longer contains {from:?}");
        match Config::parse(&DEFAULT.replacen(from, to, 1), "test.toml") {
            Ok(_) => panic!("{to:?} was accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_default_is_valid_and_exact() {
        let config = Config::load(None).unwrap();
        let bitcoin = config.instruments[0];
        assert_eq!((bitcoin.quote_minor_per_tick_lot, bitcoin.base_minor_per_lot), (1, 10_000));
        assert_eq!((bitcoin.maker_fee_ppm, bitcoin.taker_fee_ppm), (500, 1_000));
        assert_eq!(bitcoin.reference_price_ticks, 6_000_000);
        assert_eq!(config.deposits.len(), 9);
        assert_eq!(config.day_end_utc_s, Some(21 * 3600));
    }

    /// The default with its examples (lines of `#` without a blank behind it) in force.
    fn with_examples() -> String {
        let example = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line.len() > 1;
        let lines = DEFAULT.lines().map(|line| if example(line) { &line[1..] } else { line });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_examples_of_the_default_are_valid() {
        assert!(Config::load(None).unwrap().settings.is_empty());
        let config = Config::parse(&with_examples(), "test.toml").unwrap();
        let [rules, ticks, fees, timetable, options, risk] = config.settings[..] else {
            panic!("{:?}", config.settings)
        };
        let Setting::Rules(rules) = rules else { panic!("{rules:?}") };
        assert_eq!((rules.instrument, rules.min_quantity_lots, rules.max_quantity_lots), (1, 1, 10_000_000));
        assert_eq!(
            (rules.min_notional_minor, rules.static_band_bps, rules.collar_bps),
            (10_000_000, 2_000, 500)
        );
        assert_eq!(
            (rules.fee_asset, rules.fee_asset_rate_ppm),
            (3, 30_000),
            "ETH has two places more than USD"
        );
        assert_eq!(rules.reference_price_ticks, 6_000_000);
        let Setting::Ticks(ticks) = ticks else { panic!("{ticks:?}") };
        assert_eq!(
            (ticks.count, ticks.rows[1].from_price_ticks, ticks.rows[1].tick_ticks),
            (2, 10_000_000, 10)
        );
        let Setting::Fees(fees) = fees else { panic!("{fees:?}") };
        assert_eq!((fees.tiers[1].min_volume_minor, fees.tiers[1].maker_fee_ppm), (1_000_000_000_000, -100));
        assert!(matches!(timetable, Setting::Timetable(it) if it.closed_ns > it.closing_auction_ns));
        assert!(
            matches!(options, Setting::Options(it) if it.account == AccountId(4) && it.max_orders == 1_000)
        );
        let Setting::Risk(risk) = risk else { panic!("{risk:?}") };
        assert_eq!(
            (risk.account, risk.max_order_lots, risk.price_collar_bps),
            (AccountId(0), 1_000_000, 1_000)
        );
    }

    #[test]
    fn mistakes_in_settings_are_named_with_their_place() {
        for (from, to, place) in [
            ("collar = \"0.05\"", "collar = \"2\"", "instruments.BTC/USD.rules.collar"),
            ("fee_asset = \"ETH\"", "fee_asset = \"XYZ\"", "instruments.BTC/USD.rules.fee_asset"),
            ("band_action = \"auction\"", "band_action = \"stop\"", "instruments.BTC/USD.rules.band_action"),
            ("from_price = \"100000\"", "from_price = \"0.01\"", "instruments.BTC/USD.ticks.from_price"),
            ("maker_fee = \"-0.0001\"", "maker_fee = \"-0.2\"", "instruments.BTC/USD.fees.maker_fee"),
            ("closed = \"16:35\"", "closed = \"16:30\"", "instruments.BTC/USD.timetable.closed"),
            ("interval_ms = 1000", "interval_ms = 0", "accounts.carol.options.interval_ms"),
            ("max_position = \"500\"", "max_position = \"0.00001\"", "risk_limits.BTC/USD.max_position"),
            ("\ninstrument = \"BTC/USD\"", "\ninstrument = \"XYZ\"", "risk_limits.instrument"),
        ] {
            let text = with_examples();
            assert!(text.contains(from), "the examples no longer contain {from:?}");
            let error =
                Config::parse(&text.replacen(from, to, 1), "test.toml").err().map(|it| it.to_string());
            assert!(error.as_deref().is_some_and(|it| it.contains(place)), "{to}: {error:?}");
        }
    }

    #[test]
    fn mistakes_are_named_with_file_and_place() {
        assert!(broken("durability = \"disk\"", "durability = \"tape\"").contains("test.toml"));
        assert!(broken("durability = \"disk\"", "durabillity = \"disk\"").contains("durabillity"));
        assert!(
            broken("data = \"data\"", "data = ").contains("line 5"),
            "{}",
            broken("data = \"data\"", "data = ")
        );
        assert!(
            broken("tick_size = \"0.01\"", "tick_size = \"0.001\"").contains("instruments.BTC/USD.tick_size")
        );
        assert!(broken("tick_size = \"0.01\"", "tick_size = \"-1\"").contains("greater than 0"));
        assert!(broken("base = \"BTC\"", "base = \"XYZ\"").contains("XYZ"));
        assert!(broken("taker_fee = \"0.001\"", "taker_fee = \"0.2\"").contains("0 to 0.1"));
        assert!(broken("day_end_utc = \"21:00\"", "day_end_utc = \"25:00\"").contains("day_end_utc"));
        assert!(broken("id = 3\nname = \"bob\"", "id = 2\nname = \"bob\"").contains("given twice"));
        assert!(broken("account = 2\n", "account = 77\n").contains("77"));
        assert!(broken("orders = 100000", "orders = 100000000").contains("limits"));
    }

    #[test]
    fn a_password_cannot_reach_a_log() {
        let file: File = toml::from_str(DEFAULT).unwrap();
        assert!(!format!("{file:?}").contains("argon2"));
    }
}

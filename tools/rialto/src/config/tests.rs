//! What a configuration may say, and how it is refused.

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
    assert_eq!((rules.min_notional_minor, rules.static_band_bps, rules.collar_bps), (10_000_000, 2_000, 500));
    assert_eq!((rules.fee_asset, rules.fee_asset_rate_ppm), (3, 30_000), "ETH has two places more than USD");
    assert_eq!(rules.reference_price_ticks, 6_000_000);
    let Setting::Ticks(ticks) = ticks else { panic!("{ticks:?}") };
    assert_eq!((ticks.count, ticks.rows[1].from_price_ticks, ticks.rows[1].tick_ticks), (2, 10_000_000, 10));
    let Setting::Fees(fees) = fees else { panic!("{fees:?}") };
    assert_eq!((fees.tiers[1].min_volume_minor, fees.tiers[1].maker_fee_ppm), (1_000_000_000_000, -100));
    assert!(matches!(timetable, Setting::Timetable(it) if it.closed_ns > it.closing_auction_ns));
    assert!(matches!(options, Setting::Options(it) if it.account == AccountId(4) && it.max_orders == 1_000));
    let Setting::Risk(risk) = risk else { panic!("{risk:?}") };
    assert_eq!((risk.account, risk.max_order_lots, risk.price_collar_bps), (AccountId(0), 1_000_000, 1_000));
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
        let error = Config::parse(&text.replacen(from, to, 1), "test.toml").err().map(|it| it.to_string());
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

//! `rialto state`: balances, positions, phases and live orders, rebuilt from the journal.

use std::collections::BTreeMap;

use exchange::{Exchange, RestingOrder};
use machine::StateMachine;
use marketdata::InstrumentReference;
use protocol::{AccountId, CreateAsset, CreateInstrument, Name, OrderType, Side};
use serde_json::{Value, json};

use crate::cli::{StateArgs, StateView};
use crate::decimal::from_minor;
use crate::output::{Failure, line};

/// Runs the command.
///
/// # Errors
/// No journal, or one whose replay fails.
pub fn run(args: &StateArgs) -> Result<(), Failure> {
    let past = super::replay::rebuild(&args.dir, args.at, args.json)?;
    if let Some(difference) = super::replay::describe_difference(&past.replayed.report) {
        return Err(Failure::check(difference));
    }
    super::replay::tell_moment(&args.dir, args.at, &past.replayed.report)?;
    let time = super::replay::last_time(&past.replayed.report);
    let machine = past.replayed.machine;
    if let Some(StateView::Book { symbol }) = &args.view {
        let book = with_time(book(&machine, symbol)?, time);
        if args.json {
            line(book);
        } else {
            print_book(&book);
        }
        return Ok(());
    }
    let account = match args.view {
        Some(StateView::Account { id }) => Some(id),
        _ => args.account,
    };
    let mut state = with_time(to_json(&machine), time);
    keep_only(&mut state, account, args.symbol.as_deref());
    if account.is_some() && state["accounts"].as_array().is_none_or(Vec::is_empty) {
        let (id, at) = (account.unwrap_or_default(), machine.applied_sequence());
        return Err(Failure::usage(format!("there was no account {id} after command {at}")));
    }
    if args.json {
        line(state);
    } else {
        print(&state);
    }
    Ok(())
}

/// Says of which time a state is: that of its last command; null before the first one.
fn with_time(mut state: Value, time: Option<String>) -> Value {
    state["last_time"] = json!(time);
    state
}

/// What a person is told of the time.
fn shown_time(state: &Value) -> String {
    state["last_time"]
        .as_str()
        .map_or_else(|| "before the first command".to_string(), |time| format!("at {time}"))
}

/// Leaves out the accounts, positions and orders that were not asked for.
fn keep_only(state: &mut Value, account: Option<u32>, symbol: Option<&str>) {
    let rows = |state: &mut Value, name: &str, wanted: &dyn Fn(&Value) -> bool| {
        if let Some(rows) = state[name].as_array_mut() {
            rows.retain(|row| wanted(row));
        }
    };
    if let Some(account) = account {
        for name in ["accounts", "positions", "orders"] {
            rows(state, name, &|row| row["account"] == account);
        }
    }
    if let Some(symbol) = symbol {
        rows(state, "orders", &|row| row["symbol"] == symbol);
    }
}

/// One instrument's price levels, best first, with its phase and last trade.
fn book(machine: &Exchange, symbol: &str) -> Result<Value, Failure> {
    let Some(it) = machine.instruments().find(|it| it.name.as_str() == symbol) else {
        let known =
            machine.instruments().map(|it| it.name.as_str().to_string()).collect::<Vec<_>>().join(", ");
        let at = machine.applied_sequence();
        return Err(Failure::usage(format!("there was no {symbol} after command {at}; there were: {known}")));
    };
    let assets = machine.assets().map(|asset| (asset.asset, *asset)).collect::<BTreeMap<_, _>>();
    let reference = reference(it, &assets).ok_or_else(|| Failure::system("an instrument without assets"))?;
    let price = |ticks: i64| {
        reference.price_decimal(ticks).map_or_else(|_| format!("{ticks}t"), |price| price.to_string())
    };
    let side = |side: Side| {
        let levels = machine.levels(it.instrument, side).map(|level| {
            json!({
                "price": price(level.price_ticks),
                "quantity": reference.quantity_decimal(level.quantity_lots.into()).map(|it| it.to_string()).ok(),
                "orders": level.orders,
            })
        });
        levels.collect::<Vec<Value>>()
    };
    Ok(json!({
        "last_sequence": machine.applied_sequence(),
        "state_hash": format!("{:016x}", machine.state_hash()),
        "symbol": symbol,
        "phase": machine.phase(it.instrument).name(),
        "last_price": machine.last_trade_ticks(it.instrument).map(price),
        "bids": side(Side::Buy),
        "asks": side(Side::Sell),
    }))
}

fn print_book(book: &Value) {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    line(format!(
        "{} after command {}, {}: {}, last price {}",
        text(&book["symbol"]),
        book["last_sequence"],
        shown_time(book),
        text(&book["phase"]),
        book["last_price"].as_str().unwrap_or("none")
    ));
    line(format!(
        "{:>6} {:>16} {:>16} | {:<16} {:<16} {:<6}",
        "orders", "quantity", "bid", "ask", "quantity", "orders"
    ));
    let rows = |side: &str| book[side].as_array().map(Vec::as_slice).unwrap_or_default();
    let (bids, asks) = (rows("bids"), rows("asks"));
    for at in 0..bids.len().max(asks.len()) {
        let cells = |row: Option<&Value>| {
            row.map_or_else(Default::default, |row| {
                ["orders", "quantity", "price"].map(|name| text(&row[name]))
            })
        };
        let ([bid_orders, bid_quantity, bid], [ask_orders, ask_quantity, ask]) =
            (cells(bids.get(at)), cells(asks.get(at)));
        let row = format!(
            "{bid_orders:>6} {bid_quantity:>16} {bid:>16} | {ask:<16} {ask_quantity:<16} {ask_orders:<6}"
        );
        line(row.trim_end());
    }
}

/// The whole state as JSON: accounts with their balances, instruments with their phases, positions, and live orders:
/// those in the book and the hidden ones best price first, and those that wait.
pub fn to_json(machine: &Exchange) -> Value {
    let assets = machine.assets().map(|asset| (asset.asset, *asset)).collect::<BTreeMap<_, _>>();
    let special = [(AccountId::WORLD, "(world)".to_string()), (AccountId::FEES, "(fees)".to_string())];
    let clients = machine.accounts().map(|(account, name)| (account, name.to_string()));
    let accounts = special.into_iter().chain(clients).map(|(account, name)| {
        let balances =
            assets.values().filter_map(|asset| balance(machine, account, asset)).collect::<Vec<_>>();
        json!({ "account": account.0, "name": name, "balances": balances })
    });
    json!({
        "last_sequence": machine.applied_sequence(),
        "state_hash": format!("{:016x}", machine.state_hash()),
        "trades": machine.counts().trades,
        "accounts": accounts.collect::<Vec<_>>(),
        "instruments": instruments(machine),
        "positions": positions(machine, &assets),
        "orders": orders(machine, &assets),
    })
}

fn balance(machine: &Exchange, account: AccountId, asset: &CreateAsset) -> Option<Value> {
    let balance = machine.balance(account, asset.asset);
    if balance.balance_minor == 0 && balance.held_minor == 0 {
        return None;
    }
    Some(json!({
        "asset": asset.name.as_str(),
        "balance": from_minor(balance.balance_minor, asset.scale).to_string(),
        "held": from_minor(balance.held_minor, asset.scale).to_string(),
        "available": from_minor(balance.balance_minor - balance.held_minor, asset.scale).to_string(),
    }))
}

fn instruments(machine: &Exchange) -> Vec<Value> {
    let rows = machine.instruments().map(|it| {
        json!({
            "instrument": it.instrument,
            "symbol": it.name.as_str(),
            "phase": machine.phase(it.instrument).name(),
        })
    });
    rows.collect()
}

/// Tick and lot of an instrument in decimals.
fn reference(it: &CreateInstrument, assets: &BTreeMap<u32, CreateAsset>) -> Option<InstrumentReference> {
    let (base, quote) = (assets.get(&it.base_asset)?, assets.get(&it.quote_asset)?);
    Some(InstrumentReference::from_commands(it, base, quote))
}

/// Positions that are not flat, by account and instrument.
fn positions(machine: &Exchange, assets: &BTreeMap<u32, CreateAsset>) -> Vec<Value> {
    let names = machine.accounts().collect::<BTreeMap<AccountId, Name>>();
    let mut open = machine.positions().filter(|&(_, _, lots)| lots != 0).collect::<Vec<_>>();
    open.sort_unstable();
    let rows = open.into_iter().filter_map(|(account, instrument, lots)| {
        let it = machine.instrument(instrument)?;
        let quantity = reference(it, assets)?.quantity_decimal(lots.into());
        Some(json!({
            "account": account.0,
            "name": names.get(&account).map_or("", Name::as_str),
            "symbol": it.name.as_str(),
            "position": quantity.map_or_else(|_| format!("{lots}l"), |it| it.to_string()),
        }))
    });
    rows.collect()
}

fn orders(machine: &Exchange, assets: &BTreeMap<u32, CreateAsset>) -> Vec<Value> {
    let mut rows = Vec::new();
    for it in machine.instruments() {
        let Some(reference) = reference(it, assets) else { continue };
        let id = it.instrument;
        for side in [Side::Buy, Side::Sell] {
            rows.extend(machine.orders(id, side).map(|order| row(&order, "book", it, &reference)));
            rows.extend(machine.hidden(id, side).map(|order| row(&order, "hidden", it, &reference)));
        }
        rows.extend(machine.waiting(id).map(|order| row(&order, "waiting", it, &reference)));
    }
    rows
}

/// One order; `place` says where it is. The trigger is that of a stop which waits, the reserve that of an iceberg.
fn row(order: &RestingOrder, place: &str, it: &CreateInstrument, reference: &InstrumentReference) -> Value {
    let price = |ticks: i64| {
        reference.price_decimal(ticks).map_or_else(|_| format!("{ticks}t"), |price| price.to_string())
    };
    let quantity = |lots: i64| reference.quantity_decimal(lots.into()).map(|it| it.to_string()).ok();
    let mut row = json!({
        "order_id": order.order_id.0,
        "client_order_id": order.client_order_id.as_bytes_trimmed().escape_ascii().to_string(),
        "account": order.account.0,
        "symbol": it.name.as_str(),
        "place": place,
        "type": OrderType::from_code(order.order_type).map(OrderType::name),
        "side": Side::from_code(order.side).map(Side::name),
        "price": price(order.price_ticks),
        "quantity": quantity(order.leaves_lots + order.filled_lots),
        "leaves": quantity(order.leaves_lots),
        "filled": quantity(order.filled_lots),
    });
    if order.trigger_ticks != 0 {
        row["trigger"] = json!(price(order.trigger_ticks));
    }
    if order.reserve_lots != 0 {
        row["reserve"] = json!(quantity(order.reserve_lots));
    }
    row
}

fn print(state: &Value) {
    line(format!(
        "sequence {} {}  state hash {}  trades {}",
        state["last_sequence"],
        shown_time(state),
        state["state_hash"].as_str().unwrap_or_default(),
        state["trades"]
    ));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    line("\naccount  name              asset              balance                held           available");
    for account in state["accounts"].as_array().into_iter().flatten() {
        for row in account["balances"].as_array().into_iter().flatten() {
            line(format!(
                "{:>7}  {:<16}  {:<8} {:>19} {:>19} {:>19}",
                account["account"],
                text(&account["name"]),
                text(&row["asset"]),
                text(&row["balance"]),
                text(&row["held"]),
                text(&row["available"])
            ));
        }
    }
    let rows = |name: &str| state[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let phases =
        rows("instruments").iter().map(|row| format!("{} {}", text(&row["symbol"]), text(&row["phase"])));
    line(format!("\nphases: {}", phases.collect::<Vec<_>>().join(", ")));
    if !rows("positions").is_empty() {
        line("\naccount  name              symbol              position");
    }
    for row in rows("positions") {
        let (name, symbol) = (text(&row["name"]), text(&row["symbol"]));
        line(format!("{:>7}  {name:<16}  {symbol:<8} {:>19}", row["account"], text(&row["position"])));
    }
    let orders = state["orders"].as_array().map(Vec::as_slice).unwrap_or_default();
    line(format!(
        "\n{} live orders: in the book and hidden best price first, then those that wait",
        orders.len()
    ));
    for row in orders {
        line(format!(
            "{:<12} {:<7} {:<4} {:>14} {:>14} of {:<14} account {:<6} order {} {}{}",
            text(&row["symbol"]),
            text(&row["place"]),
            text(&row["side"]),
            text(&row["price"]),
            text(&row["leaves"]),
            text(&row["quantity"]),
            row["account"],
            row["order_id"],
            text(&row["client_order_id"]),
            row.get("trigger").map_or(String::new(), |trigger| format!(" trigger {}", text(trigger)))
        ));
    }
}

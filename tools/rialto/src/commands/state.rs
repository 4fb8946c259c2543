//! `rialto state`: balances and resting orders, rebuilt from the journal.

use std::collections::BTreeMap;

use exchange::Exchange;
use machine::StateMachine;
use marketdata::InstrumentReference;
use protocol::{AccountId, CreateAsset, Side};
use serde_json::{Value, json};

use crate::cli::StateArgs;
use crate::decimal::from_minor;
use crate::folder;
use crate::output::{Failure, line};

/// Runs the command.
///
/// # Errors
/// No journal, or one whose replay fails.
pub fn run(args: &StateArgs) -> Result<(), Failure> {
    let mut machine = folder::empty_exchange(&args.dir)?;
    super::replay::execute(&args.dir, &mut machine, args.at, args.json)?;
    let mut state = to_json(&machine);
    keep_only(&mut state, args);
    if args.json {
        line(state);
    } else {
        print(&state);
    }
    Ok(())
}

/// Leaves out the accounts and orders that were not asked for.
fn keep_only(state: &mut Value, args: &StateArgs) {
    let rows = |state: &mut Value, name: &str, wanted: &dyn Fn(&Value) -> bool| {
        if let Some(rows) = state[name].as_array_mut() {
            rows.retain(|row| wanted(row));
        }
    };
    if let Some(account) = args.account {
        for name in ["accounts", "orders"] {
            rows(state, name, &|row| row["account"] == account);
        }
    }
    if let Some(symbol) = &args.symbol {
        rows(state, "orders", &|row| row["symbol"] == symbol.as_str());
    }
}

/// The whole state as JSON: accounts with their balances, and resting orders, best price first.
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

fn orders(machine: &Exchange, assets: &BTreeMap<u32, CreateAsset>) -> Vec<Value> {
    let mut rows = Vec::new();
    for instrument in machine.instruments() {
        let (Some(base), Some(quote)) =
            (assets.get(&instrument.base_asset), assets.get(&instrument.quote_asset))
        else {
            continue;
        };
        let reference = InstrumentReference::from_commands(instrument, base, quote);
        for side in [Side::Buy, Side::Sell] {
            for order in machine.orders(instrument.instrument, side) {
                let price = reference.price_decimal(order.price_ticks).map(|price| price.to_string());
                let quantity = |lots: i64| reference.quantity_decimal(lots.into()).map(|it| it.to_string());
                rows.push(json!({
                    "order_id": order.order_id.0,
                    "client_order_id": order.client_order_id.as_bytes_trimmed().escape_ascii().to_string(),
                    "account": order.account.0,
                    "symbol": instrument.name.as_str(),
                    "side": side.name(),
                    "price": price.unwrap_or_else(|_| format!("{}t", order.price_ticks)),
                    "quantity": quantity(order.leaves_lots + order.filled_lots).ok(),
                    "leaves": quantity(order.leaves_lots).ok(),
                    "filled": quantity(order.filled_lots).ok(),
                }));
            }
        }
    }
    rows
}

fn print(state: &Value) {
    line(format!(
        "sequence {}  state hash {}  trades {}",
        state["last_sequence"],
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
    let orders = state["orders"].as_array().map(Vec::as_slice).unwrap_or_default();
    line(format!("\n{} resting orders, best price first", orders.len()));
    for row in orders {
        line(format!(
            "{:<12} {:<4} {:>14} {:>14} of {:<14} account {:<6} order {} {}",
            text(&row["symbol"]),
            text(&row["side"]),
            text(&row["price"]),
            text(&row["leaves"]),
            text(&row["quantity"]),
            row["account"],
            row["order_id"],
            text(&row["client_order_id"])
        ));
    }
}

//! A first pass over a file: what an exchange needs to take it.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};

use protocol::Limits;

use crate::input::open;
use crate::itch::{Frames, Message};

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// Well-formed messages.
    pub messages: u64,
    /// Different symbols in directory messages and orders.
    pub symbols: u32,
    /// Orders added.
    pub orders: u64,
    /// Most orders live at a time, of those that the file adds.
    pub live_orders: u64,
}

/// Reads a file once, gzip or plain.
///
/// # Errors
/// What reading gives. A cut-off end is none.
pub fn scan<R: Read>(input: R) -> io::Result<Scan> {
    let mut frames = Frames::new(open(input)?);
    let mut scan = Scan::default();
    let mut symbols = BTreeSet::new();
    let mut live: HashMap<u64, u32> = HashMap::new();
    while let Some(frame) = frames.next_frame()? {
        let Ok(message) = Message::parse(frame) else { continue };
        scan.messages += 1;
        match message {
            Message::StockDirectory(directory) => {
                symbols.insert(directory.stock);
            }
            Message::AddOrder(add) => {
                symbols.insert(add.stock);
                live.insert(add.reference, add.shares);
                scan.orders += 1;
            }
            Message::AddOrderAttributed(add) => {
                symbols.insert(add.stock);
                live.insert(add.reference, add.shares);
                scan.orders += 1;
            }
            Message::OrderReplace(replace) => {
                let known = live.remove(&replace.reference);
                live.extend(known.map(|_| (replace.new_reference, replace.shares)));
            }
            Message::OrderDelete(delete) => {
                live.remove(&delete.reference);
            }
            Message::OrderCancel(cancel) => shrink(&mut live, cancel.reference, cancel.shares),
            Message::OrderExecuted(executed) => shrink(&mut live, executed.reference, executed.shares),
            Message::OrderExecutedWithPrice(executed) => {
                shrink(&mut live, executed.reference, executed.shares)
            }
            _ => {}
        }
        scan.live_orders = scan.live_orders.max(live.len() as u64);
    }
    // Stock symbols number at most 2^16, by the stock locate.
    scan.symbols = u32::try_from(symbols.len()).unwrap_or(u32::MAX);
    Ok(scan)
}

fn shrink(live: &mut HashMap<u64, u32>, reference: u64, shares: u32) {
    if let Some(leaves) = live.get_mut(&reference) {
        *leaves = leaves.saturating_sub(shares);
        if *leaves == 0 {
            live.remove(&reference);
        }
    }
}

/// Highest `Limits::orders`: slots of an order id.
const MAX_ORDERS: u64 = (1 << 24) - 1;

impl Scan {
    /// The smallest limits, none below the default ones, that take the file through an exchange with nothing else in
    /// it; `None` if it needs more orders at a time than an exchange can have.
    #[must_use]
    pub fn required_limits(&self) -> Option<Limits> {
        let least = Limits::default();
        // The incoming order needs a slot as well.
        let orders = self.live_orders + 1;
        if orders > MAX_ORDERS {
            return None;
        }
        let assets = self.symbols.saturating_add(1);
        Some(Limits {
            assets: least.assets.max(assets),
            instruments: least.instruments.max(self.symbols),
            // Maker, taker, and the outside world of each asset; fees of the dollar.
            balances: least.balances.max(assets.saturating_mul(3).saturating_add(1)),
            orders: least.orders.max(orders as u32),
            ..least
        })
    }
}

//! Lines that say what is expected.

use super::machine::{Machine, SeenOrder};
use super::words::{Words, amount_text};
use super::{Problem, Scenario, side};

impl<M: Machine> Scenario<M> {
    pub(super) fn expect(&mut self, expected: &str) -> Result<(), Problem> {
        let mut words = Words::new(expected);
        match words.next() {
            Some("balance") => self.expect_balance(&mut words),
            Some("position") => self.expect_position(&mut words),
            Some("book") => self.expect_book(&mut words),
            Some("queue") => {
                let side = side(words.need("bid or ask")?)?;
                let orders = self.machine().shown(1, side);
                self.expect_orders(&orders, &mut words)
            }
            Some("hidden") => {
                let side = side(words.need("bid or ask")?)?;
                let orders = self.machine().hidden(1, side);
                self.expect_orders(&orders, &mut words)
            }
            Some("waiting") => {
                let orders = self.machine().waiting(1);
                self.expect_orders(&orders, &mut words)
            }
            Some("phase") if !self.happened.iter().any(|event| event.text.starts_with("phase")) => {
                let phase = self.machine().phase(1).name();
                if words.rest() == phase { Ok(()) } else { Err(format!("the phase is {phase}")) }
            }
            Some("nothing") => self.finish(),
            _ => self.expect_event(expected),
        }
    }

    /// The next event that must be expected, or one before it that may be.
    fn expect_event(&mut self, expected: &str) -> Result<(), Problem> {
        loop {
            let event = self.happened.pop_front().ok_or("nothing happened")?;
            if in_order(expected, &event.text) {
                return Ok(());
            }
            if !event.optional {
                return Err(format!("what happened: {}", event.text));
            }
        }
    }

    /// `expect balance OWNER ASSET AMOUNT [held AMOUNT]`
    fn expect_balance(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let account = self.names.account(words.need("an account")?)?;
        let asset = self.names.asset(words.need("an asset")?)?;
        let (owned, held) = self.machine().money(account, asset.id);
        let text = |amount| amount_text(amount, asset.scale);
        let actual = format!("{} held {}", text(owned), text(held));
        let expected = words.rest();
        let full =
            if expected.contains("held") { expected.clone() } else { format!("{expected} held {}", text(0)) };
        if full == actual { Ok(()) } else { Err(format!("the balance is {actual}")) }
    }

    /// `expect position OWNER LOTS`
    fn expect_position(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let account = self.names.account(words.need("an account")?)?;
        let expected = words.number("a position")?;
        let actual = self.machine().position(account, 1);
        if expected == actual { Ok(()) } else { Err(format!("the position is {actual}")) }
    }

    /// `expect book bid|ask PRICE x LOTS, PRICE x LOTS ...` best first, or `empty`: what is shown.
    fn expect_book(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let side = side(words.need("bid or ask")?)?;
        let orders = self.machine().shown(1, side);
        let levels = orders.chunk_by(|one, next| one.price_ticks == next.price_ticks).map(|level| {
            let lots: i64 = level.iter().map(|order| order.shown_lots).sum();
            format!("{} x {lots}", level[0].price_ticks)
        });
        let levels: Vec<_> = levels.collect();
        let actual = if levels.is_empty() { "empty".to_owned() } else { levels.join(", ") };
        if words.rest() == actual { Ok(()) } else { Err(format!("the book is {actual}")) }
    }

    /// `ID ID ...` in order, or `none`. An id may be followed by `@PRICE`.
    fn expect_orders(&mut self, orders: &[SeenOrder], words: &mut Words<'_>) -> Result<(), Problem> {
        let expected = words.rest();
        let priced = expected.contains('@');
        let ids: Vec<_> = orders
            .iter()
            .map(|order| match (self.names.order_name(order.order_id), priced) {
                (name, true) => format!("{name}@{}", order.price_ticks),
                (name, false) => name.to_owned(),
            })
            .collect();
        let actual = if ids.is_empty() { "none".to_owned() } else { ids.join(" ") };
        if expected == actual { Ok(()) } else { Err(format!("there is {actual}")) }
    }
}

/// Whether the words expected occur in the text in this order; words between them do not matter.
fn in_order(expected: &str, text: &str) -> bool {
    let mut words = text.split_whitespace();
    expected.split_whitespace().all(|expected| words.any(|word| word == expected))
}

//! Books of market data from the state of a machine, where the events that led to it are not at hand.

use exchange::Exchange;
use marketdata::{DepthBook, InstrumentSeed, OrderSeed, PhaseState, Seed};
use protocol::{InstrumentId, SetInstrumentRules, SetTickTable, Side};

/// The books as the machine shows them now, between two commands; `None` if its state contradicts itself.
pub fn books_of(machine: &Exchange, tape_length: usize) -> Option<DepthBook> {
    let instruments = machine.instruments().map(|created| {
        let instrument = created.instrument;
        let phase = PhaseState {
            phase: machine.phase(instrument),
            until_ns: machine.phase_until_ns(instrument),
            reference_price_ticks: machine.reference_price_ticks(instrument),
        };
        let rules =
            machine.rules(instrument).unwrap_or(SetInstrumentRules { instrument, ..Default::default() });
        let ticks =
            machine.tick_table(instrument).unwrap_or(SetTickTable { instrument, ..Default::default() });
        InstrumentSeed { created: *created, phase, rules, ticks }
    });
    let seed = Seed {
        sequence: machine.applied_sequence(),
        assets: machine.assets().copied().collect(),
        instruments: instruments.collect(),
        shown: machine.instruments().flat_map(|created| shown_orders(machine, created.instrument)),
        extended: machine.extended_orders(),
    };
    DepthBook::seed(machine.limits(), tape_length, seed)
}

/// Orders that are shown, with what is shown of them.
fn shown_orders(machine: &Exchange, instrument: InstrumentId) -> impl Iterator<Item = OrderSeed> + '_ {
    let sides = [Side::Buy, Side::Sell].into_iter();
    sides.flat_map(move |side| machine.orders(instrument, side).map(move |order| (side, order))).map(
        |(side, order)| OrderSeed {
            order_id: order.order_id,
            price_ticks: order.price_ticks,
            leaves_lots: order.leaves_lots - order.reserve_lots,
            account: order.account,
            instrument: order.instrument,
            side,
        },
    )
}

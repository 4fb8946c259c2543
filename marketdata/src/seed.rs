//! The projection from a machine's state instead of from all its events.

use protocol::{
    AssetCreated, CreateAsset, CreateInstrument, InstrumentCreated, Limits, OrderId, QuantityLots,
    SetInstrumentRules, SetTickTable,
};

use crate::DepthBook;
use crate::book::{PhaseState, RestingOrder};

/// An instrument with what is in force on it.
#[derive(Clone, Debug)]
pub struct InstrumentSeed {
    /// As it was created.
    pub created: CreateInstrument,
    /// Its phase.
    pub phase: PhaseState,
    /// Its rules; all 0 where none were set.
    pub rules: SetInstrumentRules,
    /// Its tick-size table; without rows where none was set.
    pub ticks: SetTickTable,
}

/// An order that is shown.
pub type OrderSeed = RestingOrder;

/// The state of an exchange between two commands, as far as market data shows it.
pub struct Seed<Shown, Extended> {
    /// Sequence of the last command in it; events up to it are ignored afterwards.
    pub sequence: u64,
    /// All assets.
    pub assets: Vec<CreateAsset>,
    /// All instruments.
    pub instruments: Vec<InstrumentSeed>,
    /// All shown orders, with what is shown of them; of one price the oldest first.
    pub shown: Shown,
    /// Every live order that is not plain, shown or not, with all that is left of it.
    pub extended: Extended,
}

impl DepthBook {
    /// The projection as it would be after the events up to `seed.sequence`, but for what only events tell: the tape and
    /// the figures of the day are empty, and nothing is said of an auction until it is said again.
    ///
    /// `None` if the seed contradicts itself: an order on an instrument that is not there, or a slot taken twice.
    #[must_use]
    pub fn seed<Shown, Extended>(
        limits: &Limits,
        tape_length: usize,
        seed: Seed<Shown, Extended>,
    ) -> Option<Self>
    where
        Shown: IntoIterator<Item = OrderSeed>,
        Extended: IntoIterator<Item = (OrderId, QuantityLots)>,
    {
        let mut depth = Self::new(limits, tape_length);
        for CreateAsset { asset, scale, name, .. } in seed.assets {
            depth.asset_created(&AssetCreated { asset, scale, name, ..AssetCreated::default() })?;
        }
        for InstrumentSeed { created, phase, rules, ticks } in seed.instruments {
            depth.instrument_created(&InstrumentCreated(created))?;
            let book = depth.book_mut(created.instrument)?;
            book.set_phase(phase);
            book.set_rules(rules);
            book.set_ticks(ticks);
        }
        depth.extended.extend(seed.extended);
        for order in seed.shown {
            depth.rest(order)?;
        }
        depth.applied_sequence = seed.sequence;
        Some(depth)
    }
}

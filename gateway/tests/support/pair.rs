//! One pair, as the events say that made it: for tests and benchmarks that feed a gateway without an exchange.

use machine::EventBuffer;
use protocol::{AssetCreated, CreateInstrument, InstrumentCreated, Name};

/// Pushes the creation of BTC (asset 1), USD (asset 2) and BTC/USD (instrument 1), both assets with `scale` decimal places.
pub fn push_pair(events: &mut EventBuffer, scale: u8, base_minor_per_lot: i64) {
    let name = |text| Name::from_text(text).expect("a name");
    for (asset, text) in [(1, "BTC"), (2, "USD")] {
        events.push(&AssetCreated { asset, scale, name: name(text), ..AssetCreated::default() });
    }
    events.push(&InstrumentCreated(CreateInstrument {
        quote_minor_per_tick_lot: 1,
        base_minor_per_lot,
        instrument: 1,
        base_asset: 1,
        quote_asset: 2,
        name: name("BTC/USD"),
        ..CreateInstrument::default()
    }));
}

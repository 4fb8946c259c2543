//! The whole exchange as bytes, and back.
//!
//! Version 1. Integers are little-endian, nothing is padded, records are those of `protocol`. A list is a count (8 bytes)
//! and its rows, a value that may be missing a byte (0 or 1) before it. Each part begins with four letters:
//!
//! | part | holds |
//! |---|---|
//! | `EXCH` | last sequence; number of the next trade; when there is something to catch up with (8 bytes each) |
//! | `WALL` | list of assets (`CreateAsset`, issued); of accounts (id, name); of balances by slot (account, asset, owned, held) |
//! | `INST` | list of instruments ([`instruments`]), without their books |
//! | `RISK` | list of `SetRiskLimits`, in the order that positions and instruments refer to |
//! | `POSN` | list of positions by slot: account, instrument, base and quote slot, open orders, risk; position, open buys and sells |
//! | `ACCT` | list of accounts with settings: id, row of 32 bytes |
//! | `VOLS` | list of volumes: balance slot, row of 256 bytes |
//! | `TRAD` | list of the last trades, 96 bytes each, the oldest first |
//! | `ORDS` | slots used; list of live orders by slot ([`orders`]); list of free slots in the order in which they are taken; reserves of icebergs; side table rows |
//! | `CIDS` | list of remembered client order ids (account, id), the oldest first |
//! | `BOOK` | for each instrument its four books, buys then sells, best price first, oldest first: slots, ended by `ffffffff` |
//! | `WORK` | timers of orders and of instruments (time, id); duties; unfinished instruments; sweeps |
//!
//! What follows from the rest is not there: indexes, ladders, trees, hashes of client order ids (whose seed differs from
//! process to process).

mod instruments;
mod orders;
mod tables;

use machine::{Snapshot, SnapshotError, SnapshotReader, SnapshotWriter};
use orderbook::Book;

use crate::exchange::Exchange;

const INVALID: SnapshotError = SnapshotError::Invalid("parts in another order");

/// Refuses what `holds` says cannot be.
fn require(holds: bool, what: &'static str) -> Result<(), SnapshotError> {
    if holds { Ok(()) } else { Err(SnapshotError::Invalid(what)) }
}

/// The parts in order: how each is called, written and read.
macro_rules! parts {
    ($($name:literal, $write:ident, $read:ident;)+) => {
        impl<B: Book> Exchange<B> {
            fn write_parts(&self, out: &mut SnapshotWriter<'_>) {
                $(
                    out.value($name);
                    self.$write(out);
                )+
            }

            fn read_parts(&mut self, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
                $(
                    let found: [u8; 4] = input.value()?;
                    if found != *$name {
                        return Err(INVALID);
                    }
                    self.$read(input)?;
                )+
                Ok(())
            }
        }
    };
}

parts! {
    b"EXCH", write_head, read_head;
    b"WALL", write_wallet, read_wallet;
    b"INST", write_instruments, read_instruments;
    b"RISK", write_risk, read_risk;
    b"POSN", write_positions, read_positions;
    b"ACCT", write_accounts, read_accounts;
    b"VOLS", write_volumes, read_volumes;
    b"TRAD", write_trades, read_trades;
    b"ORDS", write_orders, read_orders;
    b"CIDS", write_client_ids, read_client_ids;
    b"BOOK", write_books, read_books;
    b"WORK", write_work, read_work;
}

impl<B: Book> Snapshot for Exchange<B> {
    const SNAPSHOT_VERSION: u32 = 1;

    fn write_snapshot(&self, out: &mut SnapshotWriter<'_>) {
        self.write_parts(out);
    }

    fn read_snapshot(&mut self, version: u32, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        if version != Self::SNAPSHOT_VERSION {
            return Err(SnapshotError::UnknownVersion { found: version, known: Self::SNAPSHOT_VERSION });
        }
        require(self.applied_sequence == 0 && self.instrument_count == 0, "a machine that is not new")?;
        self.read_parts(input)
    }
}

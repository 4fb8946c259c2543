//! Reads a workload from a file: four 64-bit words of header (the second counts the commands that fill the book, the
//! third the timed ones, the fourth all fills), then records of 32 bytes: command, side, type, fills (one byte each),
//! user (32 bits), order, price, size (64 bits each), all little-endian.

use std::path::Path;

use protocol::Side;

use crate::workload::{Action, Workload, WorkloadCommand};

const HEADER_LENGTH: usize = 32;
const RECORD_LENGTH: usize = 32;

/// Reads a trace file.
///
/// # Errors
/// Says what is wrong with the file.
pub fn read(path: &Path) -> Result<Workload, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    parse(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse(bytes: &[u8]) -> Result<Workload, String> {
    let (header, records) = bytes.split_at_checked(HEADER_LENGTH).ok_or("shorter than a header")?;
    let (fill, timed, trades) = (word(header, 1), word(header, 2), word(header, 3));
    if records.len() as u64 != fill.saturating_add(timed).saturating_mul(RECORD_LENGTH as u64) {
        return Err(format!("{} bytes of records, but the header counts {fill} + {timed}", records.len()));
    }
    let mut dense = Vec::new();
    let mut workload = Workload { fill: fill as usize, trades: Some(trades), ..Workload::default() };
    for (number, record) in records.chunks_exact(RECORD_LENGTH).enumerate() {
        let command = command(record, &mut dense, &mut workload.orders);
        workload.commands.push(command.ok_or_else(|| format!("record {number} makes no sense: {record:?}"))?);
    }
    Ok(workload)
}

fn word(bytes: &[u8], index: usize) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    u64::from_le_bytes(words[index])
}

/// `dense` maps the trace's order ids to ours.
fn command(record: &[u8], dense: &mut Vec<Option<u32>>, orders: &mut u32) -> Option<WorkloadCommand> {
    let (id, price, size) = (word(record, 1), word(record, 2) as i64, word(record, 3) as i64);
    let action = match (record[0], record[2]) {
        (0, 0) => Action::Rest,
        (0, 1) => Action::ImmediateOrCancel,
        (0, 2) => Action::FillOrKill,
        (1, _) => Action::Cancel,
        (2, _) => Action::Reduce,
        (3, _) => Action::Move,
        _ => return None,
    };
    let id = usize::try_from(id).ok().filter(|&id| id < 1 << 32)?;
    let order = if record[0] == 0 {
        dense.resize(dense.len().max(id + 1), None);
        *dense[id].insert(std::mem::replace(orders, *orders + 1))
    } else {
        (*dense.get(id)?)?
    };
    // A budget buys or sells the whole size: as a limit it is what each lot may cost.
    let price_ticks = if action == Action::FillOrKill { price.checked_div(size)? } else { price };
    let side = if record[1] == 0 { Side::Buy } else { Side::Sell };
    let user = u32::from_le_bytes(*record.as_chunks::<4>().0.get(1)?);
    Some(WorkloadCommand { action, side, user, order, price_ticks, quantity_lots: size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: [u8; 4], id: u64, price: i64, size: i64) -> Vec<u8> {
        let mut bytes = kind.to_vec();
        bytes.extend(7u32.to_le_bytes());
        bytes.extend([id, price as u64, size as u64].into_iter().flat_map(u64::to_le_bytes));
        bytes
    }

    fn file(records: &[Vec<u8>]) -> Vec<u8> {
        let header = [0, 1, records.len() as u64 - 1, 5];
        header.into_iter().flat_map(u64::to_le_bytes).chain(records.concat()).collect()
    }

    #[test]
    fn reads_orders_budgets_and_references() {
        let records = [
            record([0, 1, 0, 0], 9, 100, 3),
            record([0, 0, 2, 0], 11, 404, 4),
            record([3, 1, 0, 0], 9, 99, 0),
        ];
        let workload = parse(&file(&records)).unwrap();
        assert_eq!((workload.fill, workload.orders, workload.trades), (1, 2, Some(5)));
        let commands: Vec<_> =
            workload.commands.iter().map(|it| (it.action, it.order, it.price_ticks)).collect();
        let expected = [(Action::Rest, 0, 100), (Action::FillOrKill, 1, 101), (Action::Move, 0, 99)];
        assert_eq!(commands, expected);
        assert_eq!((workload.commands[0].side, workload.commands[0].user), (Side::Sell, 7));
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        assert!(parse(&[0; 31]).is_err());
        assert!(parse(&file(&[record([9, 0, 0, 0], 1, 1, 1)])).is_err(), "unknown command");
        assert!(parse(&file(&[record([1, 0, 0, 0], 1, 1, 1)])).is_err(), "cancel of an order never entered");
        let mut cut = file(&[record([0, 0, 0, 0], 1, 1, 1)]);
        cut.pop();
        assert!(parse(&cut).is_err(), "cut short");
    }
}

//! ITCH files through the exchange.

mod support;

use std::collections::BTreeMap;
use std::fs::File;

use exchange::Exchange;
use flate2::{Compression, write::GzEncoder};
use machine::StateMachine;
use protocol::Limits;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use simulator::itch::{
    AddOrder, AddOrderAttributed, Header, Message, OrderCancel, OrderDelete, OrderExecuted,
    OrderExecutedWithPrice, OrderReplace, Stock, known_lengths,
};
use simulator::itch_feed::{self, ItchOptions, ItchReport, Scan};
use support::inline::Inline;
use support::market_file;
use support::wrong::Toy;

fn exchange(limits: Limits) -> Exchange {
    Exchange::new(limits).expect("limits in range")
}

fn feed(machine: impl StateMachine, input: &[u8], limits: &Limits, burst: usize) -> ItchReport {
    let options = ItchOptions { window: 300, ..ItchOptions::default() };
    let venue = Inline::new(machine, burst, 250);
    itch_feed::run(venue, input, limits, options, &mut |_| {}).expect("feeds")
}

fn feed_file(name: &str) -> Option<(Scan, ItchReport)> {
    let path = market_file(name)?;
    let scan = itch_feed::scan(File::open(&path).expect("opens")).expect("reads");
    let limits = scan.required_limits().expect("fits");
    let options = ItchOptions::for_scan(&scan);
    let venue = Inline::new(exchange(limits), 100, 2_000);
    let file = File::open(&path).expect("opens");
    let report = itch_feed::run(venue, file, &limits, options, &mut |_| {}).expect("feeds");
    println!("{report}");
    Some((scan, report))
}

/// The oracle: Nasdaq's own matching of four minutes of AAPL.
#[test]
fn every_execution_of_the_recording_hits_exactly_its_resting_order() {
    let Some((scan, report)) = feed_file("itch/aapl_20191230_0935_0939.itch50.gz") else { return };
    assert!(report.is_exact());
    let messages =
        [('A', 22_121), ('C', 4), ('D', 24_150), ('E', 2_162), ('F', 1), ('P', 281), ('U', 1_130), ('X', 98)];
    assert_eq!(report.messages, BTreeMap::from(messages));
    assert_eq!((report.executions_known, report.executions_matched), (1_622, 1_622));
    assert_eq!(report.skipped.values().sum::<u64>(), 3_970, "references older than the file");
    assert_eq!((report.live_orders, report.file_live_orders, report.parked), (339, 339, 0));
    let [book] = report.books.as_slice() else { panic!("one symbol") };
    let best = (book.bid.expect("a bid").price_ticks, book.ask.expect("an ask").price_ticks);
    assert_eq!(best, (2_866_700, 2_867_300));
    assert_eq!((scan.symbols, scan.messages), (1, 49_947));
    assert!(scan.live_orders >= 339);
}

#[test]
fn directories_of_the_whole_market_make_instruments() {
    let Some((scan, report)) = feed_file("itch/nasdaq_prefix_1MiB.itch50.gz") else { return };
    assert!(report.is_exact() && scan.symbols == 8_713 && report.books.len() == 8_713);
    assert_eq!((report.messages[&'R'], report.messages[&'L']), (8_713, 9_453));
    assert_eq!((report.messages[&'H'], report.messages[&'Y'], report.messages[&'S']), (8_707, 8_707, 1));
    assert!(report.end.truncated_bytes > 0, "the file ends inside a message");
    let Some((_, report)) = feed_file("itch/nasdaq_20191230_first1000.itch50") else { return };
    assert_eq!((report.messages[&'R'], report.messages.values().sum::<u64>()), (993, 1_000));
    assert_eq!((report.end.truncated_bytes, report.is_exact()), (0, true));
}

/// Writes messages; each knows only its own fields.
#[derive(Default)]
struct Tape {
    bytes: Vec<u8>,
    time_ns: u64,
}

impl Tape {
    fn header(&mut self) -> Header {
        self.time_ns += 1_000;
        Header { stock_locate: 1, tracking_number: 0, timestamp_ns: self.time_ns }
    }

    fn add(&mut self, stock: Stock, reference: u64, side: u8, shares: u32, price: u32) {
        let header = self.header();
        let message = if reference.is_multiple_of(5) {
            let attribution = *b"FIRM";
            Message::AddOrderAttributed(AddOrderAttributed {
                header,
                reference,
                side,
                shares,
                stock,
                price,
                attribution,
            })
        } else {
            Message::AddOrder(AddOrder { header, reference, side, shares, stock, price })
        };
        message.encode(&mut self.bytes);
    }

    fn execute(&mut self, reference: u64, shares: u32) {
        let header = self.header();
        Message::OrderExecuted(OrderExecuted { header, reference, shares, match_number: 1 })
            .encode(&mut self.bytes);
    }

    fn execute_at(&mut self, reference: u64, shares: u32, price: u32) {
        let header = self.header();
        let (match_number, printable) = (1, b'Y');
        let message = OrderExecutedWithPrice { header, reference, shares, match_number, printable, price };
        Message::OrderExecutedWithPrice(message).encode(&mut self.bytes);
    }

    fn cancel(&mut self, reference: u64, shares: u32) {
        let header = self.header();
        Message::OrderCancel(OrderCancel { header, reference, shares }).encode(&mut self.bytes);
    }

    fn delete(&mut self, reference: u64) {
        let header = self.header();
        Message::OrderDelete(OrderDelete { header, reference }).encode(&mut self.bytes);
    }

    fn replace(&mut self, reference: u64, new_reference: u64, shares: u32, price: u32) {
        let header = self.header();
        Message::OrderReplace(OrderReplace { header, reference, new_reference, shares, price })
            .encode(&mut self.bytes);
    }
}

/// An order of the generator, in the order of arrival.
struct Made {
    stock: usize,
    reference: u64,
    side: u8,
    shares: u32,
    price: u32,
}

/// Two queues per stock around a fixed middle, so that nothing crosses; executions are of the best and oldest.
fn generate(seed: u64, steps: u32, stocks: usize) -> (Vec<u8>, u64, usize) {
    let mut random = SmallRng::seed_from_u64(seed);
    let symbol = |stock: usize| {
        let mut name = *b"S       ";
        name[1..5].copy_from_slice(format!("{stock:04}").as_bytes());
        Stock(name)
    };
    let (mut tape, mut orders, mut next, mut executions) = (Tape::default(), Vec::<Made>::new(), 1, 0);
    for _ in 0..steps {
        let stock = random.random_range(0..stocks);
        let side = if random.random() { b'B' } else { b'S' };
        let away = random.random_range(1..6) * 100;
        let price = if side == b'B' { 1_000_000 - away } else { 1_000_000 + away };
        let shares = random.random_range(1..500);
        let choice = random.random_range(0..100);
        if choice < 45 || orders.is_empty() {
            tape.add(symbol(stock), next, side, shares, price);
            orders.push(Made { stock, reference: next, side, shares, price });
            next += 1;
            continue;
        }
        let index = random.random_range(0..orders.len());
        if choice < 65 {
            tape.delete(orders.remove(index).reference);
            continue;
        }
        let made = &mut orders[index];
        let part = random.random_range(1..=made.shares);
        if choice < 72 {
            tape.cancel(made.reference, part);
            made.shares -= part;
        } else if choice < 75 {
            tape.execute_at(made.reference, part, made.price - 1);
            made.shares -= part;
        } else if choice < 85 {
            let mut made = orders.remove(index);
            let price = if random.random() { made.price } else { made.price + 5 * 100 - 500 };
            let price = if made.side == b'B' { price - away } else { price + away };
            let price = if choice < 78 { made.price } else { price };
            tape.replace(made.reference, next, shares, price);
            (made.reference, made.shares, made.price) = (next, shares, price);
            orders.push(made);
            next += 1;
        } else {
            let (stock, side) = (made.stock, made.side);
            let rank = |made: &Made| if side == b'B' { made.price } else { u32::MAX - made.price };
            let of_book = orders.iter_mut().filter(|made| made.stock == stock && made.side == side);
            // The last of equal maxima would be the newest: compare so that the first one stays.
            let best = of_book.reduce(|best, made| if rank(made) > rank(best) { made } else { best });
            let best = best.expect("it contains the order chosen");
            let part = random.random_range(1..=best.shares);
            tape.execute(best.reference, part);
            best.shares -= part;
            executions += 1;
        }
        orders.retain(|made| made.shares > 0);
    }
    (tape.bytes, executions, orders.len())
}

#[test]
fn generated_markets_replay_exactly_whatever_the_pipeline_does() {
    for (seed, burst, room) in [(1, 1, 300), (2, 7, 20), (3, 1_000, 300)] {
        println!("seed {seed}");
        let (bytes, executions, live) = generate(seed, 20_000, 12);
        let limits = itch_feed::scan(bytes.as_slice()).expect("reads").required_limits().expect("fits");
        let options = ItchOptions { window: 300, ..ItchOptions::default() };
        let mut venue = Inline::new(exchange(limits), burst, room);
        // A venue as large as the window must never be full.
        venue.strict = room >= options.window;
        let report = itch_feed::run(venue, bytes.as_slice(), &limits, options, &mut |_| {}).expect("feeds");
        assert!(report.is_exact(), "{report}");
        assert_eq!((report.executions_matched, report.live_orders), (executions, live as u64));
        assert_eq!((report.skipped.len(), report.books.len()), (0, 12));
    }
}

/// A feed that cannot fail proves nothing: an exchange that prefers the newest order must be found out.
#[test]
fn an_exchange_that_matches_in_another_order_is_found_out() {
    let (bytes, executions, _) = generate(4, 3_000, 2);
    let limits = Limits::default();
    let right = feed(Toy::default(), &bytes, &limits, 50);
    assert!(right.is_exact(), "{right}");
    let wrong = feed(Toy { newest_first: true, ..Toy::default() }, &bytes, &limits, 50);
    assert!(!wrong.is_exact());
    assert_eq!(wrong.executions_known, executions);
    assert!(wrong.executions_matched < executions && !wrong.first_differences.is_empty());
    let first = &wrong.first_differences[0];
    assert!(first.expected.contains("one trade with order") && first.got.contains("trade with order"));
}

const STOCK: Stock = Stock(*b"XYZ     ");

fn feed_tape(tape: &Tape) -> ItchReport {
    let limits = Limits::default();
    let report = feed(exchange(limits), &tape.bytes, &limits, 3);
    println!("{report}");
    report
}

/// Before the opening cross, and when older orders are missing, a file's book is crossed; ours never is.
#[test]
fn an_order_that_would_cross_waits_until_it_does_not() {
    let mut tape = Tape::default();
    tape.add(STOCK, 1, b'S', 100, 1_000);
    tape.add(STOCK, 2, b'B', 50, 1_010);
    tape.add(STOCK, 3, b'B', 60, 1_020);
    tape.add(STOCK, 4, b'B', 70, 990);
    tape.cancel(2, 10);
    tape.execute(3, 60);
    let report = feed_tape(&tape);
    assert_eq!((report.parked, report.parked_at_end, report.live_orders, report.is_exact()), (2, 1, 2, true));
    assert_eq!(report.skipped["E of a parked order"], 1);

    tape.delete(1);
    tape.execute(2, 40);
    tape.execute(4, 70);
    let report = feed_tape(&tape);
    assert_eq!((report.released, report.live_orders, report.parked_at_end), (1, 0, 0));
    assert_eq!((report.executions_matched, report.is_exact()), (2, true));
}

#[test]
fn replaces_follow_the_rules_of_nasdaq() {
    let mut tape = Tape::default();
    tape.add(STOCK, 1, b'B', 100, 1_000);
    tape.add(STOCK, 2, b'B', 100, 1_000);
    // Same price and smaller: our own replace would keep the place, Nasdaq's does not.
    tape.replace(1, 3, 50, 1_000);
    tape.execute(2, 100);
    tape.add(STOCK, 4, b'B', 10, 1_000);
    tape.execute(3, 20);
    // A replace of an order that is partly filled names the total; a reduction keeps the place.
    tape.cancel(3, 10);
    tape.execute(3, 5);
    tape.replace(3, 5, 500, 1_001);
    tape.cancel(5, 1);
    tape.execute_at(5, 9, 999);
    tape.execute(5, 490);
    tape.execute(4, 10);
    let report = feed_tape(&tape);
    assert!(report.is_exact());
    assert_eq!((report.executions_matched, report.live_orders, report.skipped.len()), (5, 0, 0));
}

#[test]
fn every_type_and_any_rubbish_is_counted_and_nothing_panics() {
    let mut tape = Tape::default();
    for &(kind, length) in known_lengths() {
        let mut message = vec![0; length];
        message[0] = kind;
        tape.bytes.extend((length as u16).to_be_bytes());
        tape.bytes.extend(&message);
        tape.bytes.extend((length as u16 - 1).to_be_bytes());
        tape.bytes.extend(&message[1..]);
        tape.bytes.extend((length as u16 + 1).to_be_bytes());
        tape.bytes.extend(&message);
        tape.bytes.push(0);
    }
    tape.add(STOCK, 1, b'B', 100, 1_000);
    tape.add(STOCK, 1, b'B', 100, 1_000);
    tape.add(STOCK, 2, b'Q', 100, 1_000);
    tape.add(STOCK, 3, b'B', 100, 0);
    tape.execute(1, 101);
    tape.execute(9, 1);
    tape.bytes.extend(b"\x00\x24A");
    let report = feed_tape(&tape);
    assert_eq!(report.messages.len(), 23);
    assert_eq!(report.wrong_lengths.values().sum::<u64>(), 23);
    assert_eq!(report.unknown_types.values().sum::<u64>(), 23, "messages that lost their type byte");
    assert_eq!(report.end.truncated_bytes, 3);
    assert_eq!(report.skipped["add of a reference that is live already"], 1);
    assert_eq!(report.skipped["add without shares or price"], 1);
    assert_eq!(report.skipped["part of E: more shares than the order has"], 1);
    assert_eq!(report.skipped["E of an order older than the file"], 2);
    assert!(report.is_exact(), "what cannot be replayed is no difference");

    let mut random = SmallRng::seed_from_u64(5);
    for _ in 0..200 {
        let mut bytes = tape.bytes.clone();
        for _ in 0..20 {
            let index = random.random_range(0..bytes.len());
            bytes[index] = random.random();
        }
        let limits = Limits::default();
        let _ = itch_feed::scan(bytes.as_slice());
        let venue = Inline::new(exchange(limits), 3, 250);
        let _ = itch_feed::run(venue, bytes.as_slice(), &limits, ItchOptions::default(), &mut |_| {});
    }
}

#[test]
fn too_many_symbols_for_the_limits_stop_with_advice() {
    let (bytes, _, _) = generate(6, 2_000, 100);
    let scan = itch_feed::scan(bytes.as_slice()).expect("reads");
    assert_eq!(scan.symbols, 100);
    let limits = Limits::default();
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut packer, &bytes).expect("packs");
    let packed = packer.finish().expect("packs");
    let venue = Inline::new(exchange(limits), 10, 250);
    let result = itch_feed::run(venue, packed.as_slice(), &limits, ItchOptions::default(), &mut |_| {});
    let error = result.expect_err("64 instruments are too few").to_string();
    assert!(error.contains("IdOutOfRange") && error.contains("limits"), "{error}");
    let limits = scan.required_limits().expect("fits");
    let venue = Inline::new(exchange(limits), 10, 250);
    let report = itch_feed::run(venue, packed.as_slice(), &limits, ItchOptions::for_scan(&scan), &mut |_| {});
    assert!(report.expect("feeds").is_exact());
}

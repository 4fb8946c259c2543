//! LOBSTER files through the exchange.

mod support;

use std::fs::File;
use std::io::{BufReader, Cursor, Read};

use exchange::Exchange;
use flate2::read::DeflateDecoder;
use protocol::Limits;
use simulator::lobster_feed::{self, LobsterOptions, LobsterReport};
use support::inline::Inline;
use support::market_file;

fn feed<'a>(
    messages: impl Read + 'a,
    books: Vec<Box<dyn Read + 'a>>,
    options: LobsterOptions,
) -> LobsterReport {
    let limits = Limits::default();
    let machine: Exchange = Exchange::new(limits).expect("limits in range");
    let venue = Inline::new(machine, 50, 2_000);
    let report = lobster_feed::run(venue, messages, books, &limits, options, &mut |_| {}).expect("feeds");
    println!("{report}");
    report
}

fn opened(name: &str) -> Option<Box<dyn Read>> {
    Some(Box::new(File::open(market_file(name)?).expect("opens")))
}

/// An hour of AAPL: 92,000 messages, of which the 50 best levels are known.
#[test]
fn the_book_of_the_recorded_hour_is_the_published_one() {
    let Some(messages) = opened("lobster/AAPL_2012-06-21_34200000_37800000_message_50.csv.gz") else {
        return;
    };
    let books = [
        "lobster/AAPL_2012-06-21_first672_orderbook_50.csv.gz",
        "lobster/AAPL_2012-06-21_34200000_37800000_orderbook_50_best1.csv.gz",
    ];
    let books = books.into_iter().filter_map(opened).collect();
    let options = LobsterOptions { symbol: "AAPL".to_owned(), ..LobsterOptions::default() };
    let report = feed(messages, books, options);
    let [full, best] = report.books.as_slice() else { panic!("two order book files") };
    assert_eq!((full.levels, full.rows, full.equal), (20, 672, 672));
    assert_eq!((best.levels, best.rows, best.equal), (1, 91_997, 91_907));
    assert_eq!(best.reasons.values().sum::<u64>(), 90);
    assert!(report.is_good(998_900) && !report.is_good(1_000_000));
    assert_eq!((report.executions, report.executed_in_full), (4_067, 4_067));
    assert!(report.executed_same_order >= 4_031);
}

/// A file of a zip archive, by its name's ending.
fn unzipped(archive: &[u8], ending: &str) -> Vec<u8> {
    let number = |at: usize, bytes: usize| {
        archive[at..at + bytes].iter().rev().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte))
    };
    let end = archive.windows(4).rposition(|bytes| bytes == b"PK\x05\x06").expect("a zip archive");
    let (entries, mut at) = (number(end + 10, 2), number(end + 16, 4));
    for _ in 0..entries {
        let (size, name_length) = (number(at + 20, 4), number(at + 28, 2));
        let name = &archive[at + 46..at + 46 + name_length];
        if name.ends_with(ending.as_bytes()) {
            let local = number(at + 42, 4);
            let data = local + 30 + number(local + 26, 2) + number(local + 28, 2);
            let mut text = Vec::new();
            DeflateDecoder::new(&archive[data..data + size]).read_to_end(&mut text).expect("unpacks");
            return text;
        }
        at += 46 + name_length + number(at + 30, 2) + number(at + 32, 2);
    }
    panic!("no {ending} in the archive");
}

/// A whole day of which only the best level is known: each row must follow from the one before and its message.
#[test]
fn every_message_of_a_level_one_day_leads_from_row_to_row() {
    let Some(path) = market_file("lobster/LOBSTER_SampleFile_AAPL_2012-06-21_1.zip") else { return };
    let archive = std::fs::read(path).expect("reads");
    let messages = Cursor::new(unzipped(&archive, "message_1.csv"));
    let book = Cursor::new(unzipped(&archive, "orderbook_1.csv"));
    let options = LobsterOptions { follow_window: true, ..LobsterOptions::default() };
    let report = feed(BufReader::new(messages), vec![Box::new(book)], options);
    let [best] = report.books.as_slice() else { panic!("one order book file") };
    assert_eq!((best.rows, best.equal), (118_497, 118_497));
    assert_eq!((report.executions, report.executed_in_full), (23_658, 23_658));
    assert!(report.skipped.is_empty() && report.rejected.is_empty());

    let error = simulator::lobster::Lines::new(archive.as_slice()).err().expect("a zip archive is refused");
    assert!(error.to_string().contains("unzip"), "{error}");
}

/// Two levels; the synthetic bid of 100 stands for orders 1 and 2, and 3 comes behind it.
const START: &str = "2010,10,1000,100,2020,20,990,40\n";

fn feed_text(messages: &str, rows: &[&str], follow_window: bool) -> LobsterReport {
    let messages = format!("1.0,5,0,1,1000,1\n{messages}");
    let rows = format!("{START}{}", rows.join("\n"));
    let options = LobsterOptions { follow_window, ..LobsterOptions::default() };
    feed(Cursor::new(messages), vec![Box::new(Cursor::new(rows))], options)
}

#[test]
fn an_execution_of_an_order_behind_the_synthetic_one_keeps_the_totals_right() {
    let report = feed_text(
        "2.0,1,3,50,1000,1\n3.0,4,3,30,1000,1\n4.0,3,2,90,1000,1\n5.0,3,3,20,1000,1\n6.0,2,1,4,1000,1\n\
         7.0,4,1,6,1000,1\n8.0,1,4,7,1005,-1\n",
        &[
            "2010,10,1000,150,2020,20,990,40",
            "2010,10,1000,120,2020,20,990,40",
            "2010,10,1000,30,2020,20,990,40",
            "2010,10,1000,10,2020,20,990,40",
            "2010,10,1000,6,2020,20,990,40",
            "2010,10,990,40,2020,20,-9999999999,0",
            "1005,7,990,40,2010,10,-9999999999,0",
        ],
        false,
    );
    assert_eq!((report.books[0].rows, report.books[0].equal), (8, 8));
    // The first hits the synthetic order instead of 3, the second what is left of 3 instead of the synthetic one.
    assert_eq!((report.executions, report.executed_in_full, report.executed_same_order), (2, 2, 0));
    assert!(report.skipped.is_empty() && report.rejected.is_empty());
}

#[test]
fn what_a_later_message_proves_gone_is_removed_and_what_it_cannot_know_is_named() {
    let messages = "2.0,4,9,40,990,1\n3.0,1,8,5,2015,1\n4.0,3,7,5,777,1\n5.0,3,1,5,2015,-1\n";
    let rows = ["2010,10,995,1,2020,20,990,5", "2020,20,2015,5,9999999999,0,995,1"];
    let report = feed_text(messages, &rows, false);
    assert_eq!(report.removed.values().sum::<u64>(), 2, "a better bid at 1000, then an ask at 2010");
    assert_eq!(report.skipped.values().sum::<u64>(), 2, "two deletes of orders never seen");
    assert_eq!((report.books[0].rows, report.books[0].equal), (3, 1));
    assert_eq!(report.executed_in_full, 1);
}

#[test]
fn following_the_window_takes_in_what_comes_from_outside() {
    let messages = "2.0,3,9,100,1000,1\n3.0,1,8,5,1500,1\n4.0,3,9,44,980,1\n";
    let rows =
        ["2010,10,990,40,2020,20,980,44", "2010,10,1500,5,2020,20,990,40", "2010,10,1500,5,2020,20,990,39"];
    let report = feed_text(messages, &rows, true);
    assert_eq!((report.books[0].rows, report.books[0].equal), (4, 3), "the last row follows from nothing");
    assert_eq!(report.skipped.values().sum::<u64>(), 1, "980 has left the window");
}

#[test]
fn cut_off_and_damaged_files_are_told_apart() {
    let report = feed_text("2.0,1,3,50,1000,1\n3.0,4,3,3", &["2010,10,1000,150,2020,2"], false);
    assert_eq!((report.truncated_bytes, report.books[0].truncated_bytes, report.books[0].rows), (9, 23, 1));
    let limits = Limits::default();
    let machine: Exchange = Exchange::new(limits).expect("limits in range");
    let options = LobsterOptions::default();
    let messages = "1.0,1,3,50,1000,1\nrubbish\n1.0,1,4,50,1000,1\n";
    let result = lobster_feed::run(
        Inline::new(machine, 5, 10),
        messages.as_bytes(),
        vec![],
        &limits,
        options,
        &mut |_| {},
    );
    assert!(result.expect_err("line 2 is no message").to_string().contains("line 2"));
}

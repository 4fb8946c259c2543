//! LOBSTER files through an exchange.

mod support;

use std::fs::File;
use std::io::Read;

use protocol::Limits;
use simulator::lobster_feed::{self, LobsterOptions};
use support::market_file;
use support::wrong::{Inline, Toy};

#[test]
fn toy_hour() {
    let Some(messages) = market_file("lobster/AAPL_2012-06-21_34200000_37800000_message_50.csv.gz") else {
        return;
    };
    let books = [
        "lobster/AAPL_2012-06-21_first672_orderbook_50.csv.gz",
        "lobster/AAPL_2012-06-21_34200000_37800000_orderbook_50_best1.csv.gz",
    ];
    let books = books.map(|name| {
        Box::new(File::open(market_file(name).expect("is there")).expect("opens")) as Box<dyn Read>
    });
    let report = lobster_feed::run(
        Inline::new(Toy::default(), 100),
        File::open(messages).expect("opens"),
        books.into(),
        &Limits::default(),
        LobsterOptions::default(),
        &mut |_| {},
    );
    println!("{}", report.expect("feeds"));
}

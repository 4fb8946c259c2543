//! ITCH files through an exchange.

mod support;

use std::fs::File;

use protocol::Limits;
use simulator::itch_feed::{self, ItchOptions, ItchReport};
use support::market_file;
use support::wrong::{Inline, Toy};

fn feed_file(name: &str, newest_first: bool) -> Option<ItchReport> {
    let path = market_file(name)?;
    let scan = itch_feed::scan(File::open(&path).expect("opens")).expect("reads");
    let limits = scan.required_limits().expect("fits");
    let toy = Toy { newest_first, ..Toy::default() };
    let options = ItchOptions::for_scan(&scan);
    let report = itch_feed::run(
        Inline::new(toy, 100),
        File::open(&path).expect("opens"),
        &limits,
        options,
        &mut |_| {},
    );
    Some(report.expect("feeds"))
}

#[test]
fn toy_aapl() {
    for name in [
        "itch/aapl_20191230_0935_0939.itch50.gz",
        "itch/nasdaq_prefix_1MiB.itch50.gz",
        "itch/nasdaq_20191230_first1000.itch50",
    ] {
        if let Some(report) = feed_file(name, false) {
            println!("{report}");
            assert!(report.is_exact());
        }
    }
    if let Some(report) = feed_file("itch/aapl_20191230_0935_0939.itch50.gz", true) {
        println!("{report}");
        assert!(!report.is_exact());
    }
    let _ = Limits::default();
}

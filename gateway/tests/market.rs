//! Market data sessions against the real exchange: what a subscriber believes is what the exchange shows.

mod market_support;
mod support;

use gateway::access::Permissions;
use gateway::fix::Version;
use market_support::{Subscriber, Want, check, entries, log_on, random_command, settings, world};
use protocol::{AccountId, AdvanceTime, BustTrade, NewExtendedOrder, NewOrder, OrderTerms, SetPhase};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use support::order;

const BOTH: &[&str] = &["0", "1"];
const ALL: &[&str] = &["0", "1", "2", "4", "5", "7", "8", "A", "B", "Q"];
const VERSIONS: [Version; 6] =
    [Version::Fix42, Version::Fix43, Version::Fix44, Version::Fix50, Version::Fix50Sp1, Version::Fix50Sp2];
const WANTS: [(&str, Want); 6] = [
    ("top", Want { depth: 1, by_order: false, full_refresh: false, entries: BOTH }),
    ("three", Want { depth: 3, by_order: false, full_refresh: false, entries: ALL }),
    ("full", Want { depth: 0, by_order: false, full_refresh: false, entries: BOTH }),
    ("orders", Want { depth: 0, by_order: true, full_refresh: false, entries: BOTH }),
    ("offers", Want { depth: 2, by_order: false, full_refresh: false, entries: &["1", "2", "B"] }),
    ("whole", Want { depth: 4, by_order: false, full_refresh: true, entries: ALL }),
];

/// A MarketDataRequest for BTC/USD; `kinds` are the letters of MDEntryType.
fn request(id: &str, kind: u8, depth: usize, more: &str, kinds: &str) -> String {
    let count = kinds.len();
    let kinds: String = kinds.chars().map(|it| format!("|269={it}")).collect();
    format!("262={id}|263={kind}|264={depth}{more}|267={count}{kinds}|146=1|55=BTC/USD")
}

#[test]
fn subscribers_have_the_exchanges_shown_books_after_every_command() {
    for seed in [3, 4] {
        println!("seed {seed}");
        let mut random = SmallRng::seed_from_u64(seed);
        let mut world = world(|_| {});
        for _ in 0..50 {
            random_command(&mut world, &mut random);
        }
        let names = ["ALICE", "BOB", "CAROL", "DAVE"];
        let versions = [Version::Fix42, Version::Fix44, Version::Fix50, Version::Fix50Sp2];
        let mut subscribers: Vec<Subscriber> = names
            .into_iter()
            .zip(versions)
            .map(|(name, version)| Subscriber::new(&mut world, version, name, &WANTS))
            .collect();
        for step in 0..2_500 {
            random_command(&mut world, &mut random);
            if step % 3 == 0 {
                // Full refreshes come with the duty cycle.
                world.settle();
            }
            for subscriber in &mut subscribers {
                let messages = world.take(&mut subscriber.client);
                subscriber.believe(&messages);
                subscriber.compare(&world.exchange, step % 3 == 0);
            }
        }
        let trades = world.exchange.counts().trades as usize;
        for subscriber in &subscribers {
            let of = |id: &'static str| subscriber.books.iter().filter(move |it| it.0.0 == id).map(|it| it.1);
            assert!(of("full").map(|it| it.increments).sum::<usize>() > 400);
            assert!(of("full").all(|it| it.snapshots == 1));
            let told: usize = of("offers").map(|it| it.trades.len()).sum();
            assert!(told > 40 && told <= trades + 2, "{told} of {trades} trades");
            assert!(subscriber.rejects.is_empty());
        }
    }
}

#[test]
fn a_snapshot_shows_levels_orders_trades_and_figures_once() {
    for version in VERSIONS {
        let mut world = world(|_| {});
        let mut alice = log_on(&mut world, version, "ALICE");
        let empty = world.send(&mut alice, "V", &request("e", 0, 0, "", "01"));
        check(version, &empty[0]);
        let nothing = if version >= Version::Fix50 { "268=1|269=J" } else { "268=0|269=" };
        assert_eq!(empty[0].pick(&[35, 262, 55, 268, 269]), format!("35=W|262=e|55=BTC/USD|{nothing}"));
        rest(&mut world, 1, 10_050, 3);
        rest(&mut world, 1, 10_050, 4);
        rest(&mut world, 1, 10_000, 1);
        rest(&mut world, 2, 10_100, 2);
        rest(&mut world, 2, 10_050, 1);
        let levels = world.send(&mut alice, "V", &request("s", 0, 0, "", "012478B"));
        assert_eq!(levels.len(), 1);
        check(version, &levels[0]);
        let shown: Vec<String> = entries(&levels[0])
            .iter()
            .map(|it| {
                let tags = [269, 270, 271, 346, 290].map(|tag| it.get(&tag).copied().unwrap_or("-"));
                tags.join(" ")
            })
            .collect();
        let zero = if version == Version::Fix42 { "0" } else { "-" };
        let volume = format!("B {zero} 0.001 - -");
        let expected = [
            "0 100.50 0.006 2 1",
            "0 100.00 0.001 1 2",
            "1 101.00 0.002 1 1",
            "2 100.50 0.001 - -",
            "4 100.50 - - -",
            "7 100.50 - - -",
            "8 100.50 - - -",
            &volume,
        ];
        assert_eq!(shown, expected, "{version:?}");
        let orders = world.send(&mut alice, "V", &request("o", 0, 0, "|266=N", "0"));
        let sizes: Vec<&str> = entries(&orders[0]).iter().map(|it| it[&271]).collect();
        assert_eq!(sizes, ["0.002", "0.004", "0.001"], "the oldest of a price first");
        rest(&mut world, 1, 10_000, 1);
        assert_eq!(world.take(&mut alice), [], "a snapshot is no subscription");
        let again = world.send(&mut alice, "V", &request("s", 0, 1, "", "0"));
        assert_eq!(again[0].pick(&[35, 268]), "35=W|268=1", "and its id is free again");
    }
}

/// An order of account 2 or 3 by the operator's ring.
fn rest(world: &mut support::World, side: u8, price_ticks: i64, quantity_lots: i64) {
    world.operate(&NewOrder {
        price_ticks,
        quantity_lots,
        account: AccountId(1 + u32::from(side)),
        instrument: 1,
        side,
        order_type: 2,
        time_in_force: 1,
        ..NewOrder::default()
    });
}

#[test]
fn every_request_that_cannot_be_granted_is_refused_by_name() {
    for version in VERSIONS {
        let mut world = world(|config| {
            config.users[1].access.permissions = Permissions::TRADE;
            config.market.as_mut().unwrap().subscriptions = 3;
        });
        let mut alice = log_on(&mut world, version, "ALICE");
        let good = request("good", 1, 1, "|265=1", "01");
        assert_eq!(world.send(&mut alice, "V", &good)[0].get(35), "W");
        let two = "262=x|263=1|264=0|265=1|267=1|269=0|146=3|55=BTC/USD|55=ETH/USD|55=BTC/USD";
        let unknown = "262=x|263=1|264=0|265=1|267=1|269=0|146=2|55=BTC/USD|55=NO/SUCH";
        let cases = [
            ("1", good.clone()),
            ("0", unknown.to_owned()),
            ("6", request("x", 1, 0, "", "0")),
            ("5", request("x", 1, 5, "|265=1|266=N", "0")),
            ("8", request("x", 1, 0, "|265=1", "6")),
            ("2", two.replace("262=x", "262=y")),
        ];
        for (reason, fields) in &cases {
            if *reason == "2" {
                // One of three is taken; two more fit, and then none.
                let answer = world.send(&mut alice, "V", two);
                assert_eq!(answer.iter().filter(|it| it.get(35) == "W").count(), 2, "{answer:?}");
            }
            let answer = world.send(&mut alice, "V", fields);
            assert_eq!(answer.len(), 1, "{fields}: {answer:?}");
            check(version, &answer[0]);
            assert_eq!(answer[0].pick(&[35, 281]), format!("35=Y|281={reason}"), "{fields}: {answer:?}");
            assert!(!answer[0].get(58).is_empty());
        }
        if version >= Version::Fix43 {
            for (reason, more) in [("C", "|265=1|547=Y"), ("A", "|265=1|546=2")] {
                let answer = world.send(&mut alice, "V", &request("z", 0, 0, more, "0"));
                assert_eq!(answer[0].pick(&[35, 281]), format!("35=Y|281={reason}"), "{answer:?}");
            }
        }
        let gone = world.send(&mut alice, "V", &request("none", 2, 0, "", "0"));
        check(version, &gone[0]);
        assert_eq!(gone[0].pick(&[35, 262, 281]), "35=Y|262=none|281=");
        let mut bob = log_on(&mut world, version, "BOB");
        let refused = world.send(&mut bob, "V", &request("b", 0, 0, "", "0"));
        check(version, &refused[0]);
        assert_eq!(refused[0].pick(&[35, 262, 281]), "35=Y|262=b|281=3");
        // What was refused costs nothing: the good one still lives.
        rest(&mut world, 1, 10_000, 1);
        let told = world.take(&mut alice);
        assert!(told.iter().any(|it| it.pick(&[35, 262]) == "35=X|262=good"), "{told:?}");
    }
}

#[test]
fn updates_end_with_unsubscribe_and_with_the_connection() {
    let mut world = world(|_| {});
    let mut alice = log_on(&mut world, Version::Fix44, "ALICE");
    let subscribe = request("m", 1, 0, "|265=1", "0");
    world.send(&mut alice, "V", &subscribe);
    rest(&mut world, 1, 10_000, 1);
    assert_eq!(
        world.take(&mut alice)[0].pick(&[35, 262, 279, 269, 270]),
        "35=X|262=m|279=0|269=0|270=100.00"
    );
    assert_eq!(world.send(&mut alice, "V", &request("m", 2, 0, "", "0")), []);
    rest(&mut world, 1, 10_001, 1);
    assert_eq!(world.take(&mut alice), []);
    assert_eq!(world.send(&mut alice, "V", &subscribe)[0].get(35), "W", "the id is free again");
    world.drop_link(&mut alice);
    rest(&mut world, 1, 10_002, 1);
    let next = alice.next_out;
    let (mut alice, answer) = world.log_on("ALICE", next, "");
    assert_eq!(answer.len(), 1, "only the Logon: {answer:?}");
    rest(&mut world, 1, 10_003, 1);
    assert_eq!(world.take(&mut alice), []);
    assert_eq!(world.send(&mut alice, "V", &subscribe)[0].get(35), "W");
}

#[test]
fn who_asks_for_messages_again_gets_gap_fills_and_whole_books() {
    let mut world = world(|_| {});
    let mut alice = log_on(&mut world, Version::Fix44, "ALICE");
    world.send(&mut alice, "V", &request("m", 1, 0, "|265=1", "01"));
    rest(&mut world, 1, 10_000, 1);
    rest(&mut world, 1, 10_001, 1);
    assert_eq!(world.take(&mut alice).len(), 2);
    let answer = world.send(&mut alice, "2", "7=2|16=0");
    let seen: Vec<String> = answer.iter().map(|it| it.pick(&[35, 34, 36, 43])).collect();
    assert_eq!(seen[0], "35=4|34=2|36=5|43=Y", "nothing old is sent again");
    assert_eq!(answer[1].pick(&[35, 34, 268]), "35=W|34=5|268=2");
    assert_eq!(answer.len(), 2);
}

#[test]
fn a_subscriber_that_does_not_read_is_left_out_until_it_has_caught_up() {
    let mut random = SmallRng::seed_from_u64(8);
    let mut world = world(|config| config.market.as_mut().unwrap().backlog_bytes = 4096);
    let wants = [WANTS[2], WANTS[3], WANTS[5]];
    let mut slow = Subscriber::new(&mut world, Version::Fix44, "ALICE", &wants);
    let mut fast = Subscriber::new(&mut world, Version::Fix44, "BOB", &wants);
    let mut longest = 0;
    for step in 0..3_000 {
        random_command(&mut world, &mut random);
        world.settle();
        let messages = world.take(&mut fast.client);
        fast.believe(&messages);
        fast.compare(&world.exchange, false);
        longest = longest.max(world.gateway.output(slow.client.link).len());
        if step % 250 == 249 {
            // It reads all at once: what it has then is old. Some cycles later it has caught up.
            for _ in 0..12 {
                let messages = world.take(&mut slow.client);
                slow.believe(&messages);
                world.settle();
            }
            let messages = world.take(&mut slow.client);
            slow.believe(&messages);
            slow.compare(&world.exchange, true);
        }
    }
    assert!(longest < 100_000, "{longest} bytes waited");
    let snapshots = |of: &Subscriber| of.books.values().map(|it| it.snapshots).max().unwrap();
    assert!(snapshots(&slow) > 5 && slow.client.closed.is_none());
    let full = |of: &Subscriber| of.books.iter().filter(|it| it.0.0 == "full").map(|it| it.1.snapshots).max();
    assert_eq!(full(&fast), Some(1), "who reads is never left out");
}

#[test]
fn a_book_too_large_for_a_message_is_to_be_had_by_levels() {
    let mut world = world(|config| config.market.as_mut().unwrap().snapshot_entries = 5);
    let mut alice = log_on(&mut world, Version::Fix44, "ALICE");
    for price_ticks in 10_000..10_005 {
        rest(&mut world, 1, price_ticks, 1);
    }
    let subscribe = |id: &str, depth| request(id, 1, depth, "|265=1", "0");
    assert_eq!(world.send(&mut alice, "V", &subscribe("all", 0))[0].pick(&[35, 268]), "35=W|268=5");
    rest(&mut world, 1, 9_000, 1);
    assert_eq!(world.take(&mut alice)[0].get(35), "X", "increments have no such limit");
    let refused = world.send(&mut alice, "V", &subscribe("more", 0));
    assert_eq!(refused[0].pick(&[35, 262, 281]), "35=Y|262=more|281=5", "{refused:?}");
    assert_eq!(world.send(&mut alice, "V", &subscribe("five", 5))[0].pick(&[35, 268]), "35=W|268=5");
    // Whole books that cannot be sent any more end their subscription, and no other.
    let answer = world.send(&mut alice, "2", "7=1|16=0");
    let seen: Vec<String> = answer.iter().map(|it| it.pick(&[35, 262, 281])).collect();
    assert_eq!(seen[1..], ["35=Y|262=all|281=2", "35=W|262=five|281="]);
    rest(&mut world, 1, 10_010, 1);
    let told = world.take(&mut alice);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].get(262), "five");
}

#[test]
fn auctions_are_published_as_they_go() {
    for version in VERSIONS {
        let mut world = world(|_| {});
        let mut alice = log_on(&mut world, version, "ALICE");
        let answer = world.send(&mut alice, "V", &request("q", 1, 0, "|265=1", "2ABQ457"));
        check(version, &answer[0]);
        let status = world.send(&mut alice, "e", "324=st|55=BTC/USD|263=1");
        check(version, &status[0]);
        assert_eq!(status[0].pick(&[35, 324, 55, 326, 325]), "35=f|324=st|55=BTC/USD|326=17|325=N");
        let session = world.send(&mut alice, "g", "335=se|263=1");
        session.iter().for_each(|it| check(version, it));
        assert_eq!(session.len(), 2, "one for each instrument");
        let name = if version >= Version::Fix50 { "1" } else { "BTC/USD" };
        assert_eq!(session[0].pick(&[35, 335, 336, 340]), format!("35=h|335=se|336={name}|340=2"));

        world.operate(&SetPhase { instrument: 1, phase: 2, ..SetPhase::default() });
        let told = world.take(&mut alice);
        told.iter().for_each(|it| check(version, it));
        let seen: Vec<String> = told.iter().map(|it| it.pick(&[35, 326, 340, 325])).collect();
        assert_eq!(seen, ["35=f|326=5|340=|325=Y", "35=h|326=|340=4|325=Y"], "{version:?}");

        rest(&mut world, 1, 10_010, 5);
        rest(&mut world, 2, 9_990, 2);
        world.now_ns += 1_000_000_000;
        world.operate(&AdvanceTime::default());
        let told = world.take(&mut alice);
        told.iter().for_each(|it| check(version, it));
        let update = told.iter().find(|it| it.get(35) == "X").unwrap();
        let kinds: Vec<[&str; 3]> = entries(update)
            .iter()
            .map(|it| [it[&269], it[&279], it.get(&271).copied().unwrap_or("")])
            .collect();
        assert_eq!(kinds, [["A", "0", "0.003"], ["Q", "0", "0.002"]], "{update:?}");
        if version >= Version::Fix43 {
            assert_eq!(entries(update)[0][&277], "P", "more buyers");
        }
        let status = told.iter().find(|it| it.get(35) == "f").unwrap();
        assert_eq!(status.pick(&[330, 331]), "330=0.005|331=0.002");
        assert_eq!(status.get(332), entries(update)[1][&270]);

        world.operate(&SetPhase { instrument: 1, phase: 0, ..SetPhase::default() });
        let told = world.take(&mut alice);
        told.iter().for_each(|it| check(version, it));
        let updates: Vec<String> = told
            .iter()
            .filter(|it| it.get(35) == "X")
            .flat_map(|it| {
                entries(it).iter().map(|entry| format!("{}{}", entry[&269], entry[&279])).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(updates, ["20", "40", "70", "A2", "B0", "Q2"], "{told:?}");

        world.operate(&BustTrade { trade_id: 1, ..BustTrade::default() });
        let told = world.take(&mut alice);
        check(version, &told[0]);
        assert_eq!(told[0].pick(&[35, 279, 269, 278]), "35=X|279=2|269=2|278=T1");
        world.operate(&SetPhase { instrument: 1, phase: 5, ..SetPhase::default() });
        let closing = world.take(&mut alice);
        let closing = closing.iter().find(|it| it.get(35) == "X").unwrap();
        assert_eq!(closing.pick(&[279, 269]), "279=0|269=5", "the closing price");
        world.send(&mut alice, "e", "324=st|55=BTC/USD|263=2");
        world.send(&mut alice, "g", "335=se|263=2");
        world.operate(&SetPhase { instrument: 1, phase: 0, ..SetPhase::default() });
        assert!(world.take(&mut alice).iter().all(|it| it.get(35) == "X"), "a new day's figures, no status");
    }
}

#[test]
fn what_can_be_traded_is_listed_in_every_version() {
    for version in VERSIONS {
        let mut world = world(|_| {});
        let mut alice = log_on(&mut world, version, "ALICE");
        let definitions = world.send(&mut alice, "c", "320=d|321=3");
        definitions.iter().for_each(|it| check(version, it));
        let symbols: Vec<&str> = definitions.iter().map(|it| it.get(55)).collect();
        assert_eq!(symbols, ["BTC/USD", "ETH/USD"], "{definitions:?}");
        let one = world.send(&mut alice, "c", "320=d|321=0|55=NO/SUCH");
        check(version, &one[0]);
        assert_eq!(one[0].pick(&[35, 320, 323]), "35=d|320=d|323=6");
        if version == Version::Fix42 {
            assert_eq!(definitions[0].pick(&[393, 15]), "393=2|15=USD");
            continue;
        }
        let list = world.send(&mut alice, "x", "320=l|559=4");
        check(version, &list[0]);
        assert_eq!(list[0].pick(&[35, 320, 560, 393, 146, 55]), "35=y|320=l|560=0|393=2|146=2|55=BTC/USD");
        assert_eq!(list[0].pick(&[561, 562, 15]), "561=0.001|562=0.001|15=USD");
        let increment = if version >= Version::Fix50 { "0.01" } else { "" };
        assert_eq!(list[0].get(969), increment, "{list:?}");
        let one = world.send(&mut alice, "x", "320=l2|559=0|55=ETH/USD");
        assert_eq!(one[0].pick(&[393, 55]), "393=1|55=ETH/USD");
        let none = world.send(&mut alice, "x", "320=l3|559=0|55=NO/SUCH");
        check(version, &none[0]);
        assert_eq!(none[0].pick(&[35, 560]), "35=y|560=2");
        let odd = world.send(&mut alice, "x", "320=l4|559=2");
        assert_eq!(odd[0].pick(&[35, 560]), "35=y|560=1");
        world.send(&mut alice, "x", "320=l5|559=4|263=1");
        world.operate(&protocol::SetTickTable {
            rows: [
                [protocol::TickRow { from_price_ticks: 1, tick_ticks: 2 }; 1].as_slice(),
                [protocol::TickRow { from_price_ticks: 1_000, tick_ticks: 5 }; 1].as_slice(),
                [protocol::TickRow::default(); 6].as_slice(),
            ]
            .concat()
            .try_into()
            .unwrap(),
            instrument: 1,
            count: 2,
        });
        let told = world.take(&mut alice);
        assert_eq!(told.len(), 1);
        check(version, &told[0]);
        assert_eq!(told[0].pick(&[35, 320, 393, 55]), "35=y|320=l5|393=1|55=BTC/USD");
        if version >= Version::Fix50Sp1 {
            assert_eq!(told[0].pick(&[1205, 1206, 1207, 1208]), "1205=2|1206=0.01|1207=9.99|1208=0.02");
        }
        let status = world.send(&mut alice, "e", "324=s|55=NO/SUCH|263=0");
        check(version, &status[0]);
        assert_eq!(status[0].pick(&[35, 55, 326]), "35=f|55=NO/SUCH|326=20");
        let session = world.send(&mut alice, "g", "335=t|336=NO/SUCH|263=0");
        if version < Version::Fix50Sp1 {
            check(version, &session[0]);
            assert_eq!(session[0].pick(&[35, 340, 567]), "35=h|340=6|567=1");
        }
    }
}

#[test]
fn a_port_for_market_data_takes_no_orders_and_writes_no_reports() {
    let mut world = world(|config| config.order_entry = false);
    let mut alice = log_on(&mut world, Version::Fix44, "ALICE");
    let answer = world.send(&mut alice, "D", &order("a1", 1, "1", "100"));
    assert_eq!(answer[0].pick(&[35, 372, 380]), "35=j|372=D|380=4", "{answer:?}");
    world.send(&mut alice, "V", &request("m", 1, 0, "|265=1", "02"));
    rest(&mut world, 1, 10_000, 1);
    rest(&mut world, 2, 10_000, 1);
    let told = world.take(&mut alice);
    assert!(told.len() == 2 && told.iter().all(|it| it.get(35) == "X"), "{told:?}");
    world.settle();
    world.kill_and_restart(false);
    let next = alice.next_out;
    let (mut alice, answer) = world.log_on("ALICE", next, "");
    assert_eq!(answer.len(), 1, "{answer:?}");
    assert_eq!(answer[0].get(34), "6", "numbers go on after a restart");
    assert_eq!(world.send(&mut alice, "V", &request("m", 0, 0, "", "2B"))[0].get(268), "2");
}

#[test]
fn a_port_without_market_data_says_so() {
    let mut world = world(|config| config.market = None);
    let mut alice = log_on(&mut world, Version::Fix44, "ALICE");
    let answer = world.send(&mut alice, "V", &request("m", 1, 0, "|265=1", "0"));
    assert_eq!(answer[0].pick(&[35, 372, 380]), "35=j|372=V|380=4", "{answer:?}");
}

#[test]
fn reserves_and_hidden_orders_are_never_shown() {
    let mut world = world(|_| {});
    let mut alice = log_on(&mut world, Version::Fix50Sp2, "ALICE");
    world.send(&mut alice, "V", &request("l3", 1, 0, "|265=1|266=N", "01"));
    let order = NewOrder {
        price_ticks: 10_000,
        quantity_lots: 50,
        account: AccountId(2),
        instrument: 1,
        side: 1,
        order_type: 2,
        time_in_force: 1,
        ..NewOrder::default()
    };
    world
        .operate(&NewExtendedOrder { order, terms: OrderTerms { display_lots: 5, ..OrderTerms::default() } });
    let shown = world.take(&mut alice);
    assert_eq!(shown[0].pick(&[279, 271]), "279=0|271=0.005");
    let hidden = OrderTerms { flags: protocol::term_flags::HIDDEN, ..OrderTerms::default() };
    world.operate(&NewExtendedOrder { order: NewOrder { price_ticks: 9_999, ..order }, terms: hidden });
    assert_eq!(world.take(&mut alice), []);
    rest(&mut world, 2, 10_000, 5);
    let refilled = world.take(&mut alice);
    let actions: Vec<[&str; 2]> =
        entries(&refilled[0]).iter().map(|it| [it[&279], it.get(&271).copied().unwrap_or("")]).collect();
    assert_eq!(actions, [["2", ""], ["0", "0.005"]], "the next slice goes behind: {refilled:?}");
    assert_eq!(settings().subscriptions, 1024);
}

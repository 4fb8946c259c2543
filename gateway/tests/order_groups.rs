//! Lists, mass cancels and mass status requests over FIX, against the real exchange.

mod support;

use gateway::fix::Version;
use support::{World, check, log_on, order};

/// A list of orders, each given by its fields.
fn list(id: &str, contingency: &str, orders: &[&str]) -> String {
    let count = orders.len();
    let kind = if contingency.is_empty() { String::new() } else { format!("|1385={contingency}") };
    let orders: Vec<String> = orders
        .iter()
        .enumerate()
        .map(|(at, fields)| format!("11={id}-{at}|67={}|21=1|55=BTC/USD|60=now|{fields}", at + 1))
        .collect();
    format!("66={id}|394=3{kind}|68={count}|73={count}|{}", orders.join("|"))
}

const LISTS: [Version; 4] = [Version::Fix42, Version::Fix43, Version::Fix44, Version::Fix50Sp2];

#[test]
fn a_batch_is_taken_order_by_order_and_told_as_a_list() {
    for version in LISTS {
        let mut world = World::new();
        let mut alice = log_on(&mut world, version);
        let orders = ["54=1|38=1|40=2|44=90", "54=1|38=1|40=2|44=9999999", "54=2|38=1|40=2|44=110"];
        let answer = world.send(&mut alice, "E", &list("L1", "", &orders));
        let told: Vec<String> = answer.iter().map(|it| it.pick(&[35, 11, 39, 54])).collect();
        assert_eq!(
            told[..3],
            ["35=8|11=L1-0|39=0|54=1", "35=8|11=L1-1|39=8|54=1", "35=8|11=L1-2|39=0|54=2"],
            "{version:?}"
        );
        assert_eq!(answer[3].pick(&[35, 66, 429, 431, 68, 73]), "35=N|66=L1|429=1|431=3|68=3|73=3");
        assert!(answer[3].0.contains("|11=L1-1|14=0|39=8|151=0|84=0|6=0|"), "{:?}", answer[3]);
        let status = world.send(&mut alice, "M", "66=L1");
        assert_eq!(status[0].pick(&[35, 66, 429, 431]), "35=N|66=L1|429=2|431=3");
        let unknown = world.send(&mut alice, "M", "66=L2");
        assert_eq!(unknown[0].pick(&[35, 372, 380]), "35=j|372=M|380=1");
        check(version, &[answer, status, unknown].concat());
    }
}

/// An exchange that takes stops.
fn with_collar() -> World {
    let mut world = World::new();
    world.operate(&protocol::SetInstrumentRules {
        instrument: 1,
        collar_bps: 1000,
        reference_price_ticks: 10_000,
        ..Default::default()
    });
    world
}

#[test]
fn one_cancels_other_and_one_triggers_other() {
    for version in LISTS {
        let mut world = with_collar();
        let mut alice = log_on(&mut world, version);
        let (mut bob, _) = world.log_on("BOB", 1, "");
        let pair = ["54=2|38=1|40=2|44=110", "54=2|38=1|40=3|99=90"];
        let pair = world.send(&mut alice, "E", &list("P", "1", &pair));
        let told: Vec<String> = pair.iter().map(|it| it.pick(&[35, 11, 39])).collect();
        assert_eq!(told, ["35=8|11=P-0|39=0", "35=8|11=P-1|39=0", "35=N|11=P-0|39=0"], "{version:?}");
        world.send(&mut bob, "D", &order("b", 1, "1", "110"));
        let done = world.take(&mut alice);
        let told: Vec<String> = done.iter().map(|it| it.pick(&[11, 39, 58])).collect();
        assert_eq!(told, ["11=P-0|39=2|58=", "11=P-1|39=4|58=OneCancelsOther"]);

        let bracket = ["54=1|38=1|40=2|44=100", "54=2|38=1|40=2|44=120", "54=2|38=1|40=3|99=95"];
        let bracket = world.send(&mut alice, "E", &list("B", "2", &bracket));
        let told: Vec<String> = bracket.iter().map(|it| it.pick(&[35, 11, 39])).collect();
        assert_eq!(
            told,
            [
                "35=8|11=B-0|39=0",
                "35=8|11=B-1|39=0",
                "35=8|11=B-1|39=9",
                "35=8|11=B-2|39=0",
                "35=8|11=B-2|39=9",
                "35=N|11=B-0|39=0"
            ],
            "{version:?}"
        );
        assert_ne!(bracket[1].get(17), bracket[2].get(17), "two reports of one event");
        if version > Version::Fix42 {
            assert_eq!(bracket[2].get(150), "9");
        }
        world.send(&mut bob, "D", &order("s", 2, "1", "100"));
        let freed = world.take(&mut alice);
        let told: Vec<String> = freed.iter().map(|it| it.pick(&[11, 39])).collect();
        assert_eq!(told, ["11=B-0|39=2", "11=B-1|39=0", "11=B-2|39=0"], "{version:?}");
        check(version, &[pair, done, bracket, freed].concat());
    }
}

#[test]
fn a_list_that_cannot_be_is_rejected_as_a_whole() {
    let mut world = World::new();
    let mut alice = log_on(&mut world, Version::Fix44);
    let limit = "54=1|38=1|40=2|44=90";
    let cases = [
        (list("L1", "", &[limit, "54=1|38=1|40=2|44=90.001"]), "multiple of the tick"),
        (list("L2", "1", &[limit]), "ContingencyType (1385)"),
        (list("L3", "", &[limit]).replace("68=1", "68=2"), "TotNoOrders (68)"),
        (list("L4", "", &[limit]).replace("394=3", "394=3|433=2"), "ListExecInstType (433)"),
        (list("L5", "", &[limit; 33]), "at most 32"),
    ];
    for (fields, text) in &cases {
        let answer = world.send(&mut alice, "E", fields);
        assert_eq!(answer.len(), 1, "{fields}: {answer:?}");
        assert_eq!(answer[0].pick(&[35, 429, 431, 39]), "35=N|429=1|431=7|39=8", "{fields}");
        assert!(answer[0].get(444).contains(text), "{fields}: {answer:?}");
        check(Version::Fix44, &answer);
    }
    // The engine's own word: a pair of two buys at different quantities.
    let pair = ["54=1|38=1|40=2|44=90", "54=1|38=2|40=3|99=95"];
    let answer = world.send(&mut alice, "E", &list("L6", "1", &pair));
    assert_eq!(answer.len(), 1, "{answer:?}");
    assert_eq!(answer[0].pick(&[35, 431]), "35=N|431=7");
    // It did not say why: the exchange's reason was lost on the way.
    assert!(answer[0].get(444).starts_with("InvalidParameter: "), "{answer:?}");
    // A ClOrdID that is too long was left out, and with it the first field of the group.
    let long = "x".repeat(40);
    let answer =
        world.send(&mut alice, "E", &list(&long[..30], "", &[limit]).replace("11=", &format!("11={long}")));
    assert!(answer[0].0.contains(&format!("|73=1|11={long}")), "{answer:?}");
    check(Version::Fix44, &answer);
    assert!(world.gateway.orders().is_empty());
    let again = world.send(&mut alice, "D", &order("L6-0", 1, "1", "90"));
    assert_eq!(again[0].pick(&[39]), "39=0", "nothing of it is left");
}

/// Fields of a limit order in a version.
fn single(version: Version, id: &str, side: u8, price: &str) -> String {
    let handled = if version < Version::Fix44 { "|21=1" } else { "" };
    format!("{}{handled}", order(id, side, "1", price))
}

/// ListID came back in the ListStatus only: a client could not tell which list a report was about.
#[test]
fn reports_of_orders_of_a_list_name_it_whenever_they_are_made() {
    for version in LISTS {
        let mut world = World::new();
        let mut alice = log_on(&mut world, version);
        let (mut bob, _) = world.log_on("BOB", 1, "");
        let orders = ["54=1|38=1|40=2|44=90", "54=1|38=1|40=2|44=9999999", "54=2|38=2|40=2|44=110"];
        let entered = world.send(&mut alice, "E", &list("L1", "", &orders));
        let other = world.send(&mut alice, "D", &single(version, "single", 1, "91"));
        assert_eq!(other[0].pick(&[66]), "66=", "{version:?}");
        // The next process knows of the list from events, and from a checkpoint.
        let mut reports = entered[..3].to_vec();
        for restart in 0..2 {
            world.drop_link(&mut alice);
            world.drop_link(&mut bob);
            if restart == 1 {
                world.gateway.finish();
            }
            world.kill_and_restart(true);
            alice = world.log_on_again(&alice).0;
            bob = world.log_on_again(&bob).0;
            world.send(&mut bob, "D", &order(&format!("b{restart}"), 1, "1", "110"));
            let traded = world.take(&mut alice);
            assert_eq!(traded[0].pick(&[11, 66, 39]), format!("11=L1-2|66=L1|39={}", 1 + restart));
            reports.extend(traded);
            let status = world.send(&mut alice, "M", "66=L1");
            assert_eq!(status[0].pick(&[35, 66, 431, 73]), "35=N|66=L1|431=3|73=3", "{version:?}");
            let orders =
                [format!("11=L1-2|14={}.000|39={}", 1 + restart, 1 + restart), "11=L1-1|14=0|39=8".into()];
            assert!(orders.iter().all(|it| status[0].0.contains(it)), "{version:?}: {status:?}");
        }
        for report in &reports {
            assert_eq!(report.pick(&[35, 66]), "35=8|66=L1", "{version:?}: {report:?}");
        }
        let again: Vec<_> = world.send(&mut alice, "2", "7=1|16=0");
        let named = again.iter().filter(|it| it.get(66) == "L1" && it.get(35) == "8").count();
        assert_eq!(named, reports.len(), "{version:?}: a resend names it, too");
        check(version, &[reports, other].concat());
    }
}

/// A client could enter a list, but not take it back: it had to know and cancel each of its orders.
#[test]
fn a_list_is_cancelled_as_a_whole() {
    for version in LISTS {
        let mut world = World::new();
        let mut alice = log_on(&mut world, version);
        let (mut bob, _) = world.log_on("BOB", 1, "");
        let orders = ["54=1|38=1|40=2|44=90", "54=2|38=1|40=2|44=110", "54=1|38=1|40=2|44=91"];
        world.send(&mut alice, "E", &list("L1", "", &orders));
        world.send(&mut alice, "D", &single(version, "single", 1, "89"));
        world.send(&mut bob, "D", &order("b", 1, "1", "110"));
        world.take(&mut alice);
        let cancelled = world.send(&mut alice, "K", "66=L1|60=now");
        let told: Vec<String> = cancelled.iter().map(|it| it.pick(&[35, 11, 41, 66, 39, 429, 431])).collect();
        assert_eq!(
            told,
            [
                "35=N|11=L1-0|41=|66=L1|39=0|429=1|431=4",
                "35=8|11=L1-0|41=|66=L1|39=4|429=|431=",
                "35=8|11=L1-2|41=|66=L1|39=4|429=|431=",
                "35=N|11=L1-0|41=|66=L1|39=4|429=5|431=6",
            ],
            "{version:?}"
        );
        let again = world.send(&mut alice, "K", "66=L1|60=now");
        assert_eq!(again.iter().map(|it| it.pick(&[35, 429, 431])).collect::<Vec<_>>(), ["35=N|429=5|431=6"]);
        let unknown = world.send(&mut alice, "K", "66=L2|60=now");
        assert_eq!(unknown[0].pick(&[35, 372, 380]), "35=j|372=K|380=1");
        let execute = world.send(&mut alice, "L", "66=L1|60=now");
        assert_eq!(execute[0].pick(&[35, 372, 380]), "35=j|372=L|380=3");
        assert!(execute[0].get(58).contains("433=2"), "{execute:?}");
        let single = world.send(&mut alice, "H", "11=single|54=1|55=BTC/USD");
        assert_eq!(single[0].pick(&[39]), "39=0", "it is of no list");
        check(version, &[cancelled, again, unknown, execute].concat());
    }
}

/// The end of one order is the end of the other: cancelling both would get a reject for the second.
#[test]
fn a_pair_and_a_bracket_are_cancelled_without_a_reject() {
    let mut world = with_collar();
    let mut alice = log_on(&mut world, Version::Fix44);
    let pair = ["54=2|38=1|40=2|44=110", "54=2|38=1|40=3|99=90"];
    let bracket = ["54=1|38=1|40=2|44=100", "54=2|38=1|40=2|44=120", "54=2|38=1|40=3|99=95"];
    for (id, kind, orders) in [("P", "1", &pair[..]), ("B", "2", &bracket[..])] {
        world.send(&mut alice, "E", &list(id, kind, orders));
        let told = world.send(&mut alice, "K", &format!("66={id}|60=now"));
        let kinds: String = told.iter().map(|it| it.get(35)).collect();
        assert_eq!(kinds, format!("N{}N", "8".repeat(orders.len())), "{told:?}");
        assert!(told[1..=orders.len()].iter().all(|it| it.pick(&[66, 39]) == format!("66={id}|39=4")));
        assert_eq!(told.last().unwrap().pick(&[431]), "431=6");
    }
}

/// A cancel of an order of a list that fills on its way there is refused by the exchange: the client has not asked for
/// that order by name, and hears of the fill.
#[test]
fn a_list_whose_orders_end_meanwhile_or_that_is_on_its_way_is_cancelled_all_the_same() {
    let mut world = World::new();
    let mut alice = log_on(&mut world, Version::Fix44);
    let (mut bob, _) = world.log_on("BOB", 1, "");
    let orders = ["54=1|38=1|40=2|44=90", "54=1|38=1|40=2|44=91"];
    world.send(&mut alice, "E", &list("L1", "", &orders));
    // Bob's order is before the cancel in the ring.
    let sell = support::message("BOB", bob.next_out, "D", &order("s", 2, "1", "91"), world.now_ns);
    bob.next_out += 1;
    let cancel = support::message("ALICE", alice.next_out, "K", "66=L1|60=now", world.now_ns);
    alice.next_out += 1;
    world.gateway.input(bob.link).extend_from_slice(&sell);
    let (link, now_ns) = (bob.link, world.now_ns);
    world.gateway.receive(link, now_ns, &mut world.port).unwrap();
    let told = world.send_bytes(&mut alice, &cancel);
    let told: Vec<String> = told.iter().map(|it| it.pick(&[35, 11, 39, 431])).collect();
    assert_eq!(told[0], "35=N|11=L1-0|39=0|431=4");
    assert_eq!(told[told.len() - 1], "35=N|11=L1-0|39=4|431=6");
    assert!(told.contains(&"35=8|11=L1-1|39=2|431=".to_owned()), "{told:?}");
    assert!(told.iter().all(|it| !it.starts_with("35=9")), "{told:?}");

    let mut both = support::message("ALICE", alice.next_out, "E", &list("L2", "", &orders), world.now_ns);
    both.extend(support::message("ALICE", alice.next_out + 1, "K", "66=L2|60=now", world.now_ns));
    alice.next_out += 2;
    let told = world.send_bytes(&mut alice, &both);
    assert_eq!(told.last().unwrap().pick(&[35, 66, 431]), "35=N|66=L2|431=6", "{told:?}");
    assert!(world.send(&mut alice, "AF", "584=q|585=7")[0].get(58).contains("no live orders"));
}

/// A client that asked right behind its list, as one that is careful does, was told that there was no such list and that it
/// might have been forgotten: the list was on its way to the engine.
#[test]
fn a_status_request_right_behind_its_list_waits_for_it() {
    let mut world = World::new();
    let mut alice = log_on(&mut world, Version::Fix44);
    let orders = ["54=1|38=1|40=2|44=90", "54=1|38=1|40=2|44=91"];
    let mut both = support::message("ALICE", alice.next_out, "E", &list("L1", "", &orders), world.now_ns);
    both.extend(support::message("ALICE", alice.next_out + 1, "M", "66=L1", world.now_ns));
    alice.next_out += 2;
    let told = world.send_bytes(&mut alice, &both);
    let told: Vec<String> = told.iter().map(|it| it.pick(&[35, 66, 429])).collect();
    let expected = ["35=8|66=L1|429=", "35=8|66=L1|429=", "35=N|66=L1|429=1", "35=N|66=L1|429=2"];
    assert_eq!(told, expected);
}

/// The reports of a list's orders came after a kill in between, its ListStatus never: a client that waited for that, waited for
/// ever.
#[test]
fn a_list_whose_events_a_kill_has_cut_off_is_told_after_the_restart() {
    let mut world = World::new();
    let alice = log_on(&mut world, Version::Fix44);
    let orders = ["54=1|38=1|40=2|44=90", "54=1|38=1|40=2|44=9999999"];
    let number = alice.next_out;
    let enter = support::message("ALICE", number, "E", &list("L1", "", &orders), world.now_ns);
    world.gateway.input(alice.link).extend_from_slice(&enter);
    let (link, now_ns) = (alice.link, world.now_ns);
    world.gateway.receive(link, now_ns, &mut world.port).unwrap();
    assert!(world.gateway.commit().unwrap());
    for restart in 0..2 {
        world.kill_and_restart(true);
        let (mut alice, _) = world.log_on("ALICE", number + 1 + restart, "");
        let told = world.send(&mut alice, "2", "7=2|16=0");
        let told: Vec<String> = told.iter().map(|it| it.pick(&[35, 34, 66, 431])).collect();
        let expected = ["35=8|34=2|66=L1|431=", "35=8|34=3|66=L1|431=", "35=N|34=4|66=L1|431=3"];
        assert_eq!(told[..3], expected, "once, after {restart}");
        assert!(!told[3..].iter().any(|it| it.starts_with("35=N")), "{told:?}");
    }
}

/// The message has not had its effect before the last order is gone: a process that is killed in between is sent it again.
#[test]
fn a_list_cancel_that_a_kill_has_cut_short_is_asked_for_again() {
    let mut world = World::new();
    let mut alice = log_on(&mut world, Version::Fix44);
    let orders = ["54=1|38=1|40=2|44=90", "54=1|38=1|40=2|44=91", "54=1|38=1|40=2|44=92"];
    world.send(&mut alice, "E", &list("L1", "", &orders));
    let number = alice.next_out;
    let cancel = support::message("ALICE", number, "K", "66=L1|60=now", world.now_ns);
    world.gateway.input(alice.link).extend_from_slice(&cancel);
    let (link, now_ns) = (alice.link, world.now_ns);
    world.gateway.receive(link, now_ns, &mut world.port).unwrap();
    assert!(world.gateway.commit().unwrap());
    world.kill_and_restart(true);
    let (mut alice, answer) = world.log_on("ALICE", number + 1, "");
    let asked = answer.iter().find(|it| it.get(35) == "2").expect("it asks for what it lacks");
    assert_eq!(asked.get(7), number.to_string());
    alice.next_out = number;
    let told = world.send(&mut alice, "K", "43=Y|122=now|66=L1|60=now");
    assert_eq!(told.last().unwrap().pick(&[35, 431]), "35=N|431=6", "{told:?}");
}

#[test]
fn a_mass_cancel_takes_what_is_meant_and_says_how_much() {
    for version in [Version::Fix43, Version::Fix44, Version::Fix50, Version::Fix50Sp1, Version::Fix50Sp2] {
        let mut world = World::new();
        let mut alice = log_on(&mut world, version);
        for (id, side, price) in [("b1", 1, "90"), ("b2", 1, "91"), ("s1", 2, "110")] {
            let handled = if version < Version::Fix44 { "|21=1" } else { "" };
            world.send(&mut alice, "D", &format!("{}{handled}", order(id, side, "1", price)));
        }
        let buys = world.send(&mut alice, "q", "11=m1|530=1|55=BTC/USD|54=1|60=now");
        let told: Vec<String> = buys.iter().map(|it| it.pick(&[35, 11, 39, 531, 533])).collect();
        assert_eq!(
            told,
            ["35=8|11=b1|39=4|531=|533=", "35=8|11=b2|39=4|531=|533=", "35=r|11=m1|39=|531=1|533=2"],
            "{version:?}"
        );
        let all = world.send(&mut alice, "q", "11=m2|530=7|60=now");
        assert_eq!(all.last().unwrap().pick(&[35, 11, 530, 531, 533]), "35=r|11=m2|530=7|531=7|533=1");
        let none = world.send(&mut alice, "q", "11=m3|530=7|9103=Y|60=now");
        assert_eq!(none[0].pick(&[35, 531, 533]), "35=r|531=7|533=0");
        let bad = world.send(&mut alice, "q", "11=m4|530=1|55=NONE|60=now");
        assert_eq!(bad[0].pick(&[35, 11, 531, 532]), "35=r|11=m4|531=0|532=1");
        let other = world.send(&mut alice, "q", "11=m5|530=7|1=77|60=now");
        assert_eq!(other[0].pick(&[35, 531]), "35=r|531=0");
        let again = world.send(&mut alice, "q", "97=Y|11=m2|530=7|60=now");
        assert_eq!(again.len(), 0, "it has had its effect: {again:?}");
        check(version, &[buys, all, none, bad, other].concat());
    }
}

#[test]
fn a_mass_status_request_is_answered_by_a_report_for_each_live_order() {
    for version in [Version::Fix43, Version::Fix44, Version::Fix50Sp2] {
        let mut world = World::new();
        let mut alice = log_on(&mut world, version);
        let none = world.send(&mut alice, "AF", "584=q0|585=7");
        assert_eq!(none[0].pick(&[35, 39, 37, 58]), "35=8|39=8|37=NONE|58=there are no live orders");
        let handled = if version < Version::Fix44 { "|21=1" } else { "" };
        for at in 0..3 {
            world.send(&mut alice, "D", &format!("{}{handled}", order(&format!("a{at}"), 1, "1", "90")));
        }
        world.send(&mut alice, "D", &format!("{}{handled}", order("s", 2, "1", "110")));
        let all = world.send(&mut alice, "AF", "584=q1|585=7");
        assert_eq!(all.len(), 4);
        if version > Version::Fix43 {
            let told: Vec<String> = all.iter().map(|it| it.pick(&[11, 150, 584, 911, 912])).collect();
            assert_eq!(told[0], "11=a0|150=I|584=q1|911=4|912=N");
            assert_eq!(told[3], "11=s|150=I|584=q1|911=4|912=Y");
        }
        let buys = world.send(&mut alice, "AF", "584=q2|585=1|55=BTC/USD|54=1");
        assert_eq!(buys.len(), 3);
        let bad = world.send(&mut alice, "AF", "584=q3|585=1|55=NONE");
        assert!(bad[0].get(58).contains("Symbol (55)"), "{bad:?}");
        check(version, &[none, all, buys, bad].concat());
    }
}

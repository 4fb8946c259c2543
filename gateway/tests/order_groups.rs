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

#[test]
fn one_cancels_other_and_one_triggers_other() {
    for version in LISTS {
        let mut world = World::new();
        world.operate(&protocol::SetInstrumentRules {
            instrument: 1,
            collar_bps: 1000,
            reference_price_ticks: 10_000,
            ..Default::default()
        });
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
    assert!(world.gateway.orders().is_empty());
    let again = world.send(&mut alice, "D", &order("L6-0", 1, "1", "90"));
    assert_eq!(again[0].pick(&[39]), "39=0", "nothing of it is left");
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

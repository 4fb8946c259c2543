//! Orders over FIX against the real exchange: what a trader sees.

mod support;

use support::{World, order};

const STATE: [u32; 8] = [150, 39, 11, 38, 44, 151, 14, 6];

#[test]
fn an_order_rests_trades_in_parts_and_is_filled() {
    let mut world = World::new();
    let (mut alice, answer) = world.log_on("ALICE", 1, "");
    assert_eq!(answer[0].pick(&[35, 34, 49, 56, 98, 108]), "35=A|34=1|49=RIALTO|56=ALICE|98=0|108=30");
    let (mut bob, _) = world.log_on("BOB", 1, "");

    let reports = world.send(&mut alice, "D", &order("a1", 1, "2", "100.50"));
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].pick(&STATE), "150=0|39=0|11=a1|38=2.000|44=100.50|151=2.000|14=0|6=0");
    assert_eq!(reports[0].pick(&[35, 1, 54, 55, 40, 59]), "35=8|1=2|54=1|55=BTC/USD|40=2|59=0");

    let reports = world.send(&mut bob, "D", &format!("{}|59=3", order("b1", 2, "0.5", "100")));
    assert_eq!(reports.len(), 2, "new, then filled at the better price: {reports:?}");
    assert_eq!(reports[1].pick(&STATE), "150=F|39=2|11=b1|38=0.500|44=100.00|151=0|14=0.500|6=100.5");
    assert_eq!(
        reports[1].pick(&[31, 32, 851, 136, 137, 138, 139]),
        "31=100.50|32=0.500|851=2|136=1|137=0.05025|138=USD|139=4"
    );

    let maker = world.take(&mut alice);
    assert_eq!(maker.len(), 1);
    assert_eq!(maker[0].pick(&STATE), "150=F|39=1|11=a1|38=2.000|44=100.50|151=1.500|14=0.500|6=100.5");
    assert_eq!(maker[0].pick(&[851, 136]), "851=1|136=");
    assert_ne!(maker[0].get(17), reports[1].get(17), "ExecIDs are unique");
    assert_eq!(maker[0].get(37), world.send(&mut alice, "H", "11=a1|54=1|55=BTC/USD|790=s")[0].get(37));

    let reports = world.send(&mut bob, "D", "11=b2|54=2|38=9|40=1|55=BTC/USD|60=now");
    let states: Vec<String> = reports.iter().map(|it| it.pick(&[150, 39, 151, 14, 44, 59])).collect();
    assert_eq!(states[0], "150=0|39=0|151=9.000|14=0|44=|59=3", "a market order is immediate or cancel");
    assert_eq!(states[1], "150=F|39=1|151=7.500|14=1.500|44=|59=3");
    assert_eq!(states[2], "150=4|39=4|151=0|14=1.500|44=|59=3");
    assert_eq!(world.take(&mut alice)[0].pick(&STATE[..6]), "150=F|39=2|11=a1|38=2.000|44=100.50|151=0");
}

#[test]
fn replace_and_cancel_keep_the_chain_of_ids() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let order_id = world.send(&mut alice, "D", &order("a1", 1, "2", "100"))[0].get(37).to_owned();
    let replaced = world.send(&mut alice, "G", &format!("41=a1|{}", order("a2", 1, "3", "101")));
    assert_eq!(
        replaced[0].pick(&[35, 150, 39, 11, 41, 38, 44, 151]),
        "35=8|150=5|39=0|11=a2|41=a1|38=3.000|44=101.00|151=3.000"
    );
    assert_eq!(replaced[0].get(37), order_id);
    let status = world.send(&mut alice, "H", "11=a2|54=1|55=BTC/USD|790=q7");
    assert_eq!(status[0].pick(&[35, 150, 39, 37, 790]), format!("35=8|150=I|39=0|37={order_id}|790=q7"));
    let canceled = world.send(&mut alice, "F", "41=a2|11=c1|54=1|55=BTC/USD|60=now");
    assert_eq!(canceled[0].pick(&[35, 150, 39, 11, 41, 151]), "35=8|150=4|39=4|11=c1|41=a2|151=0");
    let late = world.send(&mut alice, "F", "41=a2|11=c2|54=1|55=BTC/USD|60=now");
    assert_eq!(
        late[0].pick(&[35, 39, 11, 41, 434, 102, 37]),
        format!("35=9|39=4|11=c2|41=a2|434=1|102=0|37={order_id}")
    );

    let second = world.send(&mut alice, "D", &order("a5", 2, "1", "200"))[0].get(37).to_owned();
    let by_id = world.send(&mut alice, "F", &format!("41=NONE|37={second}|11=c3|54=2|55=BTC/USD|60=now"));
    assert_eq!(by_id[0].pick(&[150, 11, 41]), "150=4|11=c3|41=a5", "OrderID decides");
}

#[test]
fn a_cancel_that_overtakes_the_acknowledgement_waits_for_it() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let mut bytes = support::message("ALICE", 2, "D", &order("a1", 1, "2", "100"), world.now_ns);
    bytes.extend(support::message(
        "ALICE",
        3,
        "G",
        &format!("41=a1|{}", order("a2", 1, "1", "100")),
        world.now_ns,
    ));
    bytes.extend(support::message("ALICE", 4, "F", "41=a2|11=c1|54=1|55=BTC/USD|60=now", world.now_ns));
    bytes.extend(support::message("ALICE", 5, "D", &order("a3", 1, "1", "123.456"), world.now_ns));
    bytes.extend(support::message("ALICE", 6, "F", "41=a3|11=c2|54=1|55=BTC/USD|60=now", world.now_ns));
    let reports = world.send_bytes(&mut alice, &bytes);
    let summary: Vec<String> = reports.iter().map(|it| it.pick(&[35, 150, 11, 41])).collect();
    assert_eq!(
        summary,
        [
            "35=8|150=8|11=a3|41=",
            "35=9|150=|11=c2|41=a3",
            "35=8|150=0|11=a1|41=",
            "35=8|150=5|11=a2|41=a1",
            "35=8|150=4|11=c1|41=a2",
        ]
    );
}

#[test]
fn what_cannot_be_done_is_rejected_with_code_and_words() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    world.send(&mut alice, "D", &order("live", 1, "1", "100"));
    let cases: [(&str, &str, &str, &str); 17] = [
        ("D", "11=x|54=1|38=1|44=1|40=2|55=NONE|60=now", "35=8|39=8|103=1|102=", "Symbol (55)"),
        (
            "D",
            "11=x|54=1|38=1|44=1.001|40=2|55=BTC/USD|60=now",
            "35=8|39=8|103=99|102=",
            "multiple of the tick",
        ),
        (
            "D",
            "11=x|54=1|38=0.0001|44=1|40=2|55=BTC/USD|60=now",
            "35=8|39=8|103=13|102=",
            "multiple of the lot",
        ),
        ("D", "11=x|54=1|44=1|40=2|55=BTC/USD|60=now", "35=8|39=8|103=13|102=", "OrderQty (38) is missing"),
        ("D", "11=x|54=1|38=1|40=2|55=BTC/USD|60=now", "35=8|39=8|103=99|102=", "Price (44) is missing"),
        ("D", "11=x|54=5|38=1|44=1|40=2|55=BTC/USD|60=now", "35=8|39=8|103=11|102=", "Side (54)"),
        ("D", "11=x|54=1|38=1|44=1|40=9|55=BTC/USD|60=now", "35=8|39=8|103=11|102=", "OrdType (40)"),
        ("D", "11=x|54=1|38=1|44=1|40=2|59=6|55=BTC/USD|60=now", "35=8|39=8|103=11|102=", "TimeInForce (59)"),
        ("D", "11=x|1=77|54=1|38=1|44=1|40=2|55=BTC/USD|60=now", "35=8|39=8|103=15|102=", "Account (1)"),
        (
            "D",
            "11=live|54=1|38=1|44=1|40=2|55=BTC/USD|60=now",
            "35=8|39=8|103=6|102=",
            "DuplicateClientOrderId",
        ),
        (
            "D",
            "11=y|54=1|38=999999|44=999999|40=2|55=BTC/USD|60=now",
            "35=8|39=8|103=3|102=",
            "InsufficientFunds",
        ),
        (
            "D",
            "11=1234567890123456789012345678901234567|54=1|38=1|44=1|40=2|55=BTC/USD|60=now",
            "35=8|39=8|103=99|102=",
            "ClOrdID (11)",
        ),
        ("F", "41=nobody|11=z|54=1|55=BTC/USD|60=now", "35=9|39=8|103=|102=1", "no order"),
        ("F", "41=live|11=z|54=2|55=BTC/USD|60=now", "35=9|39=0|103=|102=99", "another Side"),
        (
            "G",
            "41=live|11=live2|54=1|38=1|44=9.999|40=2|55=BTC/USD|60=now",
            "35=9|39=0|103=|102=99",
            "multiple of the tick",
        ),
        (
            "G",
            "41=live|11=live3|54=1|38=999999|44=999999|40=2|55=BTC/USD|60=now",
            "35=9|39=0|103=|102=99",
            "InsufficientFunds",
        ),
        (
            "G",
            "41=live|11=live4|54=1|38=1|44=9|40=1|55=BTC/USD|60=now",
            "35=9|39=0|103=|102=99",
            "OrdType (40)",
        ),
    ];
    for (kind, fields, expected, text) in cases {
        let reports = world.send(&mut alice, kind, fields);
        assert_eq!(reports.len(), 1, "{fields}: {reports:?}");
        assert_eq!(reports[0].pick(&[35, 39, 103, 102]), expected, "{fields}");
        assert!(reports[0].get(58).contains(text), "{fields}: {}", reports[0].get(58));
    }
    let unknown = world.send(&mut alice, "H", "11=nobody|54=1|55=BTC/USD");
    assert_eq!(unknown[0].pick(&[35, 150, 39, 103]), "35=8|150=I|39=8|103=5");
    let status = world.send(&mut alice, "H", "11=live|54=1|55=BTC/USD");
    assert_eq!(status[0].pick(&[150, 39, 38, 44]), "150=I|39=0|38=1.000|44=100.00", "nothing has changed it");
}

#[test]
fn the_end_of_the_day_expires_day_orders_and_self_trades_are_prevented() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    world.send(&mut alice, "D", &order("day", 1, "1", "100"));
    world.send(&mut alice, "D", &format!("{}|59=1", order("gtc", 1, "1", "99")));
    let prevented = world.send(&mut alice, "D", &order("self", 2, "1", "100"));
    assert_eq!(prevented[1].pick(&[150, 39, 11, 58]), "150=4|39=4|11=self|58=SelfTrade");
    let allowed = world.send(&mut alice, "D", &format!("{}|2964=0", order("both", 2, "0.4", "100")));
    let trades: Vec<String> = allowed.iter().map(|it| it.pick(&[150, 11])).collect();
    assert_eq!(trades, ["150=0|11=both", "150=F|11=both", "150=F|11=day"], "{allowed:?}");
    assert_ne!(allowed[1].get(17), allowed[2].get(17), "one session, two executions");
    world.operate(&protocol::EndDay { instrument: 1, reserved: 0 });
    world.settle();
    let expired = world.take(&mut alice);
    assert_eq!(expired.len(), 1);
    assert_eq!(expired[0].pick(&[150, 39, 11, 14, 151]), "150=C|39=C|11=day|14=0.400|151=0");
}

#[test]
fn a_full_ring_delays_and_loses_nothing() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    world.port.room = 1;
    let mut bytes = Vec::new();
    for sequence in 2..12 {
        let fields = order(&format!("a{sequence}"), 1, "1", "100");
        bytes.extend(support::message("ALICE", sequence, "D", &fields, world.now_ns));
    }
    world.gateway.input(alice.link).extend_from_slice(&bytes);
    world.gateway.receive(alice.link, world.now_ns, &mut world.port).unwrap();
    assert!(world.gateway.is_stalled(alice.link), "no more is read from the socket");
    assert_eq!(world.port.queue.len(), 1);
    let mut reports = Vec::new();
    for _ in 0..10 {
        world.settle();
        reports.extend(world.take(&mut alice));
    }
    let ids: Vec<&str> = reports.iter().map(|it| it.get(11)).collect();
    assert_eq!(ids, ["a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "a10", "a11"]);
    assert!(!world.gateway.is_stalled(alice.link));
}

#[test]
fn while_the_disk_is_full_new_business_is_refused_by_name_and_cancels_are_taken() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    world.send(&mut alice, "D", &order("live", 1, "2", "100"));
    world.port.disk_full = true;
    let refused = world.send(&mut alice, "D", &order("new", 1, "2", "100"));
    assert_eq!(refused[0].pick(&[35, 150, 39, 11, 103]), "35=8|150=8|39=8|11=new|103=99");
    assert!(refused[0].get(58).contains("disk is full"), "{refused:?}");
    let replace = "41=live|11=more|54=1|38=3|44=100|40=2|55=BTC/USD|60=now";
    let refused = world.send(&mut alice, "G", replace);
    assert_eq!(refused[0].pick(&[35, 39, 434, 102]), "35=9|39=0|434=2|102=99");
    let cancelled = world.send(&mut alice, "F", "41=live|11=gone|54=1|55=BTC/USD|60=now");
    assert_eq!(cancelled[0].pick(&[35, 150, 39]), "35=8|150=4|39=4");
    world.port.disk_full = false;
    let taken = world.send(&mut alice, "D", &order("again", 1, "2", "100"));
    assert_eq!(taken[0].pick(&[35, 150, 39]), "35=8|150=0|39=0");
}

/// A client that went on sending to an exchange whose disk was full had each refusal appended to the session store, until the
/// reserve was used up and the gateway ended with "No space left on device".
#[test]
fn before_the_disk_has_no_room_for_answers_clients_have_to_wait() {
    let mut world = World::with_config(|config| config.limits.free_bytes = u64::MAX);
    world.port.disk_full = true;
    let (mut alice, answers) = world.log_on("ALICE", 1, "");
    assert_eq!(answers[0].get(35), "A", "who is there may log on");
    world.wait(&mut alice, 1);
    let notes = world.gateway.take_notes();
    assert!(notes.iter().any(|note| note.contains("clients have to wait")), "{notes:?}");
    let before = world.gateway.store().file_bytes();
    for index in 0..100 {
        assert!(world.send(&mut alice, "D", &order(&format!("a{index}"), 1, "2", "100")).is_empty());
    }
    assert!(world.gateway.is_stalled(alice.link), "no more is read from the socket");
    assert_eq!(world.gateway.store().file_bytes(), before);
    // There is room again: what was sent is still there to be answered.
    world.config.limits.free_bytes = 0;
    world.kill_and_restart(false);
    let (mut alice, _) = world.log_on("ALICE", 2, "");
    let refused = world.send(&mut alice, "D", &order("a0", 1, "2", "100"));
    assert_eq!(refused[0].pick(&[35, 150, 39, 11, 103]), "35=8|150=8|39=8|11=a0|103=99");
}

/// The life of orders in every version; all that we send must be right by the version's own dictionary.
#[test]
fn every_version_gets_reports_that_its_dictionary_accepts() {
    use gateway::dictionary::{Checker, Switches};
    use gateway::fix::{FieldIndex, Version};

    for version in Version::ALL {
        let mut world = World::new();
        let application = String::from_utf8(version.application_id().to_vec()).unwrap();
        let more = if version.is_fixt() { format!("1137={application}|") } else { String::new() };
        let (mut alice, mut all) = world.log_on_as(version, "ALICE", 1, &more);
        let old = version < Version::Fix44;
        let timed = if version < Version::Fix42 { "" } else { "|60=now" };
        let handled = if old { "|21=1" } else { "" };
        let quantity = if version == Version::Fix40 { "|38=1|125=F" } else { "" };
        let order = |id: &str, side: u8, quantity: &str| {
            format!("11={id}|54={side}|38={quantity}|44=100|40=2|55=BTC/USD{timed}{handled}")
        };
        let mut send = |kind: &str, fields: &str| {
            let answer = world.send(&mut alice, kind, fields);
            assert!(!answer.is_empty(), "{version:?} {kind} {fields}");
            let application = answer.iter().all(|it| matches!(it.get(35), "8" | "9"));
            assert!(application, "{version:?} {kind} {fields}: {answer:?}");
            all.extend(answer);
        };
        send("D", &order("a1", 1, "3"));
        send("D", &order("a2", 1, "0"));
        send("D", &order("a1", 1, "1"));
        send("D", &order("poor", 1, "9999999"));
        send("G", &format!("41=a1|{}", order("a3", 1, "2")));
        send("H", &format!("11=a3|54=1|55=BTC/USD{}", if old { "" } else { "|790=q" }));
        send("H", "11=none|54=1|55=BTC/USD");
        send("F", &format!("41=none|11=c0|54=1|55=BTC/USD{timed}{quantity}"));
        send("F", &format!("41=a3|11=c1|54=1|55=BTC/USD{timed}{quantity}"));
        send("F", &format!("41=a3|11=c2|54=1|55=BTC/USD{timed}{quantity}"));
        send("G", &format!("41=a3|{}", order("a9", 1, "1")));
        send("D", &order("b1", 2, "2"));
        let (mut bob, _) = world.log_on("BOB", 1, "");
        world.send(&mut bob, "D", &support::order("x1", 1, "1", "100"));
        all.extend(world.take(&mut alice));
        let trade = all.last().unwrap();
        assert_eq!(trade.pick(&[35, 39]), "35=8|39=1", "{version:?}");
        let expected = match version {
            Version::Fix40 => "150=|20=0",
            Version::Fix41 | Version::Fix42 => "150=1|20=0",
            _ => "150=F|20=",
        };
        assert_eq!(trade.pick(&[150, 20]), expected, "{version:?}");
        let checker = Checker::new(version);
        for message in all {
            let bytes = message.0.replace('|', "\x01");
            let mut index = FieldIndex::new();
            let parsed = index.parse(bytes.as_bytes()).unwrap();
            let problem = checker.check(&parsed, &Switches::default());
            assert_eq!(problem, None, "{version:?} {message:?}");
        }
    }
}

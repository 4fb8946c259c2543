//! The session layer, message by message, and what survives: drops, kills, resends.

mod support;

use support::{Received, World, message, order};

fn types(messages: &[Received]) -> Vec<String> {
    messages.iter().map(|it| it.pick(&[35, 34])).collect()
}

#[test]
fn a_stranger_gets_no_answer_and_a_client_a_reason() {
    let refused = |kind: &str, from: &str, fields: &str| {
        let mut world = World::new();
        let mut client = world.connect(from);
        let answer = world.send(&mut client, kind, fields);
        assert!(client.closed.is_some(), "{fields}");
        assert_eq!(world.gateway.counters().refused_logons, 1, "{fields}");
        assert!(answer.iter().all(|it| !it.0.contains("secret")));
        assert!(answer.len() <= 1);
        answer.first().map_or(String::new(), |it| {
            assert_eq!(it.pick(&[35, 49, 56]), format!("35=5|49=RIALTO|56={from}"));
            it.get(58).to_owned()
        })
    };
    assert_eq!(refused("A", "MALLORY", "98=0|108=30|553=alice|554=ALICE-secret"), "");
    assert_eq!(refused("0", "ALICE", ""), "");
    let wrong = refused("A", "ALICE", "98=0|108=30|553=alice|554=wrong");
    assert_eq!(refused("A", "ALICE", "98=0|108=30|553=alice|554="), wrong);
    assert!(wrong.contains("Password"));
    for credentials in ["553=bob|554=ALICE-secret", "553=alice", "554=ALICE-secret", "553=bob|554=BOB-secret"]
    {
        assert_eq!(refused("A", "ALICE", &format!("98=0|108=30|{credentials}")), wrong, "the same words");
    }
    let with = |fields: &str| refused("A", "ALICE", &format!("{fields}|553=alice|554=ALICE-secret"));
    assert_eq!(with("98=1|108=30"), "EncryptMethod (98) must be 0: none");
    assert!(with("98=0|108=-1").contains("HeartBtInt"));
    assert!(with("98=0|108=999999").contains("HeartBtInt"));
    assert_eq!(with("98=0"), "Required tag missing (108)");
    assert_eq!(with("98=0|108=30|55=X"), "Tag not defined for this message type (55)");
}

#[test]
fn garbage_and_oversized_messages_end_or_resynchronise_and_lose_nothing() {
    let mut world = World::new();
    let mut stranger = world.connect("X");
    assert!(world.send_bytes(&mut stranger, b"GET / HTTP/1.1\r\n\r\n").is_empty());
    assert!(stranger.closed.unwrap().contains("no FIX message"));

    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let mut bytes = b"\x00\xff garbage 8=FI".to_vec();
    bytes.extend(message("ALICE", 2, "1", "112=still here", world.now_ns));
    assert_eq!(world.send_bytes(&mut alice, &bytes)[0].pick(&[35, 112]), "35=0|112=still here");
    let mut damaged = message("ALICE", 3, "D", &order("a1", 1, "1", "100"), world.now_ns);
    let at = damaged.len() - 20;
    damaged[at] ^= 1;
    damaged.extend(message("ALICE", 4, "D", &order("a2", 1, "1", "100"), world.now_ns));
    let asked = world.send_bytes(&mut alice, &damaged);
    assert_eq!(asked[0].pick(&[35, 7, 16]), "35=2|7=3|16=0", "the damaged one is asked for");
    let again = message("ALICE", 3, "D", &order("a1", 1, "1", "100"), world.now_ns);
    let reports = world.send_bytes(&mut alice, &again);
    assert_eq!(reports.iter().map(|it| it.get(11)).collect::<Vec<_>>(), ["a1", "a2"], "the other was kept");
    let huge = world.send_bytes(&mut alice, b"8=FIX.4.4\x019=100000\x0135=D\x01");
    assert_eq!(huge[0].pick(&[35, 58]), "35=5|58=message longer than 8192 bytes");
    assert!(alice.closed.is_some());
    assert_eq!(world.gateway.orders().len(), 2);
}

#[test]
fn silence_is_answered_by_a_test_request_and_then_the_end() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    assert!(world.wait(&mut alice, 29).is_empty());
    assert_eq!(types(&world.wait(&mut alice, 1)), ["35=0|34=2"]);
    assert_eq!(world.wait(&mut alice, 7)[0].pick(&[35, 112]), "35=1|112=TEST");
    assert!(world.send(&mut alice, "0", "112=TEST").is_empty());
    assert!(world.wait(&mut alice, 35).iter().any(|it| it.get(35) == "0" || it.get(35) == "1"));
    assert!(world.wait(&mut alice, 40).is_empty());
    assert_eq!(alice.closed, Some("no answer to TestRequest"));
    let mut silent = world.connect("BOB");
    world.wait(&mut silent, 11);
    assert_eq!(silent.closed, Some("no Logon in time"));
}

#[test]
fn missed_reports_come_back_by_resend_request() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let (mut bob, _) = world.log_on("BOB", 1, "");
    world.send(&mut alice, "D", &order("a1", 1, "2", "100"));
    world.drop_link(&mut alice);
    for id in ["b1", "b2"] {
        world.send(&mut bob, "D", &order(id, 2, "0.5", "100"));
    }
    let (mut alice, answer) = world.log_on("ALICE", 3, "");
    assert_eq!(types(&answer), ["35=A|34=5"], "3 and 4 went nowhere");
    let resent = world.send(&mut alice, "2", "7=1|16=0");
    let all: Vec<String> = resent.iter().map(|it| it.pick(&[35, 34, 43, 36, 150, 14])).collect();
    assert_eq!(
        all,
        [
            "35=4|34=1|43=Y|36=2|150=|14=",
            "35=8|34=2|43=Y|36=|150=0|14=0",
            "35=8|34=3|43=Y|36=|150=F|14=0.500",
            "35=8|34=4|43=Y|36=|150=F|14=1.000",
            "35=4|34=5|43=Y|36=6|150=|14=",
        ]
    );
    assert!(!resent[1].get(122).is_empty() && resent[1].get(52) >= resent[1].get(122));
    let part = world.send(&mut alice, "2", "7=3|16=3");
    assert_eq!(types(&part), ["35=8|34=3"]);
    assert_eq!(world.send(&mut alice, "2", "7=0|16=0")[0].pick(&[35, 371, 373]), "35=3|371=7|373=5");
}

#[test]
fn numbers_messages_and_orders_survive_a_killed_process() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let order_id = world.send(&mut alice, "D", &order("a1", 1, "2", "100"))[0].get(37).to_owned();
    world.kill_and_restart(false);
    let (mut bob, answer) = world.log_on("BOB", 1, "");
    assert_eq!(types(&answer), ["35=A|34=1"]);
    world.send(&mut bob, "D", &order("b1", 2, "0.5", "100"));
    let (mut alice, answer) = world.log_on("ALICE", 3, "");
    assert_eq!(types(&answer), ["35=A|34=4"]);
    let resent = world.send(&mut alice, "2", "7=2|16=0");
    let all: Vec<String> = resent.iter().map(|it| it.pick(&[35, 34, 37, 150])).collect();
    let expected = ["35=8|34=2|37=ID|150=0", "35=8|34=3|37=ID|150=F", "35=4|34=4|37=|150="];
    assert_eq!(all, expected.map(|it| it.replace("ID", &order_id)));
    let canceled = world.send(&mut alice, "F", "41=a1|11=c1|54=1|55=BTC/USD|60=now");
    assert_eq!(canceled[0].pick(&[150, 37, 14]), format!("150=4|37={order_id}|14=0.500"));
}

/// The process dies between the command and its report. The client's order is asked for again; it had its effect, and
/// must not have it twice. Where the command had not reached the journal, it must have it now.
#[test]
fn an_unacknowledged_order_has_its_effect_exactly_once() {
    for reached_the_journal in [true, false] {
        let mut world = World::new();
        let (alice, _) = world.log_on("ALICE", 1, "");
        let bytes = message("ALICE", 2, "D", &order("a1", 1, "2", "100"), world.now_ns);
        world.gateway.input(alice.link).extend_from_slice(&bytes);
        world.gateway.receive(alice.link, world.now_ns, &mut world.port).unwrap();
        assert!(world.gateway.commit().unwrap());
        assert_eq!(world.port.queue.len(), 1);
        world.kill_and_restart(reached_the_journal);
        let (mut alice, answer) = world.log_on("ALICE", 3, "");
        let next = if reached_the_journal { 3 } else { 2 };
        assert_eq!(
            answer[0].pick(&[35, 34]),
            format!("35=A|34={next}"),
            "the report took a number, if there is one"
        );
        assert_eq!(answer[1].pick(&[35, 7, 16]), "35=2|7=2|16=0");
        let fields = format!("43=Y|122=now|{}", order("a1", 1, "2", "100"));
        let again = message("ALICE", 2, "D", &fields, world.now_ns);
        let reports = world.send_bytes(&mut alice, &again);
        assert_eq!(reports.len(), usize::from(!reached_the_journal), "{reports:?}");
        let gap_fill = message("ALICE", 3, "4", "43=Y|122=now|36=4|123=Y", world.now_ns);
        assert!(world.send_bytes(&mut alice, &gap_fill).is_empty());
        let missed = world.send(&mut alice, "2", "7=2|16=2");
        let expected = if reached_the_journal { "35=8|150=0|11=a1" } else { "35=4|150=|11=" };
        assert_eq!(missed[0].pick(&[35, 150, 11]), expected);
        assert_eq!(world.gateway.orders().len(), 1, "one order, not two");
    }
}

/// More than 64 cancels of orders that had no acknowledgement yet were rejected: a fast client lost cancels because the exchange was
/// slow. Now they wait, as everything does that comes faster than it can be dealt with.
#[test]
fn cancels_that_overtake_their_order_wait_however_many_they_are() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let mut bytes = message("ALICE", 2, "D", &order("a1", 1, "2", "100"), world.now_ns);
    for number in 0..200 {
        let fields = format!("41=a1|11=c{number}|54=1|55=BTC/USD|60=now");
        bytes.extend(message("ALICE", 3 + number, "F", &fields, world.now_ns));
    }
    world.gateway.input(alice.link).extend_from_slice(&bytes);
    world.gateway.receive(alice.link, world.now_ns, &mut world.port).unwrap();
    assert!(world.gateway.is_stalled(alice.link), "the socket is not read meanwhile");
    assert!(world.gateway.commit().unwrap());
    assert!(world.take(&mut alice).is_empty(), "nothing is rejected before the order has its answer");
    world.settle();
    world.settle();
    let reports = world.take(&mut alice);
    assert_eq!(reports.len(), 201, "each has its answer");
    assert_eq!(reports[1].pick(&[35, 150, 11]), "35=8|150=4|11=c0", "the first cancels the order");
    assert!(reports[2..].iter().all(|report| report.get(35) == "9"), "the others find it cancelled");
    assert!(!world.gateway.is_stalled(alice.link));
}

/// A gap in front of the acknowledged part must not be jumped over by a restart: the second order was answered, the
/// first (parked behind an unanswered one) was not.
#[test]
fn only_what_had_its_effect_counts_as_received_after_a_restart() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let mut bytes = message("ALICE", 2, "D", &order("a1", 1, "2", "100"), world.now_ns);
    bytes.extend(message("ALICE", 3, "F", "41=a1|11=c1|54=1|55=BTC/USD|60=now", world.now_ns));
    bytes.extend(message("ALICE", 4, "D", "11=bad|54=1|38=1|44=1|40=2|55=NONE|60=now", world.now_ns));
    world.gateway.input(alice.link).extend_from_slice(&bytes);
    world.gateway.receive(alice.link, world.now_ns, &mut world.port).unwrap();
    assert!(world.gateway.commit().unwrap());
    assert_eq!(world.take(&mut alice).len(), 1, "the bad one was rejected at once");
    world.kill_and_restart(true);
    let (mut alice, answer) = world.log_on("ALICE", 5, "");
    assert_eq!(answer[1].pick(&[35, 7]), "35=2|7=2");
    let duplicate = format!("43=Y|122=now|{}", order("a1", 1, "2", "100"));
    let again = message("ALICE", 2, "D", &duplicate, world.now_ns);
    assert!(world.send_bytes(&mut alice, &again).is_empty(), "it has its effect already");
    let cancel = message("ALICE", 3, "F", "43=Y|122=now|41=a1|11=c1|54=1|55=BTC/USD|60=now", world.now_ns);
    assert_eq!(world.send_bytes(&mut alice, &cancel)[0].pick(&[150, 11]), "150=4|11=c1", "this one was lost");
}

#[test]
fn kills_at_any_moment_keep_numbers_and_reports_in_step() {
    for kill_after in 0..12 {
        let mut world = World::new();
        let (mut alice, first) = world.log_on("ALICE", 1, "");
        let mut seen = first;
        for step in 0..kill_after {
            seen.extend(world.send(&mut alice, "D", &order(&format!("a{step}"), 1, "1", "100")));
        }
        let fields = order("last", 1, "1", "100");
        let last = message("ALICE", alice.next_out, "D", &fields, world.now_ns);
        world.gateway.input(alice.link).extend_from_slice(&last);
        world.gateway.receive(alice.link, world.now_ns, &mut world.port).unwrap();
        world.run_exchange(true);
        world.kill_and_restart(true);
        let acknowledged = seen.iter().filter(|it| it.get(150) == "0").count();
        let (mut alice, _) = world.log_on("ALICE", 100, "");
        let resent = world.send(&mut alice, "2", "7=1|16=0");
        let reports: Vec<&Received> = resent.iter().filter(|it| it.get(35) == "8").collect();
        assert_eq!(reports.len(), acknowledged + 1, "every order once, the one in the air too");
        for (before, after) in seen.iter().filter(|it| it.get(35) == "8").zip(&reports) {
            assert_eq!(
                before.pick(&[34, 37, 17, 11]),
                after.pick(&[34, 37, 17, 11]),
                "same number, same report"
            );
        }
    }
}

/// A session store that was kept while the journal was replaced by a new one: every report up to the old sequence would
/// be taken for written.
#[test]
fn a_store_that_is_ahead_of_the_journal_is_refused() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    world.send(&mut alice, "D", &order("a1", 1, "2", "100"));
    let mut gateway = gateway::Gateway::open(world.config.clone()).unwrap();
    let error = gateway.finish_recovery().unwrap_err();
    assert!(matches!(error, gateway::GatewayError::AheadOfJournal { stored: 10, journal: 0, .. }), "{error}");
}

#[test]
fn resetting_starts_both_sides_at_one() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    world.send(&mut alice, "D", &order("a1", 1, "2", "100"));
    alice.next_out = 1;
    let answer = world.send(&mut alice, "A", "98=0|108=30|141=Y");
    assert_eq!(answer[0].pick(&[35, 34, 141]), "35=A|34=1|141=Y");
    assert_eq!(types(&world.send(&mut alice, "1", "112=x")), ["35=0|34=2"]);
    world.drop_link(&mut alice);
    world.kill_and_restart(true);
    let (_, answer) = world.log_on("ALICE", 3, "");
    assert_eq!(types(&answer), ["35=A|34=3"]);
    let (mut bob, answer) = world.log_on("BOB", 7, "");
    assert_eq!(types(&answer), ["35=A|34=1", "35=2|34=2"], "a gap on logon is asked for");
    world.drop_link(&mut bob);
    let (_, answer) = world.log_on("BOB", 1, "141=Y|");
    assert_eq!(types(&answer), ["35=A|34=1"]);
}

#[test]
fn bad_fields_get_a_session_reject_that_names_them() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let cases = [
        ("D", "54=1|38=1|44=1|40=2|55=BTC/USD|60=now", "371=11|372=D|373=1"),
        ("D", "11=x|54=1|38=1|44=1|40=2|55=BTC/USD", "371=60|372=D|373=1"),
        ("D", "11=x|54=Z|38=1|44=1|40=2|55=BTC/USD|60=now", "371=54|372=D|373=5"),
        ("D", "11=x|54=1|38=+1|44=1|40=2|55=BTC/USD|60=now", "371=38|372=D|373=6"),
        ("D", "11=x|54=1|38=1|44=1e3|40=2|55=BTC/USD|60=now", "371=44|372=D|373=6"),
        ("D", "11=x|54=1|38=1|44=1|40=2|55=BTC/USD|60=today", "371=60|372=D|373=6"),
        ("D", "11=x|54=1|54=2|38=1|44=1|40=2|55=BTC/USD|60=now", "371=54|372=D|373=13"),
        ("D", "11=|54=1|38=1|44=1|40=2|55=BTC/USD|60=now", "371=11|372=D|373=4"),
        ("D", "11=x|999=1|54=1|38=1|44=1|40=2|55=BTC/USD|60=now", "371=999|372=D|373=0"),
        ("D", "11=x|50=late|54=1|38=1|44=1|40=2|55=BTC/USD|60=now", "371=50|372=D|373=14"),
        ("F", "11=x|54=1|55=BTC/USD|60=now", "371=41|372=F|373=1"),
        ("?", "", "371=|372=?|373=11"),
    ];
    for (kind, fields, expected) in cases {
        let answer = world.send(&mut alice, kind, fields);
        assert_eq!(answer.len(), 1, "{fields}");
        assert_eq!(answer[0].pick(&[35, 45]), format!("35=3|45={}", alice.next_out - 1));
        assert_eq!(answer[0].pick(&[371, 372, 373]), expected, "{fields}");
    }
    let quote = world.send(&mut alice, "Z", "117=quote|298=4");
    assert_eq!(quote[0].pick(&[35, 372, 380]), "35=j|372=Z|380=3");
    assert_eq!(types(&world.send(&mut alice, "1", "112=x")), ["35=0|34=15"], "numbers go on");
}

#[test]
fn shutdown_says_goodbye_and_waits_for_the_answer() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let (mut bob, _) = world.log_on("BOB", 1, "");
    world.gateway.begin_shutdown("closing for the day", world.now_ns);
    assert_eq!(world.take(&mut alice)[0].pick(&[35, 58]), "35=5|58=closing for the day");
    assert!(world.send(&mut alice, "5", "").is_empty());
    assert_eq!(alice.closed, Some("logged out"));
    assert!(!world.gateway.is_drained());
    world.wait(&mut bob, 3);
    assert_eq!(bob.closed, Some("Logout not answered"));
    assert!(world.gateway.is_drained());
    assert!(world.gateway.connect(support::ADDRESS, world.now_ns).is_none());
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_gets_everything_later() {
    let mut world = World::with_config(|config| config.limits.output_bytes = 40_000);
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let mut sent = 0;
    while world.gateway.closing(alice.link).is_none() {
        let fields = order(&format!("a{sent}"), 1, "1", "100");
        let bytes = message("ALICE", sent + 2, "D", &fields, world.now_ns);
        world.gateway.input(alice.link).extend_from_slice(&bytes);
        world.settle();
        sent += 1;
        assert!(sent < 1000, "the output must not grow without bound");
    }
    assert_eq!(world.gateway.counters().slow_consumers, 1);
    world.take(&mut alice);
    let (mut alice, _) = world.log_on("ALICE", sent + 2, "");
    let mut reports = world.send(&mut alice, "2", "7=1|16=0");
    assert!((reports.len() as u64) < sent, "a long resend comes in parts");
    for _ in 0..20 {
        world.settle();
        reports.extend(world.take(&mut alice));
    }
    reports.retain(|it| it.get(35) == "8");
    assert_eq!(reports.len() as u64, sent);
}

//! Drop copies: a firm's executions on a session of its own, as they happen and again from any place in the journal.

mod support;

use gateway::access::{Permissions, ThrottleLimits};
use gateway::dictionary::{Checker, Switches};
use gateway::fix::{FieldIndex, Precision, Version};
use support::{Client, Received, World, order, user};

/// ALICE and BOB of one firm, CAROL of another, DROP with a copy of the first firm's executions.
fn world() -> World {
    world_at(Precision::default())
}

/// The same where ALICE and DROP are sent times of this precision.
fn world_at(precision: Precision) -> World {
    World::with_config(|config| {
        for firm in ["F1", "F2"] {
            config.firms.insert(firm.to_owned(), ThrottleLimits::default());
        }
        let (mut drop, mut carol) = (user("DROP", 0), user("CAROL", 4));
        drop.access.permissions = Permissions::DROP_COPY;
        carol.access.firm = Some("F2".to_owned());
        for user in config.users.iter_mut().chain([&mut drop]) {
            user.access.firm = Some("F1".to_owned());
        }
        drop.session.precision = precision;
        config.users[0].session.precision = precision;
        config.users.extend([drop, carol]);
    })
}

fn log_on(world: &mut World, version: Version, name: &str, next_out: u64) -> Client {
    let application = String::from_utf8(version.application_id().to_vec()).unwrap();
    let more = if version.is_fixt() { format!("1137={application}|") } else { String::new() };
    let (client, answer) = world.log_on_as(version, name, next_out, &more);
    assert_eq!(answer[0].get(35), "A", "{answer:?}");
    client
}

/// ALICE trades with BOB, is refused an order that she cannot pay, and cancels what is left.
fn trade(world: &mut World, round: u64) -> Vec<Received> {
    let next_out = 1 + round * 100;
    let mut alice = world.log_on_beyond(Version::Fix44, "ALICE", next_out, "").0;
    let mut bob = world.log_on_beyond(Version::Fix42, "BOB", next_out, "").0;
    let mut all = world.send(&mut alice, "D", &order(&format!("a{round}"), 1, "2", "100"));
    all.extend(world.send(&mut bob, "D", &format!("{}|21=1", order(&format!("b{round}"), 2, "1", "100"))));
    all.extend(world.send(&mut alice, "D", &order(&format!("x{round}"), 1, "99999", "100")));
    all.extend(world.send(&mut alice, "F", &format!("41=a{round}|11=c{round}|54=1|55=BTC/USD|60=now")));
    all.extend(world.take(&mut alice));
    all.retain(|it| it.get(35) == "8");
    world.drop_link(&mut alice);
    world.drop_link(&mut bob);
    all
}

fn check_dictionary(version: Version, messages: &[Received]) {
    for message in messages {
        let bytes = message.0.replace('|', "\x01");
        let mut index = FieldIndex::new();
        let parsed = index.parse(bytes.as_bytes()).unwrap();
        let problem = Checker::new(version).check(&parsed, &Switches::default());
        assert_eq!(problem, None, "{version:?} {message:?}");
    }
}

#[test]
fn a_firms_executions_are_copied_with_whose_they_are() {
    for version in Version::ALL {
        let mut world = world();
        let mut drop = log_on(&mut world, version, "DROP", 1);
        let mut carol = log_on(&mut world, Version::Fix44, "CAROL", 1);
        let originals = trade(&mut world, 0);
        world.send(&mut carol, "D", &order("poor", 1, "1", "100"));
        let copies = world.take(&mut drop);
        check_dictionary(version, &copies);
        let ids = |messages: &[Received]| {
            let mut ids: Vec<String> = messages.iter().map(|it| it.get(17).to_owned()).collect();
            ids.sort();
            ids
        };
        assert_eq!(copies.len(), 6, "two new, two sides of a trade, a reject, a cancel: {copies:?}");
        if version > Version::Fix40 {
            assert_eq!(ids(&copies), ids(&originals), "the same executions");
        }
        for copy in &copies {
            let (owner, account) = if copy.get(11).starts_with('b') { ("BOB", "3") } else { ("ALICE", "2") };
            assert_eq!(copy.pick(&[35, 56]), "35=8|56=DROP");
            if version < Version::Fix43 {
                assert_eq!(copy.get(109), owner);
            } else {
                let firm_and_owner = format!("448=F1|447=D|452=1|448={owner}|447=D|452=11|");
                let parties = if version == Version::Fix43 {
                    format!("453=2|{firm_and_owner}")
                } else {
                    format!("453=3|{firm_and_owner}448={account}|447=D|452=24|")
                };
                assert!(copy.0.contains(&parties), "{copy:?}");
            }
            assert_eq!(copy.get(797), if version < Version::Fix44 { "" } else { "Y" });
            let sequence = copy.get(17).split('-').next().unwrap();
            if version >= Version::Fix42 {
                assert_eq!(copy.pick(&[1180, 1181, 1352]), format!("1180=F1|1181={sequence}|1352="));
            }
        }
        let original = originals.iter().find(|it| it.get(150) == "F" && it.get(11) == "a0").unwrap();
        if version == Version::Fix44 {
            let copy = copies.iter().find(|it| it.get(17) == original.get(17)).unwrap();
            let from = copy.0.find("|1=2|").unwrap();
            let to = copy.0.find("|453=").unwrap();
            assert!(original.0.contains(&copy.0[from..to]), "all of the original: {copy:?} {original:?}");
        }
    }
}

/// What the dropped session missed it gets by ResendRequest like any other, made again as copies.
#[test]
fn copies_come_again_by_resend_request_over_a_kill() {
    let mut world = world();
    let mut drop = log_on(&mut world, Version::Fix44, "DROP", 1);
    trade(&mut world, 0);
    let seen = world.take(&mut drop);
    world.kill_and_restart(true);
    trade(&mut world, 1);
    let mut drop = log_on(&mut world, Version::Fix44, "DROP", 2);
    let mut again = world.send(&mut drop, "2", "7=1|16=0");
    again.retain(|it| it.get(35) == "8");
    assert_eq!(again.len(), 12);
    for (first, second) in seen.iter().zip(&again) {
        let rest = |it: &Received| it.0[it.0.find("|1=").unwrap()..it.0.rfind("10=").unwrap()].to_owned();
        assert_eq!(rest(second), rest(first));
        assert_eq!(second.pick(&[43, 122]), format!("43=Y|122={}", first.get(52)));
    }
    assert_eq!(world.gateway.store().messages_made_differently(), 0);
}

#[test]
fn executions_are_replayed_from_any_sequence() {
    for version in [Version::Fix42, Version::Fix43, Version::Fix44, Version::Fix50Sp1, Version::Fix50Sp2] {
        let mut world = world();
        (0..3).for_each(|round| drop(trade(&mut world, round)));
        let mut session = log_on(&mut world, version, "DROP", 1);
        let group = |more: &str| format!("1346=q1|1347=0|1351=1|1355=F1|{more}");
        let all = world.send(&mut session, "BW", &group("1182=1|1183=0"));
        check_dictionary(version, &all);
        assert_eq!(all[0].pick(&[35, 1346, 1347, 1348]), "35=BX|1346=q1|1347=0|1348=0", "{version:?}");
        let last = all.last().unwrap();
        let complete = if version == Version::Fix50Sp1 { 1 } else { 3 };
        assert_eq!(
            last.pick(&[35, 1426, 1355, 1357]),
            format!("35=BY|1426={complete}|1355=F1|1357={}", world.sequence)
        );
        let copies = &all[1..all.len() - 1];
        assert_eq!(copies.len(), 18, "{version:?}");
        assert!(copies.iter().all(|it| it.pick(&[35, 1180, 1352]) == "35=8|1180=F1|1352=Y"));
        let sequences: Vec<u64> = copies.iter().map(|it| it.get(1181).parse().unwrap()).collect();
        assert!(sequences.is_sorted());
        // A replayed reject said that a limit order had been a market order for the day: its event does not tell.
        let reject = copies.iter().find(|it| it.get(150) == "8").expect("an order without money");
        assert_eq!(reject.pick(&[39, 40, 44, 54, 59]), "39=8|40=|44=|54=7|59=", "{version:?}");

        let from = sequences[10];
        let part = world.send(&mut session, "BW", &group(&format!("1182={from}|1183={}", sequences[14])));
        let found: Vec<u64> =
            part.iter().filter(|it| it.get(35) == "8").map(|it| it.get(1181).parse().unwrap()).collect();
        let expected: Vec<u64> =
            sequences.iter().copied().filter(|it| (from..=sequences[14]).contains(it)).collect();
        assert_eq!(found, expected);

        // What was replayed are messages like others.
        world.kill_and_restart(true);
        let mut session = log_on(&mut world, version, "DROP", 4);
        let mut again = world.send(&mut session, "2", "7=1|16=0");
        again.retain(|it| it.get(35) == "8" && it.get(1352) == "Y");
        assert_eq!(again.len(), 18 + found.len());
        assert_eq!(world.gateway.store().messages_made_differently(), 0);
    }
}

#[test]
fn what_cannot_be_replayed_is_refused_by_name() {
    let mut world = world();
    trade(&mut world, 0);
    let mut session = log_on(&mut world, Version::Fix50Sp2, "DROP", 1);
    let mut ask = |fields: &str| {
        let answer = world.send(&mut session, "BW", fields);
        assert_eq!(answer.len(), 1, "{answer:?}");
        answer[0].pick(&[35, 1348])
    };
    assert_eq!(ask("1346=q|1347=0|1351=1|1355=F2|1182=1|1183=0"), "35=BX|1348=1");
    assert_eq!(ask("1346=q|1347=1|1351=1|1355=F1"), "35=BX|1348=2", "no subscriptions: it is one");
    assert_eq!(ask("1346=q|1347=0|1351=1|1355=F1|1182=5|1183=3"), "35=BX|1348=2");
    assert_eq!(ask("1346=q|1347=0|1351=1|1355=F1|1182=1|1183=99999"), "35=BX|1348=2");
    assert_eq!(ask("1346=q|1347=2"), "35=BX|1348=0", "the last sequence");
    let mut alice = world.log_on_beyond(Version::Fix50Sp2, "ALICE", 500, "1137=9|").0;
    let refused = world.send(&mut alice, "BW", "1346=q|1347=0");
    assert_eq!(refused[0].pick(&[35, 380]), "35=j|380=6", "{refused:?}");
    let mut session = log_on(&mut world, Version::Fix44, "CAROL", 1);
    let refused = world.send(&mut session, "BW", "1346=q|1347=0");
    assert_eq!(refused[0].pick(&[35, 380]), "35=j|380=6");
    let refused = world.send(&mut session, "D", "11=x|54=1|38=1|44=1|40=2|55=BTC/USD|60=now");
    assert_eq!(refused[0].pick(&[35, 150]), "35=8|150=0", "it may trade: {refused:?}");
}

/// A long replay goes out in parts, beside live copies, and ends when the client cancels it.
#[test]
fn a_long_replay_comes_in_parts_and_can_be_cancelled() {
    let mut world = world();
    world.config.limits.output_bytes = 40_000;
    world.kill_and_restart(true);
    let mut alice = log_on(&mut world, Version::Fix44, "ALICE", 1);
    for number in 0..600 {
        world.send(&mut alice, "D", &format!("{}|59=3", order(&format!("i{number}"), 1, "0.001", "1")));
    }
    let mut session = log_on(&mut world, Version::Fix50Sp2, "DROP", 1);
    let mut got = world.send(&mut session, "BW", "1346=q|1347=0|1351=1|1355=F1|1182=1|1183=0");
    let first = got.len();
    assert!(first < 400, "{first} at once");
    let refused = world.send(&mut session, "BW", "1346=r|1347=0|1351=1|1355=F1|1182=1|1183=0");
    assert!(refused.iter().any(|it| it.pick(&[1346, 1348]) == "1346=r|1348=2"));
    got.extend(refused);
    let live = world.send(&mut alice, "D", &order("live", 1, "1", "1"));
    for _ in 0..200 {
        world.settle();
        got.extend(world.take(&mut session));
        if got.last().is_some_and(|it| it.get(35) == "BY") {
            break;
        }
    }
    assert_eq!(got.iter().filter(|it| it.get(1352) == "Y").count(), 1200);
    let copy = got.iter().find(|it| it.get(11) == "live").expect("live copies come between");
    assert_eq!(copy.pick(&[17, 1352]), format!("17={}|1352=", live[0].get(17)));

    let mut some = world.send(&mut session, "BW", "1346=s|1347=0|1351=1|1355=F1|1182=1|1183=0");
    some.extend(world.send(&mut session, "BW", "1346=s|1347=5"));
    for _ in 0..20 {
        world.settle();
        some.extend(world.take(&mut session));
    }
    assert!(some.iter().filter(|it| it.get(35) == "8").count() < 1200, "cancelled");
    assert!(some.iter().all(|it| it.get(35) != "BY"));
}

/// TransactTime (60) had milliseconds whatever the session wanted, also in FIX.4.0 and 4.1, whose times have none.
#[test]
fn times_are_as_exact_as_a_session_wants_in_reports_copies_and_what_is_made_again() {
    use Precision::{Micros, Millis, Nanos, Seconds};
    for (precision, length) in [(Seconds, 17), (Millis, 21), (Micros, 24), (Nanos, 27)] {
        let mut world = world_at(precision);
        world.now_ns += 123_456_789;
        let exact = |messages: &[Received], length: usize| {
            assert!(!messages.is_empty());
            for message in messages {
                assert_eq!([52, 60].map(|tag| message.get(tag).len()), [length; 2], "{message:?}");
            }
        };
        let mut copied = log_on(&mut world, Version::Fix44, "DROP", 1);
        let (bobs, alices): (Vec<_>, Vec<_>) =
            trade(&mut world, 0).into_iter().partition(|it| it.get(56) == "BOB");
        exact(&bobs, 21);
        exact(&alices, length);
        let copies = world.take(&mut copied);
        exact(&copies, length);
        let mut replayed = world.send(&mut copied, "BW", "1346=q1|1347=0|1351=1|1355=F1|1182=1|1183=0");
        replayed.retain(|it| it.get(35) == "8");
        assert_eq!(replayed.len(), copies.len());
        exact(&replayed, length);
        world.kill_and_restart(true);
        for (name, first) in [("ALICE", &alices), ("DROP", &copies)] {
            let mut client = log_on(&mut world, Version::Fix44, name, 50);
            let mut again = world.send(&mut client, "2", "7=1|16=0");
            again.retain(|it| it.get(35) == "8" && it.get(1352).is_empty());
            let times = |all: &[Received], sent: u32| {
                all.iter().map(|it| [it.get(sent), it.get(60)].map(str::to_owned)).collect::<Vec<_>>()
            };
            assert_eq!(times(&again, 122), times(first, 52), "{name}");
        }
        assert_eq!(world.gateway.store().messages_made_differently(), 0);
    }
    let mut world = world_at(Nanos);
    let mut alice = log_on(&mut world, Version::Fix40, "ALICE", 1);
    let report = world.send(&mut alice, "D", "11=a|54=1|38=1|44=100|40=2|55=BTC/USD|21=1|59=0");
    assert_eq!(report[0].get(35), "8", "{report:?}");
    assert_eq!([52, 60].map(|tag| report[0].get(tag).len()), [17, 17], "{report:?}");
}

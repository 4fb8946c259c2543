//! What is sent again is what was sent first: made anew from events, over kills at any moment.

mod support;

use std::collections::BTreeMap;

use gateway::fix::Version;
use protocol::{
    AccountId, BustTrade, ClientOrderId, EndDay, NewExtendedOrder, NewOrder, OrderTerms, OrderType,
    SelfTradePrevention, SetInstrumentRules, TimeInForce, TriggerSource,
};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use support::{Client, Received, World, order};

/// All that must be the same when a message is sent again.
fn body(message: &Received) -> String {
    let header = [8, 9, 34, 43, 49, 52, 56, 122, 369, 10];
    let fields = message.0.split('|').filter(|field| {
        let tag = field.split('=').next().and_then(|tag| tag.parse::<u32>().ok());
        tag.is_some_and(|tag| !header.contains(&tag))
    });
    fields.collect::<Vec<_>>().join("|")
}

/// What can be had again; of all others gap fills stand in the place.
const KEPT: [&str; 13] = ["8", "9", "j", "r", "N", "AO", "AP", "BA", "BG", "CQ", "BF", "BX", "BY"];

/// Everything that a client has seen, by number.
#[derive(Default)]
struct Seen(BTreeMap<u64, Received>);

impl Seen {
    fn take(&mut self, messages: Vec<Received>) {
        for message in messages {
            if KEPT.contains(&message.get(35)) {
                let number = message.get(34).parse().unwrap();
                let before = self.0.insert(number, message.clone());
                assert!(before.is_none_or(|it| body(&it) == body(&message)), "{number} twice: {message:?}");
            }
        }
    }

    /// Asks for everything and compares it with what was seen. Gives what had not been.
    fn check(&mut self, world: &mut World, client: &mut Client) -> usize {
        let resent = resend(world, client);
        let before = self.0.len();
        let mut again = BTreeMap::new();
        for message in resent.iter().filter(|it| it.get(35) != "4") {
            assert_eq!(message.get(43), "Y", "{message:?}");
            again.insert(message.get(34).parse::<u64>().unwrap(), message.clone());
        }
        for (number, first) in &self.0 {
            let second = again.get(number).unwrap_or_else(|| panic!("{number} is gone: {first:?}"));
            assert_eq!(body(second), body(first), "{number}");
            let sent = if first.get(43) == "Y" { first.get(122) } else { first.get(52) };
            assert_eq!(second.get(122), sent, "OrigSendingTime of {number}");
        }
        self.take(again.into_values().collect());
        self.0.len() - before
    }
}

/// Asks for all messages and waits until all have come.
fn resend(world: &mut World, client: &mut Client) -> Vec<Received> {
    let mut all = world.send(client, "2", "7=1|16=0");
    loop {
        world.settle();
        let more = world.take(client);
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

fn new_order(account: u32, id: &str, side: u8, lots: i64, ticks: i64) -> NewOrder {
    NewOrder {
        price_ticks: ticks,
        quantity_lots: lots,
        account: AccountId(account),
        instrument: 1,
        client_order_id: ClientOrderId::from_text(id.as_bytes()).unwrap(),
        side,
        order_type: OrderType::Limit.code(),
        time_in_force: TimeInForce::Day.code(),
        self_trade_prevention: SelfTradePrevention::CancelNewest.code(),
    }
}

/// Orders of every kind that the engine reports about, some entered by the operator on the client's behalf.
fn live_a_day(world: &mut World, version: Version, alice: &mut Client, bob: &mut Client, seen: &mut Seen) {
    let timed = if version < Version::Fix42 { "" } else { "|60=now" };
    let handled = if version < Version::Fix44 { "|21=1" } else { "" };
    let fields = |id: &str, side: u8, quantity: &str, price: &str| {
        format!("11={id}|54={side}|38={quantity}|44={price}|40=2|55=BTC/USD{timed}{handled}")
    };
    let quantity = if version == Version::Fix40 { "|38=1|125=F" } else { "" };
    seen.take(world.send(alice, "D", &fields("a1", 1, "3", "100")));
    seen.take(world.send(alice, "D", &fields("bad", 1, "0", "100")));
    seen.take(world.send(alice, "D", &fields("a1", 1, "1", "100")));
    seen.take(world.send(alice, "D", &fields("poor", 1, "9999999", "100")));
    seen.take(world.send(alice, "G", &format!("41=a1|{}", fields("a2", 1, "2", "101"))));
    seen.take(world.send(alice, "H", "11=a2|54=1|55=BTC/USD"));
    world.send(bob, "D", &order("b1", 2, "0.5", "101"));
    world.send(bob, "D", &order("b2", 2, "0.25", "99"));
    seen.take(world.send(alice, "F", &format!("41=none|11=c0|54=1|55=BTC/USD{timed}{quantity}")));
    seen.take(world.send(alice, "F", &format!("41=a2|11=c1|54=1|55=BTC/USD{timed}{quantity}")));
    seen.take(world.send(alice, "F", &format!("41=a2|11=c2|54=1|55=BTC/USD{timed}{quantity}")));
    // A self-trade, an expiry, a stop that is triggered, a decrement, a busted trade.
    seen.take(world.send(alice, "D", &fields("s1", 1, "1", "50")));
    seen.take(world.send(alice, "D", &fields("s2", 2, "1", "50")));
    // The second cancel is on its way when the first has its effect: the engine refuses it.
    let mut both = Vec::new();
    for id in ["c3", "c4"] {
        let fields = format!("41=s1|11={id}|54=1|55=BTC/USD{timed}{quantity}");
        both.extend(support::message_of(version, "ALICE", alice.next_out, "F", &fields, world.now_ns));
        alice.next_out += 1;
    }
    let answer = world.send_bytes(alice, &both);
    assert_eq!(answer.iter().map(|it| it.get(35)).collect::<Vec<_>>(), ["8", "9"]);
    seen.take(answer);
    let order_type = OrderType::StopLimit.code();
    let stop = NewOrder { order_type, ..new_order(2, "stop", 1, 10, 10_600) };
    let trigger = TriggerSource::LastTrade.code();
    let terms = OrderTerms { trigger_price_ticks: 10_500, trigger, ..OrderTerms::default() };
    world.operate(&NewExtendedOrder { order: stop, terms });
    world.operate(&new_order(3, "ask", 2, 1000, 10_500));
    world.operate(&new_order(2, "lift", 1, 5, 10_500));
    let decrement = SelfTradePrevention::DecrementAndCancel.code();
    world.operate(&NewOrder { self_trade_prevention: decrement, ..new_order(2, "d1", 2, 9, 10_400) });
    world.operate(&NewOrder { self_trade_prevention: decrement, ..new_order(2, "d2", 1, 4, 10_400) });
    world.operate(&BustTrade { trade_id: 1, ..BustTrade::default() });
    world.operate(&EndDay { instrument: 1, ..EndDay::default() });
    world.settle();
    let rest = world.take(alice);
    seen.take(rest);
}

/// What plain orders do not come to: special orders, lists, mass requests, answers, refusals by the gateway itself.
fn use_all_the_rest(
    world: &mut World,
    version: Version,
    alice: &mut Client,
    bob: &mut Client,
    seen: &mut Seen,
) {
    if version < Version::Fix42 {
        return;
    }
    // What a market order may pay, which orders that wait for a price need.
    let rules = SetInstrumentRules {
        instrument: 1,
        collar_bps: 1000,
        reference_price_ticks: 10_000,
        ..Default::default()
    };
    world.operate(&rules);
    let handled = if version < Version::Fix44 { "|21=1" } else { "" };
    let order = |id: &str, fields: &str| format!("11={id}|55=BTC/USD|60=now|{fields}{handled}");
    let at = |id: &str, at: u64, fields: &str| format!("11={id}|67={at}|21=1|55=BTC/USD|60=now|{fields}");
    let list = |id: &str, kind: &str, orders: &[String]| {
        format!("66={id}|394=3{kind}|68={count}|73={count}|{}", orders.join("|"), count = orders.len())
    };
    let display = if version < Version::Fix50 { "111" } else { "1138" };
    let mut send = |world: &mut World, kind: &str, fields: &str| {
        let answer = world.send(alice, kind, fields);
        assert!(!answer.is_empty(), "{version:?} {kind} {fields}");
        seen.take(answer);
        let other = world.take(alice);
        seen.take(other);
    };
    send(world, "D", &order("ice", &format!("54=1|38=5|40=2|44=90|59=1|{display}=1")));
    send(world, "D", &order("peg", "54=1|38=1|40=P|18=R|44=95|59=1"));
    world.send(bob, "D", &support::order("b8", 2, "2.5", "90"));
    send(world, "G", &order("ice2", &format!("41=ice|54=1|38=9|40=2|44=91|{display}=2")));
    world.send(bob, "D", &support::order("b9", 2, "2.5", "91"));
    send(world, "D", &order("stop", "54=1|38=1|40=3|99=120|59=1"));
    let bracket = [
        at("l1", 1, "54=1|38=1|40=2|44=92|59=1"),
        at("l2", 2, "54=2|38=1|40=2|44=130"),
        at("l3", 3, "54=2|38=1|40=3|99=50"),
    ];
    send(world, "E", &list("L1", "|1385=2", &bracket));
    world.send(bob, "D", &support::order("b10", 2, "1", "92"));
    let batch = [at("k1", 1, "54=1|38=1|40=2|44=80"), at("k2", 2, "54=1|38=9999999|40=2|44=80")];
    send(world, "E", &list("L2", "", &batch));
    send(world, "E", &list("L3", "|893=N", &[at("n1", 1, "54=1|38=1|40=2|44=80")]));
    send(world, "M", "66=L1");
    send(world, "M", "66=none");
    send(world, "D", &order("nothing", "54=1|38=1|40=2|44=80").replace("BTC/USD", "NONE"));
    send(
        world,
        "F",
        &format!(
            "41=nothing|11=nothing2|54=1|55=NONE|60=now{}",
            if version == Version::Fix42 { "|38=1" } else { "" }
        ),
    );
    if version >= Version::Fix43 {
        send(world, "AF", "584=q1|585=7");
        send(world, "q", "11=m1|530=1|55=BTC/USD|54=1|60=now");
        send(world, "q", "11=m2|530=1|55=NONE|60=now");
        send(world, "AF", "584=q2|585=7|54=1");
    }
    if version >= Version::Fix44 {
        send(world, "AN", "710=p1|724=0|1=2|581=1|715=20260101|60=now");
        send(world, "BB", "909=c1|1=2");
        send(world, "BB", "909=c2|263=1");
        send(world, "BE", "923=u1|924=4|553=alice");
        send(world, "BW", "1346=q|1347=0");
    }
}

#[test]
fn every_kind_of_report_of_every_version_comes_again_as_it_was() {
    let mut types = std::collections::BTreeSet::new();
    for version in Version::ALL {
        let mut world = World::new();
        let application = String::from_utf8(version.application_id().to_vec()).unwrap();
        let more = if version.is_fixt() { format!("1137={application}|") } else { String::new() };
        let (mut alice, _) = world.log_on_as(version, "ALICE", 1, &more);
        let (mut bob, _) = world.log_on("BOB", 1, "");
        let mut seen = Seen::default();
        live_a_day(&mut world, version, &mut alice, &mut bob, &mut seen);
        use_all_the_rest(&mut world, version, &mut alice, &mut bob, &mut seen);
        let kinds = |tag: u32| seen.0.values().map(|it| it.get(tag).to_owned()).collect::<Vec<_>>();
        types.extend(kinds(35));
        if version >= Version::Fix50 {
            for kind in ["0", "F", "4", "5", "C", "8", "L", "D", "H", "I", "9"] {
                assert!(
                    kinds(150).iter().any(|it| it == kind),
                    "{version:?}: no 150={kind} in {:?}",
                    kinds(150)
                );
            }
        }
        assert!(kinds(35).iter().any(|it| it == "9"));
        assert_eq!(seen.check(&mut world, &mut alice), 0, "the same process");
        for round in 0..3 {
            world.kill_and_restart(true);
            let (mut alice, _) = world.log_on_as(version, "ALICE", 1000 * (round + 1), &more);
            assert_eq!(seen.check(&mut world, &mut alice), 0, "{version:?}, process {round}");
            assert_eq!(world.gateway.store().messages_made_differently(), 0);
            // With what was sent again the next process starts from the checkpoint of an orderly end.
            world.gateway.finish();
        }
    }
    // BX and BY are for drop copy sessions.
    assert_eq!(types.iter().map(String::as_str).collect::<Vec<_>>(), {
        let mut all: Vec<&str> = KEPT.into_iter().filter(|it| !matches!(*it, "BX" | "BY")).collect();
        all.sort_unstable();
        all
    });
}

/// The store grows by the names of events, not by messages.
#[test]
fn a_report_takes_forty_bytes_of_the_store() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let (before, reports) = (world.gateway.store().file_bytes(), world.gateway.counters().reports);
    for number in 0..100 {
        world.send(&mut alice, "D", &order(&format!("a{number}"), 1, "0.001", "1"));
    }
    let store = world.gateway.store();
    assert_eq!(world.gateway.counters().reports - reports, 100);
    // Each by itself: the report, how far the client has been received, and the commit.
    assert_eq!(store.file_bytes() - before, 100 * (40 + 16 + 16));
    let bytes = std::fs::read(&world.config.store_path).unwrap();
    assert!(!bytes.windows(4).any(|it| it == b"35=8"), "a report is stored twice");
}

#[test]
fn a_restart_from_a_checkpoint_needs_only_the_events_after_it() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let mut seen = Seen::default();
    for number in 0..20 {
        seen.take(world.send(&mut alice, "D", &order(&format!("a{number}"), 1, "1", "100")));
    }
    world.gateway.finish();
    let checkpoint = world.sequence;
    let mut bob = world.log_on("BOB", 1, "").0;
    world.send(&mut bob, "D", &order("b1", 2, "1.5", "100"));
    seen.take(world.take(&mut alice));

    world.links.0.clear();
    let events = Box::new(world.events.clone());
    world.gateway = gateway::Gateway::open_on(world.config.clone(), events).unwrap();
    let from = world.gateway.applied_sequence();
    assert_eq!(from, checkpoint, "the newest checkpoint");
    let journal = std::mem::take(&mut world.journal);
    let (mut shown, now_ns) = (0, world.now_ns);
    support::each_record(&journal, |record| {
        if record.header().sequence > from {
            shown += 1;
            world.gateway.on_event(record, now_ns).unwrap();
        }
    });
    world.journal = journal;
    world.gateway.journal_ends_at(world.sequence);
    world.gateway.finish_recovery().unwrap();
    assert!((1..8).contains(&shown), "{shown}");
    let (mut alice, _) = world.log_on_beyond(Version::Fix44, "ALICE", 100, "");
    assert_eq!(seen.check(&mut world, &mut alice), 0);
    let status = |world: &mut World, alice: &mut Client, id: &str| {
        world.send(alice, "H", &format!("11={id}|54=1|55=BTC/USD"))[0].pick(&[39, 14, 151])
    };
    assert_eq!(status(&mut world, &mut alice, "a0"), "39=2|14=1.000|151=0");
    assert_eq!(status(&mut world, &mut alice, "a1"), "39=1|14=0.500|151=0.500");
    let fields = order("a5", 1, "1", "100");
    let twice = world.send(&mut alice, "D", &fields);
    assert_eq!(twice[0].pick(&[150, 103]), "150=8|103=6", "its ClOrdID is known");
}

#[test]
fn a_journal_that_ends_before_the_checkpoint_is_noticed() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    world.send(&mut alice, "D", &order("a1", 1, "2", "100"));
    world.gateway.finish();
    let events = Box::new(world.events.clone());
    let mut gateway = gateway::Gateway::open_on(world.config.clone(), events).unwrap();
    gateway.journal_ends_at(world.sequence - 1);
    let error = gateway.finish_recovery().unwrap_err();
    assert!(matches!(error, gateway::GatewayError::AheadOfJournal { .. }), "{error}");
    // Without the events that it was made of a checkpoint is not used, aloud.
    let mut gateway =
        gateway::Gateway::open_on(world.config.clone(), Box::new(gateway::MemoryEvents::new())).unwrap();
    assert_eq!(gateway.applied_sequence(), 0);
    let port = &mut world.port;
    gateway.on_tick(world.now_ns, port).unwrap();
    assert!(gateway.take_notes().iter().any(|it| it.contains("is not used")));
}

fn seed() -> u64 {
    let seed = std::env::var("RIALTO_SEED").ok().and_then(|text| text.parse().ok());
    let random = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    let seed = seed.unwrap_or_else(random);
    println!("RIALTO_SEED={seed}");
    seed
}

/// Two clients trade; the process is killed at random places, with commands in the ring or with them lost; each client
/// holds everything it has ever seen against what it can have again.
#[test]
fn killed_at_random_moments_nothing_that_was_seen_changes() {
    let mut random = SmallRng::seed_from_u64(seed());
    let mut trades = 0;
    for _ in 0..6 {
        let recent_bytes = [0, 3000, 1 << 20][random.random_range(0..3)];
        let mut world = World::with_config(|config| config.limits.recent_bytes = recent_bytes);
        let mut seen = [Seen::default(), Seen::default()];
        let mut next_out = 1;
        let mut names = 0;
        for _ in 0..8 {
            let mut clients = Vec::new();
            for (name, seen) in ["ALICE", "BOB"].into_iter().zip(&mut seen) {
                let (mut client, answer) = world.log_on_beyond(Version::Fix44, name, next_out, "");
                seen.take(answer);
                seen.check(&mut world, &mut client);
                clients.push(client);
            }
            for _ in 0..random.random_range(0..40) {
                let who = random.random_range(0..2);
                names += 1;
                let side = random.random_range(1..=2);
                let price = random.random_range(99..=101).to_string();
                let fields = match random.random_range(0..6) {
                    0 => order(&format!("o{names}"), side, "1.0005", &price),
                    1 => order(&format!("o{names}"), side, "5000", &price),
                    _ => order(&format!("o{names}"), side, "0.5", &price),
                };
                let kind = if random.random_ratio(1, 5) { "F" } else { "D" };
                let old = random.random_range(0..names);
                let cancel = format!("41=o{old}|11=o{names}|54={side}|55=BTC/USD|60=now");
                let answer = match kind {
                    "F" => world.send(&mut clients[who], "F", &cancel),
                    _ => world.send(&mut clients[who], "D", &fields),
                };
                seen[who].take(answer);
                let other = world.take(&mut clients[1 - who]);
                seen[1 - who].take(other);
                if random.random_ratio(1, 30) {
                    world.gateway.finish();
                    break;
                }
            }
            // The last order is on its way when the process dies.
            names += 1;
            let fields = order(&format!("o{names}"), 1, "0.5", "100");
            let bytes = support::message("ALICE", clients[0].next_out, "D", &fields, world.now_ns);
            world.gateway.input(clients[0].link).extend_from_slice(&bytes);
            world.gateway.receive(clients[0].link, world.now_ns, &mut world.port).unwrap();
            world.run_exchange(random.random());
            world.kill_and_restart(random.random());
            next_out += 1000;
        }
        assert_eq!(world.gateway.store().messages_made_differently(), 0);
        trades += seen[0].0.values().filter(|it| it.get(150) == "F").count();
    }
    assert!(trades > 20, "{trades}: the test has shown nothing");
}

/// A long resend is made in parts and does not hold up the other client; two at once do not mix.
#[test]
fn two_long_resends_at_once_beside_trading() {
    let mut world = World::with_config(|config| {
        config.limits.checkpoint_commands = 700;
        config.limits.output_bytes = 100_000;
    });
    let mut seen = [Seen::default(), Seen::default()];
    let mut clients = [world.log_on("ALICE", 1, "").0, world.log_on("BOB", 1, "").0];
    for number in 0..1500 {
        let side = number % 2 + 1;
        for (client, seen) in clients.iter_mut().zip(&mut seen) {
            let price = if side == 1 { "90" } else { "110" };
            let fields = format!("{}|59=3", order(&format!("o{number}"), side as u8, "0.001", price));
            seen.take(world.send(client, "D", &fields));
        }
    }
    world.kill_and_restart(true);
    let mut clients = [world.log_on("ALICE", 5000, "").0, world.log_on("BOB", 5000, "").0];
    let mut got = [Vec::new(), Vec::new()];
    for client in &mut clients {
        world.gateway.input(client.link).extend_from_slice(&support::message(
            &client.name,
            client.next_out,
            "2",
            "7=1|16=0",
            world.now_ns,
        ));
    }
    let mut rounds = 0;
    while got.iter().any(|it: &Vec<Received>| it.len() < 3000) {
        world.settle();
        for (client, got) in clients.iter_mut().zip(&mut got) {
            got.extend(world.take(client).into_iter().filter(|it| it.get(35) == "8"));
        }
        rounds += 1;
        assert!(rounds < 200, "{:?}", got.map(|it| it.len()));
    }
    assert!(rounds > 5, "it came in parts");
    for (got, seen) in got.iter().zip(&seen) {
        let numbers: Vec<u64> = got.iter().map(|it| it.get(34).parse().unwrap()).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "in order");
        for message in got {
            let first = &seen.0[&message.get(34).parse().unwrap()];
            assert_eq!(body(message), body(first));
        }
    }
}

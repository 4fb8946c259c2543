//! Random orders of every type in every version, through gateway and exchange: each gets an answer, and each report is
//! right by the version's own dictionary, adds up, and is the same for the account as the exchange has it.

mod support;

use gateway::dictionary::{Checker, Switches};
use gateway::fix::{FieldIndex, Version};
use protocol::{AccountId, AdvanceTime, Phase, SetInstrumentRules, SetPhase};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use support::{Client, Received, World};

const ORDERS: usize = 300;

fn one_of<'a>(random: &mut StdRng, choices: &[&'a str]) -> &'a str {
    choices.choose(random).copied().unwrap_or("")
}

/// The fields of an order, most of them such as go together.
fn random_order(random: &mut StdRng, version: Version, id: &str) -> String {
    let side = one_of(random, &["1", "2"]);
    let price = format!("{}", random.random_range(95..106));
    let stop = format!("{}", random.random_range(95..106));
    // The oldest versions have whole quantities only.
    let whole = version < Version::Fix42;
    let quantity = one_of(
        random,
        if whole { &["1", "3", "7", "0"] } else { &["0.001", "1", "2.5", "7", "0", "0.0005"] },
    );
    let modern = version >= Version::Fix50;
    let mut fields = vec![format!("11={id}|54={side}|55=BTC/USD|38={quantity}")];
    if version >= Version::Fix42 {
        fields.push("60=now".to_owned());
    }
    if version < Version::Fix44 {
        fields.push("21=1".to_owned());
    }
    let kind = match random.random_range(0..9) {
        0 if whole => "40=1".to_owned(),
        0 => one_of(random, &["40=1", "40=1|59=4", "40=1|152=500"]).to_owned(),
        1 => format!("40=3|99={stop}"),
        2 => format!("40=4|99={stop}|44={price}"),
        3 if version >= Version::Fix43 => "40=K".to_owned(),
        3 => "40=1|9102=Y".to_owned(),
        4 => format!("40=P|44={price}|18={}", one_of(random, &["R", "P", "M"])),
        5 => {
            format!("40=3|211={}|1107={}", one_of(random, &["1", "0.5"]), if side == "1" { "1" } else { "3" })
        }
        _ => format!("40=2|44={price}"),
    };
    if kind.starts_with("40=2") || kind.starts_with("40=4") {
        let expiry = format!("59=6|126={}", one_of(random, &["20300101-00:00:00", "20231114-22:14:00"]));
        let choices = ["", "59=0", "59=1", "59=3", "59=4", expiry.as_str()];
        fields.push(one_of(random, &choices).to_owned());
    }
    if kind.starts_with("40=2") {
        let display = if modern { "1138=1" } else { "111=1" };
        // A random slice is a number of lots; what self-trade prevention takes of it would not be whole.
        let refill = if whole { display } else { "1084=3|1085=0.5|1086=1.5" };
        let choices = ["", "", display, "111=0", "18=6", "18=G", "110=1", refill, "9101=Y"];
        fields.push(one_of(random, &choices).to_owned());
    }
    fields.push(kind);
    fields.push(one_of(random, &["", "9104=0", "9104=4", "9104=2"]).to_owned());
    fields.retain(|field| !field.is_empty());
    fields.join("|")
}

fn check(version: Version, seed: u64, sent: &str, messages: &[Received]) {
    let checker = Checker::new(version);
    for message in messages {
        let bytes = message.0.replace('|', "\x01");
        let mut index = FieldIndex::new();
        let parsed = index.parse(bytes.as_bytes()).unwrap();
        let problem = checker.check(&parsed, &Switches::default());
        assert_eq!(problem, None, "seed {seed}, {version:?}, after {sent}: {message:?}");
        if message.get(35) == "8" && version >= Version::Fix41 {
            let number = |tag: u32| message.get(tag).parse::<f64>().unwrap_or(0.0);
            let (quantity, done, left) = (number(38), number(14), number(151));
            assert!(done + left <= quantity + 1e-9, "seed {seed}, {version:?}: {message:?}");
        }
    }
}

/// Money as the gateway folds it is the exchange's.
fn same_money(world: &World, seed: u64, sent: &str) {
    for (session, account) in [(0, 2), (1, 3)] {
        for balance in world.gateway.orders().balances(session) {
            let real = world.exchange.balance(AccountId(account), balance.asset);
            let (own, theirs) =
                ((balance.balance_minor, balance.held_minor), (real.balance_minor, real.held_minor));
            assert_eq!(own, theirs, "seed {seed}, account {account}, after {sent}");
        }
    }
}

fn trade(version: Version, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new();
    world.operate(&SetInstrumentRules {
        instrument: 1,
        collar_bps: 1000,
        reference_price_ticks: 10_000,
        ..SetInstrumentRules::default()
    });
    let application = String::from_utf8(version.application_id().to_vec()).unwrap();
    let more = if version.is_fixt() { format!("1137={application}|") } else { String::new() };
    let mut clients: Vec<Client> =
        ["ALICE", "BOB"].iter().map(|name| world.log_on_as(version, name, 1, &more).0).collect();
    for at in 0..ORDERS {
        let who = random.random_range(0..2);
        let fields = random_order(&mut random, version, &format!("o{at}"));
        let answer = world.send(&mut clients[who], "D", &fields);
        assert!(!answer.is_empty(), "seed {seed}, {version:?}: no answer to {fields}");
        assert_eq!(answer[0].get(35), "8", "seed {seed}, {version:?}: {fields}: {answer:?}");
        check(version, seed, &fields, &answer);
        let other = world.take(&mut clients[1 - who]);
        check(version, seed, &fields, &other);
        if at % 40 == 20 {
            let phase = [Phase::PreOpen, Phase::OpeningAuction, Phase::Halted][random.random_range(0..3)];
            for phase in [phase, Phase::Continuous] {
                world.operate(&SetPhase { instrument: 1, phase: phase.code(), ..SetPhase::default() });
                world.operate(&AdvanceTime::default());
            }
            world.settle();
        }
        same_money(&world, seed, &fields);
    }
    world.operate(&protocol::EndDay { instrument: 1, reserved: 0 });
    world.settle();
    for client in &mut clients {
        let rest = world.take(client);
        check(version, seed, "the end of the day", &rest);
    }
    world.kill_and_restart(true);
    same_money(&world, seed, "a restart");
}

#[test]
fn every_order_gets_an_answer_that_its_version_allows() {
    for (at, version) in Version::ALL.into_iter().enumerate() {
        for seed in 0..2 {
            trade(version, 1000 * at as u64 + seed);
        }
    }
}

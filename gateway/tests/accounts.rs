//! What an account owns, and its password, over FIX.

mod support;

use gateway::fix::Version;
use protocol::{AccountId, BustTrade, CreateAsset, Deposit, SetAccountOptions, SetInstrumentRules, Withdraw};
use support::{Client, Received, World, check, log_on, order};

/// Balances and holds as the gateway tells them must be the exchange's, to the last minor unit.
fn assert_same(world: &World) {
    for (session, account) in [(0, 2), (1, 3)] {
        for balance in world.gateway.orders().balances(session) {
            let real = world.exchange.balance(AccountId(account), balance.asset);
            assert_eq!(
                (balance.balance_minor, balance.held_minor),
                (real.balance_minor, real.held_minor),
                "account {account}, asset {}",
                balance.asset
            );
        }
        for (instrument, lots) in world.gateway.orders().positions(session) {
            assert_eq!(lots, world.exchange.position_lots(AccountId(account), instrument));
        }
    }
}

/// Whose message (ALICE's or BOB's), its type, its fields: orders of every kind that hold money in different ways.
fn steps() -> Vec<(bool, &'static str, String)> {
    let pair = "66=L|394=3|1385=1|68=2|73=2|11=o1|67=1|55=BTC/USD|60=now|54=1|38=2|40=2|44=90\
        |11=o2|67=2|55=BTC/USD|60=now|54=1|38=2|40=3|99=120";
    let bracket = "66=B|394=3|1385=2|68=3|73=3|11=t1|67=1|55=BTC/USD|60=now|54=1|38=1|40=2|44=101\
        |11=t2|67=2|55=BTC/USD|60=now|54=2|38=1|40=2|44=130|11=t3|67=3|55=BTC/USD|60=now|54=2|38=1|40=3|99=80";
    vec![
        (true, "D", order("a1", 1, "2", "100")),
        (false, "D", order("b1", 2, "0.5", "99")),
        (false, "D", order("b2", 2, "3", "101")),
        (true, "E", pair.to_owned()),
        (false, "D", order("b3", 2, "1.5", "100")),
        (true, "E", bracket.to_owned()),
        (true, "D", "11=s1|54=2|38=1|40=3|99=70|55=BTC/USD|60=now".to_owned()),
        (true, "G", format!("41=o1|{}", order("o9", 1, "1", "91"))),
        (false, "D", order("b4", 2, "1", "90")),
        (true, "D", "11=m1|54=1|40=1|152=60|55=BTC/USD|60=now".to_owned()),
        (true, "D", "11=i1|54=1|38=5|40=2|44=95|111=1|55=BTC/USD|60=now".to_owned()),
        (false, "D", order("b5", 2, "2", "95")),
        (true, "G", "41=i1|11=i2|54=1|38=4|40=2|44=96|55=BTC/USD|60=now".to_owned()),
        (true, "q", "11=q1|530=7|60=now".to_owned()),
    ]
}

#[test]
fn balances_and_holds_are_the_exchanges_through_the_life_of_orders() {
    let mut world = World::new();
    world.operate(&CreateAsset {
        asset: 3,
        scale: 2,
        name: protocol::Name::from_text("FEE").unwrap(),
        ..CreateAsset::default()
    });
    world.operate(&SetInstrumentRules {
        instrument: 1,
        collar_bps: 1000,
        reference_price_ticks: 10_000,
        fee_asset: 3,
        fee_asset_rate_ppm: 500,
        ..SetInstrumentRules::default()
    });
    let mut alice = log_on(&mut world, Version::Fix44);
    let (mut bob, _) = world.log_on("BOB", 1, "");
    let steps = steps();
    for (at, (of_alice, kind, fields)) in steps.iter().enumerate() {
        if at == 6 {
            world.operate(&Deposit {
                amount_minor: 900_000,
                account: AccountId(2),
                asset: 3,
                ..Deposit::default()
            });
            world.operate(&SetAccountOptions {
                account: AccountId(2),
                pays_in_fee_asset: 1,
                ..SetAccountOptions::default()
            });
            world.operate(&Withdraw {
                amount_minor: 77,
                account: AccountId(2),
                asset: 2,
                ..Withdraw::default()
            });
        }
        let client = if *of_alice { &mut alice } else { &mut bob };
        let answer = world.send(client, kind, fields);
        assert!(!answer.is_empty(), "{fields}");
        assert_same(&world);
    }
    let balances = world.gateway.orders().balances(0);
    assert!(balances.iter().all(|it| it.held_minor == 0) && balances.len() == 3, "{balances:?}");
    world.operate(&BustTrade { trade_id: 1, reference: 0 });
    world.operate(&BustTrade { trade_id: 3, reference: 0 });
    assert_same(&world);
    world.kill_and_restart(true);
    assert_same(&world);
}

/// A fee that was paid in the fee asset did not stand in the fill's report: it comes by an event after the trade's.
#[test]
fn fills_name_the_fee_in_what_it_was_paid_in() {
    for version in [Version::Fix44, Version::Fix50, Version::Fix50Sp2] {
        let mut world = World::new();
        let name = protocol::Name::from_text("FEE").unwrap();
        world.operate(&CreateAsset { asset: 3, scale: 2, name, ..CreateAsset::default() });
        world.operate(&SetInstrumentRules {
            instrument: 1,
            fee_asset: 3,
            fee_asset_rate_ppm: 500,
            ..SetInstrumentRules::default()
        });
        let account = AccountId(2);
        world.operate(&Deposit { amount_minor: 10, account, asset: 3, ..Deposit::default() });
        world.operate(&SetAccountOptions { account, pays_in_fee_asset: 1, ..SetAccountOptions::default() });
        let mut alice = log_on(&mut world, version);
        let (mut bob, _) = world.log_on("BOB", 1, "");
        for (id, price) in [("s1", "100"), ("s2", "101"), ("s3", "102")] {
            world.send(&mut bob, "D", &order(id, 2, "1", price));
        }
        // What she has of the fee asset suffices for two of three; the third fee is in the quote asset.
        let filled = world.send(&mut alice, "D", &order("a", 1, "3", "102"));
        let told: Vec<String> = filled.iter().map(|it| it.pick(&[11, 150, 31, 136, 137, 138])).collect();
        assert_eq!(
            told,
            [
                "11=a|150=0|31=|136=|137=|138=",
                "11=a|150=F|31=100.00|136=1|137=0.05|138=FEE",
                "11=a|150=F|31=101.00|136=1|137=0.05|138=FEE",
                "11=a|150=F|31=102.00|136=1|137=0.10200|138=USD",
            ],
            "{version:?}"
        );
        let ids: Vec<&str> = filled.iter().map(|it| it.get(17)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
        let again: Vec<String> = (world.send(&mut alice, "2", "7=1|16=0").iter())
            .filter(|it| it.get(35) == "8")
            .map(|it| it.pick(&[11, 150, 31, 136, 137, 138]))
            .collect();
        assert_eq!(again, told, "{version:?}: a resend names it, too");
        world.kill_and_restart(true);
        let traded = world.gateway.orders().balances(0);
        assert_eq!(traded.iter().find(|it| it.asset == 3).unwrap().balance_minor, 0);
        support::check(version, &filled);
    }
}

#[test]
fn positions_and_balances_can_be_asked_for() {
    for version in [Version::Fix44, Version::Fix50, Version::Fix50Sp1, Version::Fix50Sp2] {
        let mut world = World::new();
        let mut alice = log_on(&mut world, version);
        let ask = "710=p1|724=0|1=2|581=1|715=20260101|60=now";
        let none = world.send(&mut alice, "AN", ask);
        assert_eq!(none[0].pick(&[35, 710, 727, 728, 729]), "35=AO|710=p1|727=0|728=2|729=0");
        let (mut bob, _) = world.log_on("BOB", 1, "");
        world.send(&mut alice, "D", &order("a1", 2, "2", "100"));
        world.send(&mut bob, "D", &order("b1", 1, "0.5", "100"));
        world.take(&mut alice);
        let some = world.send(&mut alice, "AN", ask);
        assert_eq!(some[0].pick(&[35, 727, 728]), "35=AO|727=1|728=0");
        assert_eq!(
            some[1].pick(&[35, 55, 702, 703, 704, 705]),
            "35=AP|55=BTC/USD|702=1|703=TQ|704=|705=0.500"
        );
        if version == Version::Fix50Sp2 {
            assert_eq!(
                some[2].pick(&[35, 448, 1703, 1704, 1705]),
                "35=CQ|448=2|1703=4|1704=99.50000000|1705=BTC"
            );
            assert!(some[2].0.contains("|1704=98.00000000|1705=BTC|1706=AVAILABLE|"), "{some:?}");
        }
        let cash = world.send(&mut alice, "BB", "909=c1|1=2");
        let told: Vec<String> = cash.iter().map(|it| it.pick(&[35, 909, 15, 900, 899, 912])).collect();
        assert_eq!(
            told,
            [
                "35=BA|909=c1|15=BTC|900=99.50000000|899=98.00000000|912=N",
                "35=BA|909=c1|15=USD|900=1000050.00000|899=1000050.00000|912=Y"
            ],
            "{version:?}"
        );
        let other = world.send(&mut alice, "AN", &ask.replace("|1=2", "|1=3"));
        assert_eq!(other[0].pick(&[35, 728, 729]), "35=AO|728=4|729=2");
        let stream = world.send(&mut alice, "BB", "909=c2|263=1");
        assert_eq!(stream[0].pick(&[35, 909, 945]), "35=BG|909=c2|945=4");
        check(version, &[none, some, cash, other, stream].concat());
    }
}

fn world_with_passwords() -> World {
    World::with_config(|config| {
        config.passwords_path = Some(config.store_path.with_file_name("fix-passwords"));
    })
}

fn log_on_with(world: &mut World, next_out: u64, password: &str, more: &str) -> (Client, Vec<Received>) {
    let mut client = world.connect("ALICE");
    client.next_out = next_out;
    let answer = world.send(&mut client, "A", &format!("98=0|108=30|553=alice|554={password}|{more}"));
    (client, answer)
}

#[test]
fn a_changed_password_counts_at_once_and_after_a_restart() {
    let mut world = world_with_passwords();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let wrong = world.send(&mut alice, "BE", "923=u1|924=3|553=alice|554=guess|925=new-secret");
    assert_eq!(wrong[0].pick(&[35, 923, 553, 926]), "35=BF|923=u1|553=alice|926=4");
    let changed = world.send(&mut alice, "BE", "923=u2|924=3|553=alice|554=ALICE-secret|925=new-secret");
    assert_eq!(changed[0].pick(&[35, 923, 926]), "35=BF|923=u2|926=5");
    let same = world.send(&mut alice, "BE", "923=u3|924=3|553=alice|554=new-secret|925=new-secret");
    assert_eq!(same[0].pick(&[926]), "926=6");
    let other = world.send(&mut alice, "BE", "923=u4|924=3|553=bob|554=BOB-secret|925=mine");
    assert_eq!(other[0].pick(&[926]), "926=3");
    let status = world.send(&mut alice, "BE", "923=u5|924=4|553=alice");
    assert_eq!(status[0].pick(&[926]), "926=1");
    check(Version::Fix44, &[wrong, changed, same, other, status].concat());
    world.kill_and_restart(true);
    let (_, old) = log_on_with(&mut world, alice.next_out, "ALICE-secret", "");
    assert_eq!(old[0].get(35), "5", "the old one is wrong now");
    let (mut alice, new) = log_on_with(&mut world, alice.next_out, "new-secret", "");
    assert_eq!(new[0].get(35), "A");
    world.drop_link(&mut alice);
    let (mut alice, third) = log_on_with(&mut world, alice.next_out, "new-secret", "925=third-secret|");
    assert_eq!(third[0].get(35), "A", "{third:?}");
    world.drop_link(&mut alice);
    let (_, refused) = log_on_with(&mut world, alice.next_out, "new-secret", "");
    assert_eq!(refused[0].get(35), "5");
    let (_, again) = log_on_with(&mut world, alice.next_out, "third-secret", "925=third-secret|");
    assert!(again[0].get(58).contains("NewPassword (925)"), "{again:?}");
}

#[test]
fn without_a_file_for_them_passwords_stay_as_configured() {
    let mut world = World::new();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let refused = world.send(&mut alice, "BE", "923=u|924=3|553=alice|554=ALICE-secret|925=new-secret");
    assert_eq!(refused[0].pick(&[926]), "926=6");
    assert!(refused[0].get(927).contains("operator"));
}

#[test]
fn guessing_the_old_password_is_locked_out_like_a_logon() {
    let mut world = world_with_passwords();
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let mut told = Vec::new();
    for at in 0..6 {
        let fields = format!("923=u{at}|924=3|553=alice|554=guess{at}|925=new-secret");
        told.push(world.send(&mut alice, "BE", &fields)[0].get(926).to_owned());
    }
    assert_eq!(told, ["4", "4", "4", "4", "4", "6"]);
}

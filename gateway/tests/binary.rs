//! The binary gateway in a real pipeline (rings, journal, exchange), without sockets and with a clock of its own.

#[path = "support/binary.rs"]
mod harness;
mod support;

use gateway::Endpoint as _;
use gateway::access::{PasswordHash, Permissions, ThrottleLimits};
use gateway::binary::wire::{Refusal, RefusalReason, packet, push_command};
use harness::{ADDRESS, GATEWAY, Peer, SECOND_NS, Seen, Venue, config, folder, login, order};
use machine::{Body as _, HEADER_LENGTH, Source};
use protocol::{
    AccountId, CancelOrder, CancelReason, ClientOrderId, InstrumentCreated, MassCancel, NewOrder,
    OrderAccepted, OrderCanceled, OrderId, Rejected, Side, TimeInForce, Trade, Withdraw,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use zerocopy::{FromBytes as _, IntoBytes as _};

#[test]
fn two_clients_trade_and_see_their_own_side() {
    let folder = folder();
    let mut venue = Venue::open(config(folder.path()));
    let (mut alice, accepted) = venue.log_on("ALICE", 0);
    assert_eq!((accepted.gateway.get(), accepted.session.get(), accepted.account.get()), (GATEWAY, 1, 2));
    assert_eq!(accepted.from_sequence.get(), accepted.last_sequence.get() + 1);
    let (mut bob, _) = venue.log_on("BOB", 0);
    alice.command(&mut venue, &order(2, "a1", Side::Buy, 5000, 100));
    let seen = alice.event(&mut venue);
    let own = Source { gateway: GATEWAY, session: 1 };
    assert_eq!((seen.index, seen.is_last(), seen.header.source), (0, true, own));
    let resting = seen.body::<OrderAccepted>();
    assert_eq!((resting.account, resting.quantity_lots), (AccountId(2), 5000));
    assert_eq!(seen.header.sequence, resting.order_id.sequence());

    bob.command(&mut venue, &order(3, "b1", Side::Sell, 3000, 100));
    let taken = bob.event(&mut venue);
    assert!(!taken.is_last());
    let trade = bob.event(&mut venue);
    assert!(trade.is_last());
    let (theirs, place) = (trade.body::<Trade>(), trade.index);
    assert_eq!(theirs.taker_order_id, taken.body::<OrderAccepted>().order_id);
    assert_eq!((theirs.maker_order_id, theirs.maker_account), (OrderId::NONE, AccountId(0)));
    assert_eq!((theirs.maker_leaves_lots, theirs.taker_leaves_lots, theirs.quantity_lots), (0, 0, 3000));
    assert!(theirs.taker_fee_minor > 0);
    let fill = alice.event(&mut venue);
    assert_eq!((fill.index, fill.is_last(), fill.header.source), (place, true, Source::default()));
    let ours = fill.body::<Trade>();
    assert_eq!((ours.maker_order_id, ours.maker_leaves_lots), (resting.order_id, 2000));
    assert_eq!(
        (ours.taker_order_id, ours.taker_account, ours.taker_fee_minor),
        (OrderId::NONE, AccountId(0), 0)
    );

    let cancel = CancelOrder {
        order_id: resting.order_id,
        account: AccountId(2),
        instrument: 1,
        client_order_id: ClientOrderId::from_text(b"c1").unwrap(),
        reserved: 0,
    };
    alice.command(&mut venue, &cancel);
    assert_eq!(alice.event(&mut venue).body::<OrderCanceled>().reason, CancelReason::Requested.code());
    alice.command(&mut venue, &cancel);
    assert_eq!(alice.event(&mut venue).body::<Rejected>().client_order_id, cancel.client_order_id);
    assert!(bob.events(&mut venue).is_empty(), "it is none of bob's business");
}

#[test]
fn what_a_client_may_not_send_is_refused_by_name_and_number() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.users[1].access.permissions = Permissions::CANCEL;
    let mut venue = Venue::open(settings);
    let (mut alice, _) = venue.log_on("ALICE", 0);
    let before = venue.gateway.applied_sequence();
    alice.command(&mut venue, &order(3, "x", Side::Buy, 1, 1));
    alice.command(&mut venue, &Withdraw { amount_minor: 1, account: AccountId(2), asset: 1, reference: 0 });
    alice.send(&mut venue, b"\x00\x05Uoops");
    venue.port.disk_full = true;
    alice.command(&mut venue, &order(2, "y", Side::Buy, 1, 1));
    let refusals: Vec<(u64, u16, u16)> = (0..4)
        .map(|_| alice.refusal(&mut venue))
        .map(|it| (it.message_number.get(), it.kind.get(), it.reason.get()))
        .collect();
    let code = |reason| reason as u16;
    assert_eq!(
        refusals,
        [
            (1, NewOrder::KIND, code(RefusalReason::OtherAccount)),
            (2, Withdraw::KIND, code(RefusalReason::KindNotAllowed)),
            (3, 0, code(RefusalReason::Malformed)),
            (4, NewOrder::KIND, code(RefusalReason::DiskFull)),
        ]
    );
    let everything = MassCancel {
        account: AccountId(2),
        reason: CancelReason::MassCancel.code(),
        ..MassCancel::default()
    };
    assert_eq!(venue.gateway.applied_sequence(), before, "none of it has reached the engine");
    alice.command(&mut venue, &everything);
    assert_eq!(venue.gateway.applied_sequence(), before + 1, "cancels are taken with a full disk");
    let (mut bob, _) = venue.log_on("BOB", 0);
    bob.command(&mut venue, &order(3, "z", Side::Buy, 1, 1));
    let refusal = bob.refusal(&mut venue);
    assert_eq!(refusal.reason.get(), code(RefusalReason::NotPermitted));
    assert_eq!(refusal.client_order_id.as_bytes_trimmed(), b"z");
}

#[test]
fn a_full_ring_holds_commands_back_and_loses_none() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.limits.commands_in_flight = 8;
    let mut venue = Venue::open(settings);
    let (mut alice, _) = venue.log_on("ALICE", 0);
    venue.port.full = true;
    let mut bytes = Vec::new();
    for number in 0..50 {
        push_command(&mut bytes, NewOrder::KIND, order(2, &format!("{number}"), Side::Buy, 1, 1).as_bytes());
    }
    alice.send(&mut venue, &bytes);
    assert!(venue.gateway.is_stalled(alice.link));
    venue.port.full = false;
    venue.settle();
    for number in 0..50 {
        let id = alice.event(&mut venue).body::<OrderAccepted>().client_order_id;
        assert_eq!(id.as_bytes_trimmed(), number.to_string().as_bytes());
    }
}

/// A random flow of both clients; what each received live.
fn random_flow(venue: &mut Venue, peers: &mut [Peer; 2], random: &mut StdRng, orders: u32, run: u32) {
    for number in 0..orders {
        let which = random.random_range(0..2usize);
        let side = if random.random_bool(0.5) { Side::Buy } else { Side::Sell };
        let account = which as u32 + 2;
        let new = NewOrder {
            time_in_force: random.random_range(1..=4),
            ..order(
                account,
                &format!("{run}-{number}"),
                side,
                random.random_range(1..5),
                random.random_range(95..105),
            )
        };
        let mut bytes = Vec::new();
        push_command(&mut bytes, NewOrder::KIND, new.as_bytes());
        venue.gateway.input(peers[which].link).extend_from_slice(&bytes);
        if random.random_bool(0.3) {
            venue.settle();
        }
    }
    venue.settle();
}

/// What is sent later is, byte for byte, what was sent at once, from whatever sequence, and after a process that was
/// never closed.
#[test]
fn a_replay_is_what_was_seen_live() {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = folder();
    let mut live: [Vec<Vec<u8>>; 2] = Default::default();
    let names = ["ALICE", "BOB"];
    let mut settings = config(folder.path());
    settings.cancel_on_disconnect = false;
    for run in 0..3 {
        let mut venue = Venue::open(settings.clone());
        let mut peers = names.map(|name| venue.log_on(name, venue.gateway.applied_sequence() + 1).0);
        random_flow(&mut venue, &mut peers, &mut random, 300, run);
        for (peer, live) in peers.iter_mut().zip(&mut live) {
            live.extend(peer.events(&mut venue));
            peer.drop_link(&mut venue);
        }
        for (name, live) in names.iter().zip(&live) {
            let from = random.random_range(1..=venue.gateway.applied_sequence());
            let (mut peer, accepted) = venue.log_on(name, from);
            assert_eq!(accepted.from_sequence.get(), from);
            let replayed = peer.replayed(&mut venue);
            let wanted = |it: &&Vec<u8>| Seen::read(it).header.sequence >= from;
            // The first events, which set everything up, came before anybody was there.
            let first = live.first().map_or(0, |it| Seen::read(it).header.sequence);
            let from_first = |it: &&Vec<u8>| Seen::read(it).header.sequence >= first;
            let replayed: Vec<&Vec<u8>> = replayed.iter().filter(from_first).collect();
            assert_eq!(replayed, live.iter().filter(wanted).collect::<Vec<_>>(), "from {from}");
            peer.drop_link(&mut venue);
        }
    }
}

#[test]
fn the_beginning_defines_instruments_and_accounts() {
    let folder = folder();
    let mut venue = Venue::open(config(folder.path()));
    let (mut alice, _) = venue.log_on("ALICE", 1);
    let replayed = alice.replayed(&mut venue);
    let kinds: Vec<u16> = replayed.iter().map(|it| Seen::read(it).header.kind).collect();
    let own = [0x8001, 0x8001, 0x8002, 0x8003, 0x8004, 0x8004];
    assert_eq!(kinds, own, "assets, the instrument, alice's account and deposits, and nothing of bob's");
    assert_eq!(Seen::read(&replayed[2]).body::<InstrumentCreated>().0.name.as_str(), "BTC/USD");
}

/// New events that come while old ones are read wait for their turn; if they are too many they are read too.
#[test]
fn a_client_that_reads_slowly_still_gets_everything_in_order() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.cancel_on_disconnect = false;
    let mut venue = Venue::open(settings);
    let (mut alice, _) = venue.log_on("ALICE", 0);
    let mut live = Vec::new();
    let flow = |venue: &mut Venue, peer: &mut Peer, run: u32, orders: u32| {
        let mut bytes = Vec::new();
        for number in 0..orders {
            let mut new = order(2, &format!("{run}-{number}"), Side::Buy, 1, 1);
            new.time_in_force = TimeInForce::ImmediateOrCancel.code();
            push_command(&mut bytes, NewOrder::KIND, new.as_bytes());
        }
        peer.send(venue, &bytes);
    };
    flow(&mut venue, &mut alice, 0, 5_000);
    live.extend(alice.events(&mut venue));
    let from = Seen::read(&live[0]).header.sequence;
    alice.drop_link(&mut venue);

    let (mut slow, _) = venue.log_on("ALICE", from);
    // It sends without reading: its replay stands still, and what is new is more than may be held.
    flow(&mut venue, &mut slow, 1, 6_000);
    let waiting = venue.gateway.output(slow.link).len();
    assert!(waiting < 512 << 10, "{waiting} bytes wait");
    let replayed = slow.replayed(&mut venue);
    assert_eq!(replayed.len(), 2 * 11_000);
    assert_eq!(replayed[..live.len()], live);
    let order_of = |it: &Vec<u8>| (Seen::read(it).header.sequence, Seen::read(it).index);
    assert!(replayed.iter().map(order_of).is_sorted_by(|a, b| a < b), "each once and in order");
    flow(&mut venue, &mut slow, 2, 1);
    assert_eq!(slow.events(&mut venue).len(), 2);
}

#[test]
fn a_client_that_reads_nothing_is_ended_and_loses_nothing() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.limits.output_bytes = 2 << 20;
    settings.cancel_on_disconnect = false;
    let mut venue = Venue::open(settings);
    let (mut alice, _) = venue.log_on("ALICE", 0);
    let from = venue.gateway.applied_sequence() + 1;
    for round in 0..20 {
        let mut bytes = Vec::new();
        for number in 0..1000 {
            let mut new = order(2, &format!("{round}-{number}"), Side::Buy, 1, 1);
            new.time_in_force = TimeInForce::ImmediateOrCancel.code();
            push_command(&mut bytes, NewOrder::KIND, new.as_bytes());
        }
        venue.gateway.input(alice.link).extend_from_slice(&bytes);
        venue.settle();
        if venue.gateway.closing(alice.link).is_some() {
            break;
        }
    }
    alice.take(&mut venue);
    assert_eq!(alice.closed, Some("slow consumer: too many bytes not read"));
    let entered = venue.gateway.counters().commands;
    let (mut again, _) = venue.log_on("ALICE", from);
    assert_eq!(again.replayed(&mut venue).len() as u64, 2 * entered);
}

fn live_orders(venue: &mut Venue, from: u64) -> Vec<u8> {
    let (mut alice, _) = venue.log_on("ALICE", from);
    let seen: Vec<Seen> = alice.replayed(venue).iter().map(|it| Seen::read(it)).collect();
    let canceled = seen.iter().filter(|it| it.header.kind == OrderCanceled::KIND);
    let reasons = canceled.map(|it| it.body::<OrderCanceled>().reason).collect();
    alice.drop_link(venue);
    reasons
}

#[test]
fn orders_are_cancelled_when_their_session_is_lost_however_it_is_lost() {
    let folder = folder();
    let mut venue = Venue::open(config(folder.path()));
    let from = venue.gateway.applied_sequence() + 1;
    let disconnected = CancelReason::Disconnected.code();
    let enter = |venue: &mut Venue, id: &str| {
        let (mut alice, _) = venue.log_on("ALICE", 0);
        alice.command(venue, &order(2, id, Side::Buy, 1, 1));
        alice.event(venue);
        alice
    };
    enter(&mut venue, "dropped").drop_link(&mut venue);
    assert_eq!(live_orders(&mut venue, from), [disconnected]);
    let mut alice = enter(&mut venue, "logged out");
    alice.send(&mut venue, b"\x00\x01O");
    assert_eq!(alice.next(&mut venue), (b'Z', b"the client has logged out".to_vec()));
    assert_eq!(live_orders(&mut venue, from), [disconnected; 2]);
    let mut alice = enter(&mut venue, "silent");
    venue.now_ns += 16 * SECOND_NS;
    venue.settle();
    alice.take(&mut venue);
    assert_eq!(alice.closed, Some("no heartbeat for 15 seconds"));
    assert_eq!(live_orders(&mut venue, from), [disconnected; 3]);
    let mut alice = enter(&mut venue, "in flight");
    let mut bytes = Vec::new();
    push_command(&mut bytes, NewOrder::KIND, order(2, "last", Side::Buy, 1, 1).as_bytes());
    venue.gateway.input(alice.link).extend_from_slice(&bytes);
    venue.gateway.receive(alice.link, venue.now_ns, &mut venue.port).unwrap();
    alice.drop_link(&mut venue);
    assert_eq!(live_orders(&mut venue, from), [disconnected; 5]);
    enter(&mut venue, "killed");
    drop(venue);
    let mut venue = Venue::open(config(folder.path()));
    assert_eq!(live_orders(&mut venue, from), [disconnected; 6], "the process was lost");
    drop(venue);
    let mut venue = Venue::open(config(folder.path()));
    let commands = venue.gateway.counters().commands;
    assert_eq!((live_orders(&mut venue, from).len(), commands), (6, 0), "there is nothing left to cancel");
}

#[test]
fn a_session_that_comes_back_in_time_keeps_its_orders() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.cancel_grace_ns = 5 * SECOND_NS;
    let mut venue = Venue::open(settings.clone());
    let from = venue.gateway.applied_sequence() + 1;
    let (mut alice, accepted) = venue.log_on("ALICE", 0);
    assert_eq!(accepted.cancel_on_disconnect, 1);
    alice.command(&mut venue, &order(2, "kept", Side::Buy, 1, 1));
    alice.drop_link(&mut venue);
    venue.now_ns += 4 * SECOND_NS;
    assert!(live_orders(&mut venue, from).is_empty());
    drop(venue);
    let mut venue = Venue::open(settings);
    venue.now_ns += 4 * SECOND_NS;
    assert!(live_orders(&mut venue, from).is_empty(), "nor has the new process cancelled it yet");
    venue.now_ns += 5 * SECOND_NS;
    venue.settle();
    assert_eq!(live_orders(&mut venue, from), [CancelReason::Disconnected.code()]);
}

#[test]
fn messages_are_throttled_in_two_steps() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.users[0].access.throttle =
        ThrottleLimits { soft_per_second: 3, hard_per_second: 5, cancels_per_second: 1 };
    let mut venue = Venue::open(settings);
    let (mut alice, _) = venue.log_on("ALICE", 0);
    for number in 0..5 {
        alice.command(&mut venue, &order(2, &format!("{number}"), Side::Buy, 1, 1));
    }
    let mut kinds = Vec::new();
    for _ in 0..5 {
        let (kind, payload) = alice.next(&mut venue);
        if kind == packet::REFUSED {
            let refusal = Refusal::read_from_bytes(&payload).unwrap();
            assert_eq!(refusal.reason.get(), RefusalReason::TooManyMessages as u16);
        }
        kinds.push(kind as char);
    }
    kinds.sort();
    assert_eq!(kinds, ['S', 'S', 'S', 'U', 'U']);
    alice.command(&mut venue, &order(2, "over", Side::Buy, 1, 1));
    assert_eq!(alice.next(&mut venue), (b'Z', b"too many messages a second".to_vec()));
    assert_eq!(alice.closed, Some("too many messages a second"));
}

#[test]
fn logins_that_are_not_good_are_answered_alike_and_written_down() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.limits.lockout_failures = 3;
    settings.users[1].access.addresses = vec!["192.0.2.0/24".parse().unwrap()];
    let mut venue = Venue::open(settings);
    let rejected = |code: char| format!("\\x00\\x02J{code}");
    assert_eq!(venue.refused(&login("mallory", "x", 0)).0, rejected('A'));
    assert_eq!(venue.refused(&login("ALICE", "wrong", 0)).0, rejected('A'));
    assert_eq!(venue.refused(&login("BOB", "BOB-secret", 0)).0, rejected('A'));
    let mut other = login("ALICE", "ALICE-secret", 0);
    other[3] = 9;
    assert_eq!(venue.refused(&other).0, rejected('V'));
    let ahead = venue.gateway.applied_sequence() + 2;
    assert_eq!(venue.refused(&login("ALICE", "ALICE-secret", ahead)).0, rejected('S'));
    let (alice, _) = venue.log_on("ALICE", 0);
    assert_eq!(venue.refused(&login("ALICE", "ALICE-secret", 0)).0, rejected('B'));
    assert!(venue.gateway.closing(alice.link).is_none(), "the first keeps its connection");
    for bytes in [b"\x00\x01R".as_slice(), b"\x00\x00", b"\xff\xff", b"8=FIX.4.4\x019=5\x01", b"\x00\x02Lx"] {
        let (answer, reason) = venue.refused(bytes);
        assert_eq!(answer, "", "strangers are not answered");
        assert!(reason.is_some_and(|it| it.contains("Login Request")), "{reason:?}");
    }
    for _ in 0..3 {
        venue.refused(&login("BOB", "guess", 0));
        venue.refused(&login("ALICE", "guess", 0));
    }
    assert_eq!(venue.refused(&login("ALICE", "ALICE-secret", 0)).0, rejected('A'), "locked out");
    let log: String = venue.gateway.take_attempts().iter().map(|it| it.line()).collect();
    for expected in [
        r#""sender_comp_id":"mallory","accepted":false,"reason":"login with a wrong user name or password""#,
        r#""sender_comp_id":"alice","accepted":false,"reason":"login with a wrong user name or password""#,
        r#""sender_comp_id":"bob","accepted":false,"reason":"login from an address that is not allowed""#,
        r#""sender_comp_id":"alice","accepted":true,"reason":"password""#,
        r#""accepted":false,"reason":"login from a sequence that is after the journal's end""#,
        r#""accepted":false,"reason":"login while locked out after too many failures""#,
        r#""accepted":false,"reason":"first packet is not a Login Request""#,
    ] {
        assert!(log.contains(expected), "{expected} in {log}");
    }
    assert!(!log.contains("secret") && !log.contains("guess"));
}

#[test]
fn strangers_cost_little_and_not_for_long() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.limits.strangers = 2;
    let mut venue = Venue::open(settings);
    let mut half = venue.connect();
    half.send(&mut venue, &login("ALICE", "ALICE-secret", 0)[..100]);
    let mut silent = venue.connect();
    assert!(venue.gateway.connect(ADDRESS, venue.now_ns).is_none());
    venue.now_ns += 10 * SECOND_NS;
    venue.settle();
    for peer in [&mut half, &mut silent] {
        peer.take(&mut venue);
        assert_eq!(peer.closed, Some("no Login Request in time"));
    }
    assert!(venue.gateway.connect(ADDRESS, venue.now_ns).is_some());
}

#[test]
fn heartbeats_say_up_to_where_everything_has_come() {
    let folder = folder();
    let mut venue = Venue::open(config(folder.path()));
    let (mut alice, _) = venue.log_on("ALICE", 0);
    venue.now_ns += SECOND_NS;
    venue.settle();
    let applied = venue.gateway.applied_sequence();
    assert_eq!(alice.next(&mut venue), (b'H', applied.to_le_bytes().to_vec()));
    for _ in 0..3 {
        venue.now_ns += 10 * SECOND_NS;
        alice.send(&mut venue, b"\x00\x01R");
    }
    assert!(venue.gateway.closing(alice.link).is_none(), "it has said that it is there");
    alice.send(&mut venue, b"\x00\x01?");
    alice.take(&mut venue);
    assert_eq!(alice.closed, Some("received a packet of an unknown type"));
    let (mut alice, _) = venue.log_on("ALICE", 0);
    alice.send(&mut venue, b"\xff\xffU");
    alice.take(&mut venue);
    assert_eq!(alice.closed, Some("received a packet longer than allowed, or of no length"));
    assert_eq!(HEADER_LENGTH, 32, "docs/binary.md");
}

#[test]
fn a_password_that_was_changed_over_fix_counts_here_too() {
    let folder = folder();
    let mut settings = config(folder.path());
    let path = folder.path().join("fix-passwords");
    settings.passwords_path = Some(path.clone());
    let old = settings.users[0].password.clone().unwrap();
    let mut venue = Venue::open(settings);
    let (mut alice, _) = venue.log_on("ALICE", 0);
    alice.drop_link(&mut venue);
    let new = PasswordHash::create(b"new-secret", 8, 1).unwrap();
    std::fs::write(&path, format!("ALICE {old} {new}\n")).unwrap();
    assert_eq!(venue.refused(&login("ALICE", "ALICE-secret", 0)).0, "\\x00\\x02JA");
    let mut alice = venue.connect();
    alice.send(&mut venue, &login("ALICE", "new-secret", 0));
    assert_eq!(alice.next(&mut venue).0 as char, 'A');
    std::fs::write(&path, "nonsense\n").unwrap();
    assert_eq!(
        venue.refused(&login("BOB", "BOB-secret", 0)).0,
        "\\x00\\x02JA",
        "nobody gets in by an old one"
    );
    assert!(venue.gateway.take_notes().iter().any(|it| it.contains("fix-passwords")));
}

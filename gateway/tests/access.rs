//! Who gets in, who may do what, and how much.

mod support;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway::access::{
    FirmThrottles, HmacKey, InlineVerifier, LogonGuard, PasswordHash, Permissions, ThrottleLimits, Verifier,
    Work,
};
use gateway::fix::format_utc_millis;
use gateway::{Gateway, GatewayLimits};
use support::{ADDRESS, Client, Received, SECOND_NS, World, message, order, user};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn try_password(world: &mut World, address: IpAddr, password: &str) -> (Client, Vec<Received>) {
    let link = world.gateway.connect(address, world.now_ns).unwrap();
    world.links.0.push(link);
    let mut client = Client {
        name: "ALICE".to_owned(),
        version: gateway::fix::Version::Fix44,
        link,
        next_out: 1,
        closed: None,
    };
    let answer = world.send(&mut client, "A", &format!("98=0|108=30|141=Y|553=alice|554={password}"));
    (client, answer)
}

#[test]
fn guessing_locks_out_the_guesser_and_nobody_else() {
    let mut world = World::new();
    for _ in 0..5 {
        let (client, answer) = try_password(&mut world, ADDRESS, "guess");
        assert_eq!(client.closed, Some("Logon with a wrong password"));
        assert_eq!(answer[0].get(35), "5");
    }
    let (client, answer) = try_password(&mut world, ADDRESS, "ALICE-secret");
    assert_eq!(client.closed, Some("Logon while locked out after too many failures"));
    assert!(answer.is_empty(), "not even the right password helps, and nothing is said");
    let elsewhere = IpAddr::from([192, 0, 2, 1]);
    let (mut client, answer) = try_password(&mut world, elsewhere, "ALICE-secret");
    assert_eq!(answer[0].get(35), "A", "the client itself is elsewhere");
    world.drop_link(&mut client);
    world.now_ns += 60 * SECOND_NS;
    let (_, answer) = try_password(&mut world, ADDRESS, "ALICE-secret");
    assert_eq!(answer[0].get(35), "A", "it ends");
}

/// Each port of a process counted by itself: who had guessed five times on one went on with the next.
#[test]
fn guesses_on_one_port_count_on_the_others() {
    let guard = LogonGuard::new(&GatewayLimits::default());
    let port = |orders: bool| {
        World::with_config(|config| {
            config.logon_guard = Some(guard.clone());
            config.order_entry = orders;
        })
    };
    let (mut market, mut orders) = (port(false), port(true));
    for _ in 0..5 {
        try_password(&mut market, ADDRESS, "guess");
    }
    for world in [&mut market, &mut orders] {
        let (client, answer) = try_password(world, ADDRESS, "ALICE-secret");
        assert_eq!(client.closed, Some("Logon while locked out after too many failures"));
        assert!(answer.is_empty());
    }
    for world in [&mut market, &mut orders] {
        world.now_ns += 60 * SECOND_NS;
        let (_, answer) = try_password(world, ADDRESS, "ALICE-secret");
        assert_eq!(answer[0].get(35), "A", "it ends");
    }
}

#[test]
fn every_attempt_is_noted_without_its_secret() {
    let mut world = World::new();
    try_password(&mut world, ADDRESS, "guess-word");
    try_password(&mut world, ADDRESS, "ALICE-secret");
    try_password(&mut world, ADDRESS, "ALICE-secret");
    let mut stranger = world.connect("MALLORY");
    world.send(&mut stranger, "A", "98=0|108=30|553=m|554=m-word");
    let attempts = world.gateway.take_attempts();
    let noted: Vec<(&str, bool, &str)> =
        attempts.iter().map(|it| (it.sender_comp_id.as_str(), it.accepted, it.reason)).collect();
    assert_eq!(
        noted,
        [
            ("ALICE", false, "Logon with a wrong password"),
            ("ALICE", true, "password"),
            ("ALICE", false, "Logon of a session that is logged on already"),
            ("MALLORY", false, "Logon of an unknown SenderCompID"),
        ]
    );
    assert!(attempts.iter().all(|it| !it.line().contains("-word") && !it.line().contains("secret")));
    assert!(world.gateway.take_attempts().is_empty());
}

/// Checks passwords when it is told to.
#[derive(Default)]
struct SlowVerifier {
    inner: InlineVerifier,
    checks: Arc<AtomicBool>,
}

impl Verifier for SlowVerifier {
    fn submit(&mut self, work: Work) -> bool {
        self.inner.submit(work)
    }

    fn submit_change(&mut self, work: Work, new_password: Vec<u8>) -> bool {
        self.inner.submit_change(work, new_password)
    }

    fn poll(&mut self) -> Option<(u64, bool)> {
        if self.checks.load(Ordering::Relaxed) { self.inner.poll() } else { None }
    }

    fn take_hash(&mut self, ticket: u64) -> Option<PasswordHash> {
        self.inner.take_hash(ticket)
    }
}

/// A guess whose connection ended before its password was checked was in no audit log and counted for no lock-out: a guesser
/// who did not wait for the answer had our processor check passwords without end.
#[test]
fn a_guess_counts_whether_its_answer_is_waited_for_or_not() {
    let mut world = World::new();
    let verifier = SlowVerifier::default();
    let checks = Arc::clone(&verifier.checks);
    world.gateway = Gateway::open_threaded(world.config.clone(), Box::new(verifier)).unwrap();
    let mut attempt = |password: &str, waits: bool| {
        checks.store(waits, Ordering::Relaxed);
        let (mut client, _) = try_password(&mut world, ADDRESS, password);
        if client.closed.is_none() {
            world.drop_link(&mut client);
        }
        checks.store(true, Ordering::Relaxed);
        world.settle();
        world.gateway.take_attempts().iter().map(|it| it.reason).collect::<Vec<&str>>()
    };
    let ended = "Logon whose connection ended before its password was checked";
    assert_eq!(attempt("ALICE-secret", false), [ended]);
    for _ in 0..5 {
        assert_eq!(attempt("guess", false), ["Logon with a wrong password"]);
    }
    assert_eq!(attempt("ALICE-secret", true), ["Logon while locked out after too many failures"]);
}

#[test]
fn only_allowed_addresses_get_in() {
    let mut world = World::with_config(|config| {
        config.users[0].access.addresses = vec!["192.0.2.0/24".parse().unwrap()];
    });
    let (client, answer) = try_password(&mut world, ADDRESS, "ALICE-secret");
    assert_eq!(client.closed, Some("Logon from an address that is not allowed"));
    assert!(answer.is_empty());
    let (_, answer) = try_password(&mut world, IpAddr::from([192, 0, 2, 77]), "ALICE-secret");
    assert_eq!(answer[0].get(35), "A");
}

#[test]
fn a_signed_logon_needs_no_password_and_cannot_be_copied() {
    let key = HmacKey::parse(KEY).unwrap();
    let guard = LogonGuard::new(&GatewayLimits::default());
    let port = || {
        World::with_config(|config| {
            config.users[0].hmac_key = Some(HmacKey::parse(KEY).unwrap());
            config.users[0].password = None;
            config.logon_guard = Some(guard.clone());
        })
    };
    let (mut world, mut other_port) = (port(), port());
    let signed = |now_ns: u64, sequence: u64| {
        let now = String::from_utf8(format_utc_millis(now_ns).to_vec()).unwrap();
        let text = format!("{now}\x01A\x01{sequence}\x01ALICE\x01RIALTO\x01alice");
        let signature = key.sign(text.as_bytes());
        message("ALICE", sequence, "A", &format!("95=64|96={signature}|98=0|108=30|553=alice"), now_ns)
    };
    let bytes = signed(world.now_ns, 1);
    let mut alice = world.connect("ALICE");
    assert_eq!(world.send_bytes(&mut alice, &bytes)[0].get(35), "A");
    world.drop_link(&mut alice);
    for world in [&mut world, &mut other_port] {
        let mut copy = world.connect("ALICE");
        world.send_bytes(&mut copy, &bytes);
        assert_eq!(copy.closed, Some("Logon with a signature that was used before"));
    }
    world.now_ns += 1_000_000;
    let mut changed = world.connect("ALICE");
    let forged = String::from_utf8(signed(world.now_ns, 2)).unwrap().replace("\x0134=2\x01", "\x0134=3\x01");
    let sum: u32 = forged[..forged.len() - 7].bytes().map(u32::from).sum();
    let forged = format!("{}10={:03}\x01", &forged[..forged.len() - 7], sum % 256);
    world.send_bytes(&mut changed, forged.as_bytes());
    assert_eq!(changed.closed, Some("Logon with a wrong signature"));
    let mut plain = world.connect("ALICE");
    world.send(&mut plain, "A", "98=0|108=30|553=alice|554=ALICE-secret");
    assert!(plain.closed.unwrap().contains("without password or signature"), "a password no longer does");
    let mut again = world.connect("ALICE");
    let bytes = signed(world.now_ns, 2);
    assert_eq!(world.send_bytes(&mut again, &bytes)[0].get(35), "A");
}

/// Used signatures were known to the process alone: who had kept a signed Logon that resets the sequences could send it
/// again after a restart, as long as its SendingTime was near the clock.
#[test]
fn a_signed_logon_cannot_be_copied_after_a_restart_either() {
    let key = HmacKey::parse(KEY).unwrap();
    let mut world = World::with_config(|config| {
        config.users[0].hmac_key = Some(HmacKey::parse(KEY).unwrap());
    });
    let signed = |now_ns: u64| {
        let now = String::from_utf8(format_utc_millis(now_ns).to_vec()).unwrap();
        let signature = key.sign(format!("{now}\x01A\x011\x01ALICE\x01RIALTO\x01alice").as_bytes());
        let fields = format!("95=64|96={signature}|98=0|108=30|141=Y|553=alice");
        message("ALICE", 1, "A", &fields, now_ns)
    };
    // The client's clock is ahead of ours, and of that of the process that starts next.
    let bytes = signed(world.now_ns + 60 * SECOND_NS);
    let mut alice = world.connect("ALICE");
    assert_eq!(world.send_bytes(&mut alice, &bytes)[0].get(35), "A");
    for _ in 0..2 {
        world.kill_and_restart(true);
        world.now_ns += SECOND_NS;
        let mut copy = world.connect("ALICE");
        world.send_bytes(&mut copy, &bytes);
        assert_eq!(copy.closed, Some("Logon with a signature that was used before"));
    }
    let mut alice = world.connect("ALICE");
    let later = signed(world.now_ns + 60 * SECOND_NS);
    assert_eq!(world.send_bytes(&mut alice, &later)[0].get(35), "A");
}

#[test]
fn permissions_hold_for_each_message() {
    let mut world = World::with_config(|config| {
        config.users[0].access.permissions = Permissions::CANCEL;
        config.users[1].access.permissions = Permissions::NONE;
    });
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let refused = world.send(&mut alice, "D", &order("a1", 1, "1", "100"));
    assert_eq!(refused[0].pick(&[35, 45, 372, 380]), "35=j|45=2|372=D|380=6");
    let allowed = world.send(&mut alice, "F", "41=a1|11=c1|54=1|55=BTC/USD|60=now");
    assert_eq!(allowed[0].pick(&[35, 102]), "35=9|102=1");
    assert_eq!(world.send(&mut alice, "1", "112=x")[0].pick(&[35, 34]), "35=0|34=4");
    let (mut bob, _) = world.log_on("BOB", 1, "");
    let refused = world.send(&mut bob, "F", "41=a1|11=c1|54=1|55=BTC/USD|60=now");
    assert_eq!(refused[0].pick(&[35, 372]), "35=j|372=F");
    assert!(world.gateway.orders().is_empty());
}

/// The permission `admin` could be given and allowed nothing.
#[test]
fn an_operators_session_cancels_the_orders_of_others() {
    let mut world = World::with_config(|config| {
        let mut operator = user("OPS", 0);
        operator.access.permissions = Permissions::ADMIN;
        config.users.push(operator);
        config.users[1].access.permissions = Permissions::ADMIN.and(Permissions::TRADE);
    });
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let (mut bob, _) = world.log_on("BOB", 1, "");
    let (mut operator, _) = world.log_on("OPS", 1, "");
    let refused = world.send(&mut operator, "D", &order("o1", 1, "1", "100"));
    assert_eq!(refused[0].pick(&[35, 380]), "35=j|380=6");
    let refused = world.send(&mut alice, "q", "11=m|530=7|1=3|60=now");
    assert_eq!(refused[0].pick(&[35, 531, 532]), "35=r|531=0|532=99", "she is no operator");
    // Of one account; its owner is told as it is when the operator's tool does it.
    world.send(&mut alice, "D", &order("a1", 1, "1", "90"));
    world.send(&mut bob, "D", &order("b1", 1, "1", "90"));
    let done = world.send(&mut bob, "q", "11=m1|530=7|1=2|60=now");
    assert_eq!(done[0].pick(&[35, 11, 531, 533]), "35=r|11=m1|531=7|533=1");
    assert_eq!(done.len(), 1);
    let told = world.take(&mut alice);
    assert_eq!(told[0].pick(&[35, 11, 150, 58, 378]), "35=8|11=a1|150=4|58=Operator|378=8");
    // Of all accounts.
    world.send(&mut alice, "D", &order("a2", 1, "1", "90"));
    let done = world.send(&mut operator, "q", "11=m2|530=1|55=BTC/USD|60=now");
    assert_eq!(done[0].pick(&[35, 11, 531, 533]), "35=r|11=m2|531=1|533=2");
    for (client, id) in [(&mut alice, "a2"), (&mut bob, "b1")] {
        assert_eq!(world.take(client)[0].pick(&[11, 150, 58]), format!("11={id}|150=4|58=Operator"));
    }
    // What an owner cancels is the owner's, as ever; what the exchange refuses is told to who has asked.
    let own = world.send(&mut bob, "q", "11=m3|530=7|60=now");
    assert_eq!(own[0].pick(&[11, 531, 533]), "11=m3|531=7|533=0");
    for account in ["9", "0", "x"] {
        let unknown = world.send(&mut operator, "q", &format!("11=m4{account}|530=7|1={account}|60=now"));
        assert_eq!(unknown[0].pick(&[35, 531, 532]), "35=r|531=0|532=99", "{account}");
    }
    world.kill_and_restart(true);
    let (mut operator, _) = world.log_on("OPS", operator.next_out, "");
    let again = world.send(&mut operator, "2", "7=1|16=0");
    let reports = again.iter().filter(|it| it.get(35) == "r").count();
    assert_eq!((reports, world.gateway.store().messages_made_differently()), (4, 0), "{again:?}");
}

#[test]
fn over_the_soft_limit_messages_are_rejected_and_over_the_hard_one_the_session_ends() {
    let limits = ThrottleLimits { soft_per_second: 3, hard_per_second: 6, cancels_per_second: 2 };
    let mut world = World::with_config(|config| config.users[0].access.throttle = limits);
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    for id in ["a1", "a2", "a3"] {
        assert_eq!(world.send(&mut alice, "D", &order(id, 1, "1", "100"))[0].get(150), "0");
    }
    let over = world.send(&mut alice, "D", &order("a4", 1, "1", "100"));
    assert_eq!(over[0].pick(&[35, 150, 103, 11]), "35=8|150=8|103=99|11=a4");
    let over = world.send(&mut alice, "G", &format!("41=a1|{}", order("a5", 1, "2", "100")));
    assert_eq!(over[0].pick(&[35, 434, 102]), "35=9|434=2|102=99");
    let cancel = world.send(&mut alice, "F", "41=a1|11=c1|54=1|55=BTC/USD|60=now");
    assert_eq!(cancel[0].get(150), "4", "a cancel has a budget of its own");
    let over = world.send(&mut alice, "H", "11=a2|54=1|55=BTC/USD");
    assert_eq!(over[0].pick(&[35, 372, 380]), "35=j|372=H|380=99");
    let end = world.send(&mut alice, "D", &order("a6", 1, "1", "100"));
    assert_eq!(end[0].pick(&[35, 58]), "35=5|58=too many messages a second");
    assert_eq!(world.gateway.counters().throttled, 3);
    world.send(&mut alice, "5", "");
    world.now_ns += SECOND_NS;
    let (mut alice, _) = world.log_on("ALICE", alice.next_out, "");
    let again = world.send(&mut alice, "D", &order("a7", 1, "1", "100"));
    assert!(again.is_empty() || again[0].get(150) == "0", "the session goes on: {again:?}");
}

#[test]
fn sessions_of_a_firm_share_its_throttle() {
    let firm = ThrottleLimits { soft_per_second: 3, ..ThrottleLimits::default() };
    let mut world = World::with_config(|config| {
        config.firms.insert("HOUSE".to_owned(), firm);
        config.users.iter_mut().for_each(|user| user.access.firm = Some("HOUSE".to_owned()));
    });
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let (mut bob, _) = world.log_on("BOB", 1, "");
    assert_eq!(world.send(&mut alice, "D", &order("a1", 1, "1", "100"))[0].get(150), "0");
    assert_eq!(world.send(&mut bob, "D", &order("b1", 1, "1", "100"))[0].get(150), "0");
    assert_eq!(world.send(&mut alice, "D", &order("a2", 1, "1", "100"))[0].get(150), "0");
    assert_eq!(world.send(&mut bob, "D", &order("b2", 1, "1", "100"))[0].get(103), "99");
}

/// Each port of a process had a firm's limits for itself: by two ports it sent twice as much. And a session over its own soft
/// limit was spared the firm's hard one.
#[test]
fn a_firm_has_its_throttle_once_for_all_ports_and_the_harder_limit_counts() {
    let firm = ThrottleLimits { soft_per_second: 3, hard_per_second: 4, ..ThrottleLimits::default() };
    let firms = [("HOUSE".to_owned(), firm)].into_iter().collect();
    let throttles = FirmThrottles::new(&firms);
    let port = || {
        World::with_config(|config| {
            config.firms = firms.clone();
            config.firm_throttles = Some(throttles.clone());
            config.users.iter_mut().for_each(|user| user.access.firm = Some("HOUSE".to_owned()));
            config.users[1].access.throttle = ThrottleLimits { soft_per_second: 1, ..Default::default() };
        })
    };
    let (mut world, mut other_port) = (port(), port());
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let (mut bob, _) = other_port.log_on("BOB", 1, "");
    for id in ["a1", "a2"] {
        assert_eq!(world.send(&mut alice, "D", &order(id, 1, "1", "100"))[0].get(150), "0");
    }
    assert_eq!(other_port.send(&mut bob, "D", &order("b1", 1, "1", "100"))[0].get(150), "0");
    assert_eq!(world.send(&mut alice, "D", &order("a3", 1, "1", "100"))[0].get(103), "99");
    let end = other_port.send(&mut bob, "D", &order("b2", 1, "1", "100"));
    assert_eq!(end[0].pick(&[35, 58]), "35=5|58=too many messages a second");
}

/// What has no effect was not counted: orders sent again with PossResend, and messages that the session has no permission for,
/// could come at any rate.
#[test]
fn repeated_and_forbidden_messages_count_too() {
    let limits = ThrottleLimits { soft_per_second: 3, hard_per_second: 6, ..ThrottleLimits::default() };
    let mut world = World::with_config(|config| {
        config.users.iter_mut().for_each(|user| user.access.throttle = limits);
        config.users[1].access.permissions = Permissions::NONE;
    });
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let repeated = format!("97=Y|{}", order("a1", 1, "1", "100"));
    assert_eq!(world.send(&mut alice, "D", &repeated)[0].get(150), "0");
    for _ in 0..5 {
        assert!(world.send(&mut alice, "D", &repeated).is_empty(), "it had its effect");
    }
    assert_eq!(world.send(&mut alice, "D", &repeated)[0].pick(&[35]), "35=5");
    let (mut bob, _) = world.log_on("BOB", 1, "");
    let answers: Vec<String> = (0..7)
        .map(|_| world.send(&mut bob, "F", "41=a1|11=c1|54=1|55=BTC/USD|60=now")[0].pick(&[35, 380]))
        .collect();
    assert_eq!(answers, ["35=j|380=6"; 7], "cancels have a budget of their own: none here");
    let answers: Vec<String> = (0..7)
        .map(|at| world.send(&mut bob, "D", &order(&format!("b{at}"), 1, "1", "100"))[0].get(35).to_owned())
        .collect();
    assert_eq!(answers, ["j", "j", "j", "8", "8", "8", "5"]);
}

#[test]
fn connections_are_bounded_by_address_and_before_their_logon() {
    let mut world = World::with_config(|config| {
        config.limits.connections_per_address = 2;
        config.limits.strangers = 3;
    });
    let now_ns = world.now_ns;
    let from = |last| IpAddr::from([192, 0, 2, last]);
    assert!(world.gateway.connect(from(1), now_ns).is_some());
    assert!(world.gateway.connect(from(1), now_ns).is_some());
    assert!(world.gateway.connect(from(1), now_ns).is_none(), "two of one address");
    assert!(world.gateway.connect(from(2), now_ns).is_some());
    assert!(world.gateway.connect(from(3), now_ns).is_none(), "three that have not logged on");
}

//! Cancel on disconnect: what becomes of a session's orders when it is gone.

mod support;

use gateway::DisconnectPolicy;
use support::{SECOND_NS, World, order};

fn live(world: &World) -> usize {
    world.exchange.orders(1, protocol::Side::Buy).count()
}

/// The world after some time without ALICE.
fn later(world: &mut World, seconds: u64) -> usize {
    world.now_ns += seconds * SECOND_NS;
    world.settle();
    live(world)
}

fn with_policy(policy: DisconnectPolicy) -> World {
    World::with_config(|config| config.users[0].on_disconnect = policy)
}

const DROP: DisconnectPolicy = DisconnectPolicy { on_drop: true, on_logout: false, grace_ns: 5 * SECOND_NS };

#[test]
fn a_dropped_session_has_its_grace_time() {
    let mut world = with_policy(DROP);
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let (mut bob, _) = world.log_on("BOB", 1, "");
    world.send(&mut alice, "D", &order("a1", 1, "1", "90"));
    world.send(&mut bob, "D", &order("b1", 1, "1", "90"));
    world.drop_link(&mut alice);
    assert_eq!(later(&mut world, 4), 2, "not yet");
    let (mut alice, _) = world.log_on("ALICE", alice.next_out, "");
    assert_eq!(later(&mut world, 20), 2, "it came back in time");
    world.take(&mut alice);
    world.drop_link(&mut alice);
    assert_eq!(later(&mut world, 5), 1, "BOB's stays");
    let (_, missed) = world.log_on("ALICE", alice.next_out, "789=1|");
    let gone = missed.iter().find(|it| it.get(150) == "4").unwrap();
    assert_eq!(gone.pick(&[11, 39, 58, 378]), "11=a1|39=4|58=Disconnected|378=8");
}

#[test]
fn a_logout_is_not_a_drop() {
    let mut world = with_policy(DROP);
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    world.send(&mut alice, "D", &order("a1", 1, "1", "90"));
    world.send(&mut alice, "5", "");
    assert_eq!(later(&mut world, 60), 1);
    // The Logon says otherwise: on logout, at once.
    let (mut alice, _) = world.log_on("ALICE", alice.next_out, "35002=2|35003=0|");
    world.send(&mut alice, "5", "");
    assert_eq!(later(&mut world, 0), 0);
}

#[test]
fn silence_is_a_drop_and_a_logon_may_turn_it_off() {
    let mut world = with_policy(DROP);
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    world.send(&mut alice, "D", &order("a1", 1, "1", "90"));
    for _ in 0..4 {
        world.wait(&mut alice, 40);
    }
    assert_eq!(alice.closed, Some("no answer to TestRequest"));
    assert_eq!(later(&mut world, 6), 0);
    let (mut alice, _) = world.log_on("ALICE", alice.next_out, "35002=0|");
    world.send(&mut alice, "D", &order("a2", 1, "1", "90"));
    world.drop_link(&mut alice);
    assert_eq!(later(&mut world, 600), 1);
}

#[test]
fn a_logon_with_an_impossible_wish_is_refused_in_words() {
    let mut world = World::new();
    let (alice, answer) = world.log_on("ALICE", 1, "35002=7|");
    assert!(alice.closed.is_some());
    assert!(answer[0].get(58).contains("CancelOnDisconnectType (35002)"), "{answer:?}");
    let (_, answer) = world.log_on("ALICE", 1, "35002=1|35003=3600001|");
    assert!(answer[0].get(58).contains("35003"), "{answer:?}");
}

#[test]
fn a_killed_process_cancels_after_its_restart() {
    let mut world = with_policy(DROP);
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let (mut bob, _) = world.log_on("BOB", 1, "");
    world.send(&mut alice, "D", &order("a1", 1, "1", "90"));
    world.send(&mut bob, "D", &order("b1", 1, "1", "90"));
    world.kill_and_restart(true);
    assert_eq!(later(&mut world, 1), 2, "the grace time begins with the new process");
    assert_eq!(later(&mut world, 5), 1);
    // Done once: after another restart nothing is left to do.
    let (mut alice, _) = world.log_on("ALICE", alice.next_out, "35002=0|141=N|");
    world.send(&mut alice, "D", &order("a2", 1, "1", "90"));
    world.kill_and_restart(true);
    assert_eq!(later(&mut world, 600), 2);
}

#[test]
fn a_restart_within_the_grace_time_keeps_the_orders_of_who_comes_back() {
    let mut world = with_policy(DROP);
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    world.send(&mut alice, "D", &order("a1", 1, "1", "90"));
    world.kill_and_restart(true);
    let (_, answer) = world.log_on("ALICE", alice.next_out, "");
    assert_eq!(answer[0].get(35), "A");
    assert_eq!(later(&mut world, 20), 1);
}

#[test]
fn over_the_hard_throttle_orders_go_whatever_the_policy() {
    let mut world = World::with_config(|config| {
        config.users[0].access.throttle.soft_per_second = 3;
        config.users[0].access.throttle.hard_per_second = 3;
    });
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    let mut reports = Vec::new();
    for at in 0..4 {
        reports.extend(world.send(&mut alice, "D", &order(&format!("a{at}"), 1, "1", "90")));
    }
    let kinds: Vec<String> = reports.iter().map(|it| it.pick(&[35, 150, 11])).collect();
    assert_eq!(kinds[..4], ["35=8|150=0|11=a0", "35=8|150=0|11=a1", "35=8|150=0|11=a2", "35=5|150=|11="]);
    assert_eq!(live(&world), 0);
    assert_eq!(reports.iter().filter(|it| it.get(150) == "4").count(), 3);
}

#[test]
fn a_full_ring_delays_the_cancel_and_does_not_lose_it() {
    let mut world = with_policy(DROP);
    let (mut alice, _) = world.log_on("ALICE", 1, "");
    world.send(&mut alice, "D", &order("a1", 1, "1", "90"));
    world.drop_link(&mut alice);
    world.port.room = 0;
    assert_eq!(later(&mut world, 10), 1);
    world.port.room = 10;
    assert_eq!(later(&mut world, 0), 0);
}

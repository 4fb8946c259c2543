//! Which sessions and links a duty cycle has to look at, so that idle ones cost next to nothing.

use super::{CommandPort, Gateway, LinkId};
use crate::session::Verdict;
use std::io;

/// All sessions and links are looked at this often, for heartbeats and timeouts, which are counted in seconds.
const ROUND_NS: u64 = 20_000_000;

/// A set of small numbers that knows its members in the order in which they came.
#[derive(Default)]
pub(super) struct ActiveSet {
    members: Vec<usize>,
    is_member: Vec<bool>,
}

impl ActiveSet {
    #[inline]
    pub(super) fn insert(&mut self, number: usize) {
        if number >= self.is_member.len() {
            self.is_member.resize(number + 1, false);
        }
        if !self.is_member[number] {
            self.is_member[number] = true;
            self.members.push(number);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.members.iter().copied()
    }

    fn get(&self, at: usize) -> Option<usize> {
        self.members.get(at).copied()
    }

    fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let is_member = &mut self.is_member;
        self.members.retain(|&number| {
            is_member[number] = keep(number);
            is_member[number]
        });
    }
}

/// What has happened since the transport asked last.
#[derive(Default)]
pub(super) struct Activity {
    pub(super) clients: ActiveSet,
    pub(super) links: ActiveSet,
    /// When all were looked at last.
    round_ns: Option<u64>,
}

impl Activity {
    /// Whether it is time for all. A clock that went back (a test's may) makes it so, too.
    fn begins_round(&mut self, now_ns: u64) -> bool {
        let due = self.round_ns.is_none_or(|last_ns| now_ns.wrapping_sub(last_ns) >= ROUND_NS);
        if due {
            self.round_ns = Some(now_ns);
        }
        due
    }
}

impl Gateway {
    /// Something has happened on a link: it may have something to send, or be about to end.
    #[inline]
    pub(super) fn touch_link(&mut self, link: LinkId) {
        match self.link(link).client {
            Some(client) => self.activity.clients.insert(client),
            None => self.activity.links.insert(link),
        }
    }

    /// Time has passed: timeouts, heartbeats, requests that waited. Sessions on which nothing has happened are looked at
    /// fifty times a second only.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn on_tick(&mut self, now_ns: u64, port: &mut dyn CommandPort) -> io::Result<()> {
        self.tell_time(now_ns);
        self.store.poll_rebuilder();
        self.store.look_for_room(now_ns);
        self.pump_replays(now_ns);
        self.finish_logons(now_ns);
        if self.activity.begins_round(now_ns) {
            self.look_at_all(now_ns);
        }
        self.tick_market(now_ns);
        let mut at = 0;
        while let Some(client) = self.activity.clients.get(at) {
            at += 1;
            self.tick_client(client, now_ns)?;
            self.release_parked(client, now_ns, port);
            self.go_on_with_list_cancels(client, now_ns, port);
            self.pump_answers(client, now_ns);
            self.cancel_if_due(client, now_ns, port);
        }
        Ok(())
    }

    /// Ends strangers that have had their time, and finds the sessions for which something is due.
    fn look_at_all(&mut self, now_ns: u64) {
        for (index, client) in self.clients.iter().enumerate() {
            if client.on_disconnect.is_due(now_ns) {
                self.activity.clients.insert(index);
            }
        }
        for link in 0..self.links.len() {
            let Some(open) = &self.links[link] else { continue };
            match open.client {
                _ if open.closing.is_some() => self.activity.links.insert(link),
                Some(client) if self.clients[client].session.has_due(now_ns, &self.store) => {
                    self.activity.clients.insert(client);
                }
                Some(_) => {}
                None if now_ns.saturating_sub(open.opened_ns) >= self.config.limits.logon_timeout_ns => {
                    self.close(link, "no Logon in time");
                }
                None => {}
            }
        }
    }

    fn tick_client(&mut self, client: usize, now_ns: u64) -> io::Result<()> {
        let Some(link) = self.clients[client].link else { return Ok(()) };
        let session = &mut self.clients[client].session;
        if let Verdict::Disconnect(reason) = session.on_tick(now_ns, &mut self.store)? {
            self.close(link, reason);
        } else if session.wire().len() > self.config.limits.output_bytes {
            self.counters.slow_consumers += 1;
            session.wire().clear();
            self.close(link, "slow consumer: too many bytes not read");
        }
        Ok(())
    }

    /// Adds the links that may have something to send or are to be closed since the last call. Sessions that are not done
    /// with what they do stay active.
    pub fn collect_active(&mut self, links: &mut Vec<LinkId>) {
        let clients = &self.clients;
        self.activity.clients.retain(|client| {
            links.extend(clients[client].link);
            clients[client].is_busy()
        });
        let open = &self.links;
        self.activity.links.retain(|link| {
            links.extend(open.get(link).is_some_and(Option::is_some).then_some(link));
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_each_number_once_and_forgets_those_not_kept() {
        let mut set = ActiveSet::default();
        [3, 1, 3, 7].into_iter().for_each(|number| set.insert(number));
        assert_eq!(set.members, [3, 1, 7]);
        set.retain(|number| number == 1);
        [3, 1].into_iter().for_each(|number| set.insert(number));
        assert_eq!(set.members, [1, 3]);
    }

    #[test]
    fn a_round_begins_after_its_time_and_when_the_clock_goes_back() {
        let mut activity = Activity::default();
        let times = [100, 101, 100 + ROUND_NS - 1, 100 + ROUND_NS, 50];
        assert_eq!(times.map(|now_ns| activity.begins_round(now_ns)), [true, false, false, true, true]);
    }
}

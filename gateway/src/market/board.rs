//! Who sees an instrument, and what each is sent.

use protocol::InstrumentId;

use super::entries::{Figures, Writer, write_preamble};
use super::fields::Fields;
use super::request::{Refusal, View, reason};
use super::{Due, Market, Outlet, refuse};
use crate::fix::{Precision, SOH, format_utc};

/// How far a subscriber is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has everything.
    Live,
    /// It waits for the whole book.
    Behind,
}

/// One symbol of one subscription.
struct Feed {
    subscription: u64,
    session: usize,
    state: State,
    /// It ends with the first whole book.
    once: bool,
    /// Length of the last whole book: it may wait beside the bytes that may wait otherwise.
    snapshot_bytes: usize,
    /// MDReqID as a whole field.
    id_field: Box<[u8]>,
}

/// Subscribers that see the same in the same words.
struct Group {
    view: View,
    /// RptSeq (83) of the last message.
    report: u64,
    feeds: Vec<Feed>,
}

/// The subscribers of one instrument.
#[derive(Default)]
pub(super) struct Board {
    groups: Vec<Group>,
    /// The figures that live subscribers know.
    told: Figures,
}

impl Board {
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(super) fn add(&mut self, view: View, subscription: u64, session: usize, id: &[u8], once: bool) {
        let id_field = [b"262=", id, &[SOH]].concat().into();
        let feed = Feed { subscription, session, state: State::Behind, once, snapshot_bytes: 0, id_field };
        match self.groups.iter_mut().find(|group| group.view == view) {
            Some(group) => group.feeds.push(feed),
            None => self.groups.push(Group { view, report: 0, feeds: vec![feed] }),
        }
    }

    pub(super) fn feeds_of(&self, session: usize) -> usize {
        self.groups.iter().flat_map(|group| &group.feeds).filter(|feed| feed.session == session).count()
    }

    pub(super) fn drop_session(&mut self, session: usize) {
        self.retain(|feed| feed.session != session);
    }

    pub(super) fn drop_subscription(&mut self, subscription: u64) {
        self.retain(|feed| feed.subscription != subscription);
    }

    fn retain(&mut self, keep: impl Fn(&Feed) -> bool) {
        self.groups.iter_mut().for_each(|group| group.feeds.retain(&keep));
        self.groups.retain(|group| !group.feeds.is_empty());
    }

    /// Puts a session's live subscriptions behind; which they are.
    pub(super) fn take_refreshes(&mut self, session: usize) -> Vec<u64> {
        let feeds = self.groups.iter_mut().flat_map(|group| &mut group.feeds);
        let live = feeds.filter(|feed| feed.session == session && feed.state == State::Live);
        live.map(|feed| {
            feed.state = State::Behind;
            feed.subscription
        })
        .collect()
    }

    fn find(&self, subscription: u64) -> Option<(usize, usize)> {
        self.groups.iter().enumerate().find_map(|(at, group)| {
            let feed = group.feeds.iter().position(|feed| feed.subscription == subscription)?;
            Some((at, feed))
        })
    }
}

impl Market {
    /// Sends what the newest command changed.
    pub(super) fn publish(&mut self, outlet: &mut impl Outlet) {
        let touched = self.depth.changes().instruments().count();
        for place in 0..touched {
            let Some((instrument, marks)) = self.depth.changes().instruments().nth(place) else { break };
            self.publish_book(instrument, outlet);
            if !self.followers.is_empty() {
                self.publish_status(instrument, marks, outlet);
            }
        }
    }

    fn publish_book(&mut self, instrument: InstrumentId, outlet: &mut impl Outlet) {
        let index = instrument as usize - 1;
        let Self { boards, depth, quoted, scratch, due, settings, .. } = self;
        let Some(board) = boards.get_mut(index).filter(|board| !board.is_empty()) else { return };
        let Some(quoted) = quoted.get(index).and_then(Option::as_ref) else { return };
        for group in &mut board.groups {
            scratch.entries.clear();
            let (view, report) = (&group.view, group.report + 1);
            let writer = Writer::new(&mut scratch.entries, quoted, instrument, view.version, false, report);
            let count = writer.increment(depth, view, &board.told, &mut scratch.steps);
            if count == 0 {
                continue;
            }
            group.report = report;
            scratch.preamble.clear();
            write_preamble(&mut Fields(&mut scratch.preamble), quoted, view, false, b"", count);
            for feed in group.feeds.iter_mut().filter(|feed| feed.state == State::Live) {
                let room = settings.backlog_bytes + feed.snapshot_bytes;
                if view.full_refresh || outlet.backlog_bytes(feed.session) > room {
                    feed.state = State::Behind;
                    let (subscription, session) = (feed.subscription, feed.session);
                    due.push_back(Due { instrument, subscription, session });
                    continue;
                }
                outlet.send(feed.session, b"X", |message| {
                    message.raw(&feed.id_field);
                    message.raw(&scratch.preamble);
                    message.raw(&scratch.entries);
                });
            }
        }
        if let Some(book) = depth.book(instrument) {
            board.told = Figures::of(book);
        }
    }

    /// Sends a subscription the whole book. One that has ended meanwhile gets nothing.
    pub(super) fn refresh(&mut self, instrument: InstrumentId, subscription: u64, outlet: &mut impl Outlet) {
        let index = instrument as usize - 1;
        let Self { boards, depth, quoted, scratch, settings, event_ns, .. } = self;
        let Some(board) = boards.get_mut(index) else { return };
        let Some((at, place)) = board.find(subscription) else { return };
        let Some((book, quoted)) = depth.book(instrument).zip(quoted.get(index).and_then(Option::as_ref))
        else {
            return;
        };
        let Group { view, report, feeds } = &mut board.groups[at];
        let feed = &mut feeds[place];
        scratch.entries.clear();
        let writer = Writer::new(&mut scratch.entries, quoted, instrument, view.version, true, *report);
        let session = feed.session;
        let Some(count) = writer.book(depth, view, settings.snapshot_entries) else {
            let id = feed.id_field[4..feed.id_field.len() - 1].to_vec();
            return self.end_subscription(session, &id, subscription, outlet);
        };
        scratch.preamble.clear();
        let updated = format_utc(*event_ns, Precision::Millis);
        write_preamble(&mut Fields(&mut scratch.preamble), quoted, view, true, &updated, count);
        outlet.send(session, b"W", |message| {
            message.raw(&feed.id_field);
            message.raw(&scratch.preamble);
            message.raw(&scratch.entries);
        });
        feed.snapshot_bytes = scratch.entries.len();
        feed.state = State::Live;
        let once = feed.once;
        board.told = Figures::of(book);
        if once {
            board.retain(|feed| feed.subscription != subscription);
            self.record_if_wanted();
        }
    }

    /// A book has outgrown a message: its subscribers cannot be brought up to date any more.
    fn end_subscription(&mut self, session: usize, id: &[u8], subscription: u64, outlet: &mut impl Outlet) {
        self.subscriptions.remove(&(session, id.to_vec()));
        self.boards.iter_mut().for_each(|board| board.drop_subscription(subscription));
        let text = format!(
            "the book has more than the {} entries of one message: the subscription has ended, ask for price levels",
            self.settings.snapshot_entries
        );
        refuse(outlet, session, id, &Refusal::new(reason::BANDWIDTH, text));
        self.record_if_wanted();
    }
}

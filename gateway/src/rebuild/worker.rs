//! Leads a fold of the orders to the events whose reports are wanted.

use std::collections::VecDeque;

use super::checkpoint::{Checkpoint, Checkpoints};
use super::{
    EventCursor, EventSource, Origin, Outcome, RebuildError, Replay, Replayed, ReplayedCopy, Resend, Resent,
    Work,
};
use crate::drop_copy::{Copied, Owners, message_type, write_report};
use crate::fix::{MessageWriter, Precision, Version};
use crate::orders::{Asked, Orders, Report, Reports};

/// A place in the order of events: sequence, and place among the command's events.
type Place = (u64, u32);

/// Reports in one part of a replay.
const PART_REPORTS: usize = 512;
/// Questions answered in one pass while others wait for an earlier place.
const PASS_QUESTIONS: usize = 64;
/// A checkpoint this many commands ahead is worth loading instead of folding up to it.
const JUMP_COMMANDS: u64 = 100_000;

/// Commands between two checkpoints for each order that they hold.
const COMMANDS_PER_ORDER: u64 = 4;

/// A way to the present that is longer than this many checkpoints is gone in so many steps.
const STEPS_BEHIND: u64 = 8;

/// Pauses without work after which the fold's memory is given back: a minute of the thread's. While checkpoints come one after the
/// other it is kept; to take that memory and read the last checkpoint again cost more than folding what is between them.
pub(super) const PAUSES: u32 = 600;

/// The orders after some event, and the events after it.
struct Fold {
    orders: Orders,
    cursor: Box<dyn EventCursor>,
    /// The last event folded.
    place: Place,
    /// Whether it was its command's last.
    complete: bool,
    timestamp_ns: u64,
}

/// A resend under way.
struct OpenResend {
    /// Whether what it needs next lies ahead of the fold; if not, it waits for another pass.
    in_pass: bool,
    ticket: u64,
    session: usize,
    wanted: VecDeque<super::Wanted>,
    made: Vec<Resent>,
}

/// A part of a replay under way.
struct OpenReplay {
    /// As of a resend.
    in_pass: bool,
    replay: Replay,
    /// The last event that was looked at.
    place: Place,
    copies: Vec<ReplayedCopy>,
    /// Set when this part is done: where the next one begins, if it was not the last.
    done: Option<Option<Place>>,
}

/// Those who wait for reports.
struct Waiting<'a> {
    resends: &'a mut [OpenResend],
    replays: &'a mut [OpenReplay],
    owners: &'a Owners,
}

impl Waiting<'_> {
    /// Takes the reports of the event at this place, made with and without what was asked. How many have all they want.
    fn take(
        &mut self,
        place: Place,
        reports: (&Reports, &Reports),
        orders: &Orders,
        complete: bool,
    ) -> usize {
        let mut answered = 0;
        for resend in self.resends.iter_mut().filter(|it| it.in_pass) {
            resend.take(place, reports, orders, self.owners);
            answered += usize::from(resend.wanted.is_empty());
        }
        for open in self.replays.iter_mut().filter(|it| it.in_pass && it.done.is_none()) {
            open.take(place, reports.1, orders, self.owners);
            open.done = open.is_done(place, complete);
            answered += usize::from(open.done.is_some());
        }
        answered
    }
}

/// Makes reports again and writes checkpoints, a slice at a time. See the module's documentation.
pub(crate) struct Worker {
    source: Box<dyn EventSource>,
    checkpoints: Checkpoints,
    owners: Owners,
    /// Least commands between two checkpoints, and how many there are now.
    spacing: u64,
    apart: u64,
    fold: Option<Fold>,
    resends: Vec<OpenResend>,
    replays: Vec<OpenReplay>,
    /// Checkpoints may go so far.
    committed: u64,
    /// Questions answered since the fold was started.
    answered: usize,
    /// Pauses since something was wanted.
    pauses: u32,
    outcomes: VecDeque<Outcome>,
}

impl Worker {
    pub(crate) fn new(
        source: Box<dyn EventSource>,
        checkpoints: Checkpoints,
        owners: Owners,
        spacing: u64,
    ) -> Self {
        Self {
            source,
            checkpoints,
            owners,
            spacing,
            apart: spacing,
            fold: None,
            resends: Vec::new(),
            replays: Vec::new(),
            committed: 0,
            answered: 0,
            pauses: 0,
            outcomes: VecDeque::new(),
        }
    }

    /// What a gateway may start from whose session store has seen events up to `committed`: the newest checkpoint that
    /// is of use. Those that are not are named in outcomes.
    pub(crate) fn newest_checkpoint(&mut self, committed: u64) -> Option<Checkpoint> {
        while let Some(newest) = self.checkpoints.newest() {
            let reason = if newest > committed {
                // The store has lost its end: events after it must give their reports again.
                format!("the session store has followed events up to {committed} only")
            } else {
                match self.open_checkpoint(newest) {
                    Ok((checkpoint, _)) => {
                        self.committed = committed;
                        return Some(checkpoint);
                    }
                    Err(reason) => reason,
                }
            };
            self.refuse(newest, &reason);
        }
        None
    }

    fn refuse(&mut self, sequence: u64, reason: &str) {
        self.checkpoints.remove(sequence);
        self.note(format!(
            "the gateway's checkpoint at sequence {sequence} is not used, and removed: {reason}"
        ));
    }

    fn note(&mut self, text: String) {
        self.outcomes.push_back(Outcome::Note(text));
    }

    /// A checkpoint, and the events after it. It must be of this journal: its last command has the same time there.
    fn open_checkpoint(&self, sequence: u64) -> Result<(Checkpoint, Box<dyn EventCursor>), String> {
        let checkpoint = self.checkpoints.load(sequence)?;
        let mut cursor = self.source.open(sequence).map_err(|error| error.to_string())?;
        loop {
            let event = cursor.next().map_err(|error| error.to_string())?;
            let Some(header) = event.map(|event| *event.header()) else {
                return Err("the event journal ends before it".to_owned());
            };
            if (header.sequence, header.timestamp_ns) != (sequence, checkpoint.timestamp_ns) {
                return Err("it is of another journal".to_owned());
            }
            if header.flags & machine::flags::LAST_EVENT != 0 {
                return Ok((checkpoint, cursor));
            }
        }
    }

    pub(crate) fn submit(&mut self, work: Work) {
        match work {
            Work::Resend(Resend { ticket, session, mut wanted }) => {
                let made = Vec::with_capacity(wanted.len());
                // Copies that were sent for a replay are of earlier events than what was sent before them.
                wanted.sort_by_key(|it| it.sent.origin.place());
                let wanted = wanted.into();
                self.resends.push(OpenResend { in_pass: false, ticket, session, wanted, made });
            }
            Work::Replay(replay) => {
                let place = replay.after;
                let copies = Vec::new();
                self.replays.push(OpenReplay { in_pass: false, replay, place, copies, done: None });
            }
        }
        self.join();
    }

    pub(crate) fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    /// Checkpoints may go so far.
    pub(crate) fn committed(&mut self, sequence: u64) {
        self.committed = self.committed.max(sequence);
    }

    /// Whether nobody waits for it.
    pub(crate) fn is_idle(&self) -> bool {
        self.resends.is_empty() && self.replays.is_empty()
    }

    /// There is nothing to do now, or what there is to do waits for events that the journal has not yet. Gives back the
    /// fold's memory if for [`PAUSES`] nothing was wanted of it, neither by a question nor by a checkpoint that is due; whether a
    /// question is open.
    pub(crate) fn pause(&mut self) -> bool {
        if !self.is_idle() || self.due().is_some() {
            self.pauses = 0;
        } else if self.pauses < PAUSES {
            self.pauses += 1;
        } else {
            self.rest();
        }
        !self.is_idle()
    }

    #[cfg(test)]
    pub(crate) fn has_fold(&self) -> bool {
        self.fold.is_some()
    }

    fn rest(&mut self) {
        self.fold = None;
        self.resends.iter_mut().for_each(|it| it.in_pass = false);
        self.replays.iter_mut().for_each(|it| it.in_pass = false);
    }

    /// Folds up to `limit` events if there is something to do. Whether there was.
    pub(crate) fn work(&mut self, limit: usize) -> bool {
        for step in 0..limit {
            match self.aim().and_then(|wanted| if wanted { self.fold_one() } else { Ok(false) }) {
                Ok(true) => self.pauses = 0,
                Ok(false) => return step > 0,
                Err(error) => {
                    self.give_up(&error);
                    return true;
                }
            }
        }
        true
    }

    /// The event that each question needs next, and whether the fold has it ahead.
    fn needs(&self) -> impl Iterator<Item = (Place, bool)> + '_ {
        let resends = self.resends.iter().filter_map(|it| Some((it.need()?, it.in_pass)));
        resends.chain(self.replays.iter().map(|it| (it.need(), it.in_pass)))
    }

    /// Takes those questions into the pass whose events are all ahead of the fold, and no others: what lies behind
    /// it has not been looked at for them.
    fn join(&mut self) {
        let Some(at) = self.fold.as_ref().map(|fold| fold.place) else { return };
        for resend in &mut self.resends {
            resend.in_pass |= resend.need().is_some_and(|need| need > at);
        }
        for open in &mut self.replays {
            open.in_pass |= open.need() > at;
        }
    }

    /// The command after which the next checkpoint is to be written, if it is there.
    fn due(&self) -> Option<u64> {
        let newest = self.checkpoints.newest().unwrap_or(0);
        // Far behind, as after an update that refuses the old ones, not all on the way are worth writing.
        let step = self.apart.max(self.committed.saturating_sub(newest) / STEPS_BEHIND);
        let due = newest.checked_add(step)?;
        (due <= self.committed).then_some(due)
    }

    /// Makes sure that the fold is in front of something wanted; `false` if nothing is.
    fn aim(&mut self) -> Result<bool, RebuildError> {
        let at = self.fold.as_ref().map(|fold| fold.place);
        let ahead = self.needs().filter(|need| need.1).map(|need| need.0).min();
        let lowest = self.needs().map(|need| need.0).min();
        let waits = self.answered >= PASS_QUESTIONS && self.needs().any(|need| !need.1);
        match (ahead, lowest) {
            (Some(ahead), _) if !waits => {
                let far = at.map_or(0, |at| at.0).saturating_add(JUMP_COMMANDS);
                if self.checkpoints.newest_below(ahead.0).is_some_and(|checkpoint| checkpoint > far) {
                    self.start_below(ahead.0)?;
                }
            }
            (_, Some(lowest)) => self.start_below(lowest.0)?,
            (_, None) => {
                let Some(due) = self.due() else { return Ok(false) };
                if at.is_none_or(|at| at.0 > due) {
                    self.start_below(due)?;
                }
            }
        }
        Ok(true)
    }

    /// Starts a fold from the newest checkpoint below `sequence`, or from the beginning.
    fn start_below(&mut self, sequence: u64) -> Result<(), RebuildError> {
        self.rest();
        self.answered = 0;
        while let Some(newest) = self.checkpoints.newest_below(sequence) {
            match self.open_checkpoint(newest) {
                Ok((Checkpoint { orders, sequence, timestamp_ns }, cursor)) => {
                    let place = (sequence, u32::MAX);
                    self.fold = Some(Fold { orders, cursor, place, complete: true, timestamp_ns });
                    self.join();
                    return Ok(());
                }
                Err(reason) => self.refuse(newest, &reason),
            }
        }
        let orders = self.checkpoints.purpose().no_orders();
        let cursor = self.source.open(1)?;
        self.fold = Some(Fold { orders, cursor, place: (0, u32::MAX), complete: true, timestamp_ns: 0 });
        self.join();
        Ok(())
    }

    /// Folds the next event and answers with its reports. `false` if it is not there yet.
    fn fold_one(&mut self) -> Result<bool, RebuildError> {
        let Some(fold) = &mut self.fold else { return Ok(false) };
        let Some(event) = fold.cursor.next()? else { return Ok(false) };
        let header = event.header();
        let same_command = !fold.complete && fold.place.0 == header.sequence;
        fold.place = (header.sequence, if same_command { fold.place.1 + 1 } else { 0 });
        fold.timestamp_ns = header.timestamp_ns;
        fold.complete = event.is_last_event();
        let (place, complete) = (fold.place, fold.complete);
        let asked = self.resends.iter().find_map(|it| it.asked_at(place)).copied();
        let mut answered = 0;
        let mut waiting =
            Waiting { resends: &mut self.resends, replays: &mut self.replays, owners: &self.owners };
        if let Some(held) = fold.orders.release_before(event) {
            let reports = (&held.reports, &held.reports);
            answered += waiting.take((place.0, held.index), reports, &fold.orders, false);
        }
        // A reject is made with what was asked for those who had it so, and without for others; folding a reject twice
        // changes nothing.
        let with_asked = asked.map(|asked| fold.orders.apply(event, place.1, Some(&asked)));
        let reports = fold.orders.apply(event, place.1, None);
        if !fold.orders.holds_reports() {
            let reports = (&with_asked.unwrap_or(reports), &reports);
            answered += waiting.take(place, reports, &fold.orders, complete);
        } else if complete && let Some(held) = fold.orders.release_last() {
            let reports = (&held.reports, &held.reports);
            answered += waiting.take((place.0, held.index), reports, &fold.orders, complete);
        }
        if answered > 0 {
            self.answered += answered;
            self.hand_out();
        }
        self.write_checkpoint();
        Ok(true)
    }

    /// Gives away what is complete.
    fn hand_out(&mut self) {
        for resend in self.resends.extract_if(.., |it| it.wanted.is_empty()) {
            let OpenResend { ticket, session, made: mut messages, .. } = resend;
            messages.sort_by_key(|it| it.number);
            self.outcomes.push_back(Outcome::Resent { ticket, session, messages });
        }
        for open in self.replays.extract_if(.., |it| it.done.is_some()) {
            let after = open.done.flatten();
            let (ticket, copies) = (open.replay.ticket, open.copies);
            self.outcomes.push_back(Outcome::Replayed(Replayed { ticket, copies, after }));
        }
    }

    /// Writes a checkpoint if the fold stands behind a whole command, and one is due. The more orders there are, the
    /// rarer that is, so that writing them costs each command no more.
    fn write_checkpoint(&mut self) {
        let (Some(due), Some(fold)) = (self.due(), &self.fold) else { return };
        let sequence = fold.place.0;
        if !fold.complete || sequence < due || sequence > self.committed {
            return;
        }
        self.apart = self.spacing.max(fold.orders.len() as u64 * COMMANDS_PER_ORDER);
        if let Err(error) = self.checkpoints.write(&fold.orders, sequence, fold.timestamp_ns) {
            // The next one will be tried when as many commands have passed again.
            self.apart = self.apart.saturating_add(sequence);
            self.note(format!("the gateway's checkpoint at sequence {sequence} cannot be written: {error}"));
        }
    }

    /// The journal cannot be read: nobody gets anything.
    fn give_up(&mut self, error: &RebuildError) {
        self.rest();
        if self.is_idle() {
            self.apart = u64::MAX;
        }
        for resend in &mut self.resends {
            resend.lose_all();
        }
        for open in &mut self.replays {
            open.done = Some(None);
        }
        self.note(format!("reports cannot be made again: {error}"));
        self.hand_out();
    }
}

impl OpenResend {
    fn need(&self) -> Option<Place> {
        self.wanted.front().map(|it| it.sent.origin.place())
    }

    fn asked_at(&self, place: Place) -> Option<&Asked> {
        let at_place = self.wanted.iter().take_while(|it| it.sent.origin.place() <= place);
        at_place.filter(|it| it.sent.origin.place() == place).find_map(|it| it.asked.as_ref())
    }

    /// Takes what is wanted of an event's reports, made with and without what was asked; what is wanted of earlier events
    /// has not come.
    fn take(&mut self, place: Place, reports: (&Reports, &Reports), orders: &Orders, owners: &Owners) {
        let speech = |version| (version, owners.precision(self.session));
        while let Some(wanted) = self.wanted.pop_front_if(|it| it.sent.origin.place() <= place) {
            let Origin { part, copy, replayed, .. } = wanted.sent.origin;
            let here = wanted.sent.origin.place() == place;
            let reports = if wanted.asked.is_some() { reports.0 } else { reports.1 };
            let report = reports.get(usize::from(part)).and_then(Option::as_ref).filter(|_| here);
            let report = report.filter(|report| copy || report.session() == self.session);
            let body = report.map(|report| {
                let copied = copy.then(|| owners.copied(report, wanted.sent.origin.sequence, replayed));
                (message_type(report), body_of(speech(wanted.sent.version), orders, report, copied.as_ref()))
            });
            self.made.push(Resent { number: wanted.number, sent: wanted.sent, body });
        }
    }

    fn lose_all(&mut self) {
        for wanted in self.wanted.drain(..) {
            self.made.push(Resent { number: wanted.number, sent: wanted.sent, body: None });
        }
    }
}

impl OpenReplay {
    fn need(&self) -> Place {
        match self.place {
            (sequence, u32::MAX) => (sequence + 1, 0),
            (sequence, index) => (sequence, index + 1),
        }
    }

    fn take(&mut self, place: Place, reports: &Reports, orders: &Orders, owners: &Owners) {
        if place <= self.place || place.0 > self.replay.last {
            return;
        }
        self.place = place;
        for (part, report) in reports.iter().enumerate() {
            let Some(report @ Report::Execution(_)) = report else { continue };
            if self.replay.sessions.get(report.session()).is_some_and(|wanted| *wanted) {
                let (sequence, index) = place;
                let part = part as u8;
                let origin = Origin { sequence, index, part, copy: true, replayed: true };
                let copied = owners.copied(report, sequence, true);
                let body = body_of(self.replay.speech, orders, report, Some(&copied));
                self.copies.push(ReplayedCopy { origin, message_type: message_type(report), body });
            }
        }
    }

    /// Whether this part is done when the fold is there; where the next one begins, if it was not the last.
    fn is_done(&self, place: Place, complete: bool) -> Option<Option<Place>> {
        let last = self.replay.last;
        if place.0 > last || (place.0 == last && complete) {
            return Some(None);
        }
        (self.copies.len() >= PART_REPORTS).then_some(Some(place))
    }
}

/// A report as it stands behind the header, in this version and with times of this precision.
fn body_of(
    (version, precision): (Version, Precision),
    orders: &Orders,
    report: &Report,
    copied: Option<&Copied<'_>>,
) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(512);
    let mut writer = MessageWriter::begin(&mut buffer, version, message_type(report)).at_precision(precision);
    let start = writer.place();
    write_report(&mut writer, orders, report, copied);
    writer.since(start).to_vec()
}

//! Mass cancels at work, and the sweep of orders that a phase ends.

use alloc::collections::VecDeque;

use machine::StateHasher;
use protocol::{MAX_SWEEPS, MassCancel};

/// A mass cancel that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sweep {
    /// Which orders it cancels.
    pub(crate) filter: MassCancel,
    /// Sequence of the command that began it: orders entered by it or later stay.
    pub(crate) begun_sequence: u64,
    /// The slot that it looks at next.
    pub(crate) next_slot: u32,
    /// Orders cancelled so far.
    pub(crate) canceled_orders: u32,
}

/// The sweep of auction and day orders, one for all instruments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionSweep {
    pub(crate) at_work: bool,
    /// The slot that it looks at next.
    pub(crate) next_slot: u32,
}

/// Mass cancels, the first begun first, and before all of them the session's sweep.
pub(crate) struct Sweeps {
    /// At most [`MAX_SWEEPS`], for which there is room from the start.
    queue: VecDeque<Sweep>,
    pub(crate) session: SessionSweep,
}

impl Sweeps {
    /// Nothing to sweep. Nothing is allocated after this.
    pub(crate) fn new() -> Self {
        Self { queue: VecDeque::with_capacity(MAX_SWEEPS as usize), session: SessionSweep::default() }
    }

    /// Begins a mass cancel, after those that are at work.
    ///
    /// # Panics
    /// If there are as many as there may be.
    pub(crate) fn push(&mut self, sweep: Sweep) {
        assert!(!self.is_full(), "there is no room for a sweep, and its caller has not looked");
        self.queue.push_back(sweep);
    }

    /// The one at work.
    pub(crate) fn first_mut(&mut self) -> Option<&mut Sweep> {
        self.queue.front_mut()
    }

    /// Ends the one at work.
    pub(crate) fn pop(&mut self) -> Option<Sweep> {
        self.queue.pop_front()
    }

    /// Whether there are as many mass cancels as there may be.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() == MAX_SWEEPS as usize
    }

    /// Whether nothing is left to sweep.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.session.at_work
    }

    /// Begins the session's sweep at slot 0, also if it is at work: an instrument has joined it.
    pub(crate) fn begin_session(&mut self) {
        self.session = SessionSweep { at_work: true, next_slot: 0 };
    }

    /// The mass cancels at work, the first begun first.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Sweep> {
        self.queue.iter()
    }

    /// Feeds all of it, the first begun first.
    pub(crate) fn hash_into(&self, hasher: &mut StateHasher) {
        hasher.write_value(&[u32::from(self.session.at_work), self.session.next_slot]);
        for Sweep { filter, begun_sequence, next_slot, canceled_orders } in self.iter() {
            hasher.write_value(filter);
            hasher.write_value(begun_sequence);
            hasher.write_value(&[*next_slot, *canceled_orders]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use protocol::AccountId;

    fn sweep(account: u32, begun_sequence: u64) -> Sweep {
        let filter = MassCancel { account: AccountId(account), ..MassCancel::default() };
        Sweep { filter, begun_sequence, next_slot: 0, canceled_orders: 0 }
    }

    fn hash(sweeps: &Sweeps) -> u64 {
        let mut hasher = StateHasher::new();
        sweeps.hash_into(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn sweeps_run_in_the_order_in_which_they_began() {
        let mut sweeps = Sweeps::new();
        assert!(sweeps.is_idle() && sweeps.first_mut().is_none() && sweeps.pop().is_none());
        let room = sweeps.queue.capacity();
        for account in 0..MAX_SWEEPS {
            assert!(!sweeps.is_full());
            sweeps.push(sweep(account, u64::from(account) + 9));
        }
        assert!(sweeps.is_full() && !sweeps.is_idle());
        for account in 0..MAX_SWEEPS {
            let first = sweeps.first_mut().unwrap();
            first.canceled_orders += 1;
            let expected = Sweep { canceled_orders: 1, ..sweep(account, u64::from(account) + 9) };
            assert_eq!(sweeps.pop(), Some(expected));
            sweeps.push(sweep(99, 1_000));
        }
        assert!(sweeps.is_full());
        assert_eq!(sweeps.queue.capacity(), room);
    }

    #[test]
    #[should_panic(expected = "no room for a sweep")]
    fn one_too_many_is_a_mistake() {
        let mut sweeps = Sweeps::new();
        (0..=MAX_SWEEPS).for_each(|account| sweeps.push(sweep(account, 1)));
    }

    #[test]
    fn the_session_sweep_begins_again_when_an_instrument_joins() {
        let mut sweeps = Sweeps::new();
        sweeps.begin_session();
        assert!(!sweeps.is_idle());
        sweeps.session.next_slot = 7;
        sweeps.begin_session();
        assert_eq!(sweeps.session, SessionSweep { at_work: true, next_slot: 0 });
    }

    #[test]
    fn the_hash_knows_every_field() {
        let changes: [fn(&mut Sweeps); 7] = [
            |_| {},
            |it| it.begin_session(),
            |it| it.session.next_slot = 1,
            |it| it.queue[0].filter.side = 1,
            |it| it.queue[0].begun_sequence = 2,
            |it| it.queue[0].next_slot = 1,
            |it| it.queue[0].canceled_orders = 1,
        ];
        let mut hashes: Vec<u64> = Vec::new();
        for change in changes {
            let mut sweeps = Sweeps::new();
            sweeps.push(sweep(5, 1));
            change(&mut sweeps);
            assert!(!hashes.contains(&hash(&sweeps)));
            hashes.push(hash(&sweeps));
        }
    }
}

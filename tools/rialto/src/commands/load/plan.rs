//! What is sent when, and what has no answer yet.

/// A cancel follows its order after this long, if that is more than [`LEAST_LAG`] messages.
const LAG_PARTS_OF_A_SECOND: u64 = 20;
/// Least distance between an order and its cancel in messages, so that the order is acknowledged by then.
const LEAST_LAG: u64 = 2_000;
/// Most of it: orders that rest at the same time are half of this, and an exchange has a limit for them.
const MOST_LAG: u64 = 40_000;

/// What a message of the plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A new order.
    Enter,
    /// The cancel of the order with this number.
    Cancel(u64),
}

/// The messages of a run, numbered from 0: even ones enter orders, odd ones cancel earlier ones.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    rate: u64,
    messages: u64,
    sessions: u64,
    /// Odd.
    lag: u64,
}

impl Plan {
    /// `rate` messages a second over `duration_ns`, over some sessions.
    pub fn new(rate: u64, duration_ns: u64, sessions: u64) -> Self {
        let messages = (u128::from(rate) * u128::from(duration_ns) / 1_000_000_000) as u64;
        let lag = (rate / LAG_PARTS_OF_A_SECOND).clamp(LEAST_LAG, MOST_LAG) | 1;
        Self { rate, messages: messages.max(1), sessions, lag }
    }

    /// How many there are.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Nanoseconds after the start at which a message is due.
    pub fn due_ns(&self, number: u64) -> u64 {
        (u128::from(number) * 1_000_000_000 / u128::from(self.rate)) as u64
    }

    /// What a message is. Odd ones at the beginning have nothing to cancel yet.
    pub fn step(&self, number: u64) -> Step {
        match number.checked_sub(self.lag) {
            Some(order) if !number.is_multiple_of(2) => Step::Cancel(order),
            _ => Step::Enter,
        }
    }

    /// The session of a message: a cancel goes where its order went.
    pub fn session(&self, number: u64) -> usize {
        let order = match self.step(number) {
            Step::Enter => number,
            Step::Cancel(order) => order,
        };
        (order / 2 % self.sessions) as usize
    }

    /// The orders among the first `sent` messages that none of these cancels.
    pub fn left(&self, sent: u64) -> impl Iterator<Item = u64> + use<> {
        let plan = *self;
        let is_left = move |&number: &u64| {
            let cancelled = number.is_multiple_of(2) && number + plan.lag < sent;
            plan.step(number) == Step::Enter && !cancelled
        };
        (0..sent).filter(is_left)
    }
}

/// The messages that have no answer yet: a bit for each number.
pub struct Open {
    bits: Vec<u64>,
    count: u64,
}

impl Open {
    /// None open, of numbers below `numbers`.
    pub fn new(numbers: u64) -> Self {
        Self { bits: vec![0; (numbers / 64 + 1) as usize], count: 0 }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Opens one that is not open.
    pub fn insert(&mut self, number: u64) {
        self.bits[(number / 64) as usize] |= 1 << (number % 64);
        self.count += 1;
    }

    /// Closes one; whether it was open.
    pub fn remove(&mut self, number: u64) -> bool {
        let Some(word) = self.bits.get_mut((number / 64) as usize) else { return false };
        let was_open = *word >> (number % 64) & 1 == 1;
        *word &= !(1 << (number % 64));
        self.count -= u64::from(was_open);
        was_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_order_is_cancelled_once_by_the_plan_or_is_left() {
        for (rate, sent) in [(1_000, 10_000), (100, 50), (200_000, 1_000_000), (7, 2_002)] {
            let plan = Plan::new(rate, 1_000_000_000_000, 3);
            let (mut orders, mut cancelled) = (BTreeSet::new(), Vec::new());
            for number in 0..sent {
                match plan.step(number) {
                    Step::Enter => assert!(orders.insert(number)),
                    Step::Cancel(order) => {
                        assert!(orders.contains(&order), "after its order");
                        assert_eq!(plan.session(order), plan.session(number));
                        cancelled.push(order);
                    }
                }
            }
            cancelled.extend(plan.left(sent));
            cancelled.sort_unstable();
            assert!(cancelled.iter().eq(&orders), "{rate} {sent}");
        }
    }

    #[test]
    fn due_times_keep_the_rate_even_where_it_does_not_divide_a_second() {
        let plan = Plan::new(300_000, 2_500_000_000, 1);
        assert_eq!(plan.messages(), 750_000);
        assert_eq!([0, 1, 3, 300_000].map(|number| plan.due_ns(number)), [0, 3_333, 10_000, 1_000_000_000]);
        assert_eq!(Plan::new(1, 1, 1).messages(), 1, "never nothing");
    }

    #[test]
    fn answers_count_once() {
        let mut open = Open::new(100);
        [3, 64, 99].into_iter().for_each(|number| open.insert(number));
        assert!(open.remove(64) && !open.remove(64) && !open.remove(5) && !open.remove(1 << 40));
        assert_eq!(open.count(), 2);
    }
}

//! The best levels of a side as a reader with a bounded depth sees them.

use protocol::{PriceTicks, Side};

use crate::book::{DepthLevel, Level, position};
use crate::changes::{ChangeAction, PriceChange};

/// One step of a reader that keeps the best levels of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelStep {
    /// What to do.
    pub action: ChangeAction,
    /// Place of the level, the best is 1.
    pub position: u32,
    /// The level as it is now; a deleted one as it was, if it left because better ones came, as it is.
    pub level: DepthLevel,
}

/// Walks down a side, and knows for each level its rank before and after the command. Between two prices that changed
/// only the levels at the window's edge can matter; all others are passed over in one step.
pub(crate) struct Window<'a> {
    /// Best last.
    pub(crate) levels: &'a [Level],
    pub(crate) depth: usize,
    /// Levels passed that were there before the command.
    pub(crate) old: usize,
    /// Levels passed that are there now.
    pub(crate) new: usize,
    /// The only action that is given out in this walk.
    pub(crate) action: ChangeAction,
}

impl Window<'_> {
    /// Whether nothing further down can matter.
    pub(crate) fn is_behind(&self) -> bool {
        self.old.min(self.new) >= self.depth
    }

    /// How many levels are better than a price.
    pub(crate) fn better_than(&self, side: Side, price_ticks: PriceTicks) -> usize {
        match position(self.levels, side, price_ticks) {
            Ok(index) => self.levels.len() - 1 - index,
            Err(index) => self.levels.len() - index,
        }
    }

    /// Passes levels that did not change, up to the one of rank `until`.
    pub(crate) fn pass(&mut self, until: usize, steps: &mut Vec<LevelStep>) {
        let inside = self.depth.saturating_sub(self.old.max(self.new));
        self.forward(until.saturating_sub(self.new).min(inside));
        while self.new < until && !self.is_behind() {
            let level = self.levels[self.levels.len() - 1 - self.new].shown;
            if self.old < self.depth {
                self.push(ChangeAction::Delete, self.old, level, steps);
            } else {
                self.push(ChangeAction::New, self.new, level, steps);
            }
            self.forward(1);
        }
        self.forward(until.saturating_sub(self.new));
    }

    /// Passes a price that changed.
    pub(crate) fn change(&mut self, change: &PriceChange, steps: &mut Vec<LevelStep>) {
        let before = change.before.filter(|_| self.old < self.depth);
        let after = change.after.filter(|_| self.new < self.depth);
        match (before, after) {
            (Some(_), Some(level)) => self.push(ChangeAction::Change, self.new, level, steps),
            (Some(level), None) => self.push(ChangeAction::Delete, self.old, level, steps),
            (None, Some(level)) => self.push(ChangeAction::New, self.new, level, steps),
            (None, None) => {}
        }
        self.old += usize::from(change.before.is_some());
        self.new += usize::from(change.after.is_some());
    }

    fn forward(&mut self, levels: usize) {
        self.old += levels;
        self.new += levels;
    }

    fn push(&self, action: ChangeAction, rank: usize, level: DepthLevel, steps: &mut Vec<LevelStep>) {
        if action == self.action {
            steps.push(LevelStep { action, position: rank as u32 + 1, level });
        }
    }
}

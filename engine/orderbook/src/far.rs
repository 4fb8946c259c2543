//! Price levels outside a side's ladder: a crit-bit tree per side of a book, all in one pool. Prices come as keys, of
//! which the higher is the better price; here they are just called prices.
//!
//! A crit-bit tree branches at the highest bit in which two prices differ. With prices of 40 bits no path is longer than
//! 40, whatever prices are sent, there is nothing to rebalance, and `n` levels need exactly `n - 1` branches: a pool
//! with a place per order can never be full. The levels are also linked in price order, so that the next one costs
//! no descent.

use alloc::vec::Vec;

use crate::Key;
use crate::level::Level;
use crate::table::NIL;

/// Marks a child that is a node (a price level) and not a branch.
const NODE: u32 = 1 << 31;

/// A price level in the tree.
pub(crate) struct FarNode {
    pub(crate) key: Key,
    pub(crate) level: Level,
    /// Next lower (worse) price, or `NIL`.
    pub(crate) below: u32,
    /// Next higher (better) price, or `NIL`; in a free node the next free one.
    pub(crate) above: u32,
}

/// Parts the prices under it by one bit.
struct Branch {
    /// Where prices go with the bit 0 and 1. In a free branch `children[0]` is the next free one.
    children: [u32; 2],
    /// Number of the bit; higher ones are equal in all prices under it.
    bit: u32,
}

impl Branch {
    /// An indexed load: as a choice it would be a branch that nothing can predict.
    #[inline(always)]
    fn child(&self, key: Key) -> u32 {
        self.children[direction(key, self.bit)]
    }
}

/// Index of the child that a price goes to.
#[inline(always)]
fn direction(key: Key, bit: u32) -> usize {
    (key >> (bit & 63) & 1) as usize
}

/// The tree of one side of a book.
pub(crate) struct FarTree {
    /// A branch, a node (tagged), or `NIL`.
    root: u32,
    /// Levels in it.
    pub(crate) levels: u32,
}

impl FarTree {
    pub(crate) const EMPTY: Self = Self { root: NIL, levels: 0 };
}

/// Nodes and branches of all books' trees.
pub(crate) struct FarPool {
    nodes: Vec<FarNode>,
    branches: Vec<Branch>,
    free_node: u32,
    free_branch: u32,
}

/// Where a price that is not in the tree belongs.
struct Gap {
    /// Branch above the place, or `NIL` at the root.
    parent: u32,
    /// What is there now: prices that differ from the new one in `bit` and in no higher bit.
    subtree: u32,
    bit: u32,
}

impl FarPool {
    pub(crate) fn with_capacity(orders: u32) -> Self {
        Self {
            nodes: Vec::with_capacity(orders as usize),
            branches: Vec::with_capacity(orders as usize),
            free_node: NIL,
            free_branch: NIL,
        }
    }

    #[inline(always)]
    pub(crate) fn node(&self, node: u32) -> &FarNode {
        self.nodes.get(node as usize).expect("a far level's number lies in the pool")
    }

    #[inline(always)]
    pub(crate) fn node_mut(&mut self, node: u32) -> &mut FarNode {
        self.nodes.get_mut(node as usize).expect("a far level's number lies in the pool")
    }

    #[inline(always)]
    fn branch(&self, branch: u32) -> &Branch {
        self.branches.get(branch as usize).expect("a branch's number lies in the pool")
    }

    fn branch_mut(&mut self, branch: u32) -> &mut Branch {
        self.branches.get_mut(branch as usize).expect("a branch's number lies in the pool")
    }

    /// The level of a price.
    #[inline]
    pub(crate) fn find(&self, tree: &FarTree, key: Key) -> Option<u32> {
        let node = self.nearest(tree, key)?;
        (self.node(node).key == key).then_some(node)
    }

    /// The highest level at or below a price, or `NIL`.
    pub(crate) fn floor(&self, tree: &FarTree, key: Key) -> u32 {
        let Some(nearest) = self.nearest(tree, key) else { return NIL };
        match self.gap(tree, key, nearest) {
            None => nearest,
            Some(gap) => self.neighbours(&gap, key).0,
        }
    }

    /// Adds a level for a price that has none; returns its node.
    pub(crate) fn insert(&mut self, tree: &mut FarTree, key: Key, level: Level) -> u32 {
        tree.levels += 1;
        let Some(nearest) = self.nearest(tree, key) else {
            let node = self.take_node(FarNode { key, level, below: NIL, above: NIL });
            tree.root = node | NODE;
            return node;
        };
        let gap = self.gap(tree, key, nearest).expect("a price is inserted once");
        let (below, above) = self.neighbours(&gap, key);
        let node = self.take_node(FarNode { key, level, below, above });
        if below != NIL {
            self.node_mut(below).above = node;
        }
        if above != NIL {
            self.node_mut(above).below = node;
        }
        let tagged = node | NODE;
        let mut children = [gap.subtree; 2];
        children[direction(key, gap.bit)] = tagged;
        let branch = self.take_branch(Branch { children, bit: gap.bit });
        self.attach(tree, gap.parent, key, branch);
        node
    }

    /// Takes a level out of the tree and returns it.
    pub(crate) fn remove(&mut self, tree: &mut FarTree, node: u32) -> Level {
        let &FarNode { key, level, below, above } = self.node(node);
        let (mut grandparent, mut parent, mut at) = (NIL, NIL, tree.root);
        while at & NODE == 0 {
            grandparent = parent;
            parent = at;
            at = self.branch(at).child(key);
        }
        assert!(at == node | NODE, "a far level is found under its price");
        if parent == NIL {
            tree.root = NIL;
        } else {
            let branch = self.branch(parent);
            let sibling = branch.children[1 - direction(key, branch.bit)];
            self.attach(tree, grandparent, key, sibling);
            self.give_branch(parent);
        }
        if below != NIL {
            self.node_mut(below).above = above;
        }
        if above != NIL {
            self.node_mut(above).below = below;
        }
        self.give_node(node);
        tree.levels -= 1;
        level
    }

    /// Some level that shares as many leading bits with the price as any does.
    #[inline]
    fn nearest(&self, tree: &FarTree, key: Key) -> Option<u32> {
        if tree.root == NIL {
            return None;
        }
        let mut at = tree.root;
        while at & NODE == 0 {
            at = self.branch(at).child(key);
        }
        Some(at & !NODE)
    }

    /// Where the price belongs, or `None` if `nearest` has it.
    fn gap(&self, tree: &FarTree, key: Key, nearest: u32) -> Option<Gap> {
        let differing = key ^ self.node(nearest).key;
        let bit = differing.checked_ilog2()?;
        let (mut parent, mut at) = (NIL, tree.root);
        while at & NODE == 0 && self.branch(at).bit > bit {
            parent = at;
            at = self.branch(at).child(key);
        }
        Some(Gap { parent, subtree: at, bit })
    }

    /// The levels next below and above a price that belongs into a gap: all of the gap's subtree is on one side.
    fn neighbours(&self, gap: &Gap, key: Key) -> (u32, u32) {
        let towards = direction(key, gap.bit);
        let mut at = gap.subtree;
        while at & NODE == 0 {
            at = self.branch(at).children[towards];
        }
        let node = at & !NODE;
        if towards == 1 { (node, self.node(node).above) } else { (self.node(node).below, node) }
    }

    /// Puts `child` under `parent`, on the price's side.
    fn attach(&mut self, tree: &mut FarTree, parent: u32, key: Key, child: u32) {
        if parent == NIL {
            tree.root = child;
        } else {
            let branch = self.branch_mut(parent);
            branch.children[direction(key, branch.bit)] = child;
        }
    }

    fn take_node(&mut self, node: FarNode) -> u32 {
        let free = self.free_node;
        if free != NIL {
            self.free_node = self.node(free).above;
            *self.node_mut(free) = node;
            return free;
        }
        assert!(self.nodes.len() < self.nodes.capacity(), "there are never more far levels than orders");
        self.nodes.push(node);
        self.nodes.len() as u32 - 1
    }

    fn give_node(&mut self, node: u32) {
        self.node_mut(node).above = self.free_node;
        self.free_node = node;
    }

    fn take_branch(&mut self, branch: Branch) -> u32 {
        let free = self.free_branch;
        if free != NIL {
            self.free_branch = self.branch(free).children[0];
            *self.branch_mut(free) = branch;
            return free;
        }
        assert!(self.branches.len() < self.branches.capacity(), "there are fewer branches than far levels");
        self.branches.push(branch);
        self.branches.len() as u32 - 1
    }

    fn give_branch(&mut self, branch: u32) {
        self.branch_mut(branch).children[0] = self.free_branch;
        self.free_branch = branch;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    fn check(pool: &FarPool, tree: &FarTree, model: &BTreeMap<i64, u32>, probe: i64) {
        let price = |node: u32| (node != NIL).then(|| pool.node(node).key);
        assert_eq!(tree.levels as usize, model.len());
        assert_eq!(pool.find(tree, probe), model.get(&probe).copied());
        assert_eq!(price(pool.floor(tree, probe)), model.range(..=probe).next_back().map(|(&key, _)| key));
    }

    #[test]
    fn agrees_with_a_sorted_map() {
        for seed in 0..20u64 {
            let mut rng = SmallRng::seed_from_u64(seed);
            let (mut pool, mut tree, mut model) =
                (FarPool::with_capacity(200), FarTree::EMPTY, BTreeMap::new());
            let bits = rng.random_range(5..40);
            for _ in 0..3_000 {
                let width = rng.random_range(1..=bits);
                let price = rng.random_range(0..1i64 << width);
                let probe = rng.random_range(0..1i64 << bits);
                if let Some(node) = model.remove(&price) {
                    assert_eq!(pool.remove(&mut tree, node).quantity_lots, price, "seed {seed}");
                } else if model.len() < 200 {
                    let mut level = Level::default();
                    level.quantity_lots += price;
                    model.insert(price, pool.insert(&mut tree, price, level));
                }
                check(&pool, &tree, &model, probe);
                check(&pool, &tree, &model, price);
            }
            let highest = pool.floor(&tree, i64::MAX);
            let nodes = core::iter::successors((highest != NIL).then_some(highest), |&node| {
                Some(pool.node(node).below).filter(|&below| below != NIL)
            });
            assert!(nodes.map(|node| pool.node(node).key).eq(model.keys().rev().copied()), "seed {seed}");
        }
    }
}

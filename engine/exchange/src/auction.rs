//! The one price at which an auction trades.

use protocol::{PriceTicks, QuantityLots};

/// What an auction comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Equilibrium {
    /// Price of all trades.
    pub(crate) price_ticks: PriceTicks,
    /// Quantity that trades.
    pub(crate) paired_lots: QuantityLots,
    /// Quantity at that price without a counterpart: of buys above 0, of sells below.
    pub(crate) imbalance_lots: QuantityLots,
}

/// The price of largest quantity paired; of those the smallest imbalance; of those, if all have more buys the highest, if
/// all have more sells the lowest, else the nearest to the reference price (0: the lowest). `None` if no buy meets a sell.
/// `allowed` is given that price and the lowest and the highest that are as good, and gives the one of them to trade at.
///
/// `buys` and `sells` give what is collected, the best price first, a price as often as they like; each is gone through
/// some hundred times (twice the bits of a price), and nothing is kept of them.
///
/// Demand falls with the price and supply rises. So the prices of largest quantity are an interval, between the sell and
/// the buy at which pairing best with best ends; on it the imbalance falls, so that what is nearest to zero is an interval
/// again, whose ends bisection finds.
pub(crate) fn equilibrium<B, S>(
    buys: impl Fn() -> B,
    sells: impl Fn() -> S,
    reference_ticks: PriceTicks,
    allowed: impl Fn(PriceTicks, PriceTicks, PriceTicks) -> PriceTicks,
) -> Option<Equilibrium>
where
    B: Iterator<Item = (PriceTicks, QuantityLots)>,
    S: Iterator<Item = (PriceTicks, QuantityLots)>,
{
    let Pairing { lowest, highest, paired_lots } = pair(buys(), sells())?;
    let imbalance = |price: PriceTicks| {
        let demand = buys().take_while(|buy| buy.0 >= price).map(|buy| i128::from(buy.1)).sum::<i128>();
        let supply = sells().take_while(|sell| sell.0 <= price).map(|sell| i128::from(sell.1)).sum::<i128>();
        demand - supply
    };
    // Where more sells than buys begin, and on both sides of it what is nearest to zero.
    let turn = first_where(lowest, highest + 1, |price| imbalance(price) < 0);
    let below = (turn > lowest).then(|| imbalance(turn - 1));
    let above = (turn <= highest).then(|| imbalance(turn));
    let smallest = below.into_iter().chain(above.map(|lots| -lots)).min()?;
    let last = first_where(turn, highest + 1, |price| imbalance(price) < -smallest) - 1;
    let (first, best) = if below != Some(smallest) {
        // All have more sells: the lowest, which is where they begin.
        (turn, turn)
    } else {
        let first = first_where(lowest, turn, |price| imbalance(price) <= smallest);
        (first, if smallest > 0 && last < turn { last } else { reference_ticks.clamp(first, last) })
    };
    let price_ticks = allowed(best, first, last);
    Some(Equilibrium {
        price_ticks,
        paired_lots: lots(paired_lots),
        imbalance_lots: lots(imbalance(price_ticks)),
    })
}

/// What pairing the best buy with the best sell comes to, as long as they cross.
struct Pairing {
    /// The last sell that has found a buy: below it less is sold.
    lowest: PriceTicks,
    /// The last buy that has found a sell: above it less is bought.
    highest: PriceTicks,
    paired_lots: i128,
}

fn pair(
    mut buys: impl Iterator<Item = (PriceTicks, QuantityLots)>,
    mut sells: impl Iterator<Item = (PriceTicks, QuantityLots)>,
) -> Option<Pairing> {
    let mut pairing = None;
    let (mut buy, mut sell) = (buys.next()?, sells.next()?);
    let mut paired_lots = 0;
    while buy.0 >= sell.0 {
        let lots = buy.1.min(sell.1);
        paired_lots += i128::from(lots);
        pairing = Some(Pairing { lowest: sell.0, highest: buy.0, paired_lots });
        buy.1 -= lots;
        sell.1 -= lots;
        if buy.1 == 0 {
            let Some(next) = buys.next() else { break };
            buy = next;
        }
        if sell.1 == 0 {
            let Some(next) = sells.next() else { break };
            sell = next;
        }
    }
    pairing
}

/// The lowest price from `low` on, below `end`, for which something holds that holds for all prices above it too; `end` if
/// there is none.
fn first_where(mut low: PriceTicks, mut end: PriceTicks, holds: impl Fn(PriceTicks) -> bool) -> PriceTicks {
    while low < end {
        let middle = low + (end - low) / 2;
        if holds(middle) {
            end = middle;
        } else {
            low = middle + 1;
        }
    }
    end
}

/// Sums of quantities fit: what is held for them is within an asset's largest amount.
fn lots(sum: i128) -> QuantityLots {
    i64::try_from(sum).expect("holds cover all orders, and no asset has that much")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;
    use protocol::MAX_PRICE_TICKS;

    type Orders = Vec<(PriceTicks, QuantityLots)>;

    fn fast(buys: &Orders, sells: &Orders, reference: PriceTicks) -> Option<Equilibrium> {
        equilibrium(|| buys.iter().copied(), || sells.iter().copied(), reference, |best, _, _| best)
    }

    /// Every price from 1 to `most`, as the page says it.
    fn brute_force(
        buys: &Orders,
        sells: &Orders,
        reference: PriceTicks,
        most: PriceTicks,
    ) -> Option<Equilibrium> {
        let demand = |price| buys.iter().filter(|buy| buy.0 >= price).map(|buy| buy.1).sum::<i64>();
        let supply = |price| sells.iter().filter(|sell| sell.0 <= price).map(|sell| sell.1).sum::<i64>();
        let paired = |price: i64| demand(price).min(supply(price));
        let imbalance = |price: i64| demand(price) - supply(price);
        let largest = (1..=most).map(paired).max().filter(|&lots| lots > 0)?;
        let of_largest: Vec<i64> = (1..=most).filter(|&price| paired(price) == largest).collect();
        let smallest = of_largest.iter().map(|&price| imbalance(price).abs()).min()?;
        let of_smallest = of_largest.into_iter().filter(|&price| imbalance(price).abs() == smallest);
        let prices: Vec<i64> = of_smallest.collect();
        let (lowest, highest) = (*prices.first()?, *prices.last()?);
        let price_ticks = if prices.iter().all(|&price| imbalance(price) > 0) {
            highest
        } else if prices.iter().all(|&price| imbalance(price) < 0) {
            lowest
        } else {
            *prices.iter().min_by_key(|&&price| (price - reference).abs())?
        };
        Some(Equilibrium { price_ticks, paired_lots: largest, imbalance_lots: imbalance(price_ticks) })
    }

    fn at(price_ticks: i64, paired_lots: i64, imbalance_lots: i64) -> Option<Equilibrium> {
        Some(Equilibrium { price_ticks, paired_lots, imbalance_lots })
    }

    #[test]
    fn nothing_trades_where_nothing_crosses() {
        assert_eq!(fast(&Vec::new(), &Vec::new(), 5), None);
        assert_eq!(fast(&[(5, 1)].into(), &Vec::new(), 5), None);
        assert_eq!(fast(&Vec::new(), &[(5, 1)].into(), 5), None);
        assert_eq!(fast(&[(5, 1)].into(), &[(6, 1)].into(), 5), None);
        assert_eq!(fast(&[(5, 1)].into(), &[(5, 1)].into(), 9), at(5, 1, 0));
    }

    #[test]
    fn the_reference_price_decides_only_where_imbalances_do_not() {
        let cross = |buy: i64, sell: i64| {
            [0, 100, 103, 107, 999].map(|reference| {
                fast(&[(105, buy)].into(), &[(101, sell)].into(), reference).unwrap().price_ticks
            })
        };
        assert_eq!(cross(5, 5), [101, 101, 103, 105, 105]);
        assert_eq!(cross(6, 5), [105; 5]);
        assert_eq!(cross(5, 6), [101; 5]);
        // More buys by 2 up to 104, more sells by 2 from 105 on: both signs, so the reference price decides.
        let buys: Orders = [(110, 10), (104, 2)].into();
        let sells: Orders = [(100, 10), (105, 2)].into();
        assert_eq!(fast(&buys, &sells, 0), brute_force(&buys, &sells, 0, 120));
        let prices = [0, 102, 107, 999].map(|reference| fast(&buys, &sells, reference).unwrap());
        assert_eq!(prices.map(|it| it.price_ticks), [100, 102, 107, 110]);
        assert_eq!(prices.map(|it| it.imbalance_lots), [2, 2, -2, -2]);
    }

    #[test]
    fn the_lowest_and_the_highest_price_that_are_as_good_are_told() {
        let told = |buys: &[(i64, i64)], sells: &[(i64, i64)]| {
            let told = core::cell::Cell::new((0, 0, 0));
            let note = |best, first, last| {
                told.set((best, first, last));
                first
            };
            let found = equilibrium(|| buys.iter().copied(), || sells.iter().copied(), 103, note);
            assert_eq!(found.unwrap().price_ticks, told.get().1);
            told.get()
        };
        assert_eq!(told(&[(105, 5)], &[(101, 5)]), (103, 101, 105));
        assert_eq!(told(&[(105, 6)], &[(101, 5)]), (105, 101, 105));
        assert_eq!(told(&[(105, 5)], &[(101, 6)]), (101, 101, 105));
        assert_eq!(told(&[(105, 5), (102, 1)], &[(101, 5)]), (103, 103, 105));
        assert_eq!(told(&[(105, 5)], &[(101, 6), (104, 1)]), (101, 101, 103));
    }

    #[test]
    fn the_highest_prices_and_quantities_do_not_overflow() {
        let most = (1i64 << 40) - 1;
        let buys: Orders = [(MAX_PRICE_TICKS, most); 300].into();
        let sells: Orders = [(MAX_PRICE_TICKS, most); 299].into();
        assert_eq!(fast(&buys, &sells, 1), at(MAX_PRICE_TICKS, 299 * most, most));
        let wide: Orders = [(1, 1)].into();
        assert_eq!(fast(&[(MAX_PRICE_TICKS, 1)].into(), &wide, 0), at(1, 1, 0));
        assert_eq!(fast(&[(MAX_PRICE_TICKS, 2)].into(), &wide, 7), at(MAX_PRICE_TICKS, 1, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn agrees_with_every_price_tried(
            mut buys in proptest::collection::vec((1..25i64, 1..6i64), 0..9),
            mut sells in proptest::collection::vec((1..25i64, 1..6i64), 0..9),
            reference in 0..30i64,
        ) {
            buys.sort_by_key(|buy| core::cmp::Reverse(buy.0));
            sells.sort_by_key(|sell| sell.0);
            prop_assert_eq!(fast(&buys, &sells, reference), brute_force(&buys, &sells, reference, 30));
        }
    }
}

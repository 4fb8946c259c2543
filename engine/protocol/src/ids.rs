//! Ids and units. Plain integers in records; these names say what they count.

use core::fmt;
use core::hash::{Hash, Hasher};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A price as a number of ticks; 1 to [`crate::MAX_PRICE_TICKS`]. 0 where an order has no limit price.
pub type PriceTicks = i64;

/// A quantity as a number of lots; 1 to [`crate::MAX_QUANTITY_LOTS`] in an order.
pub type QuantityLots = i64;

/// An amount of one asset in its minor units (10^-scale of the asset); magnitude at most
/// [`crate::MAX_AMOUNT_MINOR`].
pub type AmountMinor = i64;

/// An asset: 1 up to the limit of [`crate::Limits::assets`], chosen by the operator. 0 means none.
pub type AssetId = u32;

/// An instrument: 1 up to the limit of [`crate::Limits::instruments`], chosen by the operator. 0 means none.
pub type InstrumentId = u32;

/// An account: dense, chosen by the operator.
#[repr(transparent)]
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
pub struct AccountId(pub u32);

impl AccountId {
    /// The outside world: deposits come from it and withdrawals go to it. Its balance of an asset is minus what all
    /// others hold, so that the sum per asset is always zero. Cannot trade.
    pub const WORLD: Self = Self(0);
    /// Where fees are collected. Exists from the start; cannot trade.
    pub const FEES: Self = Self(1);
    /// The first id that the operator may create.
    pub const FIRST_CLIENT: Self = Self(2);
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An order's number: the sequence of the command that created it, and its dense slot in the engine's order table.
///
/// ```text
///  63                                   24 23                 0
///  ├─────────────────────────────────────┼────────────────────┤
///  │ sequence of the creating command    │ slot               │
///  └─────────────────────────────────────┴────────────────────┘
/// ```
///
/// So an id finds its order without hashing, is never used twice, and tells an auditor where in the journal to look.
#[repr(transparent)]
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
pub struct OrderId(pub u64);

impl OrderId {
    /// No order.
    pub const NONE: Self = Self(0);
    /// Bits of the slot: at most 16,777,216 orders at a time.
    pub const SLOT_BITS: u32 = 24;

    /// Joins sequence and slot. `sequence` is at most [`crate::MAX_SEQUENCE`], `slot` below 2^24.
    #[inline]
    #[must_use]
    pub fn new(sequence: u64, slot: u32) -> Self {
        debug_assert!(sequence <= crate::MAX_SEQUENCE && slot < 1 << Self::SLOT_BITS);
        Self(sequence << Self::SLOT_BITS | u64::from(slot))
    }

    /// Sequence of the command that created the order.
    #[inline]
    #[must_use]
    pub fn sequence(self) -> u64 {
        self.0 >> Self::SLOT_BITS
    }

    /// Place in the order table.
    #[inline]
    #[must_use]
    pub fn slot(self) -> u32 {
        (self.0 & ((1 << Self::SLOT_BITS) - 1)) as u32
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.sequence(), self.slot())
    }
}

/// The id that a client gave its order (FIX tag 11, ClOrdID): up to 36 bytes, zero-padded, opaque to the engine.
///
/// 36 bytes hold a UUID in its usual text form. All zero means none: such an order is not indexed and its id not
/// checked for repeats. Bytes after the first zero byte must be zero.
#[repr(transparent)]
#[derive(Clone, Copy, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ClientOrderId(pub [u8; 36]);

/// By words: for 36 bytes the compiler would call a function of the C library, for every comparison on the way of an order.
impl PartialEq for ClientOrderId {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.words().into_iter().zip(other.words());
        let differing = pairs.fold(0, |bits, (one, two)| bits | (one ^ two));
        differing | u64::from(self.rest() ^ other.rest()) == 0
    }
}

impl Hash for ClientOrderId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl ClientOrderId {
    /// No client order id.
    pub const NONE: Self = Self([0; 36]);
    /// Longest id in bytes.
    pub const MAX_LENGTH: usize = 36;

    /// From text, or `None` if it is longer than 36 bytes or contains a zero byte.
    #[must_use]
    pub fn from_text(text: &[u8]) -> Option<Self> {
        if text.contains(&0) {
            return None;
        }
        let mut bytes = [0; 36];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self(bytes))
    }

    #[inline]
    fn words(&self) -> [u64; 4] {
        let (words, _) = self.0.as_chunks::<8>();
        core::array::from_fn(|at| u64::from_ne_bytes(words[at]))
    }

    /// What is behind the words.
    #[inline]
    fn rest(&self) -> u32 {
        u32::from_ne_bytes([self.0[32], self.0[33], self.0[34], self.0[35]])
    }

    /// The text, without padding.
    #[must_use]
    pub fn as_bytes_trimmed(&self) -> &[u8] {
        let length = self.0.iter().position(|&byte| byte == 0).unwrap_or(36);
        self.0.get(..length).unwrap_or_default()
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// Whether nothing follows the first zero byte.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        self.0.iter().skip(self.as_bytes_trimmed().len()).all(|&byte| byte == 0)
    }
}

impl Default for ClientOrderId {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Debug for ClientOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes_trimmed().escape_ascii())
    }
}

/// A short name (asset code, symbol, owner): up to 16 bytes, zero-padded, printable ASCII without spaces.
#[repr(transparent)]
#[derive(
    Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Name(pub [u8; 16]);

impl Name {
    /// From text, or `None` if it is empty, longer than 16 bytes, or not printable ASCII without spaces.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        let name = Self(bytes);
        name.is_well_formed().then_some(name)
    }

    /// The text, without padding.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|&byte| byte == 0).unwrap_or(16);
        self.0.get(..length).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("?")
    }

    /// Whether it is 1 to 16 graphic ASCII bytes followed only by zeros.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let length = self.0.iter().position(|&byte| byte == 0).unwrap_or(16);
        let (text, padding) = self.0.split_at(length);
        length > 0 && text.iter().all(u8::is_ascii_graphic) && padding.iter().all(|&byte| byte == 0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_id_joins_and_parts() {
        let id = OrderId::new(crate::MAX_SEQUENCE, (1 << 24) - 1);
        assert_eq!((id.sequence(), id.slot()), (crate::MAX_SEQUENCE, (1 << 24) - 1));
        assert_eq!(id.0, u64::MAX >> 1);
        assert_eq!(OrderId::new(7, 3).0, 7 << 24 | 3);
    }

    #[test]
    fn client_order_ids_differ_in_any_bit_of_any_byte() {
        let id = ClientOrderId(core::array::from_fn(|at| at as u8 + 1));
        assert!(id == ClientOrderId(id.0) && !id.is_none());
        for at in 0..ClientOrderId::MAX_LENGTH {
            for bit in 0..8 {
                let (mut other, mut single) = (id, ClientOrderId::NONE);
                other.0[at] ^= 1 << bit;
                single.0[at] = 1 << bit;
                assert!(other != id && !single.is_none(), "byte {at}, bit {bit}");
            }
        }
        // What pairs cancel each other out in a sum differ all the same.
        let mut swapped = id;
        swapped.0.swap(0, 8);
        assert!(swapped != id && ClientOrderId::NONE.is_none());
    }

    #[test]
    fn client_order_ids_hold_a_uuid_and_no_more() {
        let uuid = b"123e4567-e89b-12d3-a456-426614174000";
        assert_eq!(ClientOrderId::from_text(uuid).unwrap().as_bytes_trimmed(), uuid);
        assert!(ClientOrderId::from_text(&[b'x'; 37]).is_none());
        assert!(ClientOrderId::from_text(b"a\0b").is_none());
        let mut odd = ClientOrderId::from_text(b"a").unwrap();
        assert!(odd.is_well_formed());
        odd.0[5] = b'x';
        assert!(!odd.is_well_formed());
    }

    #[test]
    fn names_are_graphic_ascii() {
        assert_eq!(Name::from_text("BTC/USD").unwrap().as_str(), "BTC/USD");
        assert!(Name::from_text("").is_none());
        assert!(Name::from_text("A B").is_none());
        assert!(Name::from_text("ABCDEFGHIJKLMNOPQ").is_none());
        assert!(Name::from_text("ABCDEFGHIJKLMNOP").is_some());
        assert!(Name::from_text("Ä").is_none());
    }
}

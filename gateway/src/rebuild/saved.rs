//! Writing the gateway's state into a checkpoint and reading it again.
//!
//! All numbers are little-endian; a text, a list or a map has its length before it; a map is in the order of its keys,
//! so that the same state gives the same bytes. [`Saved::LAYOUT`] changes with the names and types of what is saved: a
//! checkpoint of another layout is refused, whoever forgot to count up a version.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroU64;

use protocol::{AccountId, ClientOrderId, OrderId};
use rust_decimal::Decimal;

/// Something that a checkpoint can hold.
pub(crate) trait Saved: Sized {
    /// Tells one layout from another.
    const LAYOUT: u64;

    /// Appends it.
    fn save(&self, out: &mut Vec<u8>);

    /// Takes it from the front of `input`; `None` if that is not there.
    fn load(input: &mut &[u8]) -> Option<Self>;
}

/// A layout made of another and a name.
pub(crate) const fn mix(layout: u64, text: &str) -> u64 {
    // FNV-1a.
    let (mut hash, bytes, mut at) = (layout ^ 0xCBF2_9CE4_8422_2325, text.as_bytes(), 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01B3);
        at += 1;
    }
    hash
}

/// Implements [`Saved`] for a struct. All its fields must be named: a new one that is not is an error.
macro_rules! saved {
    ($name:ident { $($field:ident: $type:ty),+ $(,)? }) => {
        impl $crate::rebuild::Saved for $name {
            const LAYOUT: u64 = {
                let mut layout = $crate::rebuild::mix(0, stringify!($name));
                $(layout = $crate::rebuild::mix(
                    layout.rotate_left(1) ^ <$type as $crate::rebuild::Saved>::LAYOUT,
                    stringify!($field),
                );)+
                layout
            };

            fn save(&self, out: &mut Vec<u8>) {
                let Self { $($field),+ } = self;
                $(<$type as $crate::rebuild::Saved>::save($field, out);)+
            }

            fn load(input: &mut &[u8]) -> Option<Self> {
                $(let $field = <$type as $crate::rebuild::Saved>::load(input)?;)+
                Some(Self { $($field),+ })
            }
        }
    };
}
pub(crate) use saved;

macro_rules! integers {
    ($($type:ty),+) => {$(
        impl Saved for $type {
            const LAYOUT: u64 = mix(0, stringify!($type));

            fn save(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn load(input: &mut &[u8]) -> Option<Self> {
                let (bytes, rest) = input.split_first_chunk()?;
                *input = rest;
                Some(Self::from_le_bytes(*bytes))
            }
        }
    )+};
}
integers!(u8, u16, u32, u64, i32, i64, i128);

/// Types that are written as another.
macro_rules! written_as {
    ($($type:ty: $other:ty, $to:expr, $from:expr;)+) => {$(
        impl Saved for $type {
            const LAYOUT: u64 = mix(<$other>::LAYOUT, stringify!($type));

            fn save(&self, out: &mut Vec<u8>) {
                let to: fn(&$type) -> $other = $to;
                to(self).save(out);
            }

            fn load(input: &mut &[u8]) -> Option<Self> {
                let from: fn($other) -> Option<$type> = $from;
                from(<$other>::load(input)?)
            }
        }
    )+};
}
written_as! {
    bool: u8, |it| u8::from(*it), |it| (it <= 1).then_some(it == 1);
    NonZeroU64: u64, |it| it.get(), Self::new;
    AccountId: u32, |it| it.0, |it| Some(Self(it));
    OrderId: u64, |it| it.0, |it| Some(Self(it));
    String: Vec<u8>, |it| it.as_bytes().to_vec(), |it| Self::from_utf8(it).ok();
    Decimal: u128, |it| u128::from_le_bytes(it.serialize()), |it| Some(Self::deserialize(it.to_le_bytes()));
}
integers!(u128);

/// Without the zeros at its end.
impl Saved for ClientOrderId {
    const LAYOUT: u64 = mix(u8::LAYOUT, "ClientOrderId");

    fn save(&self, out: &mut Vec<u8>) {
        let text = self.as_bytes_trimmed();
        out.push(text.len() as u8);
        out.extend_from_slice(text);
    }

    fn load(input: &mut &[u8]) -> Option<Self> {
        let length = usize::from(u8::load(input)?);
        let (text, rest) = input.split_at_checked(length)?;
        *input = rest;
        if text.is_empty() { Some(Self::NONE) } else { Self::from_text(text) }
    }
}

macro_rules! lists {
    ($($list:ident),+) => {$(
        impl<T: Saved> Saved for $list<T> {
            const LAYOUT: u64 = mix(T::LAYOUT, stringify!($list));

            fn save(&self, out: &mut Vec<u8>) {
                (self.len() as u64).save(out);
                self.iter().for_each(|it| it.save(out));
            }

            fn load(input: &mut &[u8]) -> Option<Self> {
                let length = u64::load(input)?;
                // A wrong length must not ask for memory: everything takes at least a byte.
                let mut list = Self::with_capacity((length as usize).min(input.len()));
                for _ in 0..length {
                    list.extend([T::load(input)?]);
                }
                Some(list)
            }
        }
    )+};
}
lists!(Vec, VecDeque);

impl<T: Saved> Saved for Option<T> {
    const LAYOUT: u64 = mix(T::LAYOUT, "Option");

    fn save(&self, out: &mut Vec<u8>) {
        self.is_some().save(out);
        self.iter().for_each(|it| it.save(out));
    }

    fn load(input: &mut &[u8]) -> Option<Self> {
        if bool::load(input)? { T::load(input).map(Some) } else { Some(None) }
    }
}

impl<A: Saved, B: Saved> Saved for (A, B) {
    const LAYOUT: u64 = mix(A::LAYOUT.rotate_left(1) ^ B::LAYOUT, "pair");

    fn save(&self, out: &mut Vec<u8>) {
        self.0.save(out);
        self.1.save(out);
    }

    fn load(input: &mut &[u8]) -> Option<Self> {
        Some((A::load(input)?, B::load(input)?))
    }
}

impl<K: Saved + Ord + Hash + Eq, V: Saved, S: BuildHasher + Default> Saved for HashMap<K, V, S> {
    const LAYOUT: u64 = mix(K::LAYOUT.rotate_left(1) ^ V::LAYOUT, "HashMap");

    fn save(&self, out: &mut Vec<u8>) {
        (self.len() as u64).save(out);
        let mut entries: Vec<(&K, &V)> = self.iter().collect();
        entries.sort_unstable_by(|one, other| one.0.cmp(other.0));
        for (key, value) in entries {
            key.save(out);
            value.save(out);
        }
    }

    fn load(input: &mut &[u8]) -> Option<Self> {
        let length = u64::load(input)?;
        let mut map = Self::with_capacity_and_hasher((length as usize).min(input.len()), S::default());
        for _ in 0..length {
            map.insert(K::load(input)?, V::load(input)?);
        }
        (map.len() as u64 == length).then_some(map)
    }
}

impl<K: Saved + Ord, V: Saved> Saved for BTreeMap<K, V> {
    const LAYOUT: u64 = mix(K::LAYOUT.rotate_left(1) ^ V::LAYOUT, "BTreeMap");

    fn save(&self, out: &mut Vec<u8>) {
        (self.len() as u64).save(out);
        for (key, value) in self {
            key.save(out);
            value.save(out);
        }
    }

    fn load(input: &mut &[u8]) -> Option<Self> {
        let length = u64::load(input)?;
        let mut map = Self::new();
        for _ in 0..length {
            map.insert(K::load(input)?, V::load(input)?);
        }
        (map.len() as u64 == length).then_some(map)
    }
}

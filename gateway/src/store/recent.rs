//! The newest reports as they were sent, in memory: most resends ask for no others, and the event journal may not have
//! the newest events yet.

use std::num::NonZeroU32;

/// Bytes before a message: session, length, MsgSeqNum.
const HEAD: usize = 14;

/// A ring of bytes; the oldest messages are overwritten. Allocates once.
pub(super) struct Recent {
    bytes: Vec<u8>,
    /// Bytes ever used, those skipped at the ring's end or as no place included.
    total: u64,
}

/// Where a message was put: the low bits of the ring's count of bytes, of which 0 is no place.
pub(super) type Place = NonZeroU32;

impl Recent {
    pub(super) fn new(capacity_bytes: usize) -> Self {
        // Places are 32 bits of a count: a quarter of their range leaves no doubt which round is meant.
        Self { bytes: vec![0; capacity_bytes.min(1 << 30)], total: 0 }
    }

    /// Keeps a message, if it is not longer than the whole ring, and says where.
    #[inline]
    pub(super) fn put(&mut self, session: u16, number: u64, message: &[u8]) -> Option<Place> {
        let length = HEAD + message.len();
        let capacity = self.bytes.len();
        // One byte more than there must be: a place may be skipped because it is none.
        if length >= capacity {
            return None;
        }
        let mut at = (self.total % capacity as u64) as usize;
        if at + length >= capacity {
            self.total += (capacity - at) as u64;
            at = 0;
        }
        if self.total as u32 == 0 {
            self.total += 1;
            at += 1;
        }
        let place = Place::new(self.total as u32);
        let target = &mut self.bytes[at..at + length];
        target[..2].copy_from_slice(&session.to_le_bytes());
        target[2..6].copy_from_slice(&(message.len() as u32).to_le_bytes());
        target[6..HEAD].copy_from_slice(&number.to_le_bytes());
        target[HEAD..].copy_from_slice(message);
        self.total += length as u64;
        place
    }

    /// The message that was put there, if it has not been overwritten.
    pub(super) fn get(&self, place: Place, session: u16, number: u64) -> Option<&[u8]> {
        let capacity = self.bytes.len();
        let back = u64::from((self.total as u32).wrapping_sub(place.get()));
        if back > capacity as u64 || back > self.total || back < HEAD as u64 {
            return None;
        }
        let at = ((self.total - back) % capacity as u64) as usize;
        let head = self.bytes.get(at..at + HEAD)?;
        let length = u32::from_le_bytes(head[2..6].try_into().ok()?) as usize;
        let same = head[..2] == session.to_le_bytes() && head[6..] == number.to_le_bytes();
        self.bytes.get(at + HEAD..at + HEAD + length).filter(|_| same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_messages_are_there_and_overwritten_ones_are_not() {
        let mut recent = Recent::new(1000);
        let text = |number: u64| format!("message {number} {}", "x".repeat(number as usize % 90));
        let mut places = Vec::new();
        for number in 0..500 {
            places.push(recent.put(number as u16 % 3, number, text(number).as_bytes()).unwrap());
            let mut kept = 0;
            for (old, &place) in places.iter().enumerate() {
                let old = old as u64;
                if let Some(found) = recent.get(place, old as u16 % 3, old) {
                    assert_eq!(found, text(old).as_bytes());
                    kept += 1;
                } else {
                    assert_eq!(kept, 0, "only the oldest are gone");
                }
                assert_eq!(recent.get(place, old as u16 % 3, old + 1), None);
            }
            assert!(kept >= 5.min(number as usize + 1), "{number}: {kept}");
        }
        assert_eq!(recent.put(0, 500, &[b'y'; 1000]), None);
        assert_eq!(Recent::new(0).put(0, 0, b""), None);
        assert_eq!(Recent::new(0).get(places[0], 0, 0), None);
    }

    /// What was not put into the ring had the place of what was put there first, and was taken for it where both had the
    /// same session and number: a reset had come between them.
    #[test]
    fn no_message_has_the_place_of_those_that_were_never_put_there() {
        for total in [0, (1 << 32) - 30, (1 << 32) - 1, 1 << 32, (1 << 32) + 999] {
            for length in [0, 20, 984, 985] {
                let mut recent = Recent { total, ..Recent::new(1000) };
                let places: Vec<Place> =
                    (0..3).map(|number| recent.put(7, number, &vec![b'x'; length]).unwrap()).collect();
                assert_eq!(recent.get(places[2], 7, 2), Some(&vec![b'x'; length][..]), "{total} {length}");
                let kept = (0..3).filter(|&it| recent.get(places[it], 7, it as u64).is_some()).count();
                assert_eq!(kept, if length < 100 { 3 } else { 1 }, "{total} {length}");
            }
            assert_eq!(Recent { total, ..Recent::new(1000) }.put(7, 1, &[b'x'; 986]), None);
        }
    }
}

//! The newest reports as they were sent, in memory: most resends ask for no others, and the event journal may not have
//! the newest events yet.

/// Bytes before a message: session, length, MsgSeqNum.
const HEAD: usize = 14;

/// A ring of bytes; the oldest messages are overwritten. Allocates once.
pub(super) struct Recent {
    bytes: Vec<u8>,
    /// Bytes ever used, those skipped at the ring's end included.
    total: u64,
}

/// Where a message was put: the low bits of the ring's count of bytes.
pub(super) type Place = u32;

impl Recent {
    pub(super) fn new(capacity_bytes: usize) -> Self {
        // Places are 32 bits of a count: a quarter of their range leaves no doubt which round is meant.
        Self { bytes: vec![0; capacity_bytes.min(1 << 30)], total: 0 }
    }

    /// Keeps a message, if it is not longer than the whole ring.
    #[inline]
    pub(super) fn put(&mut self, session: u16, number: u64, message: &[u8]) -> Place {
        let length = HEAD + message.len();
        if length > self.bytes.len() {
            return self.total as Place;
        }
        let capacity = self.bytes.len();
        let mut at = (self.total % capacity as u64) as usize;
        if at + length > capacity {
            self.total += (capacity - at) as u64;
            at = 0;
        }
        let place = self.total as Place;
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
        let back = u64::from((self.total as Place).wrapping_sub(place));
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
            places.push(recent.put(number as u16 % 3, number, text(number).as_bytes()));
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
        let long = recent.put(0, 500, &[b'y'; 1000]);
        assert_eq!(recent.get(long, 0, 500), None);
        assert_eq!(Recent::new(0).get(0, 0, 0), None);
    }
}

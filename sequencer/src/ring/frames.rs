//! Records in the data part of a ring: written and read as words, at positions that never wrap.

use machine::{HEADER_LENGTH, RecordHeader, stride};
use zerocopy::IntoBytes;

use super::memory::Memory;
use super::sync::{Arc, AtomicU64, Ordering};
use super::{
    HEADER_WORDS, LAYOUT_VERSION, Place, RingError, WORD, WORD_CAPACITY, WORD_MAGIC, WORD_VERSION,
    check_capacity, max_record_length,
};

/// In the length of a padding frame. Records are at most 64 KiB long, so the bit is free.
const PADDING: u32 = 1 << 31;

/// What is at a position.
pub(crate) enum Frame {
    /// Nothing until the end of the data; the stride in bytes.
    Padding(u64),
    /// A record of this length in bytes, without padding.
    Record(usize),
}

/// The words of a ring, and where its data is.
#[derive(Clone)]
pub(crate) struct Frames {
    memory: Arc<Memory>,
    capacity: u64,
}

impl Frames {
    /// Makes a ring's memory and writes its identity.
    pub(crate) fn create(place: &Place, magic: u64, capacity: usize) -> Result<Self, RingError> {
        check_capacity(capacity)?;
        let memory = Memory::create(place, capacity)?;
        let words = memory.words();
        words[WORD_CAPACITY].store(capacity as u64, Ordering::Relaxed);
        words[WORD_VERSION].store(LAYOUT_VERSION, Ordering::Relaxed);
        words[WORD_MAGIC].store(magic, Ordering::Release);
        Ok(Self { memory: Arc::new(memory), capacity: capacity as u64 })
    }

    /// Maps a ring that exists, and checks that it is one.
    pub(crate) fn attach(path: &std::path::Path, magic: u64) -> Result<Self, RingError> {
        let refuse = |detail: String| Err(RingError::NotARing { path: path.display().to_string(), detail });
        let memory = Memory::attach(path)?;
        let words = memory.words();
        let found = words[WORD_MAGIC].load(Ordering::Acquire);
        if found != magic {
            return refuse(format!("magic is {found:#018x}, not {magic:#018x}"));
        }
        let version = words[WORD_VERSION].load(Ordering::Relaxed);
        if version != LAYOUT_VERSION {
            return refuse(format!("layout version is {version}, not {LAYOUT_VERSION}"));
        }
        let capacity = words[WORD_CAPACITY].load(Ordering::Relaxed);
        let data = (words.len() - HEADER_WORDS) * WORD;
        if capacity != data as u64 || check_capacity(data).is_err() {
            return refuse(format!("capacity is {capacity}, the file has {data} bytes of data"));
        }
        Ok(Self { memory: Arc::new(memory), capacity })
    }

    /// Bytes of data.
    #[inline]
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Longest record that always fits.
    #[inline]
    pub(crate) fn max_record_length(&self) -> usize {
        max_record_length(self.capacity as usize)
    }

    /// A word of the header.
    #[inline]
    pub(crate) fn header_word(&self, index: usize) -> &AtomicU64 {
        &self.memory.words()[index]
    }

    /// Bytes from `position` to the end of the data.
    #[inline]
    pub(crate) fn contiguous(&self, position: u64) -> u64 {
        self.capacity - (position & (self.capacity - 1))
    }

    /// Bytes that a record takes at `position`, padding frame before it included.
    #[inline]
    pub(crate) fn needed(&self, position: u64, length: usize) -> u64 {
        let record = stride(length) as u64;
        let contiguous = self.contiguous(position);
        if contiguous < record { contiguous + record } else { record }
    }

    /// Writes a padding frame to the end of the data if a record of `length` does not fit before it. Returns where
    /// the record goes.
    #[inline]
    pub(crate) fn pad(&self, position: u64, length: usize) -> u64 {
        let contiguous = self.contiguous(position);
        if contiguous >= stride(length) as u64 {
            return position;
        }
        let word = u64::from(PADDING | contiguous as u32);
        self.memory.note_write(self.index(position), 1);
        self.words_at(position, 1)[0].store(word, Ordering::Relaxed);
        position + contiguous
    }

    /// Writes a record. The caller has made room and padding; `header.length` is corrected to the body's.
    #[inline]
    pub(crate) fn write(&self, position: u64, header: &RecordHeader, body: &[u8]) {
        let length = HEADER_LENGTH + body.len();
        let header = RecordHeader { length: length as u32, ..*header };
        self.memory.note_write(self.index(position), stride(length) / WORD);
        let (head, content) = self.words_at(position, stride(length) / WORD).split_at(HEADER_LENGTH / WORD);
        store(head, header.as_bytes());
        store(content, body);
    }

    /// Copies bytes that are whole padded records.
    #[inline]
    pub(crate) fn write_bytes(&self, position: u64, bytes: &[u8]) {
        self.memory.note_write(self.index(position), bytes.len() / WORD);
        store(self.words_at(position, bytes.len() / WORD), bytes);
    }

    /// Looks at the frame at `position`, where `available` bytes have been published. Trusts nothing that it reads.
    #[inline]
    pub(crate) fn frame_at(&self, position: u64, available: u64) -> Result<Frame, RingError> {
        let length = self.words_at(position, 1)[0].load(Ordering::Relaxed) as u32;
        let contiguous = self.contiguous(position);
        if length & PADDING != 0 {
            let padding = u64::from(length & !PADDING);
            if padding != contiguous || padding > available {
                return Err(RingError::Corrupt { position, what: "padding does not end with the data" });
            }
            return Ok(Frame::Padding(padding));
        }
        let length = length as usize;
        if !(HEADER_LENGTH..=self.max_record_length()).contains(&length) {
            return Err(RingError::Corrupt { position, what: "record length is out of range" });
        }
        if stride(length) as u64 > available.min(contiguous) {
            return Err(RingError::Corrupt { position, what: "record is longer than what was published" });
        }
        Ok(Frame::Record(length))
    }

    /// Copies a record of `length`, found by [`Frames::frame_at`], out of the ring. The length in the copy is
    /// `length`, even if the ring's has been changed since.
    #[inline]
    pub(crate) fn copy_out<'a>(&self, position: u64, length: usize, out: &'a mut [u64]) -> &'a [u8] {
        let words = self.words_at(position, stride(length) / WORD);
        let out = &mut out[..words.len()];
        for (to, from) in out.iter_mut().zip(words) {
            *to = from.load(Ordering::Relaxed);
        }
        out[0] = (out[0] >> 32 << 32) | length as u64;
        out.as_bytes()
    }

    /// Notes that the writer must wait until this frame has been read; see `Memory::note_read`.
    #[inline]
    pub(crate) fn note_read(&self, position: u64, length: usize) {
        self.memory.note_read(self.index(position), stride(length) / WORD);
    }

    /// `length` bytes at `position` for reading in place.
    ///
    /// # Safety
    /// The bytes were published before a tail that the caller has acquired, and the writer waits for the caller
    /// before it overwrites them.
    #[inline]
    pub(crate) unsafe fn borrow(&self, position: u64, length: usize) -> super::memory::Borrowed<'_> {
        // SAFETY: passed on to the caller.
        unsafe { self.memory.borrow(self.index(position), length / WORD) }
    }

    #[inline]
    fn index(&self, position: u64) -> usize {
        HEADER_WORDS + (position & (self.capacity - 1)) as usize / WORD
    }

    #[inline]
    fn words_at(&self, position: u64, count: usize) -> &[AtomicU64] {
        let first = self.index(position);
        &self.memory.words()[first..first + count]
    }
}

/// Stores bytes as words, the last one filled with zeros.
#[inline]
fn store(words: &[AtomicU64], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<WORD>();
    for (word, chunk) in words.iter().zip(whole) {
        word.store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
    }
    if !rest.is_empty() {
        let mut last = [0; WORD];
        last[..rest.len()].copy_from_slice(rest);
        words[whole.len()].store(u64::from_le_bytes(last), Ordering::Relaxed);
    }
}

/// Scratch memory for one record of a ring.
pub(crate) fn scratch(frames: &Frames) -> Box<[u64]> {
    vec![0; frames.max_record_length().div_ceil(WORD)].into_boxed_slice()
}

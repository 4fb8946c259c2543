//! The words that a ring is made of: mapped memory, or loom's model of it.
//!
//! Everything above sees a slice of atomic words, so that two processes can share it without a data race whatever
//! either of them does. Reading in place is the one exception, [`Memory::borrow`].

#[cfg(loom)]
pub(crate) use modelled::{Borrowed, Memory};
#[cfg(not(loom))]
pub(crate) use real::{Borrowed, Memory};

#[cfg(not(loom))]
mod real {
    use std::fs::{File, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use memmap2::{Advice, MmapOptions, MmapRaw};

    use super::super::sync::AtomicU64;
    use super::super::{HEADER_WORDS, Place, RingError, WORD};

    /// Mapped memory as atomic words.
    pub(crate) struct Memory {
        map: MmapRaw,
        words: usize,
    }

    /// Words borrowed for reading in place.
    pub(crate) type Borrowed<'a> = &'a [u64];

    impl Memory {
        /// New memory of zeros: header words and `capacity` bytes of data, every page present.
        pub(crate) fn create(place: &Place, capacity: usize) -> Result<Self, RingError> {
            let length = HEADER_WORDS * WORD + capacity;
            let map = match place {
                Place::Anonymous => map_anonymous(length),
                Place::File(path) => create_file(path, length),
            };
            Self::over(map.map_err(|source| RingError::Io { place: describe(place), source })?)
        }

        /// Memory that another process made.
        pub(crate) fn attach(path: &Path) -> Result<Self, RingError> {
            let map = || {
                let file = OpenOptions::new().read(true).write(true).open(path)?;
                MmapOptions::new().populate().map_raw(&file)
            };
            Self::over(map().map_err(|source| RingError::Io { place: path.display().to_string(), source })?)
        }

        fn over(map: MmapRaw) -> Result<Self, RingError> {
            let words = map.len() / WORD;
            if words < HEADER_WORDS {
                return Err(RingError::NotARing {
                    path: "file".into(),
                    detail: "shorter than a header".into(),
                });
            }
            Ok(Self { map, words })
        }

        /// All words, header first.
        #[inline]
        pub(crate) fn words(&self) -> &[AtomicU64] {
            // SAFETY: the mapping is page-aligned, at least `words * 8` bytes long, readable and writable, and lives
            // as long as `self`. `AtomicU64` has the layout of `u64`, any bytes are valid for it, and the memory is
            // only ever accessed through these atomics, or read through `borrow` under its contract. (Truncating
            // the file under us would raise SIGBUS, which stops the process; it is not undefined behaviour.)
            unsafe { std::slice::from_raw_parts(self.map.as_mut_ptr().cast::<AtomicU64>(), self.words) }
        }

        /// Notes that these words are read by a reader that the writer waits for. Only loom's memory listens.
        #[inline]
        pub(crate) fn note_read(&self, _first: usize, _count: usize) {}

        /// Notes that these words are written. Only loom's memory listens.
        #[inline]
        pub(crate) fn note_write(&self, _first: usize, _count: usize) {}

        /// Words for reading in place.
        ///
        /// # Safety
        /// Until the borrow ends nobody writes these words, and all earlier writes to them happened before this
        /// call (the caller has acquired a position that was released after them).
        #[inline]
        pub(crate) unsafe fn borrow(&self, first: usize, count: usize) -> Borrowed<'_> {
            let words = &self.words()[first..first + count];
            // SAFETY: the range lies in the mapping (checked by the slicing above), `AtomicU64` has the layout of
            // `u64`, and the caller promises that nobody writes it meanwhile.
            unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u64>(), words.len()) }
        }
    }

    fn describe(place: &Place) -> String {
        match place {
            Place::Anonymous => "anonymous memory".into(),
            Place::File(path) => path.display().to_string(),
        }
    }

    fn map_anonymous(length: usize) -> std::io::Result<MmapRaw> {
        let map = MmapRaw::from(MmapOptions::new().len(length).map_anon()?);
        prepare(&map);
        Ok(map)
    }

    /// Writes the whole file instead of extending it: a full file system is an error here, and not a SIGBUS later.
    fn create_file(path: &Path, length: usize) -> std::io::Result<MmapRaw> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file: File =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        let zeros = vec![0u8; 1 << 20];
        let mut left = length;
        while left > 0 {
            let part = left.min(zeros.len());
            file.write_all(&zeros[..part])?;
            left -= part;
        }
        let map = MmapOptions::new().map_raw(&file)?;
        prepare(&map);
        Ok(map)
    }

    /// Asks for huge pages and makes every page present. A system that knows neither does without: the ring is then
    /// slower at first touch, not wrong.
    fn prepare(map: &MmapRaw) {
        let _ = map.advise(Advice::HugePage);
        let _ = map.advise(Advice::PopulateWrite);
    }
}

#[cfg(loom)]
mod modelled {
    use loom::cell::UnsafeCell;

    use super::super::sync::{AtomicU64, Ordering};
    use super::super::{HEADER_WORDS, Place, RingError, WORD};

    /// Loom's atomics in place of mapped memory, and beside each a cell that holds nothing: loom checks that the
    /// accesses noted on it never race. It would not find a word that is overwritten too early by itself, because
    /// it does not let a load see a later store.
    pub(crate) struct Memory {
        words: Vec<AtomicU64>,
        notes: Vec<UnsafeCell<()>>,
    }

    // SAFETY: the cells hold nothing, and loom panics when accesses to one race.
    unsafe impl Sync for Memory {}

    /// A copy: loom cannot lend plain words.
    pub(crate) type Borrowed<'a> = Vec<u64>;

    impl Memory {
        pub(crate) fn create(_place: &Place, capacity: usize) -> Result<Self, RingError> {
            let count = HEADER_WORDS + capacity / WORD;
            Ok(Self {
                words: (0..count).map(|_| AtomicU64::new(0)).collect(),
                notes: (0..count).map(|_| UnsafeCell::new(())).collect(),
            })
        }

        pub(crate) fn attach(_path: &std::path::Path) -> Result<Self, RingError> {
            Err(RingError::NotARing { path: String::new(), detail: "loom has no files".into() })
        }

        pub(crate) fn words(&self) -> &[AtomicU64] {
            &self.words
        }

        /// # Safety
        /// As for the real one; nothing unsafe happens here.
        pub(crate) unsafe fn borrow(&self, first: usize, count: usize) -> Borrowed<'_> {
            self.note_read(first, count);
            self.words[first..first + count].iter().map(|word| word.load(Ordering::Relaxed)).collect()
        }

        pub(crate) fn note_read(&self, first: usize, count: usize) {
            self.notes[first..first + count].iter().for_each(|note| note.with(|_| ()));
        }

        pub(crate) fn note_write(&self, first: usize, count: usize) {
            self.notes[first..first + count].iter().for_each(|note| note.with_mut(|_| ()));
        }
    }
}

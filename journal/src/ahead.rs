//! A stream read and checked on a thread of its own, ahead of the one that uses its records: a core for the checksums, a
//! core for the machine.

use crate::{JournalError, StreamReader};
use machine::{Record, stride};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use zerocopy::IntoBytes;

/// Records are handed over in pieces of at least this many bytes: a piece costs a wake-up.
const CHUNK_BYTES: usize = 256 << 10;
/// Pieces that may be read ahead.
const CHUNKS: usize = 8;

/// Whole records back to back, checked.
#[derive(Default)]
struct Chunk {
    /// Words, so that every record is aligned for its header.
    words: Vec<u64>,
}

impl Chunk {
    fn append(&mut self, payload: &[u8]) {
        let (words, rest) = payload.as_chunks::<8>();
        debug_assert!(rest.is_empty(), "records are padded to 8");
        self.words.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
    }

    fn bytes(&self) -> &[u8] {
        self.words.as_bytes()
    }
}

/// How the thread ended: the reader, where it found no more, or what is wrong.
type End = Result<StreamReader, JournalError>;

/// The records of a stream from where a reader stands to its present end.
pub(crate) struct ReadAhead {
    chunks: Receiver<Chunk>,
    /// Used pieces go back, so that their memory is taken again.
    used: SyncSender<Chunk>,
    thread: Option<JoinHandle<End>>,
    /// The reader, once the thread has ended.
    ended: Option<StreamReader>,
    chunk: Chunk,
    /// Bytes of the piece that have been given out.
    given: usize,
}

impl ReadAhead {
    pub fn new(reader: StreamReader) -> Self {
        let (sender, chunks) = sync_channel(CHUNKS);
        let (used, back) = sync_channel(CHUNKS + 2);
        let thread = std::thread::spawn(move || read(reader, &sender, &back));
        Self { chunks, used, thread: Some(thread), ended: None, chunk: Chunk::default(), given: 0 }
    }

    /// The records at hand, back to back; empty at the end of what was there.
    ///
    /// # Errors
    /// Damage, with file and offset; or what the system says.
    pub fn records(&mut self) -> Result<&[u8], JournalError> {
        if self.given == self.chunk.bytes().len() && self.thread.is_some() {
            let next = self.chunks.recv().unwrap_or_default();
            let old = std::mem::replace(&mut self.chunk, next);
            self.given = 0;
            // With room for all that there are it is never full; if the thread has ended nobody needs it.
            let _ = self.used.try_send(old);
            if self.chunk.words.is_empty() {
                self.end()?;
            }
        }
        Ok(self.chunk.bytes().get(self.given..).unwrap_or_default())
    }

    /// Goes on by so many bytes of what [`ReadAhead::records`] gave: whole records.
    #[inline]
    pub fn consume(&mut self, bytes: usize) {
        self.given += bytes;
    }

    /// The next record, or `None` at the end.
    ///
    /// # Errors
    /// As for [`ReadAhead::records`].
    #[inline]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, JournalError> {
        if self.records()?.is_empty() {
            return Ok(None);
        }
        let start = self.given;
        let record = Record::parse(&self.chunk.bytes()[start..]).expect("the reader has checked it");
        self.given = start + stride(record.header().length as usize);
        Ok(Some(record))
    }

    /// What keeps a stream from going on that is known to, where the records ended.
    ///
    /// # Errors
    /// What the system says.
    pub fn damage(&mut self) -> Result<JournalError, JournalError> {
        self.ended.as_mut().expect("the records have ended").damage()
    }

    /// Refuses an end before `synced`, up to which the stream is known to have been synced, if what lies there is torn.
    ///
    /// # Errors
    /// Damage, with file and offset; or what the system says.
    pub fn check_end(&mut self, synced: u64) -> Result<(), JournalError> {
        let ended = self.ended.as_mut().expect("the records have ended");
        if ended.last_sequence() < synced { ended.end_knowing(synced).map(|_| ()) } else { Ok(()) }
    }

    /// Ends the thread, once it has come to the end of the stream, and asks whether that is an end.
    fn end(&mut self) -> Result<(), JournalError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        match thread.join() {
            Ok(end) => self.ended.insert(end?).check_end(),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // Without a receiver the thread ends at its next piece.
        drop(std::mem::replace(&mut self.chunks, sync_channel(0).1));
        let _ = thread.join();
    }
}

fn read(mut reader: StreamReader, sender: &SyncSender<Chunk>, back: &Receiver<Chunk>) -> End {
    loop {
        let mut chunk = back.try_recv().unwrap_or_default();
        chunk.words.clear();
        let outcome = fill(&mut reader, &mut chunk);
        let ended = !matches!(outcome, Ok(true));
        if !chunk.words.is_empty() && sender.send(chunk).is_err() {
            return Ok(reader);
        }
        if ended {
            return outcome.map(|_| reader);
        }
    }
}

/// Fills a piece; false at the end of the stream.
fn fill(reader: &mut StreamReader, chunk: &mut Chunk) -> Result<bool, JournalError> {
    while chunk.bytes().len() < CHUNK_BYTES {
        match reader.next_frame()? {
            Some(payload) => chunk.append(payload),
            None => return Ok(false),
        }
    }
    Ok(true)
}

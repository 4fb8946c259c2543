//! Archived segments: compressed with zstd, in the seekable format, and read like any other.

use crate::format::{segment_path, sequence_of};
use crate::frame::list_segments;
use crate::storage::{SharedStorage, Storage, StorageFile, read_full, write_all};
use crate::{DataFolder, JournalError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Bytes of a segment that are compressed together, and decompressed together to read any of them.
const CHUNK_BYTES: usize = 1 << 20;
/// Compression level: zstd's own default.
const LEVEL: i32 = 3;
/// What follows the segment's name when it is archived.
const ARCHIVE_SUFFIX: &str = ".zst";
/// An archive that is being written; it has no meaning until it is renamed.
const UNFINISHED_NAME: &str = "archive.tmp";

/// First bytes of the seek table, a skippable frame of zstd (RFC 8878, 3.1.2).
const SKIPPABLE_MAGIC: u32 = 0x184D_2A5E;
/// Last bytes of the seek table (zstd's seekable format 0.1.0).
const SEEKABLE_MAGIC: u32 = 0x8F92_EAB1;
/// Number of chunks, descriptor, magic.
const FOOTER_BYTES: usize = 9;
/// Compressed and decompressed size of a chunk.
const ENTRY_BYTES: usize = 8;
/// More chunks than the longest segment has.
const MAX_CHUNKS: usize = (4 << 30) / CHUNK_BYTES;

/// Where the archive of a segment is.
pub(crate) fn archive_path(folder: &Path, first: u64) -> PathBuf {
    let mut path = segment_path(folder, first).into_os_string();
    path.push(ARCHIVE_SUFFIX);
    path.into()
}

/// First sequence by the name of a segment or its archive.
pub(crate) fn sequence_of_any(name: &str) -> Option<u64> {
    sequence_of(name.strip_suffix(ARCHIVE_SUFFIX).unwrap_or(name))
}

/// Opens a segment for reading, archived or not; says which file it is.
pub(crate) fn open_for_reading(
    storage: &dyn Storage,
    folder: &Path,
    first: u64,
) -> Result<(Box<dyn StorageFile>, PathBuf), JournalError> {
    // Twice, because it may be archived between one look and the next.
    for path in [segment_path(folder, first), archive_path(folder, first)] {
        match storage.open(&path, false) {
            Ok(file) if path.extension().is_some_and(|extension| extension == "zst") => {
                let archive = Archive::open(file).map_err(JournalError::io("read", &path))?;
                return Ok((Box::new(archive), path));
            }
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(JournalError::io("open", &path)(error)),
        }
    }
    let path = segment_path(folder, first);
    Err(JournalError::io("open", &path)(io::ErrorKind::NotFound.into()))
}

/// Whether a segment is there only as an archive. It was synced before its original was removed.
pub(crate) fn is_archived(storage: &dyn Storage, folder: &Path, first: u64) -> bool {
    storage.open(&segment_path(folder, first), false).is_err()
        && storage.open(&archive_path(folder, first), false).is_ok()
}

/// Removes a segment, in both forms.
pub(crate) fn remove(storage: &dyn Storage, folder: &Path, first: u64) -> Result<(), JournalError> {
    for path in [segment_path(folder, first), archive_path(folder, first)] {
        match storage.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(JournalError::io("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// One chunk of an archive.
#[derive(Clone, Copy)]
struct Chunk {
    /// Where its compressed bytes are.
    offset: u64,
    length: usize,
    /// Which bytes of the segment it holds.
    start: u64,
    bytes: usize,
}

/// An archive, read like the segment that it was made of.
struct Archive {
    file: Box<dyn StorageFile>,
    chunks: Vec<Chunk>,
    bytes: u64,
    /// The chunk decompressed last: readers go forward.
    last: Mutex<Option<(usize, Vec<u8>)>>,
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let field = bytes.get(at..at + 4).and_then(|field| field.first_chunk::<4>());
    field.map_or(0, |field| u32::from_le_bytes(*field))
}

impl Archive {
    fn open(file: Box<dyn StorageFile>) -> io::Result<Self> {
        let length = file.length()?;
        let mut footer = [0; FOOTER_BYTES];
        let at = length.checked_sub(FOOTER_BYTES as u64).ok_or_else(|| invalid("no seek table"))?;
        read_full(&*file, &mut footer, at)?;
        let count = number(&footer, 0) as usize;
        if number(&footer, 5) != SEEKABLE_MAGIC || footer[4] != 0 || count > MAX_CHUNKS {
            return Err(invalid("no seek table"));
        }
        let mut table = vec![0; count * ENTRY_BYTES];
        let start = at.checked_sub(table.len() as u64).ok_or_else(|| invalid("seek table too long"))?;
        read_full(&*file, &mut table, start)?;
        let (mut offset, mut from) = (0, 0);
        let mut chunks = Vec::with_capacity(count);
        for entry in table.chunks(ENTRY_BYTES) {
            let (length, bytes) = (number(entry, 0) as usize, number(entry, 4) as usize);
            if bytes == 0 || bytes > CHUNK_BYTES || length > zstd::zstd_safe::compress_bound(CHUNK_BYTES) {
                return Err(invalid("impossible chunk"));
            }
            chunks.push(Chunk { offset, length, start: from, bytes });
            offset += length as u64;
            from += bytes as u64;
        }
        if offset + 8 != start {
            return Err(invalid("the chunks do not fill the archive"));
        }
        Ok(Self { file, chunks, bytes: from, last: Mutex::new(None) })
    }

    fn decompress(&self, chunk: Chunk) -> io::Result<Vec<u8>> {
        let mut compressed = vec![0; chunk.length];
        if read_full(&*self.file, &mut compressed, chunk.offset)? != chunk.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = zstd::bulk::decompress(&compressed, chunk.bytes)?;
        if bytes.len() == chunk.bytes { Ok(bytes) } else { Err(invalid("a chunk has another length")) }
    }
}

impl StorageFile for Archive {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let index = self.chunks.partition_point(|chunk| chunk.start + chunk.bytes as u64 <= offset);
        let Some(chunk) = self.chunks.get(index).copied() else { return Ok(0) };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = match last.take() {
            Some((known, bytes)) if known == index => bytes,
            _ => self.decompress(chunk)?,
        };
        let rest = &bytes[(offset - chunk.start) as usize..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        *last = Some((index, bytes));
        Ok(count)
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes)
    }

    fn truncate(&self, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn allocate(&self, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

/// What was archived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArchiveReport {
    /// Segments archived now.
    pub segments: usize,
    /// Their bytes before.
    pub bytes_before: u64,
    /// Their bytes after.
    pub bytes_after: u64,
}

/// Fewest segments of a stream that stay as they are: the writer's own and the one before, which it may still sync.
pub const MIN_KEPT_SEGMENTS: usize = 2;

/// Compresses segments of both streams that hold nothing behind `under`, the sequence of a snapshot that has been verified,
/// all but the last `keep` (at least [`MIN_KEPT_SEGMENTS`] stay). Each archive is read back and compared before its original
/// goes. May run beside the owner of the folder and beside readers; only one archiver
/// at a time.
///
/// # Errors
/// What the system says; the originals are still there.
pub fn archive(
    folder: &DataFolder,
    under: u64,
    keep: usize,
    progress: &mut dyn FnMut(ArchiveReport),
) -> Result<ArchiveReport, JournalError> {
    let storage = folder.storage();
    let mut report = ArchiveReport::default();
    for stream in [folder.commands(), folder.events()] {
        let mut firsts = list_segments(&*storage, &stream)?;
        // A segment may end in the middle of the events of the command that the next one begins with.
        let covered = firsts.iter().skip(1).take_while(|next| **next <= under).count();
        firsts.truncate(covered.min(firsts.len().saturating_sub(keep.max(MIN_KEPT_SEGMENTS))));
        for first in firsts {
            let path = segment_path(&stream, first);
            let original = match storage.open(&path, false) {
                Ok(original) => original,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(JournalError::io("open", &path)(error)),
            };
            report.bytes_before += original.length().map_err(JournalError::io("read", &path))?;
            report.bytes_after += archive_segment(&storage, &stream, first, &*original)?;
            report.segments += 1;
            progress(report);
        }
    }
    Ok(report)
}

/// Archives one segment; returns the archive's length.
fn archive_segment(
    storage: &SharedStorage,
    folder: &Path,
    first: u64,
    original: &dyn StorageFile,
) -> Result<u64, JournalError> {
    let (source, unfinished, path) =
        (segment_path(folder, first), folder.join(UNFINISHED_NAME), archive_path(folder, first));
    match storage.remove(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(JournalError::io("remove", &unfinished)(error));
        }
        _ => {}
    }
    let file = storage.create(&unfinished).map_err(JournalError::io("create", &unfinished))?;
    let length = compress(original, &*file).map_err(JournalError::io("compress", &source))?;
    file.sync().map_err(JournalError::io("sync", &unfinished))?;
    drop(file);
    let written = storage.open(&unfinished, false).map_err(JournalError::io("open", &unfinished))?;
    let archive = Archive::open(written).map_err(JournalError::io("read back", &unfinished))?;
    compare(original, &archive).map_err(JournalError::io("read back", &unfinished))?;
    storage.rename(&unfinished, &path).map_err(JournalError::io("rename", &unfinished))?;
    storage.sync_folder(folder).map_err(JournalError::io("sync", folder))?;
    storage.remove(&source).map_err(JournalError::io("remove", &source))?;
    storage.sync_folder(folder).map_err(JournalError::io("sync", folder))?;
    Ok(length)
}

/// Writes the chunks and the seek table.
fn compress(original: &dyn StorageFile, archive: &dyn StorageFile) -> io::Result<u64> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    // A checksum in each chunk, so that damage of an archive is named as such.
    compressor.include_checksum(true)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut table = Vec::new();
    let (mut from, mut to) = (0, 0);
    loop {
        let count = read_full(original, &mut chunk, from)?;
        if count == 0 {
            break;
        }
        let compressed = compressor.compress(&chunk[..count])?;
        write_all(archive, &compressed, to)?;
        from += count as u64;
        to += compressed.len() as u64;
        table.extend_from_slice(&(compressed.len() as u32).to_le_bytes());
        table.extend_from_slice(&(count as u32).to_le_bytes());
    }
    let mut tail = Vec::with_capacity(8 + table.len() + FOOTER_BYTES);
    tail.extend_from_slice(&SKIPPABLE_MAGIC.to_le_bytes());
    tail.extend_from_slice(&((table.len() + FOOTER_BYTES) as u32).to_le_bytes());
    tail.extend_from_slice(&table);
    tail.extend_from_slice(&((table.len() / ENTRY_BYTES) as u32).to_le_bytes());
    tail.push(0);
    tail.extend_from_slice(&SEEKABLE_MAGIC.to_le_bytes());
    write_all(archive, &tail, to)?;
    Ok(to + tail.len() as u64)
}

fn compare(original: &dyn StorageFile, archive: &dyn StorageFile) -> io::Result<()> {
    let (mut ours, mut theirs) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let mut offset = 0;
    loop {
        let count = read_full(original, &mut ours, offset)?;
        if read_full(archive, &mut theirs, offset)? != count || ours[..count] != theirs[..count] {
            return Err(invalid("the archive differs from its original"));
        }
        if count == 0 {
            return Ok(());
        }
        offset += count as u64;
    }
}

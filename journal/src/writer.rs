//! Appending to a stream.

use crate::JournalError;
use crate::chain::{Chain, ChainHash};
use crate::format::{FRAME_HEADER_LENGTH, SEGMENT_HEADER_LENGTH, SPARE_NAME, SegmentHeader, segment_path};
use crate::frame::Segment;
use crate::framing::{FRAME_RECORDS_BYTES, FrameBuffer};
use crate::options::{StreamIdentity, StreamOptions};
use crate::scan::{Known, RecoveryReport, Scan, scan};
use crate::spare::{SpaceWatch, SpareMaker, ZEROS, disk_full};
use crate::storage::{SharedStorage, StorageFile, write_all};
use crate::sync::{StreamSyncer, sync_segments};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zerocopy::IntoBytes;

/// The one writer of a stream. After any error it takes nothing more.
pub struct StreamWriter {
    pub(crate) storage: SharedStorage,
    pub(crate) folder: PathBuf,
    pub(crate) identity: StreamIdentity,
    pub(crate) options: StreamOptions,
    pub(crate) segment: Segment,
    /// Where the next frame goes.
    pub(crate) offset: u64,
    pub(crate) chain: Chain,
    /// Up to where the current segment is known to have been written, with frames or zeros.
    pub(crate) zeroed_to: u64,
    /// Prepares the next segment.
    pub(crate) spares: SpareMaker,
    space: SpaceWatch,
    /// Records that are not written yet.
    pub(crate) frame: FrameBuffer,
    /// What the caller has acknowledged.
    claimed: u64,
    pub(crate) syncer: StreamSyncer,
    /// Bytes of frames that the syncer has not been shown yet.
    unannounced_bytes: u64,
    pub(crate) write_back: WriteBack,
}

/// What the disk has been asked to begin with.
pub(crate) struct WriteBack {
    /// Up to where in the current segment.
    pub to: u64,
    /// After which sync: what that one covered.
    sync: Option<u64>,
}

/// Zeros pay for themselves when they serve at least this many frames: a frame of 256 KiB is synced sooner without.
const ZERO_AHEAD_FRAMES: u64 = 16;

/// A batch up to this is given to the disk before its sync. What is larger keeps the disk busy for longer than it takes to empty its
/// cache, and gains nothing.
const MAX_WRITE_BACK_BYTES: u64 = 128 << 10;

/// The helper is told how full the segment is each time that so many bytes (two to the power of this) are.
const PACE_BITS: u32 = 20;

impl StreamWriter {
    /// Opens a stream for appending, and creates it if the folder has none. Checks all of it, cuts a torn tail, and
    /// syncs what is there.
    ///
    /// # Errors
    /// Damage before the tail, another machine's stream, a full disk, or what the system says.
    pub fn open(
        folder: &Path,
        identity: &StreamIdentity,
        options: &StreamOptions,
        storage: SharedStorage,
    ) -> Result<(Self, RecoveryReport), JournalError> {
        Self::open_knowing(folder, identity, options, storage, Known::default())
    }

    /// As [`StreamWriter::open`], with what is known from outside of the stream: what does not check below what was synced
    /// is damage, not a torn tail.
    pub(crate) fn open_knowing(
        folder: &Path,
        identity: &StreamIdentity,
        options: &StreamOptions,
        storage: SharedStorage,
        known: Known<'_>,
    ) -> Result<(Self, RecoveryReport), JournalError> {
        options.validate()?;
        identity.validate()?;
        create_folder(&storage, folder)?;
        let scan = scan(&*storage, folder, identity, true, known, &mut |_| {})?;
        apply_cut(&storage, folder, &scan)?;
        let mut writer = Self::on_scan(storage, folder, identity, options, &scan)?;
        let mut report = RecoveryReport {
            segments: scan.segments.len().max(1),
            records: scan.chain.records,
            first_sequence: scan.first_sequence,
            last_sequence: scan.chain.last,
            cut: scan.cut,
        };
        if !writer.chain.complete {
            report.cut = Some(writer.cut_incomplete_command(report.cut.take())?);
            report.last_sequence = writer.chain.last;
        }
        Ok((writer, report))
    }

    fn on_scan(
        storage: SharedStorage,
        folder: &Path,
        identity: &StreamIdentity,
        options: &StreamOptions,
        scan: &Scan,
    ) -> Result<Self, JournalError> {
        let mut spares = SpareMaker::new(&storage, folder, options)?;
        let mut zeroed_to = 0;
        let (segment, offset) = if let Some(last) = scan.segments.last() {
            let unproven = scan.segments.partition_point(|first| *first < scan.read_from);
            sync_segments(&storage, folder, &scan.segments[unproven..])?;
            (reopen(&storage, folder, *last)?, scan.end)
        } else {
            let first = scan.chain.expected();
            let start = SegmentHeader {
                first_sequence: first,
                durable_sequence: first - 1,
                chain: scan.chain.hash,
                ..SegmentHeader::blank(identity)
            };
            let spare = spares.take()?;
            zeroed_to = spare.zeroed_to;
            let segment = adopt_spare(&storage, folder, options, spare.file, start)?;
            spares.request()?;
            spares.tend()?;
            if !spares.is_expected() {
                return Err(disk_full(&storage, folder, options));
            }
            (segment, SEGMENT_HEADER_LENGTH as u64)
        };
        let syncer = StreamSyncer::new(storage.clone(), folder, &segment, scan.chain.last_complete());
        Ok(Self {
            storage,
            folder: folder.to_path_buf(),
            identity: identity.clone(),
            options: *options,
            segment,
            offset,
            chain: scan.chain,
            zeroed_to: zeroed_to.max(offset),
            spares,
            space: SpaceWatch::default(),
            frame: FrameBuffer::new(options.max_frame_bytes, scan.chain),
            claimed: 0,
            syncer,
            unannounced_bytes: 0,
            write_back: WriteBack { to: offset, sync: None },
        })
    }

    /// Gathers whole records, padded to 8 bytes, back to back, in sequence without gaps; several events may share one.
    /// Fills in each record's checksum. They are written with those before them, as one frame, by
    /// [`StreamWriter::flush`], or when a frame is full; until then they are in the memory of this process only.
    ///
    /// `durable_sequence` is what the caller knows to be synced, or has promised to keep (0 for nothing); it goes
    /// into the frame and lets recovery tell damage from a torn tail. The writer raises it to what has been synced.
    ///
    /// # Errors
    /// A full disk, what the system says, or a batch that breaks these rules; the writer is stopped after any.
    pub fn append(&mut self, records: &[u8], durable_sequence: u64) -> Result<(), JournalError> {
        self.guarded(|writer| writer.gather(records, durable_sequence))
    }

    /// Writes what is gathered to the system, which keeps it when this process dies. Safe against loss of power only
    /// after a sync.
    ///
    /// # Errors
    /// As for [`StreamWriter::append`].
    pub fn flush(&mut self) -> Result<(), JournalError> {
        self.guarded(Self::write_frame)
    }

    /// Lets the disk begin with what has been written, and does not wait for it. For a writer with a [`StreamSyncer`] on another
    /// thread: while that one waits for the sync before, the disk has these bytes already. It makes nothing safe.
    ///
    /// Does so for up to 128 KiB, once after each beginning of a sync, and nothing in between: small frames share a page, and a sync waits for as
    /// long as its pages are being written, also for those that were given to the disk after it began.
    ///
    /// # Errors
    /// What the system says; the writer is stopped after it.
    pub fn begin_write_back(&mut self) -> Result<(), JournalError> {
        self.guarded(|writer| {
            let (from, sync) = (writer.write_back.to, Some(writer.syncer.begun_bytes()));
            if from == writer.offset || writer.write_back.sync == sync {
                return Ok(());
            }
            writer.write_back = WriteBack { to: writer.offset, sync };
            let length = writer.offset - from;
            if length > MAX_WRITE_BACK_BYTES {
                return Ok(());
            }
            let begun = writer.segment.file.begin_write_back(from, length);
            begun.map_err(|error| writer.write_error(error))
        })
    }

    /// [`StreamWriter::append`] and [`StreamWriter::flush`].
    ///
    /// # Errors
    /// As for [`StreamWriter::append`].
    pub fn write_batch(&mut self, records: &[u8], durable_sequence: u64) -> Result<(), JournalError> {
        self.guarded(|writer| {
            writer.gather(records, durable_sequence)?;
            writer.write_frame()
        })
    }

    /// Makes everything appended so far safe against loss of power, and returns the last sequence whose records are
    /// all safe. Never tries again after a failure.
    ///
    /// # Errors
    /// What the system says; the writer is stopped after it.
    pub fn sync(&mut self) -> Result<u64, JournalError> {
        self.guarded(|writer| {
            writer.write_frame()?;
            writer.announce();
            if writer.syncer.is_dirty() { writer.syncer.sync() } else { Ok(writer.durable_sequence()) }
        })
    }

    /// Syncs beside this writer, on another thread.
    #[must_use]
    pub fn syncer(&self) -> StreamSyncer {
        self.syncer.clone()
    }

    /// Whether `bytes` of records can be appended without another segment, or with one that is there or being made. When
    /// not, the disk is full: the caller keeps its batch and asks again later; room may be made meanwhile.
    ///
    /// # Errors
    /// What the disk says, other than that it is full; the writer is stopped after it.
    pub fn has_room(&mut self, bytes: usize) -> Result<bool, JournalError> {
        self.guarded(|writer| {
            let room = writer.segment.header.segment_bytes - writer.offset;
            let frame = u64::from(writer.options.max_frame_bytes).min(FRAME_RECORDS_BYTES as u64);
            let alignment = u64::from(writer.options.frame_alignment);
            // Each frame but the last is at least half full, or it would have taken the next record (16 records or
            // more fit any frame, or a record is alone in it).
            let bytes = (bytes + writer.frame.used()) as u64;
            let frames = 2 * bytes.div_ceil(frame) + 1;
            let needed = bytes + frames * (FRAME_HEADER_LENGTH as u64 + alignment);
            if needed > room {
                writer.spares.settle()?;
            } else {
                writer.spares.tend()?;
            }
            let expected = writer.spares.is_expected();
            writer.space.set(!expected && room < writer.segment.header.segment_bytes / 2);
            Ok(expected || needed <= room)
        })
    }

    /// Tells others when room is short.
    #[must_use]
    pub fn space(&self) -> SpaceWatch {
        self.space.clone()
    }

    /// Sequence of the last record appended; 0 when there is none.
    #[must_use]
    pub fn last_sequence(&self) -> u64 {
        self.frame.after().last
    }

    /// Last sequence that is known to be safe against loss of power.
    #[must_use]
    pub fn durable_sequence(&self) -> u64 {
        self.syncer.durable_sequence()
    }

    /// Time of the last record appended, nanoseconds since the Unix epoch; 0 when there is none.
    #[must_use]
    pub fn last_timestamp_ns(&self) -> u64 {
        self.frame.after().last_timestamp_ns
    }

    /// The hash chain after everything written.
    #[must_use]
    pub fn chain(&self) -> ChainHash {
        self.chain.hash
    }

    /// What the stream is.
    #[must_use]
    pub fn identity(&self) -> &StreamIdentity {
        &self.identity
    }

    /// The stream's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a step, and shows the syncer what it has written; the first error, here or of a sync, stops the writer for good.
    pub(crate) fn guarded<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        if self.syncer.has_failed() {
            return Err(JournalError::Stopped { folder: self.folder.clone() });
        }
        let result = step(self);
        match result {
            Ok(_) => self.announce(),
            Err(_) => self.syncer.stop(),
        }
        result
    }

    fn gather(&mut self, records: &[u8], durable_sequence: u64) -> Result<(), JournalError> {
        if durable_sequence > self.frame.after().last_complete() {
            return Err(self.refuse("it claims that records not yet written are synced"));
        }
        self.claimed = self.claimed.max(durable_sequence);
        let mut rest = records;
        while !rest.is_empty() {
            let taken = self.frame.take(rest).map_err(|reason| self.refuse(reason))?;
            rest = &rest[taken..];
            if rest.is_empty() {
                break;
            }
            if self.frame.used() == 0 {
                return Err(self.refuse("a record is longer than max_frame_bytes allows"));
            }
            self.write_frame()?;
        }
        Ok(())
    }

    /// Writes the gathered records as a frame, in the next segment if it does not fit this one.
    fn write_frame(&mut self) -> Result<(), JournalError> {
        if self.frame.used() == 0 {
            return Ok(());
        }
        let header = self.frame.header(self.claimed.max(self.syncer.durable_sequence()));
        if self.offset + header.total_length(self.segment.header.frame_alignment)
            > self.segment.header.segment_bytes
        {
            self.roll(header.first_sequence)?;
        }
        let place = &self.segment.header;
        let (frame, chain) = self.frame.seal(header, place.checksum, place.frame_alignment);
        let total = frame.len() as u64;
        let written = write_all(&*self.segment.file, frame, self.offset);
        written.map_err(|error| self.write_error(error))?;
        let end = self.offset + total;
        if self.offset >> PACE_BITS != end >> PACE_BITS {
            self.spares.pace(end);
        }
        self.offset = end;
        self.chain = chain;
        self.frame.restart(chain);
        self.unannounced_bytes += total;
        let zero_ahead = u64::from(self.options.zero_ahead_bytes);
        if end > self.zeroed_to && total < zero_ahead / ZERO_AHEAD_FRAMES {
            self.zero_ahead().map_err(|error| self.write_error(error))?;
        }
        Ok(())
    }

    /// Shows the syncer what has been written. Not frame by frame: a sync that runs on another thread would begin with the
    /// first of a long batch, and the disk would get it in small pieces.
    fn announce(&mut self) {
        let bytes = std::mem::take(&mut self.unannounced_bytes);
        if bytes > 0 {
            self.syncer.frames_written(bytes, self.chain.last_complete());
        }
    }

    /// Writes zeros ahead of the frames, so that most syncs need not convert unwritten extents.
    fn zero_ahead(&mut self) -> io::Result<()> {
        let limit = self.segment.header.segment_bytes;
        let to = (self.offset + u64::from(self.options.zero_ahead_bytes)).next_multiple_of(4096).min(limit);
        let mut at = self.offset;
        while at < to {
            let length = (to - at).min(ZEROS.len() as u64);
            write_all(&*self.segment.file, &ZEROS[..length as usize], at)?;
            at += length;
        }
        self.zeroed_to = to;
        Ok(())
    }

    /// Begins the next segment.
    fn roll(&mut self, first_sequence: u64) -> Result<(), JournalError> {
        if first_sequence <= self.segment.header.first_sequence {
            return Err(self.refuse("one command's events fill a whole segment; take larger segments"));
        }
        self.announce();
        let mut unsynced = Some(self.segment.header.first_sequence);
        if self.options.sync_on_roll {
            self.syncer.sync()?;
            unsynced = None;
        }
        let spare = self.spares.take()?;
        let start = SegmentHeader {
            first_sequence,
            durable_sequence: self.syncer.durable_sequence(),
            previous_timestamp_ns: self.chain.last_timestamp_ns,
            chain: self.chain.hash,
            ..SegmentHeader::blank(&self.identity)
        };
        self.segment = adopt_spare(&self.storage, &self.folder, &self.options, spare.file, start)?;
        self.syncer.segment_begun(&self.segment, unsynced);
        self.offset = SEGMENT_HEADER_LENGTH as u64;
        self.write_back.to = self.offset;
        self.zeroed_to = spare.zeroed_to.max(self.offset);
        self.spares.request()
    }

    fn refuse(&self, reason: &'static str) -> JournalError {
        JournalError::InvalidBatch { folder: self.folder.clone(), reason }
    }

    fn write_error(&self, error: io::Error) -> JournalError {
        if error.kind() == io::ErrorKind::StorageFull {
            return disk_full(&self.storage, &self.folder, &self.options);
        }
        JournalError::io("write", &self.segment.path)(error)
    }
}

fn create_folder(storage: &SharedStorage, folder: &Path) -> Result<(), JournalError> {
    storage.create_folder(folder).map_err(JournalError::io("create", folder))?;
    let parent = folder.parent().unwrap_or(folder);
    storage.sync_folder(parent).map_err(JournalError::io("sync", parent))
}

/// Cuts what the scan found to be a torn tail: later segments first, the last one first, so that a crash in between
/// leaves a stream that cuts the same way again.
fn apply_cut(storage: &SharedStorage, folder: &Path, scan: &Scan) -> Result<(), JournalError> {
    let Some(cut) = &scan.cut else { return Ok(()) };
    for path in cut.segments_removed.iter().rev() {
        storage.remove(path).map_err(JournalError::io("remove", path))?;
        storage.sync_folder(folder).map_err(JournalError::io("sync", folder))?;
    }
    let Some(last) = scan.segments.last() else { return Ok(()) };
    let path = segment_path(folder, *last);
    let file = storage.open(&path, true).map_err(JournalError::io("open", &path))?;
    file.truncate(scan.end).map_err(JournalError::io("truncate", &path))?;
    file.sync().map_err(JournalError::io("sync", &path))
}

/// Opens the last segment for writing at its full length.
pub(crate) fn reopen(storage: &SharedStorage, folder: &Path, first: u64) -> Result<Segment, JournalError> {
    let segment = Segment::open(&**storage, folder, first, true)?;
    let segment =
        segment.ok_or_else(|| crate::format::damaged_header(&segment_path(folder, first), first))?;
    segment.file.allocate(segment.header.segment_bytes).map_err(segment.io("allocate"))?;
    segment.file.sync().map_err(segment.io("sync"))?;
    Ok(segment)
}

/// Makes the spare the segment that `start` tells of. The header is synced before the name appears.
fn adopt_spare(
    storage: &SharedStorage,
    folder: &Path,
    options: &StreamOptions,
    spare: Box<dyn StorageFile>,
    start: SegmentHeader,
) -> Result<Segment, JournalError> {
    let header = SegmentHeader {
        created_ns: storage.now_ns(),
        segment_bytes: options.segment_bytes,
        frame_alignment: options.frame_alignment,
        ..start
    }
    .sealed();
    let (from, path) = (folder.join(SPARE_NAME), segment_path(folder, header.first_sequence));
    write_all(&*spare, header.as_bytes(), 0).map_err(JournalError::io("write", &from))?;
    spare.sync().map_err(JournalError::io("sync", &from))?;
    storage.rename(&from, &path).map_err(JournalError::io("rename", &from))?;
    storage.sync_folder(folder).map_err(JournalError::io("sync", folder))?;
    Ok(Segment { file: Arc::from(spare), path, header })
}

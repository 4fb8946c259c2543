//! Length-framed messages from any reader, gzip or plain.

use std::io::{self, Read};

/// How the input ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputEnd {
    /// Bytes of a last message that is cut off, its length prefix included; 0 when the input ends with a message.
    pub truncated_bytes: u64,
    /// The gzip stream itself was cut off.
    pub gzip_truncated: bool,
    /// Zero lengths, which mark the end of a session in Nasdaq's files; they carry nothing.
    pub end_markers: u64,
}

/// Messages of a file one after the other, without their length prefixes.
pub struct Frames<R> {
    input: R,
    buffer: Vec<u8>,
    end: InputEnd,
    ended: bool,
}

impl<R: Read> Frames<R> {
    /// Reads from `input`, which is not packed; see [`crate::input::open`].
    pub fn new(input: R) -> Self {
        Self { input, buffer: vec![0; usize::from(u16::MAX)], end: InputEnd::default(), ended: false }
    }

    /// The next message, or `None` at the end; then [`Frames::end`] says how it ended.
    ///
    /// # Errors
    /// What the reader gives; damaged gzip is one of it. A cut-off end is none.
    pub fn next_frame(&mut self) -> io::Result<Option<&[u8]>> {
        while !self.ended {
            let mut prefix = [0; 2];
            if !self.fill(&mut prefix, 0)? {
                break;
            }
            let length = usize::from(u16::from_be_bytes(prefix));
            if length == 0 {
                self.end.end_markers += 1;
                continue;
            }
            let mut buffer = std::mem::take(&mut self.buffer);
            let filled = match buffer.get_mut(..length) {
                Some(room) => self.fill(room, prefix.len()),
                None => Ok(false),
            };
            self.buffer = buffer;
            if filled? {
                return Ok(self.buffer.get(..length));
            }
        }
        Ok(None)
    }

    /// How the input ended; complete once [`Frames::next_frame`] has given `None`.
    #[must_use]
    pub fn end(&self) -> InputEnd {
        self.end
    }

    /// Fills `room`. `false` at the end of the input, where what there is of a message that began `before` bytes
    /// earlier is counted as cut off.
    fn fill(&mut self, room: &mut [u8], before: usize) -> io::Result<bool> {
        let mut filled = 0;
        while filled < room.len() {
            let got = match self.input.read(room.get_mut(filled..).unwrap_or_default()) {
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.end.gzip_truncated = true;
                    0
                }
                Err(error) => return Err(error),
            };
            if got == 0 {
                self.ended = true;
                self.end.truncated_bytes = (before + filled) as u64;
                return Ok(false);
            }
            filled += got;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::open;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    fn read_all(bytes: &[u8]) -> (Vec<Vec<u8>>, InputEnd) {
        let mut frames = Frames::new(open(bytes).expect("opens"));
        let mut all = Vec::new();
        while let Some(frame) = frames.next_frame().expect("reads") {
            all.push(frame.to_vec());
        }
        (all, frames.end())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(bytes).expect("packs");
        packer.finish().expect("packs")
    }

    const TWO: &[u8] = b"\x00\x03abc\x00\x02de";

    #[test]
    fn plain_and_packed_files_read_alike() {
        let expected = (vec![b"abc".to_vec(), b"de".to_vec()], InputEnd::default());
        assert_eq!(read_all(TWO), expected);
        assert_eq!(read_all(&gzip(TWO)), expected);
        let members = [gzip(&TWO[..4]), gzip(&TWO[4..])].concat();
        assert_eq!(read_all(&members), expected, "a file of several gzip members");
        assert_eq!(read_all(b""), (vec![], InputEnd::default()));
    }

    #[test]
    fn a_cut_anywhere_is_reported_and_the_rest_kept() {
        for cut in 1..TWO.len() {
            let (frames, end) = read_all(&TWO[..cut]);
            let whole = usize::from(cut >= 5);
            assert_eq!(frames.len(), whole);
            assert_eq!(end.truncated_bytes, (cut - whole * 5) as u64);
        }
        let packed = gzip(&TWO.repeat(1_000));
        let (frames, end) = read_all(&packed[..packed.len() - 12]);
        assert!(end.gzip_truncated && !frames.is_empty());
    }

    #[test]
    fn zero_lengths_are_end_markers_and_damage_is_an_error() {
        let (frames, end) = read_all(b"\x00\x00\x00\x01a\x00\x00");
        assert_eq!((frames.len(), end.end_markers, end.truncated_bytes), (1, 2, 0));
        let mut packed = gzip(TWO);
        let last = packed.len() - 5;
        packed[last] ^= 1;
        let mut frames = Frames::new(open(packed.as_slice()).expect("opens"));
        let error = std::iter::from_fn(|| frames.next_frame().map(|frame| frame.map(|_| ())).transpose())
            .find_map(Result::err);
        assert!(error.is_some(), "a wrong gzip checksum must not pass");
    }
}

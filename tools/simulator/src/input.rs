//! Input files, packed or not.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

/// First bytes of a gzip stream (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
/// First bytes of a zip archive.
const ZIP_MAGIC: [u8; 4] = *b"PK\x03\x04";
/// Read buffer in bytes: many messages per system call.
const BUFFER_LENGTH: usize = 256 * 1024;

/// Wraps a reader: unpacks gzip, found by its first two bytes, and passes anything else through. Neither an ITCH file
/// (which starts with the high byte of a small length) nor a text file starts like gzip.
///
/// # Errors
/// What reading the first bytes gives; a zip archive, which may hold several files, is refused.
pub fn open<'a, R: Read + 'a>(input: R) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut input = BufReader::with_capacity(BUFFER_LENGTH, input);
    let start = input.fill_buf()?;
    if start.starts_with(&ZIP_MAGIC) {
        let message = "this is a zip archive: unzip it and give the files in it";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    if start.starts_with(&GZIP_MAGIC) {
        return Ok(Box::new(BufReader::with_capacity(BUFFER_LENGTH, MultiGzDecoder::new(input))));
    }
    Ok(Box::new(input))
}

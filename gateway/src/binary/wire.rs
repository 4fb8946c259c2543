//! Packets: a length, a type, a payload. `docs/binary.md` draws them.

use machine::{HEADER_LENGTH, RecordHeader};
use protocol::ClientOrderId;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Version of this protocol.
pub const VERSION: u16 = 1;

/// Bytes before a packet's payload: its length (big-endian, the type and the payload) and its type.
pub const PACKET_HEADER: usize = 3;

/// Types of packets.
pub mod packet {
    /// Client: who it is and from where it wants events ([`super::LoginRequest`]).
    pub const LOGIN_REQUEST: u8 = b'L';
    /// Client: a command, as a record.
    pub const UNSEQUENCED: u8 = b'U';
    /// Client: it is there.
    pub const CLIENT_HEARTBEAT: u8 = b'R';
    /// Client: it goes.
    pub const LOGOUT: u8 = b'O';
    /// Server: the login is accepted ([`super::LoginAccepted`]).
    pub const LOGIN_ACCEPTED: u8 = b'A';
    /// Server: it is not; one byte says why ([`super::LoginReject`]).
    pub const LOGIN_REJECTED: u8 = b'J';
    /// Server: an event: its index in its command, and its record.
    pub const SEQUENCED: u8 = b'S';
    /// Server: a command that was not taken ([`super::Refusal`]).
    pub const REFUSED: u8 = b'U';
    /// Server: it is there, and all events up to a sequence have been sent.
    pub const SERVER_HEARTBEAT: u8 = b'H';
    /// Server: the end, and words that say why.
    pub const END_OF_SESSION: u8 = b'Z';
}

/// Longest user name and password.
pub const MAX_CREDENTIAL: usize = 64;

/// The first packet of a client.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct LoginRequest {
    /// [`VERSION`].
    pub version: U16,
    /// Zero.
    pub reserved: [u8; 6],
    /// Sequence of the first command whose events are wanted; 0: those from now on.
    pub from_sequence: U64,
    /// User name, zero-padded.
    pub username: [u8; MAX_CREDENTIAL],
    /// Password, zero-padded.
    pub password: [u8; MAX_CREDENTIAL],
}

const _: () = assert!(size_of::<LoginRequest>() == 144);

/// The answer to a good login.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
pub struct LoginAccepted {
    /// [`VERSION`].
    pub version: U16,
    /// Gateway number in the source of the session's commands.
    pub gateway: U16,
    /// Session number in the source of the session's commands.
    pub session: U16,
    /// 1 if its orders are cancelled when the connection ends.
    pub cancel_on_disconnect: u8,
    /// Zero.
    pub reserved: u8,
    /// Account that it trades for.
    pub account: U32,
    /// Bytes of the longest packet that is taken, its first three included.
    pub max_packet_bytes: U32,
    /// Sequence of the first command whose events may come.
    pub from_sequence: U64,
    /// Sequence of the last command so far: events up to here are a replay.
    pub last_sequence: U64,
}

const _: () = assert!(size_of::<LoginAccepted>() == 32);

/// Why a login is rejected: the byte of the packet.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginReject {
    /// Not authorised: user name, password, address, certificate, or locked out. It is not said which.
    NotAuthorized = b'A',
    /// The session is logged on already.
    AlreadyLoggedOn = b'B',
    /// The sequence asked for is after the journal's end, or its events are not there any more.
    SequenceNotAvailable = b'S',
    /// Another version of the protocol.
    Version = b'V',
    /// Too many logins at the same time: try again.
    Busy = b'T',
}

/// Why a command was not taken. What the engine rejects is a `Rejected` event instead.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// Not a record, its length is not its kind's, or what only the exchange may fill in is not zero.
    Malformed = 1,
    /// Not a kind that clients may send.
    KindNotAllowed = 2,
    /// The user may not trade, or not even cancel.
    NotPermitted = 3,
    /// The account is not the session's.
    OtherAccount = 4,
    /// A mass cancel of another session, or with a reason that is not the owner's.
    OtherSession = 5,
    /// More messages a second than allowed: try again.
    TooManyMessages = 6,
    /// The exchange's disk is full: only cancels are taken until there is room.
    DiskFull = 7,
}

/// A command that was not taken.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Refusal {
    /// Which command packet of the connection it was, from 1.
    pub message_number: U64,
    /// Its kind, as it was given; 0 if there was none.
    pub kind: U16,
    /// [`RefusalReason`].
    pub reason: U16,
    /// Its client order id; none where there was none.
    pub client_order_id: ClientOrderId,
}

const _: () = assert!(size_of::<Refusal>() == 48);

/// What stands at the start of a receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Not enough bytes yet.
    Incomplete,
    /// Longer than allowed, or without a type.
    Bad,
    /// A packet: its type, its payload, and the bytes of all of it.
    Whole(u8, &'a [u8], usize),
}

/// Looks for one packet at the start of `buffer`, of at most `max_bytes`.
#[must_use]
pub fn find_packet(buffer: &[u8], max_bytes: usize) -> Packet<'_> {
    let Some((length, rest)) = buffer.split_first_chunk::<2>() else { return Packet::Incomplete };
    let length = usize::from(u16::from_be_bytes(*length));
    if length == 0 || length + 2 > max_bytes {
        return Packet::Bad;
    }
    match rest.get(..length).and_then(<[u8]>::split_first) {
        Some((&kind, payload)) => Packet::Whole(kind, payload, length + 2),
        None => Packet::Incomplete,
    }
}

/// Appends a packet whose payload comes in parts, 65,534 bytes at most.
pub fn push_packet(buffer: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    buffer.extend_from_slice(&u16::try_from(length).expect("packets are short").to_be_bytes());
    buffer.push(kind);
    parts.iter().for_each(|part| buffer.extend_from_slice(part));
}

/// Appends a command packet, as a client does.
pub fn push_command(buffer: &mut Vec<u8>, kind: u16, body: &[u8]) {
    let length = (HEADER_LENGTH + body.len()) as u32;
    let header = RecordHeader { length, kind, schema_version: 1, ..RecordHeader::default() };
    push_packet(buffer, packet::UNSEQUENCED, &[header.as_bytes(), body]);
}

/// Text in a zero-padded field; `None` if it is too long.
#[must_use]
pub fn padded(text: &str) -> Option<[u8; MAX_CREDENTIAL]> {
    let mut field = [0; MAX_CREDENTIAL];
    field.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(field)
}

/// What stands in a zero-padded field; `None` if anything but zeros follows the first one.
#[must_use]
pub fn unpadded(field: &[u8; MAX_CREDENTIAL]) -> Option<&[u8]> {
    let length = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    let (text, padding) = field.split_at(length);
    padding.iter().all(|&byte| byte == 0).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_found_however_they_arrive() {
        let mut buffer = Vec::new();
        push_packet(&mut buffer, b'R', &[]);
        push_packet(&mut buffer, b'U', &[b"ab", b"c"]);
        assert_eq!(buffer, b"\x00\x01R\x00\x04Uabc");
        assert_eq!(find_packet(&buffer, 100), Packet::Whole(b'R', b"", 3));
        assert_eq!(find_packet(&buffer[3..], 6), Packet::Whole(b'U', b"abc", 6));
        for end in 0..6 {
            assert_eq!(find_packet(&buffer[3..3 + end], 6), Packet::Incomplete, "{end}");
        }
        assert_eq!(find_packet(&buffer[3..], 5), Packet::Bad);
        assert_eq!(find_packet(b"\x00\x00R", 100), Packet::Bad);
        assert_eq!(find_packet(b"\xff\xff", 100), Packet::Bad);
    }

    #[test]
    fn padding_is_zeros() {
        assert_eq!(unpadded(&padded("alice").unwrap()), Some(b"alice".as_slice()));
        assert_eq!(padded(&"x".repeat(64)).as_ref().and_then(unpadded), Some([b'x'; 64].as_slice()));
        assert_eq!(padded(&"x".repeat(65)), None);
        let mut odd = padded("a").unwrap();
        odd[5] = b'x';
        assert_eq!(unpadded(&odd), None);
    }
}

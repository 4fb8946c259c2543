"""Reads a Rialto journal, written from journal/FORMAT.md alone, with nothing beyond Python's own library.

    python3 rialto_journal.py DATA [--stream commands|events] [--from SEQ] [--to SEQ] [--verify]

prints one JSON object a record: header fields and the body in hexadecimal. `--verify` also checks the hash chain, and
prints it at the end. In a program:

    for record in Stream("data/commands", verify=True):
        print(record.sequence, record.kind, record.body)

Reads whole frames only. At the first bytes that do not check it stops, as at the end of what a live writer has written, and
`Stream.problem` says what was there; whether that is a torn tail or damage is for `rialto journal verify` to judge.
Archived segments (.seg.zst) need Python 3.14, the package `zstandard`, or the program `zstd`.
"""
import argparse
import json
import os
import pathlib
import struct
import sys
from dataclasses import dataclass

SEGMENT_HEADER = struct.Struct("<8sIHHQQQQIHH32s256sQ32s")
FRAME_HEADER = struct.Struct("<4sI16sIIQIIQQ")
RECORD_HEADER = struct.Struct("<IIQQHBBHH")
SEGMENT_HEADER_BYTES = 4096
FRAME_HEADER_BYTES = 64
RECORD_HEADER_BYTES = 32
CHAINED_FROM = 24
VERSION = 2
LAST_EVENT = 1


class Damage(Exception):
    """Bytes that are not what FORMAT.md says."""


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC = _crc_table()


def crc32c(data, crc=0):
    """CRC-32C (Castagnoli); `crc` is the one of the bytes before."""
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


_IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_MIXES = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
          (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
_MASK = 0xFFFFFFFF
_START, _END, _PARENT, _ROOT, _KEYED = 1, 2, 4, 8, 16


def _compress(chain, block, counter, length, flags):
    words = list(struct.unpack("<16I", block))
    s = [*chain, *_IV[:4], counter & _MASK, counter >> 32, length, flags]
    for _ in range(7):
        for index, (a, b, c, d) in enumerate(_MIXES):
            s[a] = (s[a] + s[b] + words[2 * index]) & _MASK
            x = s[d] ^ s[a]
            s[d] = (x >> 16 | x << 16) & _MASK
            s[c] = (s[c] + s[d]) & _MASK
            x = s[b] ^ s[c]
            s[b] = (x >> 12 | x << 20) & _MASK
            s[a] = (s[a] + s[b] + words[2 * index + 1]) & _MASK
            x = s[d] ^ s[a]
            s[d] = (x >> 8 | x << 24) & _MASK
            s[c] = (s[c] + s[d]) & _MASK
            x = s[b] ^ s[c]
            s[b] = (x >> 7 | x << 25) & _MASK
        words = [words[index] for index in _PERMUTATION]
    return [s[index] ^ s[index + 8] for index in range(8)]


def _chunk(data, key, counter, flags):
    """Arguments of the last compression of a chunk of at most 1024 bytes."""
    chain, start = key, _START
    blocks = max(1, -(-len(data) // 64))
    for index in range(blocks - 1):
        block = data[64 * index:64 * index + 64]
        chain, start = _compress(chain, block, counter, 64, flags | start), 0
    block = data[64 * (blocks - 1):]
    return chain, block.ljust(64, b"\0"), counter, len(block), flags | start | _END


def _tree(data, key, counter, flags):
    """Arguments of the compression that makes a subtree's value."""
    if len(data) <= 1024:
        return _chunk(data, key, counter, flags)
    left = 1 << (((len(data) - 1) // 1024).bit_length() - 1)
    parts = (_tree(data[:1024 * left], key, counter, flags),
             _tree(data[1024 * left:], key, counter + left, flags))
    values = [_compress(*part) for part in parts]
    return key, struct.pack("<16I", *values[0], *values[1]), 0, 64, flags | _PARENT


def blake3(data, key=None):
    """BLAKE3 with 32 bytes of output; keyed if there is a key."""
    words, flags = (struct.unpack("<8I", key), _KEYED) if key else (_IV, 0)
    chain, block, counter, length, flags = _tree(bytes(data), words, 0, flags)
    return struct.pack("<8I", *_compress(chain, block, counter, length, flags | _ROOT))


@dataclass(frozen=True)
class Record:
    """One command or event."""
    sequence: int
    timestamp_ns: int
    kind: int
    schema_version: int
    flags: int
    gateway: int
    session: int
    body: bytes


class Segment:
    """A segment's header and bytes."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.bytes = _content(self.path)
        if len(self.bytes) < SEGMENT_HEADER_BYTES:
            raise Damage(f"{path}: the segment header is cut off")
        (magic, self.checksum, version, self.kind, self.first_sequence, self.created_ns, self.segment_bytes,
         self.durable_sequence, self.frame_alignment, length, _, machine, parameters, self.previous_timestamp_ns,
         self.chain) = SEGMENT_HEADER.unpack_from(self.bytes)
        if magic != b"RIALTOJ\n" or crc32c(self.bytes[12:SEGMENT_HEADER_BYTES]) != self.checksum:
            raise Damage(f"{path}: the segment header does not match its checksum")
        if version != VERSION:
            raise Damage(f"{path} has journal format {version}, this program reads {VERSION}")
        self.genesis = blake3(struct.pack("<H", self.kind) + machine + parameters)
        self.machine = machine.rstrip(b"\0").decode()
        self.parameters = parameters[:length]


def _content(path):
    data = path.read_bytes()
    if path.suffix != ".zst":
        return data
    for unpack in (_unpack_3_14, _unpack_package, _unpack_program):
        try:
            return unpack(data)
        except (ImportError, FileNotFoundError):
            continue
        except Exception as error:
            raise Damage(f"{path}: the archive does not unpack: {error}") from error
    raise Damage(f"{path}: an archived segment needs Python 3.14, the package zstandard, or the program zstd")


def _unpack_3_14(data):
    from compression import zstd

    return zstd.decompress(data)


def _unpack_package(data):
    import zstandard

    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()


def _unpack_program(data):
    import subprocess

    done = subprocess.run(["zstd", "--decompress", "--stdout"], input=data, capture_output=True, check=False)
    if done.returncode:
        raise Damage(done.stderr.decode(errors="replace").strip())
    return done.stdout


class Stream:
    """The records of a stream's folder, in order."""

    def __init__(self, folder, verify=False):
        self.folder = pathlib.Path(folder)
        self.verify = verify
        self.chain = None
        self.problem = None
        self.last_sequence = 0
        self.last_timestamp_ns = 0
        self._complete = True

    def segments(self):
        """Paths by first sequence; an archive counts where its original is gone."""
        found = {}
        for path in sorted(self.folder.glob("*.seg*"), reverse=True):
            name = path.name.removesuffix(".zst")
            if name.endswith(".seg") and name[:-4].isdigit():
                found[int(name[:-4])] = path
        return [path for _, path in sorted(found.items())]

    def __iter__(self):
        first = True
        for path in self.segments():
            segment = Segment(path)
            if first:
                self.last_sequence = segment.first_sequence - 1
                self.last_timestamp_ns = segment.previous_timestamp_ns
                self.chain = segment.chain
                if segment.first_sequence == 1 and segment.chain != segment.genesis:
                    raise Damage(f"{path}: the hash chain does not start where it must")
                first = False
            elif segment.first_sequence != self._expected():
                raise Damage(f"{path} comes where {self._expected()} must follow")
            elif self.verify and segment.chain != self.chain:
                raise Damage(f"{path}: the hash chain does not continue")
            yield from self._records(segment)
            if self.problem:
                return

    def _expected(self):
        return self.last_sequence + 1 if self._complete else self.last_sequence

    def _records(self, segment):
        offset = SEGMENT_HEADER_BYTES
        while offset + FRAME_HEADER_BYTES <= len(segment.bytes):
            header = segment.bytes[offset:offset + FRAME_HEADER_BYTES]
            if not any(header):
                return
            (magic, checksum, half, length, count, first, span, _, _, _) = FRAME_HEADER.unpack(header)
            if magic != b"FRM1" or crc32c(header[8:], segment.checksum) != checksum:
                return self._stop(segment, offset, "no valid frame header")
            end = offset + FRAME_HEADER_BYTES + length
            frame = segment.bytes[offset:end]
            if len(frame) < FRAME_HEADER_BYTES + length:
                return self._stop(segment, offset, "the frame is cut off")
            records = self._split(frame[FRAME_HEADER_BYTES:])
            if records is None or len(records) != count:
                return self._stop(segment, offset, "a record does not match its checksum")
            if first != self._expected():
                raise Damage(f"{segment.path} at {offset}: sequence {first} where {self._expected()} must follow")
            if self.verify:
                self.chain = blake3(frame[CHAINED_FROM:], self.chain)
                if self.chain[:16] != half:
                    raise Damage(f"{segment.path} at {offset}: the hash chain does not continue")
            for record in records:
                self._follow(segment, offset, record)
                yield record
            if self.last_sequence != first + span:
                raise Damage(f"{segment.path} at {offset}: the frame header contradicts its records")
            offset += -(-(FRAME_HEADER_BYTES + length) // segment.frame_alignment) * segment.frame_alignment

    def _follow(self, segment, offset, record):
        if record.sequence != self._expected() or record.timestamp_ns < self.last_timestamp_ns:
            raise Damage(f"{segment.path} at {offset}: record {record.sequence} is out of order")
        self.last_sequence, self.last_timestamp_ns = record.sequence, record.timestamp_ns
        self._complete = segment.kind == 1 or bool(record.flags & LAST_EVENT)

    def _stop(self, segment, offset, what):
        self.problem = f"{segment.path} at {offset}: {what}"

    @staticmethod
    def _split(payload):
        records, at = [], 0
        while at < len(payload):
            if at + RECORD_HEADER_BYTES > len(payload):
                return None
            length, checksum, sequence, time, kind, version, flags, gateway, session = (
                RECORD_HEADER.unpack_from(payload, at))
            record = payload[at:at + length]
            if length < RECORD_HEADER_BYTES or len(record) < length or crc32c(record[8:]) != checksum:
                return None
            body = record[RECORD_HEADER_BYTES:]
            records.append(Record(sequence, time, kind, version, flags, gateway, session, body))
            at += -(-length // 8) * 8
        return records


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="data folder")
    parser.add_argument("--stream", choices=("commands", "events"), default="commands")
    parser.add_argument("--from", dest="first", type=int, default=1, metavar="SEQ")
    parser.add_argument("--to", dest="last", type=int, default=2**64 - 1, metavar="SEQ")
    parser.add_argument("--verify", action="store_true", help="check the hash chain, too")
    options = parser.parse_args()
    stream = Stream(pathlib.Path(options.data) / options.stream, options.verify)
    if not stream.segments():
        sys.exit(f"{stream.folder} holds no journal")
    try:
        for record in stream:
            if options.first <= record.sequence <= options.last:
                print(json.dumps({**vars(record), "body": record.body.hex()}))
    except Damage as damage:
        sys.exit(f"damaged: {damage}")
    except BrokenPipeError:
        # As `head` expects. What Python flushes at its end has nowhere to go either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if stream.problem:
        print(f"note: stopped at {stream.problem}", file=sys.stderr)
    if options.verify:
        print(json.dumps({"last_sequence": stream.last_sequence, "chain": stream.chain and stream.chain.hex(),
                          "stopped_at": stream.problem}))


if __name__ == "__main__":
    main()

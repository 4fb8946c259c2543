"""Wireshark's FIX dissector reads what the server sends."""
import os
import shutil
import socket
import struct
import subprocess
import threading

from server import Skip, folder, serving
from wire import Session, cancel, new_order, replace, status

LINKTYPE_RAW = 101
# Where the segments of a captured conversation are cut: not where messages end.
SEGMENT_BYTES = 1000


class Recorder:
    """A cable between client and server that keeps what goes through it, in order: (from the client, bytes)."""

    def __init__(self, server_port):
        self.server_port, self.spoken, self.lock = server_port, [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        near, _ = self.listener.accept()
        far = socket.create_connection(("127.0.0.1", self.server_port))
        for source, sink, client in ((near, far, True), (far, near, False)):
            threading.Thread(target=self._forward, args=(source, sink, client), daemon=True).start()

    def _forward(self, source, sink, client):
        try:
            while data := source.recv(1 << 16):
                with self.lock:
                    self.spoken.append((client, data))
                sink.sendall(data)
        except OSError:
            pass
        finally:
            sink.close()


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(client, sequence, acknowledged, flags, data, port):
    """An IPv4 packet with a TCP segment."""
    ends = (b"\x0a\0\0\x01", b"\x0a\0\0\x02") if client else (b"\x0a\0\0\x02", b"\x0a\0\0\x01")
    ports = (40000, port) if client else (port, 40000)
    tcp = struct.pack(">HHIIBBHHH", *ports, sequence, acknowledged, 5 << 4, flags, 65535, 0, 0)
    pseudo = ends[0] + ends[1] + struct.pack(">BBH", 0, 6, len(tcp) + len(data))
    tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp + data)) + tcp[18:]
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp) + len(data), 0, 0, 64, 6, 0, *ends)
    return ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:] + tcp + data


def write_pcap(path, spoken, port):
    """The conversation as a capture file."""
    next_of = {True: 1000, False: 5000}
    packets = [packet(True, 999, 0, 0x02, b"", port), packet(False, 4999, 1000, 0x12, b"", port)]
    packets.append(packet(True, 1000, 5000, 0x10, b"", port))
    for client, data in spoken:
        for at in range(0, len(data), SEGMENT_BYTES):
            part = data[at : at + SEGMENT_BYTES]
            packets.append(packet(client, next_of[client], next_of[not client], 0x18, part, port))
            next_of[client] += len(part)
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 16, LINKTYPE_RAW))
        for number, data in enumerate(packets):
            file.write(struct.pack("<IIII", 1_700_000_000 + number, 0, len(data), len(data)) + data)


def tshark(*arguments):
    if shutil.which("tshark") is None:
        raise Skip("no tshark: apt-get install tshark")
    environment = dict(os.environ, WIRESHARK_QUIT_AFTER_CAPTURE="1")
    done = subprocess.run(["tshark", *map(str, arguments)], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def a_session(process):
    """All kinds of messages over a recorded cable."""
    recorder = Recorder(process.port)
    alice = Session("ALICE").connect(recorder.port)
    alice.logon()
    alice.send("D", new_order("a1", 2, "0.5", "60000"))
    alice.wait(lambda message: message.get(150) == "0", "the acceptance")
    bob = Session("BOB").connect(process.port)
    bob.logon()
    bob.send("D", new_order("b1", 1, "0.2", "60000"))
    alice.wait(lambda message: message.get(150) == "F", "the trade")
    alice.send("G", replace("a2", "a1", 2, "0.8", "60100"))
    alice.wait(lambda message: message.get(150) == "5", "the replace")
    alice.send("H", status("a2", 2))
    alice.wait(lambda message: message.get(150) == "I", "the status")
    alice.send("F", cancel("a3", "a2", 2))
    alice.wait(lambda message: message.get(150) == "4", "the cancellation")
    alice.send("F", cancel("a4", "none", 2))
    alice.wait(lambda message: message.type == "9", "an OrderCancelReject")
    alice.send("D", new_order("a5", 2, "0.5", "0.001"))
    alice.wait(lambda message: message.get(150) == "8", "a rejected order")
    alice.send("D", [(11, "a6")])
    alice.wait(lambda message: message.type == "3", "a Reject")
    alice.send("AE", [(571, "t"), (570, "N"), (55, "BTC/USD"), (32, "1"), (31, "1"), (75, "20240229"), (60, "20240229-00:00:00"), (552, 1), (54, 1), (37, "x")])
    alice.wait(lambda message: message.type in ("j", "3"), "a BusinessMessageReject")
    alice.ping()
    # Old messages come again, over a gap fill.
    alice.send("2", [(7, 1), (16, 0)])
    alice.ping()
    alice.send("5", [])
    alice.wait(lambda message: message.type == "5", "the Logout")
    bob.logout()
    return recorder.spoken


def test_the_dissector_reads_a_session_without_a_complaint():
    if shutil.which("tshark") is None:
        raise Skip("no tshark: apt-get install tshark")
    with serving() as process, folder() as path:
        spoken = a_session(process)
        capture = path / "session.capture"
        write_pcap(capture, spoken, process.port)
        read = ["-r", capture, "-d", f"tcp.port=={process.port},fix"]
        types = tshark(*read, "-Y", "fix", "-T", "fields", "-e", "fix.MsgType").replace(",", "\n").split()
        for kind in "A D 8 G H F 9 3 1 0 2 4 5".split():
            assert kind in types, (kind, types)
        sent = b"".join(data for client, data in spoken if not client)
        received = tshark(*read, "-Y", f"fix and tcp.srcport=={process.port}", "-T", "fields", "-e", "fix.MsgType")
        assert len(received.replace(",", "\n").split()) == sent.count(b"8=FIX.4.4\x01"), received
        complaint = "_ws.malformed or _ws.expert.severity >= 6291456 or fix.checksum_bad == 1 or tcp.checksum.status == 0"
        complaints = tshark(*read, "-o", "tcp.check_checksum:TRUE", "-Y", complaint, "-V")
        assert not complaints, complaints[:4000]


def test_the_capture_would_show_a_wrong_message():
    """The test above can fail: one byte that is not what it was, and the dissector says so."""
    if shutil.which("tshark") is None:
        raise Skip("no tshark: apt-get install tshark")
    with folder() as path:
        good = b"8=FIX.4.4\x019=5\x0135=0\x0110=163\x01"
        for data, complaints in ((good, False), (good.replace(b"=163", b"=164"), True)):
            capture = path / "one.capture"
            write_pcap(capture, [(False, data)], 9878)
            said = tshark("-r", capture, "-d", "tcp.port==9878,fix", "-Y", "fix.checksum_bad == 1 or _ws.expert.severity >= 6291456")
            assert bool(said) == complaints, (data, said)

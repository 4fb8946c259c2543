"""FIX 4.4 on a plain socket: a codec and a session that is quick enough to put a server under load.

It is deliberately not the gateway's own code, and test_wire.py compares it with the package simplefix.
"""
import datetime
import select
import socket
import time

SOH = b"\x01"
BEGIN = b"8=FIX.4.4\x01"
ADMIN = {"0", "1", "2", "3", "4", "5", "A"}


class WireError(Exception):
    """Bytes that are not FIX, or a peer that breaks the session's rules."""


def now():
    """UTC as FIX writes it, with milliseconds."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%d-%H:%M:%S.%f")[:-3]


def checksum(data):
    return b"%03d" % (sum(data) % 256)


def encode(fields):
    """Bytes of a message from its fields after BodyLength (tag 9); begin, length and checksum are added."""
    body = b"".join(b"%d=%s\x01" % (tag, str(value).encode()) for tag, value in fields)
    head = BEGIN + b"9=%d\x01" % len(body)
    return head + body + b"10=" + checksum(head + body) + SOH


class Message:
    """Fields in their order; the first of a tag by `[]` and `get`."""

    def __init__(self, fields):
        self.fields = fields
        self.first = dict(reversed(fields))

    def __getitem__(self, tag):
        if tag not in self.first:
            raise WireError(f"tag {tag} is missing in {self}")
        return self.first[tag]

    def get(self, tag, default=None):
        return self.first.get(tag, default)

    @property
    def type(self):
        return self[35]

    @property
    def sequence(self):
        return int(self[34])

    def __repr__(self):
        return "|".join(f"{tag}={value}" for tag, value in self.fields)


class Parser:
    """Cuts a stream into messages; anything that is not well formed raises WireError."""

    def __init__(self):
        self.buffer = b""

    def feed(self, data):
        self.buffer += data
        messages = []
        while (message := self._take()) is not None:
            messages.append(message)
        return messages

    def _take(self):
        if not BEGIN.startswith(self.buffer[: len(BEGIN)]):
            raise WireError(f"not the start of a message: {self.buffer[:40]!r}")
        end_of_length = self.buffer.find(SOH, len(BEGIN))
        if end_of_length < 0:
            return None
        name, _, length = self.buffer[len(BEGIN) : end_of_length].partition(b"=")
        if name != b"9" or not length.isdigit():
            raise WireError(f"no BodyLength: {self.buffer[:40]!r}")
        body_end = end_of_length + 1 + int(length)
        end = body_end + len(b"10=000\x01")
        if len(self.buffer) < end:
            return None
        whole, self.buffer = self.buffer[:end], self.buffer[end:]
        if whole[body_end:] != b"10=" + checksum(whole[:body_end]) + SOH:
            raise WireError(f"wrong BodyLength or CheckSum: {whole!r}")
        pairs = (field.partition(b"=") for field in whole[:-1].split(SOH))
        return Message([(int(tag), value.decode()) for tag, _, value in pairs])


class Session:
    """A FIX client that keeps its numbers over connections, as a client with a file store does.

    Asked to resend, it sends again what it has sent on this connection, and gap-fills what is older: an order of a
    lost connection is never sent twice. `received` holds messages that nobody has waited for yet, in sequence, each
    once.
    """

    def __init__(self, sender, username=None, password=None, target="RIALTO"):
        self.sender, self.target = sender, target
        self.username = sender.lower() if username is None else username
        self.password = sender.lower() + "-secret" if password is None else password
        self.next_out, self.next_in = 1, 1
        self.socket = None
        self.received = []
        self.closed = True
        self.gap_to, self.early = 0, {}
        self.sent = {}
        self.open_ping = None

    # connection
    def connect(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.parser = Parser()
        self.closed = False
        self.gap_to, self.early = 0, {}
        self.sent.clear()
        return self

    def cut(self):
        """Closes the connection without a Logout."""
        if self.socket is not None:
            self.socket.close()
        self.closed = True

    def logon(self, reset=False, heartbeat=30):
        """Logs on and returns the server's Logon."""
        if reset:
            self.next_out = self.next_in = 1
        fields = [(98, 0), (108, heartbeat), (553, self.username), (554, self.password)]
        self.send("A", fields + ([(141, "Y")] if reset else []))
        return self.wait(lambda message: message.type == "A", "the Logon")

    def logout(self):
        self.send("5", [])
        self.wait(lambda message: message.type == "5", "the Logout")
        self.cut()

    # sending
    def header(self, kind, sequence, more=()):
        return [(35, kind), (49, self.sender), (56, self.target), (34, sequence), *more, (52, now())]

    def send(self, kind, fields):
        data = encode(self.header(kind, self.next_out) + list(fields))
        if kind not in ADMIN:
            self.sent[self.next_out] = (kind, list(fields))
        self.next_out += 1
        self.send_bytes(data)

    def send_bytes(self, data):
        """Sends; a server that is gone shows when receiving."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    # receiving
    def pump(self, timeout=0.0):
        """Takes what has arrived within `timeout` seconds into `received`; whether anything came."""
        if self.closed or not select.select([self.socket], [], [], timeout)[0]:
            return False
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            self.cut()
            return False
        for message in self.parser.feed(data):
            self._on_message(message)
        return True

    def wait(self, wanted, what, timeout=10.0):
        """The first message that is wanted, taken out of `received`; others stay."""
        deadline = time.monotonic() + timeout
        looked = 0
        while True:
            for at in range(looked, len(self.received)):
                if wanted(self.received[at]):
                    return self.received.pop(at)
            looked = len(self.received)
            left = deadline - time.monotonic()
            if left <= 0 or self.closed:
                state = "the connection was closed" if self.closed else f"nothing within {timeout} s"
                raise WireError(f"{self.sender} waits for {what}: {state}; got {self.received[-5:]}")
            self.pump(left)

    def ping(self):
        """Returns when the server has answered everything sent before."""
        name = self.open_ping = f"ping-{self.next_out}"
        self.send("1", [(112, name)])
        self.wait(lambda message: message.type == "0" and message.get(112) == name, "a Heartbeat")
        self.open_ping = None

    def wait_closed(self, timeout=10.0):
        """Whether the server closes the connection in time."""
        deadline = time.monotonic() + timeout
        while not self.closed and time.monotonic() < deadline:
            self.pump(max(0.0, deadline - time.monotonic()))
        return self.closed

    def _on_message(self, message):
        number = message.sequence
        # A ResendRequest is answered and a Logout taken whatever their numbers, as FIX says.
        if message.type == "5":
            self.next_in += number == self.next_in
            self.received.append(message)
            return
        if (message[49], message[56]) != (self.target, self.sender):
            raise WireError(f"wrong CompIDs: {message}")
        if message.type == "2":
            self._resend(int(message[7]))
        if number > self.next_in:
            self._on_gap(message)
        elif number == self.next_in:
            self._in_sequence(message)
        elif message.get(43) != "Y":
            raise WireError(f"MsgSeqNum too low, expected {self.next_in}: {message}")

    def _on_gap(self, message):
        """What comes early waits for what is missing, which is asked for once. The exchange goes on with what is new
        while it makes old reports again, so that an answer may well come before them."""
        if message.type == "A":
            self.received.append(message)
        else:
            self.early[message.sequence] = message
        if not self.gap_to:
            self.gap_to = message.sequence
            self.send("2", [(7, self.next_in), (16, 0)])

    def _in_sequence(self, message):
        while message is not None:
            self.next_in += 1
            if message.type == "4":
                self.next_in = int(message[36])
            elif message.type == "1":
                self.send("0", [(112, message[112])])
            else:
                self.received.append(message)
            message = self.early.pop(self.next_in, None)
        if self.next_in > self.gap_to:
            self.gap_to = 0

    def _resend(self, begin):
        again = [(43, "Y"), (122, now())]
        for number in sorted(number for number in self.sent if number >= begin):
            self._gap_fill(begin, number)
            kind, fields = self.sent[number]
            self.send_bytes(encode(self.header(kind, number, again) + fields))
            begin = number + 1
        self._gap_fill(begin, self.next_out)
        if self.open_ping is not None:
            # The question itself was gap-filled away, as every administrative message is.
            self.send("1", [(112, self.open_ping)])

    def _gap_fill(self, begin, end):
        if begin < end:
            fields = self.header("4", begin, [(43, "Y"), (122, now())])
            self.send_bytes(encode(fields + [(123, "Y"), (36, end)]))


def new_order(name, side, quantity, price, symbol="BTC/USD", time_in_force=1):
    """Fields of a limit NewOrderSingle (35=D); side 1 buys, 2 sells; time in force 1 is GTC, 3 IOC."""
    order = [(11, name), (55, symbol), (54, side), (60, now()), (38, quantity), (40, 2), (44, price)]
    return order + [(59, time_in_force)]


def cancel(name, original, side, symbol="BTC/USD"):
    """Fields of an OrderCancelRequest (35=F)."""
    return [(41, original), (11, name), (55, symbol), (54, side), (60, now())]


def replace(name, original, side, quantity, price, symbol="BTC/USD"):
    """Fields of an OrderCancelReplaceRequest (35=G)."""
    return [(41, original), *new_order(name, side, quantity, price, symbol)]


def status(name, side, symbol="BTC/USD"):
    """Fields of an OrderStatusRequest (35=H)."""
    return [(11, name), (55, symbol), (54, side)]

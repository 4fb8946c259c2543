#!/usr/bin/env python3
"""A client of the binary port, with the standard library only. docs/binary.md describes the protocol.

    binary_client.py 127.0.0.1 9881 alice alice-secret buy 1 10 6000000
    binary_client.py 127.0.0.1 9881 alice alice-secret events 1

`buy` and `sell` take an instrument id, lots and ticks, print the order's events and cancel what rests; `events` prints all
events of the account from a sequence on.
"""
import select
import socket
import struct
import sys
import time

LOGIN = struct.Struct("<H6xQ64s64s")
ACCEPTED = struct.Struct("<HHHBxII QQ")
HEADER = struct.Struct("<IIQQHBBHH")
NEW_ORDER = struct.Struct("<qqII36sBBBB")
CANCEL = struct.Struct("<QII36sI")
REPLACE = struct.Struct("<QqqII36sI")
MASS_CANCEL = struct.Struct("<II36sHHBBB5x")
REFUSAL = struct.Struct("<QHH36s")
REJECTED = struct.Struct("<QII36sHHII")
ORDER_ACCEPTED = struct.Struct("<QqqqII36sBBBB")
ORDER_CANCELED = struct.Struct("<QqqII36sBB2x")
TRADE = struct.Struct("<QQQqqqqqqqIIIBB2x")

NEW_ORDER_KIND, CANCEL_KIND, REPLACE_KIND, MASS_CANCEL_KIND = 6, 7, 8, 13
REJECTED_KIND, ORDER_ACCEPTED_KIND, ORDER_CANCELED_KIND, TRADE_KIND = 0x8000, 0x8006, 0x8007, 0x800A
BUY, SELL = 1, 2
LIMIT, GOOD_TILL_CANCEL = 2, 1
LAST_EVENT = 1


class Ended(Exception):
    """The server has ended the session, or refused the login; the text says why."""


class Event:
    """An event of the account: its place, its kind and its body."""

    def __init__(self, payload):
        self.bytes = payload
        (self.index,) = struct.unpack_from("<I", payload)
        header = HEADER.unpack_from(payload, 4)
        length, _, self.sequence, self.time_ns, self.kind, self.version, self.flags, self.gateway, self.session = header
        self.body = payload[4 + HEADER.size :]
        if length != HEADER.size + len(self.body):
            raise ValueError(f"a record of {length} bytes in a packet with {len(payload)}")
        self.is_last = bool(self.flags & LAST_EVENT)

    @property
    def fields(self):
        """The fields of the kinds that this client knows; None for others."""
        known = {
            REJECTED_KIND: REJECTED,
            ORDER_ACCEPTED_KIND: ORDER_ACCEPTED,
            ORDER_CANCELED_KIND: ORDER_CANCELED,
            TRADE_KIND: TRADE,
        }
        layout = known.get(self.kind)
        return layout and layout.unpack(self.body)

    def __repr__(self):
        return f"{self.sequence}-{self.index} kind {self.kind:#06x} {self.fields or self.body.hex()}"


class Client:
    """A session. `events` and `refusals` hold what has come; `complete` up to which sequence there is no more."""

    def __init__(self, host, port, user, password, from_sequence=0, stream=None):
        self.socket = stream or socket.create_connection((host, port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.events, self.refusals, self.complete, self.sent = [], [], 0, 0
        self.send("L", LOGIN.pack(1, from_sequence, user.encode(), password.encode()))
        kind, payload = self.packet()
        if kind != "A":
            raise Ended(f"login rejected: {payload.decode()}")
        accepted = ACCEPTED.unpack(payload)
        _, self.gateway, self.session, self.cancels, self.account, self.max_bytes, self.first, self.last = accepted

    def send(self, kind, payload=b""):
        self.socket.sendall(struct.pack(">H", 1 + len(payload)) + kind.encode() + payload)

    def command(self, kind, body):
        self.sent += 1
        self.send("U", HEADER.pack(HEADER.size + len(body), 0, 0, 0, kind, 1, 0, 0, 0) + body)

    def packet(self, timeout=10.0):
        """The next packet; None if none comes in time."""
        deadline = time.monotonic() + timeout
        while True:
            if len(self.buffer) >= 2:
                (length,) = struct.unpack_from(">H", self.buffer)
                if len(self.buffer) >= 2 + length:
                    kind, payload = self.buffer[2:3].decode(), self.buffer[3 : 2 + length]
                    self.buffer = self.buffer[2 + length :]
                    return kind, payload
            pending = getattr(self.socket, "pending", lambda: 0)()
            left = deadline - time.monotonic()
            if not pending and (left <= 0 or not select.select([self.socket], [], [], left)[0]):
                return None
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Ended("the server closed the connection")
            self.buffer += data

    def pump(self, timeout=10.0):
        """Takes one packet; whether one came."""
        packet = self.packet(timeout)
        if packet is None:
            return False
        kind, payload = packet
        if kind == "S":
            self.events.append(Event(payload))
        elif kind == "U":
            self.refusals.append(REFUSAL.unpack(payload))
        elif kind == "H":
            (self.complete,) = struct.unpack("<Q", payload)
            self.send("R")
        elif kind == "Z":
            raise Ended(payload.decode())
        else:
            raise ValueError(f"a packet of type {kind}")
        return True

    def wait(self, wanted, what, timeout=10.0):
        """The first event that is wanted, taken out of `events`."""
        deadline = time.monotonic() + timeout
        while True:
            for at, event in enumerate(self.events):
                if wanted(event):
                    return self.events.pop(at)
            if time.monotonic() > deadline or not self.pump(max(0.0, deadline - time.monotonic())):
                raise AssertionError(f"no {what} within {timeout} s; got {self.events[-5:]} {self.refusals[-5:]}")

    def catch_up(self, timeout=30.0):
        """Waits until everything up to the login has come."""
        deadline = time.monotonic() + timeout
        while self.complete < self.last:
            if time.monotonic() > deadline:
                raise AssertionError(f"complete up to {self.complete} of {self.last}")
            self.pump(1.0)
        return self

    def order(self, name, side, instrument, lots, ticks, account=None, time_in_force=GOOD_TILL_CANCEL):
        account = self.account if account is None else account
        body = NEW_ORDER.pack(ticks, lots, account, instrument, name.encode(), side, LIMIT, time_in_force, 0)
        self.command(NEW_ORDER_KIND, body)

    def cancel(self, name, order_id, instrument):
        self.command(CANCEL_KIND, CANCEL.pack(order_id, self.account, instrument, name.encode(), 0))

    def logout(self):
        self.send("O")
        try:
            while self.pump():
                pass
        except Ended:
            pass
        self.close()

    def close(self):
        self.socket.close()


def main(host, port, user, password, what, *numbers):
    numbers = [int(number) for number in numbers]
    if what == "events":
        client = Client(host, int(port), user, password, numbers[0] if numbers else 1).catch_up()
        print(*client.events, sep="\n")
    elif what in ("buy", "sell"):
        instrument, lots, ticks = numbers
        client = Client(host, int(port), user, password)
        client.order("example", BUY if what == "buy" else SELL, instrument, lots, ticks)
        first = client.wait(lambda event: event.is_last, "events of the order")
        seen = client.events + [first]
        accepted = [event for event in seen if event.kind == ORDER_ACCEPTED_KIND]
        client.events.clear()
        left = lots - sum(event.fields[4] for event in seen if event.kind == TRADE_KIND)
        if accepted and left:
            client.cancel("example-cancel", accepted[0].fields[0], instrument)
            seen.append(client.wait(lambda event: event.is_last, "events of the cancel"))
        print(*seen, sep="\n")
    else:
        sys.exit(__doc__)
    client.logout()


if __name__ == "__main__":
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])

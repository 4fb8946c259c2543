"""What the server sends again is what it sent first, byte for byte, over kill -9 at random moments.

The two traders of the kill test trade while each witness notes every application message that it sees. After each kill
and restart each asks for all messages since its first: every one that was ever seen must come again with the same body
and its first SendingTime, in the place of all others gap fills. Nothing of a report may be in the session store.
RIALTO_SEED=N repeats a run, RIALTO_RESENDS=N sets the cycles.
"""
import os
import random

from server import Server, folder
from test_kill import Load, check_statuses, load_until_killed, recover
from wire import Session

CYCLES = int(os.environ.get("RIALTO_RESENDS", "8"))
HEADER = {8, 9, 34, 35, 43, 49, 52, 56, 122, 10}
APPLICATION = {"8", "9", "j"}


def body(message):
    return message.type, [field for field in message.fields if field[0] not in HEADER]


class Witness(Session):
    """Notes what it sees, and holds all that comes again against it."""

    def __init__(self, sender):
        super().__init__(sender)
        self.seen = {}
        self.again = set()
        self.covered = 0

    def _on_message(self, message):
        if message.type in APPLICATION:
            first_sent = message[122] if message.get(43) == "Y" else message[52]
            noted = self.seen.setdefault(message.sequence, (body(message), first_sent))
            assert noted == (body(message), first_sent), f"{noted} came again as {message}"
            if message.get(43) == "Y":
                self.again.add(message.sequence)
        if message.get(43) == "Y":
            end = int(message[36]) - 1 if message.type == "4" else message.sequence
            if message.sequence <= self.covered + 1:
                self.covered = max(self.covered, end)
            if message.sequence < self.next_in and end < self.next_in:
                return
        super()._on_message(message)

    def ask_for_all(self):
        """Asks for everything; each message seen must come again."""
        self.again.clear()
        self.covered = 0
        last = self.next_in - 1
        self.send("2", [(7, 1), (16, last)])
        while self.covered < last and not self.closed:
            assert self.pump(20.0), f"{self.sender} waits for {self.covered + 1} of {last}"
        missing = {number for number in self.seen if number <= last} - self.again
        assert not missing, f"{self.sender}: seen once, and not again: {sorted(missing)[:10]}"
        return len(self.again)


def test_every_message_comes_again_as_it_was():
    seed = int(os.environ.get("RIALTO_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"    RIALTO_SEED={seed} RIALTO_RESENDS={CYCLES}")
    load = Load(seed)
    for trader in load.traders.values():
        trader.session = Witness(trader.session.sender)
    asked = 0
    with folder() as path:
        server = Server(path / "data").start()
        try:
            for trader in load.traders.values():
                trader.session.connect(server.port).logon()
            for _ in range(CYCLES):
                load_until_killed(load, server)
                server.start()
                recover(load, server)
                check_statuses(load)
                asked += sum(trader.session.ask_for_all() for trader in load.traders.values())
            assert b"\x0135=8\x0149=" not in (path / "data" / "fix-sessions").read_bytes()
            errors = server.errors()
            assert "in other words" not in errors and "cannot be made" not in errors, errors
            assert server.terminate() == 0, server.errors()
            # The next process starts from the checkpoint of an orderly end.
            assert list((path / "data" / "fix-sessions-checkpoints").glob("*.checkpoint"))
            server.start()
            for trader in load.traders.values():
                trader.session.connect(server.port).logon()
                trader.session.ask_for_all()
        finally:
            if server.is_running():
                server.kill()
    seen = sum(len(trader.session.seen) for trader in load.traders.values())
    print(f"    {seen} messages seen, {asked} sent again and compared")
    assert seen > 100 * CYCLES and asked > seen, "too little was compared: the test has shown nothing"

"""Stock clients watch the market: QuickFIX with its own dictionaries of FIX 4.2, 4.4 and 5.0SP2 subscribes, applies full
and incremental refreshes, and has the exchange's book in the end."""
import contextlib
import pathlib
import random
import sys
import threading
import time
from decimal import Decimal

from server import Server, Skip, ask, folder
from wire import Session, cancel, new_order, replace

try:
    import quickfix as fix
except ImportError:
    raise Skip("quickfix is not installed: .venv/bin/pip install -r tests/clients/requirements.txt") from None

SPEC = pathlib.Path(sys.prefix) / "share" / "quickfix"
if not (SPEC / "FIX44.xml").is_file():
    raise Skip(f"the dictionaries of QuickFIX are not in {SPEC}")

WAIT_S = 20
SIDES = {"0": "Buy", "1": "Sell"}
VERSIONS = {"ALICE": "FIX.4.2", "BOB": "FIX.4.4", "CAROL": "FIX.5.0SP2"}

SETTINGS = """[DEFAULT]
ConnectionType=initiator
StartTime=00:00:00
EndTime=00:00:00
ReconnectInterval=1
HeartBtInt=30
SocketNodelay=Y
UseDataDictionary=Y
[SESSION]
BeginString={begin}
SenderCompID={sender}
TargetCompID=RIALTO
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
{dictionaries}
"""


def dictionaries(version):
    if version == "FIX.5.0SP2":
        return (
            f"DefaultApplVerID=FIX.5.0SP2\nTransportDataDictionary={SPEC}/FIXT11.xml\n"
            f"AppDataDictionary={SPEC}/FIX50SP2.xml"
        )
    return f"DataDictionary={SPEC}/{version.replace('.', '')}.xml"


class Watcher(fix.Application):
    """Keeps a book by price and one by order from what it is sent. QuickFIX checks each message by its dictionary, and
    sends a Reject for what it does not like."""

    def __init__(self, sender, port, store):
        super().__init__()
        self.sender, self.version = sender, VERSIONS[sender]
        self.online = threading.Event()
        self.changed = threading.Condition()
        self.levels, self.orders, self.problems, self.seen = {}, {}, [], []
        store.mkdir(parents=True, exist_ok=True)
        path = store / f"{sender}-market.cfg"
        begin = "FIXT.1.1" if self.version.startswith("FIX.5") else self.version
        text = SETTINGS.format(begin=begin, sender=sender, port=port, dictionaries=dictionaries(self.version))
        path.write_text(text)
        self.settings = fix.SessionSettings(str(path))
        self.stores = fix.MemoryStoreFactory()
        self.initiator = fix.SocketInitiator(self, self.stores, self.settings)
        self.initiator.start()

    def onCreate(self, session):
        self.session = session

    def onLogon(self, session):
        self.online.set()

    def onLogout(self, session):
        self.online.clear()

    def toAdmin(self, message, session):
        kind = fix.MsgType()
        message.getHeader().getField(kind)
        if kind.getValue() == "A":
            message.setField(fix.StringField(553, self.sender.lower()))
            message.setField(fix.StringField(554, self.sender.lower() + "-secret"))
            # Numbers begin anew: this client keeps none.
            message.setField(fix.StringField(141, "Y"))
        elif kind.getValue() == "3":
            with self.changed:
                self.problems.append(message.toString())

    def toApp(self, message, session):
        pass

    def fromAdmin(self, message, session):
        pass

    def fromApp(self, message, session):
        fields = [part.partition("=")[::2] for part in message.toString().split("\x01") if part]
        with self.changed:
            try:
                self._take(fields)
            except Exception as problem:  # QuickFIX would swallow it.
                self.problems.append(f"{problem!r} in {fields}")
            self.changed.notify_all()

    def _take(self, fields):
        first = dict(reversed(fields))
        kind = first["35"]
        self.seen.append((kind, fields))
        if kind not in "WX":
            return
        request = first["262"]
        book = self.levels if request == "levels" else self.orders
        if kind == "W":
            for key in [key for key in book if key[0] == first["55"]]:
                del book[key]
        for entry in groups(fields, "269" if kind == "W" else "279"):
            if entry["269"] not in SIDES:
                continue
            symbol = entry.get("55") or first["55"]
            name = Decimal(entry["270"]) if request == "levels" else entry["37"]
            key = (symbol, entry["269"], name)
            action = entry.get("279", "0")
            assert (key in book) == (action != "0"), f"{action} {key}"
            if action == "2":
                del book[key]
            else:
                book[key] = (Decimal(entry["270"]), Decimal(entry["271"]))

    def logged_on(self):
        assert self.online.wait(WAIT_S), f"{self.sender}: no logon"
        return self

    def subscribe(self, request, aggregated, symbols):
        message = fix.Message()
        message.getHeader().setField(fix.MsgType("V"))
        fields = [(262, request), (263, "1"), (264, "0"), (265, "1"), (266, "Y" if aggregated else "N")]
        for tag, value in fields:
            message.setField(fix.StringField(tag, value))
        for entry in "01":
            group = fix.Group(267, 269)
            group.setField(fix.StringField(269, entry))
            message.addGroup(group)
        for symbol in symbols:
            group = fix.Group(146, 55)
            group.setField(fix.StringField(55, symbol))
            message.addGroup(group)
        assert fix.Session.sendToTarget(message, self.session)

    def ask(self, kind, fields):
        message = fix.Message()
        message.getHeader().setField(fix.MsgType(kind))
        for tag, value in fields:
            message.setField(fix.StringField(tag, str(value)))
        assert fix.Session.sendToTarget(message, self.session)

    def wait(self, what, condition):
        deadline = time.monotonic() + WAIT_S
        with self.changed:
            while not condition():
                left = deadline - time.monotonic()
                assert not self.problems, f"{self.sender}: {self.problems[:3]}"
                assert left > 0, f"{self.sender} waits for {what}; got {self.seen[-3:]}"
                self.changed.wait(left)

    def stop(self):
        self.initiator.stop()
        del self.initiator


def groups(fields, first):
    """The instances of the group behind NoMDEntries (268), each as a dictionary."""
    start = next(at for at, (tag, _) in enumerate(fields) if tag == "268") + 1
    instances = []
    for tag, value in fields[start:-1]:
        if tag == first:
            instances.append({})
        if instances:
            instances[-1][tag] = value
    return instances


def shown(state):
    """Books by price and by order of `rialto state`."""
    levels, orders = {}, {}
    for row in state["orders"]:
        if row["place"] != "book":
            continue
        side = "0" if row["side"] == "Buy" else "1"
        price = Decimal(row["price"])
        quantity = Decimal(row["leaves"]) - Decimal(row.get("reserve") or 0)
        key = (row["symbol"], side, price)
        levels[key] = (price, levels.get(key, (price, Decimal(0)))[1] + quantity)
        number = row["order_id"]
        orders[(row["symbol"], side, f"{number >> 24}-{number & 0xFFFFFF}")] = (price, quantity)
    return levels, orders


def trade_at_random(trader, rounds, seed):
    """Orders, cancels and replaces on two instruments, without waiting for answers in between."""
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    live = []
    for number in range(rounds):
        symbol, at = rng.choice([("BTC/USD", 60_000), ("ETH/USD", 3_000)])
        side = rng.choice([1, 2])
        price = at + rng.randint(-5, 5)
        choice = rng.random()
        if live and choice < 0.2:
            name, side, symbol = live.pop(rng.randrange(len(live)))
            trader.send("F", cancel(f"c{number}", name, side, symbol))
        elif live and choice < 0.4:
            at = rng.randrange(len(live))
            name, side, symbol = live[at]
            price = {"BTC/USD": 60_000, "ETH/USD": 3_000}[symbol] + rng.randint(-5, 5)
            trader.send("G", replace(f"r{number}", name, side, "0.02", price, symbol))
            live[at] = (f"r{number}", side, symbol)
        else:
            quantity = rng.choice(["0.01", "0.02", "0.05"])
            trader.send("D", new_order(f"o{number}", side, quantity, price, symbol))
            live.append((f"o{number}", side, symbol))
    trader.ping()


@contextlib.contextmanager
def watching(*more):
    """A server, a trader on the order port, and a watcher in each version on the port for market data."""
    with folder() as path, contextlib.ExitStack() as stack:
        server = Server(path / "data", *more)
        server.start()
        stack.callback(lambda: server.kill() if server.is_running() else None)
        own = [line for line in server.lines if line.startswith("market data over FIX listening on ")]
        assert bool(own) == bool(more), server.lines
        port = int(own[0].rsplit(":", 1)[1]) if own else server.port
        # On a shared port a name can log on once only, so that the trader takes one of three.
        names = list(VERSIONS) if own else ["ALICE", "CAROL"]
        watchers = [Watcher(name, port, path / "watchers") for name in names]
        for watcher in watchers:
            stack.callback(watcher.stop)
        trader = Session("BOB").connect(server.port)
        trader.logon()
        stack.callback(trader.cut)
        yield server, trader, [watcher.logged_on() for watcher in watchers]


def check_books(*more, seed):
    with watching(*more) as (server, trader, watchers):
        for half, watcher in enumerate(watchers):
            if half == 0:
                trade_at_random(trader, 100, seed)
            watcher.subscribe("levels", True, ["BTC/USD", "ETH/USD"])
            watcher.subscribe("orders", False, ["BTC/USD", "ETH/USD"])
            watcher.wait("whole books", lambda: sum(kind == "W" for kind, _ in watcher.seen) >= 4)
        trade_at_random(trader, 600, seed + 1)
        expected = shown_when_quiet(server, trader)
        for watcher in watchers:
            watcher.wait("the exchange's book by price", lambda: watcher.levels == expected[0])
            watcher.wait("the exchange's book by order", lambda: watcher.orders == expected[1])
            assert sum(kind == "X" for kind, _ in watcher.seen) > 200, len(watcher.seen)
            assert not watcher.problems, watcher.problems[:3]


def shown_when_quiet(server, trader):
    """The state of the exchange when all that was sent has had its effect."""
    trader.send("D", new_order("last", 1, "0.01", 59_000))
    trader.wait(lambda it: it.type == "8" and it.get(11) == "last" and it.get(150) == "0", "the last order")
    deadline = time.monotonic() + WAIT_S
    while True:
        state = ask("state", server.data)
        levels, orders = shown(state)
        if ("BTC/USD", "0", Decimal(59_000)) in levels:
            return levels, orders
        assert time.monotonic() < deadline, "the journal does not show the last order"
        time.sleep(0.05)


def test_books_of_stock_clients_on_a_port_of_their_own():
    check_books("--market-data-bind", "127.0.0.1:0", seed=11)


def test_books_of_stock_clients_on_the_order_port():
    check_books(seed=23)


def test_stock_clients_read_reference_data_and_statuses():
    with watching("--market-data-bind", "127.0.0.1:0") as (_, _, watchers):
        for watcher in watchers:
            fix42 = watcher.version == "FIX.4.2"
            watcher.ask("c", [(320, "def"), (321, 3)])
            watcher.ask("e", [(324, "st"), (55, "BTC/USD"), (263, "0")])
            watcher.ask("g", [(335, "se"), (263, "0")])
            if not fix42:
                watcher.ask("x", [(320, "list"), (559, 4)])
            for kind in "dfh" if fix42 else "dfhy":
                watcher.wait(f"35={kind}", lambda: any(seen == kind for seen, _ in watcher.seen))
            status = next(dict(fields) for kind, fields in watcher.seen if kind == "f")
            assert (status["55"], status["326"]) == ("BTC/USD", "17"), status
            assert not watcher.problems, watcher.problems[:3]

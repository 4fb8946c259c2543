"""kill -9 under load, again and again: everything acknowledged is there after the restart, everything else is there
wholly or not at all.

ALICE keeps resting orders on both sides, replaces and cancels them; BOB trades with them, immediate-or-cancel. After
each kill the folder is read offline, the server is started again, both log on with their numbers and have the missed
reports sent again. Then their own logs must give the exchange's orders and balances exactly, and each order's status
by OrderStatusRequest must agree. RIALTO_SEED=N repeats a run, RIALTO_KILLS=N sets the cycles, of which each fifty begin with a
new folder.
"""
import os
import random
import select
import time
from decimal import Decimal

from kill_model import (
    PRICE_STEP, Order, Trader, check_acknowledged, check_exactly, check_held, check_zero_sum,
)
from server import Server, ask, default_config, eventually, folder
from wire import Session, cancel, new_order, replace, status

CYCLES = int(os.environ.get("RIALTO_KILLS", "50"))
FOLDER_CYCLES = 50
MIDDLE = 60_000
RESTING = 200
IN_FLIGHT = 32
ACCOUNTS = {"ALICE": 2, "BOB": 3}


class Load:
    """The two traders and what they do next."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        config = default_config()
        instrument = next(row for row in config["instruments"] if row["symbol"] == "BTC/USD")
        fees = {"ALICE": Decimal(instrument["maker_fee"]), "BOB": Decimal(instrument["taker_fee"])}
        self.highest_fee = max(fees.values())
        self.deposits = {}
        self.traders = {}
        for name, account in ACCOUNTS.items():
            row = next(row for row in config["accounts"] if row["id"] == account)
            balances = {asset: Decimal(row["deposit"][asset]) for asset in ("BTC", "USD")}
            self.traders[name] = Trader(Session(name), fees[name], balances)
        for row in config["accounts"]:
            for asset, amount in row["deposit"].items():
                self.deposits[asset] = self.deposits.get(asset, 0) + Decimal(amount)
        self.maker, self.taker = self.traders["ALICE"], self.traders["BOB"]
        self.count = 0

    def name(self):
        self.count += 1
        return f"o{self.count}"

    def price(self, side):
        step = self.random.randint(1, 20) * PRICE_STEP
        return Decimal(MIDDLE - step if side == 1 else MIDDLE + step)

    def quantity(self):
        return Decimal(self.random.randint(1, 40)) / 1000

    def act(self):
        """One action of each trader that has room for it."""
        if self.maker.waiting < IN_FLIGHT:
            self.maker_acts()
        if self.taker.waiting < IN_FLIGHT:
            side = self.random.choice((1, 2))
            limit = MIDDLE + (1 if side == 1 else -1) * self.random.randint(5, 20) * PRICE_STEP
            order = Order(self.name(), side, self.quantity(), Decimal(limit))
            self.taker.names(order.name, order)
            self.taker.waiting += 1
            self.taker.session.send("D", new_order(order.name, side, order.quantity, limit, time_in_force=3))

    def maker_acts(self):
        live = [order for order in self.maker.live() if order.asked is None]
        chance = self.random.random()
        self.maker.waiting += 1
        if not live or (len(live) < RESTING and chance < 0.6):
            order = Order(self.name(), self.random.choice((1, 2)), self.quantity(), None)
            order.price = self.price(order.side)
            self.maker.names(order.name, order)
            self.maker.session.send("D", new_order(order.name, order.side, order.quantity, order.price))
            return
        order, name = self.random.choice(live), self.name()
        order.asked = name
        if chance < 0.8:
            self.maker.session.send("F", cancel(name, order.name, order.side))
            return
        self.maker.names(name, order)
        more = order.filled + self.quantity()
        self.maker.session.send("G", replace(name, order.name, order.side, more, self.price(order.side)))

    def receive(self, timeout):
        sessions = {trader.session.socket: trader for trader in self.traders.values() if not trader.session.closed}
        for ready in select.select(list(sessions), [], [], timeout)[0] if sessions else []:
            sessions[ready].session.pump()
            sessions[ready].take_reports()


def load_until_killed(load, server):
    """Trades for a random time, kills the server with requests in flight, and takes what it had still sent."""
    deadline = time.monotonic() + load.random.uniform(0.1, 1.0)
    while time.monotonic() < deadline:
        load.act()
        load.receive(0 if load.maker.waiting < IN_FLIGHT else 0.001)
    server.kill()
    for trader in load.traders.values():
        while not trader.session.closed:
            trader.session.pump(1.0)
        trader.take_reports()


def recover(load, server):
    """Logs on with the old numbers, has the missed reports sent again, and drops what never arrived."""
    for trader in load.traders.values():
        trader.session.connect(server.port)
        trader.session.logon()
        trader.session.ping()
        trader.take_reports()

    def compare():
        state = ask("state", server.data)
        load.receive(0.05)
        for name, trader in load.traders.items():
            check_exactly(trader, state, ACCOUNTS[name])
        return state

    state = eventually(compare)
    check_held(load.maker, state, ACCOUNTS["ALICE"], load.highest_fee)
    check_zero_sum(state, load.deposits)
    return state


def check_statuses(load):
    """OrderStatusRequest for every order since the last cycle and every one that rests."""
    for trader in load.traders.values():
        orders = sorted(set(trader.orders.values()), key=lambda order: order.name)
        for number, order in enumerate(orders):
            trader.session.send("H", status(order.name, order.side) + [(790, f"s{number}")])
            if number % 64 == 63:
                trader.session.ping()
                trader.take_reports()
        trader.session.ping()
        trader.take_reports()
        for number, order in enumerate(orders):
            check_status(order, trader.statuses[f"s{number}"])
        trader.statuses.clear()
        # Ended orders have been checked; what never arrived is gone for good.
        for order in orders:
            order.asked = None
        trader.waiting = 0
        trader.orders = {order.name: order for order in orders if order.state == "live"}


def check_status(order, report):
    if order.state == "live":
        assert report[39] in ("0", "1", "5"), f"acknowledged as resting: {order}, {report}"
        assert Decimal(report[14]) == order.filled and Decimal(report[151]) == order.leaves, f"{order}, {report}"
    elif order.state == "sent":
        assert report[39] == "8", f"never acknowledged and not in the books, yet known: {order}, {report}"
    else:
        # An order that has ended may have been forgotten (8); if not, it is known as it ended.
        assert report[39] in ("2", "4", "8", "C"), f"ended: {order}, {report}"
        assert report[39] == "8" or Decimal(report[14]) == order.filled, f"{order}, {report}"


def kill_again_and_again(load, path, cycles):
    """Kills the server on one data folder so many times; the seconds that each restart took, and requests in flight."""
    restart_s = []
    in_flight = 0
    server = Server(path / "data")
    try:
        server.start()
        for trader in load.traders.values():
            trader.session.connect(server.port).logon()
        for cycle in range(cycles):
            load_until_killed(load, server)
            in_flight += load.maker.waiting + load.taker.waiting
            state = ask("state", server.data)
            for name, trader in load.traders.items():
                check_acknowledged(trader, state, ACCOUNTS[name])
            replay = ask("replay", server.data)
            assert replay["identical"] is True and replay["state_hash"] == state["state_hash"], replay
            server = Server(path / "data", durability="disk" if cycle % 5 == 3 else "os")
            started = time.monotonic()
            server.start()
            restart_s.append(time.monotonic() - started)
            recover(load, server)
            check_statuses(load)
    finally:
        if server.is_running():
            server.kill()
    return restart_s, in_flight


def test_nothing_acknowledged_is_lost():
    seed = int(os.environ.get("RIALTO_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"    RIALTO_SEED={seed} RIALTO_KILLS={CYCLES}")
    requests = trades = in_flight = 0
    slowest_s = 0.0
    # A new folder now and then: each restart and each check reads all of it, and a thousand cycles make it long.
    for first in range(0, CYCLES, FOLDER_CYCLES):
        load = Load(seed + first)
        with folder() as path:
            restart_s, waiting = kill_again_and_again(load, path, min(FOLDER_CYCLES, CYCLES - first))
        requests += load.count
        trades += load.maker.counts["trades"]
        in_flight += waiting
        slowest_s = max(slowest_s, *restart_s)
        print(f"    {first + len(restart_s)} kills, {requests} requests, {trades} trades", flush=True)
    print(f"    {in_flight} in flight at kills, restart at most {slowest_s:.2f} s")
    assert trades > CYCLES, "the load did not trade: the test has shown nothing"
    assert in_flight > 0, "nothing was in flight at any kill: the test has shown nothing"

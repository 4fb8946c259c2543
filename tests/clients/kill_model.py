"""What a client may believe: its own log of everything that the server has acknowledged."""
from decimal import Decimal

PRICE_STEP = 100
"""USD. With it every fee of the default configuration is a whole number of minor units, however a fill is cut."""


class Order:
    """An order as its owner knows it."""

    def __init__(self, name, side, quantity, price):
        self.name, self.side, self.quantity, self.price = name, side, quantity, price
        self.filled = Decimal(0)
        self.state = "sent"
        self.order_id = None
        self.asked = None

    @property
    def leaves(self):
        return self.quantity - self.filled

    def __repr__(self):
        return f"{self.name} {self.state} side {self.side} {self.filled}/{self.quantity} at {self.price}"


class Trader:
    """One account: its orders and balances, folded from its execution reports alone."""

    def __init__(self, session, fee, balances):
        self.session, self.fee, self.balances = session, fee, balances
        self.orders = {}
        self.executions = set()
        self.statuses = {}
        self.waiting = 0
        self.counts = {"trades": 0, "rejects": 0}

    def names(self, name, order):
        self.orders[name] = order

    def live(self):
        return [order for name, order in self.orders.items() if order.state == "live" and order.name == name]

    def take_reports(self):
        """Folds what the session has received."""
        reports, self.session.received = self.session.received, []
        for report in reports:
            if report.type == "8":
                self._execution(report)
            elif report.type == "9":
                self.orders[report[41]].asked = None
                self.waiting -= 1
            elif report.type in ("3", "j", "5"):
                raise AssertionError(f"unexpected: {report}")

    def _execution(self, report):
        kind = report[150]
        if kind == "I" or kind == "8" and report.get(790):
            self.statuses[report[790]] = report
            return
        assert report[17] not in self.executions, f"reported twice: {report}"
        self.executions.add(report[17])
        order = self.orders[report.get(41) or report[11]]
        if kind == "F":
            self._trade(order, report)
        else:
            # A fill comes by itself; everything else answers one request, an IOC's end only if nothing was filled.
            getattr(self, {"0": "_new", "4": "_canceled", "5": "_replaced", "8": "_rejected"}[kind])(order, report)

    def _new(self, order, report):
        assert order.state == "sent", f"accepted twice: {report}"
        order.state, order.order_id = "live", report[37]
        self.waiting -= 1

    def _canceled(self, order, report):
        self.waiting -= order.asked is not None
        order.state, order.asked = "done", None

    def _replaced(self, order, report):
        self.waiting -= 1
        order.name, order.asked = report[11], None
        order.quantity, order.price = Decimal(report[38]), Decimal(report[44])
        assert Decimal(report[14]) == order.filled, f"a fill is missing before {report}"

    def _rejected(self, order, report):
        self.waiting -= 1
        order.state = "done"
        self.counts["rejects"] += 1

    def _trade(self, order, report):
        quantity, price = Decimal(report[32]), Decimal(report[31])
        order.filled += quantity
        assert order.filled == Decimal(report[14]), f"a fill is missing before {report}; know {order}"
        assert order.leaves == Decimal(report[151]), f"{report}; know {order}"
        sign = 1 if order.side == 1 else -1
        self.balances["BTC"] += sign * quantity
        self.balances["USD"] -= sign * quantity * price + quantity * price * self.fee
        self.counts["trades"] += 1
        if order.leaves == 0:
            # A request under way for it will be answered by a reject, which is still waited for.
            order.state = "done"


def check_acknowledged(trader, state, account):
    """The journal of a killed process, read offline, must hold what the trader was told."""
    resting = {row["client_order_id"]: row for row in state["orders"] if row["account"] == account}
    for order in set(trader.orders.values()):
        row = resting.get(order.name)
        if order.state == "done":
            assert row is None, f"acknowledged as ended, but it rests again: {order}, {row}"
        elif row is not None and order.state == "live":
            assert Decimal(row["filled"]) >= order.filled, f"an acknowledged fill is lost: {order}, {row}"
            assert Decimal(row["price"]) == order.price, f"another price: {order}, {row}"


def check_exactly(trader, state, account):
    """After recovery the trader has been told everything: its log and the exchange's state are the same."""
    rows = {row["client_order_id"]: row for row in state["orders"] if row["account"] == account}
    for order in trader.live():
        row = rows.pop(order.name, None)
        assert row is not None, f"acknowledged as resting, but gone: {order}"
        figures = [Decimal(row[name]) for name in ("quantity", "filled", "leaves", "price")]
        assert figures == [order.quantity, order.filled, order.leaves, order.price], f"{order}, {row}"
    assert not rows, f"resting without an acknowledgement: {rows}"
    name = trader.session.sender
    have = next(row["balances"] for row in state["accounts"] if row["account"] == account)
    for asset, expected in trader.balances.items():
        row = next((row for row in have if row["asset"] == asset), {"balance": "0", "held": "0"})
        assert Decimal(row["balance"]) == expected, f"{name} has {row}, its fills imply {expected} {asset}"


def check_held(trader, state, account, highest_fee):
    """What is held is what the resting orders need."""
    held = {"BTC": Decimal(0), "USD": Decimal(0)}
    for order in trader.live():
        if order.side == 1:
            held["USD"] += order.leaves * order.price * (1 + highest_fee)
        else:
            held["BTC"] += order.leaves
    have = next(row["balances"] for row in state["accounts"] if row["account"] == account)
    for row in have:
        expected = held.get(row["asset"], Decimal(0))
        assert Decimal(row["held"]) == expected, f"{row} held, the orders need {expected}"


def check_zero_sum(state, deposits):
    """All accounts together own what was deposited: fees and trades only move it."""
    totals = {}
    for account in state["accounts"]:
        # WORLD holds the opposite of everything.
        for row in account["balances"] if account["account"] != 0 else []:
            totals[row["asset"]] = totals.get(row["asset"], Decimal(0)) + Decimal(row["balance"])
    for asset, deposited in deposits.items():
        assert totals.get(asset, 0) == deposited, f"{totals.get(asset)} {asset} exist, {deposited} were deposited"

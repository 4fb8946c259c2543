"""The full life of orders by QuickFIX in FIX 4.2, 4.4 and 5.0SP2, each report held against QuickFIX's own dictionary."""
import contextlib
import json
import subprocess
import time
from decimal import Decimal

from server import Skip, binary, serving
from wire import now

try:
    from stock import VERSIONS, Stock
except ImportError:
    raise Skip("quickfix is not installed: .venv/bin/pip install -r tests/clients/requirements.txt") from None


@contextlib.contextmanager
def trading(version, *senders, logon=()):
    """A server and checked clients that are logged on; none of them may have found anything wrong in the end."""
    with serving() as process, contextlib.ExitStack() as stack:
        store = process.data.parent / "stock"
        clients = []
        for sender in senders:
            client = Stock(sender, process.port, store, version=version, checked=True, logon=logon)
            stack.callback(client.stop)
            clients.append(client)
        yield process, [client.logged_on() for client in clients]
        for client in clients:
            wrong = [message for message in client.sent if message.type in ("3", "j")]
            assert not wrong, f"{version}: {client.sender} rejects what it got: {wrong}"


def order(name, side, quantity, kind="2", price=None, **more):
    fields = [(11, name), (21, 1), (55, "BTC/USD"), (54, side), (60, now()), (38, quantity), (40, kind)]
    if price is not None:
        fields.append((44, price))
    return fields + [(int(tag[1:]), value) for tag, value in more.items()]


def admin(process, *arguments):
    """`rialto admin` on the running server."""
    done = subprocess.run(
        [binary(), "admin", "--data", process.data, "--json", *arguments],
        capture_output=True, text=True, timeout=30, check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def each_version(life):
    for version in VERSIONS:
        life(version)


def test_every_kind_of_order_lives_in_every_version():
    def life(version):
        with trading(version, "ALICE", "BOB") as (_, (alice, bob)):
            bob.send("D", order("bid", 1, "1", price="59000"))
            bob.send("D", order("offer", 2, "1", price="61000"))
            bob.wait("the offer", t11="offer", t39="0")
            display = 1138 if version == "FIX.5.0SP2" else 111
            kinds = {
                "ice": order("ice", 1, "2", price="58000", t111="1"),
                "hidden": order("hidden", 1, "1", price="58000", t111="0"),
                "post": order("post", 1, "1", price="58000", t18="6"),
                "aon": order("aon", 1, "1", price="58000", t18="G"),
                "gtd": order("gtd", 1, "1", price="58000", t59="6", t126="20400101-00:00:00"),
                "stop": order("stop", 1, "1", kind="4", price="62500", t99="62000"),
                "trail": order("trail", 1, "1", kind="4", price="70000", t1107="1", t211="500"),
                "peg": order("peg", 1, "1", kind="P", price="60000", t18="R"),
            }
            for name, fields in kinds.items():
                alice.send("D", fields)
                report = alice.wait(name, t35="8", t11=name, t39="0", t150="0")
                assert report[40] == dict(fields)[40], report
            assert Decimal(alice.wait("ice", t11="ice")[display]) == 1
            alice.send("D", order("taker", 1, "1", price="61000", t18="6"))
            assert "WouldTake" in alice.wait("the reject", t11="taker", t150="8")[58]
            # The best bid rises: the peg follows.
            bob.send("D", order("better", 1, "1", price="59500"))
            alice.wait("the restatement", t11="peg", t150="D", t378="3")
            # A trade at 62000 sets off the stop.
            bob.send("D", order("high", 2, "2", price="62000"))
            bob.send("D", order("hit", 1, "2", price="62000", t9104="0"))
            alice.wait("the trigger", t11="stop", t150="L" if version == "FIX.5.0SP2" else "D")
            replaced = order("ice2", 1, "4", price="58000", t111="1")
            alice.send("G", replaced + [(41, "ice")])
            alice.wait("the replace", t11="ice2", t41="ice", t150="5")
            alice.send("F", [(41, "ice2"), (11, "c1"), (55, "BTC/USD"), (54, 1), (60, now()), (38, 4)])
            alice.wait("the cancel", t11="c1", t41="ice2", t150="4")

    each_version(life)


def test_lists_and_mass_requests():
    def life(version):
        with trading(version, "ALICE") as (_, (alice,)):
            orders = [order(f"l{n}", 1, "1", price=str(50000 + n)) + [(67, n + 1)] for n in range(3)]
            alice.send("E", [(66, "batch"), (394, 3), (68, 3)], orders)
            for n in range(3):
                alice.wait("an order of the list", t35="8", t11=f"l{n}", t39="0")
            assert alice.wait("the list's status", t35="N", t66="batch")[431] == "3"
            if version == "FIX.4.2":
                return
            since = alice.send("AF", [(584, "s1"), (585, 7)])
            last = alice.wait("the last status", since, t35="8", t584="s1", t912="Y")
            assert last[911] == "3", last
            alice.send("q", [(11, "m1"), (530, 7), (60, now())])
            report = alice.wait("the mass cancel's report", t35="r", t11="m1")
            assert report[533] == "3" and report[531] == "7", report
            alice.send("AN", [(710, "p1"), (724, 0), (1, 2), (581, 1), (715, "20260101"), (60, now())])
            alice.wait("the positions", t35="AO", t710="p1")
            alice.send("BB", [(909, "b1")])
            alice.wait("the balances", t35="BA", t909="b1", t912="Y")

    each_version(life)


def test_missed_reports_of_special_orders_come_by_resend():
    def life(version):
        with trading(version, "ALICE", "BOB") as (_, (alice, bob)):
            alice.send("D", order("ice", 2, "3", price="60000", t111="1"))
            first = alice.wait("the acceptance", t11="ice", t39="0")
            alice.cable.cut()
            deadline = time.monotonic() + 15
            while alice.online.is_set() and time.monotonic() < deadline:
                time.sleep(0.01)
            bob.send("D", order("b", 1, "2", price="60000"))
            bob.wait("the trade", t11="b", t39="2")
            seen = len(alice.received)
            alice.cable.plug()
            alice.logged_on()
            missed = alice.wait("the missed report", seen, t11="ice", t14="2")
            assert missed[43] == "Y" and missed[37] == first[37], missed

    each_version(life)


def test_cancel_on_disconnect_by_logon():
    with trading("FIX.4.4", "ALICE", logon=[(35002, 1), (35003, 200)]) as (_, (alice,)):
        alice.send("D", order("a1", 1, "1", price="50000"))
        alice.wait("the acceptance", t11="a1", t39="0")
        alice.cable.cut()
        time.sleep(1.5)
        seen = len(alice.received)
        alice.cable.plug()
        alice.logged_on()
        gone = alice.wait("the cancellation", seen, t11="a1", t150="4")
        assert gone[58] == "Disconnected", gone


def test_the_operator_acts_on_a_running_exchange():
    with trading("FIX.4.4", "ALICE", "BOB") as (process, (alice, bob)):
        alice.send("D", order("a1", 2, "1", price="60000"))
        alice.wait("the acceptance", t11="a1", t39="0")
        bob.send("D", order("b1", 1, "0.5", price="60000"))
        trade = bob.wait("the trade", t11="b1", t39="2")
        assert trade[150] == "F"
        code, reply = admin(process, "bust", "1")
        assert code == 0 and reply["ok"], reply
        alice.wait("the trade's cancel", t11="a1", t150="H")
        assert admin(process, "bust", "1")[0] == 1
        assert admin(process, "halt", "BTC/USD")[0] == 0
        bob.send("D", order("b2", 1, "1", price="50000"))
        assert "WrongPhase" in bob.wait("the reject", t11="b2", t150="8")[58]
        assert admin(process, "resume", "BTC/USD")[0] == 0
        code, reply = admin(process, "cancel", "--session", "ALICE")
        assert code == 0 and reply["sequence"] > 0, reply
        assert alice.wait("the cancellation", t11="a1", t150="4")[58] == "Operator"
        assert admin(process, "kill", "bob")[0] == 0
        bob.send("D", order("b3", 1, "1", price="50000"))
        assert "AccountSuspended" in bob.wait("the reject", t11="b3", t150="8")[58]
        assert admin(process, "activate", "bob")[0] == 0
        code, reply = admin(process, "deposit", "bob", "1.5", "USD")
        assert code == 0 and reply["events"][-1]["amount_minor"] == 1_500_000, reply
        code, reply = admin(process, "withdraw", "bob", "99999999", "USD")
        assert code == 1 and "InsufficientFunds" in reply["error"], reply
        audit = (process.data / "admin.log").read_text().splitlines()
        assert len(audit) == 9 and json.loads(audit[0])["request"] == {"command": "bust", "trade_id": 1, "reference": 0}
        assert (process.data / "admin.sock").stat().st_mode & 0o777 == 0o600
        assert (process.data / "admin.log").stat().st_mode & 0o777 == 0o600

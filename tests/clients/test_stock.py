"""A day of a stock FIX client: QuickFIX with its own file store."""
import contextlib
import time
from decimal import Decimal

from server import Skip, serving
from wire import cancel, new_order, replace, status

try:
    from stock import Stock
except ImportError:
    raise Skip("quickfix is not installed: .venv/bin/pip install -r tests/clients/requirements.txt") from None


@contextlib.contextmanager
def trading(*senders):
    """A server and stock clients that are logged on."""
    with serving() as process, contextlib.ExitStack() as stack:
        store = process.data.parent / "stock"
        clients = [Stock(sender, process.port, store) for sender in senders]
        for client in clients:
            stack.callback(client.stop)
        yield [client.logged_on() for client in clients]


def same(message, **wanted):
    """Compares tags as numbers: 100 and 100.00 are the same price."""
    for tag, value in wanted.items():
        got = message[int(tag[1:])]
        assert Decimal(got) == Decimal(value), f"tag {tag[1:]} is {got}, not {value}: {message}"


def send_order(client, name, side, quantity, price, **more):
    return client.send("D", new_order(name, side, quantity, price, **more))


def test_rest_trade_replace_cancel_and_status():
    with trading("ALICE", "BOB") as (alice, bob):
        send_order(alice, "a1", 2, "0.5", "60000")
        accepted = alice.wait("the acceptance", t35="8", t11="a1", t150="0", t39="0")
        same(accepted, t38="0.5", t44="60000", t151="0.5", t14="0", t54="2")
        assert accepted[37] and accepted[17] and accepted[55] == "BTC/USD"

        send_order(bob, "b1", 1, "0.2", "60500", time_in_force=3)
        bought = bob.wait("the trade", t35="8", t11="b1", t150="F", t39="2")
        same(bought, t31="60000", t32="0.2", t14="0.2", t151="0")
        sold = alice.wait("the trade", t35="8", t11="a1", t150="F", t39="1")
        same(sold, t31="60000", t32="0.2", t14="0.2", t151="0.3")
        assert sold[37] == accepted[37] and sold[17] != accepted[17]

        since = alice.send("H", status("a1", 2))
        known = alice.wait("the status", since, t35="8", t150="I", t39="1", t11="a1")
        same(known, t14="0.2", t151="0.3")

        alice.send("G", replace("a2", "a1", 2, "0.8", "60100"))
        replaced = alice.wait("the replace", t35="8", t150="5", t11="a2", t41="a1")
        same(replaced, t38="0.8", t44="60100", t14="0.2", t151="0.6")

        alice.send("F", cancel("a3", "a2", 2))
        canceled = alice.wait("the cancel", t35="8", t150="4", t39="4", t11="a3", t41="a2")
        same(canceled, t14="0.2", t151="0")
        since = alice.send("F", cancel("a4", "a2", 2))
        refused = alice.wait("the cancel's reject", since, t35="9", t11="a4", t41="a2")
        assert refused[434] == "1" and refused[102], refused


def test_rejects_name_their_reason_and_cost_nothing():
    with trading("ALICE") as (alice,):
        send_order(alice, "live", 1, "0.1", "50000")
        alice.wait("the acceptance", t11="live", t150="0")
        for name, order in [
            ("unknown symbol", new_order("r1", 1, "0.1", "50000", symbol="NO/SUCH")),
            ("quantity 0", new_order("r2", 1, "0", "50000")),
            ("quantity below a lot", new_order("r3", 1, "0.00001", "50000")),
            ("negative quantity", new_order("r4", 1, "-1", "50000")),
            ("price between ticks", new_order("r5", 1, "0.1", "50000.001")),
            ("more than its funds", new_order("r6", 1, "1000", "900000")),
            ("duplicate ClOrdID", new_order("live", 1, "0.1", "50000")),
        ]:
            since = alice.send("D", order)
            reject = alice.wait(f"the reject: {name}", since, t35="8", t150="8", t39="8", t11=dict(order)[11])
            assert reject[58] and reject[103], f"{name}: {reject}"
            same(reject, t14="0", t151="0")
        for kind, order in [("G", replace("r7", "nobody", 1, "1", "50000")), ("F", cancel("r8", "nobody", 1))]:
            since = alice.send(kind, order)
            reject = alice.wait("the cancel's reject", since, t35="9", t11=dict(order)[11])
            assert reject[434] == ("2" if kind == "G" else "1") and reject[58], reject
        since = alice.send("H", status("live", 1))
        same(alice.wait("the status", since, t150="I", t39="0", t11="live"), t14="0", t151="0.1")


def test_missed_reports_come_by_resend_request():
    with trading("ALICE", "BOB") as (alice, bob):
        send_order(alice, "a1", 2, "0.5", "60000")
        alice.wait("the acceptance", t11="a1", t150="0")
        alice.cable.cut()
        deadline = time.monotonic() + 15
        while alice.online.is_set() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not alice.online.is_set(), "the client has not noticed that its connection is gone"

        for n in range(3):
            send_order(bob, f"b{n}", 1, "0.1", "60000", time_in_force=3)
            bob.wait("the trade", t11=f"b{n}", t150="F", t39="2")
        seen, asked = len(alice.received), len(alice.sent)
        alice.cable.plug()
        alice.logged_on()
        for filled in ("0.1", "0.2", "0.3"):
            report = alice.wait(f"the missed report at {filled}", seen, t150="F", t11="a1", t14=filled)
            same(report, t32="0.1", t31="60000")
            assert report[43] == "Y" and report[122], f"not marked as a possible duplicate: {report}"
        requests = [message for message in alice.sent[asked:] if message.type == "2"]
        assert requests, "recovered without a ResendRequest"
        trades = [message for message in alice.received[seen:] if message.get(150) == "F"]
        assert len({trade[17] for trade in trades}) == len(trades) == 3, trades

        send_order(bob, "b9", 1, "0.1", "60000", time_in_force=3)
        live = alice.wait("a live report", seen, t150="F", t11="a1", t14="0.4")
        assert live.get(43) != "Y", live


def test_numbers_go_on_after_the_client_restarts():
    with serving() as process:
        store = process.data.parent / "stock"
        first = Stock("ALICE", process.port, store).logged_on()
        send_order(first, "a1", 1, "0.1", "50000")
        first.wait("the acceptance", t11="a1", t150="0")
        first.stop()
        # The same file store on another cable: QuickFIX goes on with its numbers.
        second = Stock("ALICE", process.port, store).logged_on()
        logon = second.wait("the Logon", t35="A")
        assert logon.sequence > 1, logon
        second.send("F", cancel("a2", "a1", 1))
        second.wait("the cancel", t11="a2", t150="4")
        second.stop()


def test_unknown_user_and_wrong_password_are_refused():
    with serving() as process:
        store = process.data.parent / "stock"
        for sender, username, password in [
            ("MALLORY", "mallory", "mallory-secret"),
            ("ALICE", "alice", "wrong"),
            ("ALICE", "mallory", "alice-secret"),
        ]:
            client = Stock(sender, process.port, store / password, password, username)
            assert not client.online.wait(3), f"{sender} {username} {password} got in"
            # The Logon did go out, and the server took the connection.
            assert [message for message in client.sent if message.type == "A"], "no Logon was sent"
            client.stop()
    # QuickFIX tries again and again, so ALICE is locked out there by now; a server that has seen nothing lets her in.
    with serving() as process:
        client = Stock("ALICE", process.port, process.data.parent / "right").logged_on()
        client.stop()

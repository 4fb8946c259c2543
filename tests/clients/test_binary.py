"""Binary order entry by a client that was written from docs/binary.md, beside FIX clients on the same books."""
import contextlib
import re
import socket
import ssl
import subprocess
import sys

import binary_client
from binary_client import BUY, SELL, Client, Ended
from certificates import Authority
from server import Server, ask, eventually, folder
from test_tls import configuration
from wire import Session, new_order

BTC_USD = 1
NO_CANCEL = "\n[binary]\nbind = '127.0.0.1:0'\ntls_bind = '127.0.0.1:0'\ncancel_on_disconnect = false\n"


def port(process, what="binary order entry"):
    found = [re.fullmatch(what + r" listening on .*:(\d+)", line) for line in process.lines]
    return next(int(it.group(1)) for it in found if it)


@contextlib.contextmanager
def serving(*more):
    """A server whose end is the test's matter."""
    with folder() as path:
        process = Server(path / "data", *(more or ("--binary-bind", "127.0.0.1:0"))).start()
        try:
            yield process
        finally:
            if process.is_running():
                process.kill()


def log_on(process, user, from_sequence=0):
    return Client("127.0.0.1", port(process), user, f"{user}-secret", from_sequence)


def accepted(client, name):
    wanted = lambda event: event.kind == binary_client.ORDER_ACCEPTED_KIND and event.fields[6].rstrip(b"\0") == name.encode()
    return client.wait(wanted, f"the acceptance of {name}")


def test_binary_and_fix_clients_trade_with_each_other():
    with serving() as process:
        alice, bob = log_on(process, "alice"), Session("BOB").connect(process.port)
        bob.logon()
        # 0.5 BTC at 60,000: lots of 0.0001, ticks of 0.01.
        alice.order("a1", SELL, BTC_USD, 5000, 6_000_000)
        order_id = accepted(alice, "a1").fields[0]
        bob.send("D", new_order("b1", 1, "0.2", "60000"))
        fill = bob.wait(lambda message: message.get(150) == "F", "the trade")
        assert (float(fill[31]), float(fill[32])) == (60000, 0.2), fill
        trade = alice.wait(lambda event: event.kind == binary_client.TRADE_KIND, "the trade").fields
        assert (trade[1], trade[2], trade[3], trade[4]) == (order_id, 0, 6_000_000, 2000), trade
        assert (trade[10], trade[11]) == (alice.account, 0), "nothing of bob is seen"
        alice.cancel("c1", order_id, BTC_USD)
        canceled = alice.wait(lambda event: event.kind == binary_client.ORDER_CANCELED_KIND, "the cancellation")
        assert canceled.fields[1] == 3000 and canceled.is_last, canceled
        alice.order("x", BUY, BTC_USD, 1, 1, account=3)
        while not alice.refusals:
            alice.pump()
        number, kind, reason, name = alice.refusals[0]
        assert (number, kind, reason, name.rstrip(b"\0")) == (3, 6, 4, b"x")
        alice.logout()
        bob.logout()
        assert process.terminate() == 0, process.errors()
        assert ask("replay", process.data)["identical"] is True


def test_what_was_seen_live_comes_again_after_kill_9():
    with folder() as path:
        Authority(path, "authority").sign("server", "localhost")
        file = configuration(path)
        file.write_text(file.read_text().replace("\n[[assets]]", NO_CANCEL + "\n[[assets]]", 1))
        process = Server(path / "data", "--config", file).start()
        alice = log_on(process, "alice", 1).catch_up()
        for number in range(200):
            alice.order(f"a{number}", BUY if number % 2 else SELL, BTC_USD, 10 + number, 6_000_000 + number % 7)
        last = accepted(alice, "a199")
        while not last.is_last and not any(event.sequence == last.sequence and event.is_last for event in alice.events):
            alice.pump()
        process.kill()
        process.start()
        seen = sorted([*alice.events, last], key=lambda event: (event.sequence, event.index))
        again = log_on(process, "alice", 1).catch_up()
        sequence_of_last = last.sequence
        old = [event.bytes for event in again.events if event.sequence <= sequence_of_last]
        lost = [event for event in again.events if event.kind == binary_client.ORDER_ACCEPTED_KIND]
        assert len(lost) == 200, len(lost)
        missing_from_live = [it for it in old if it not in {event.bytes for event in seen}]
        # `accepted` took only the last acceptance out of the list; all others are still there.
        assert not missing_from_live and len(old) == len(seen), (len(old), len(seen))
        half = seen[len(seen) // 2].sequence
        again.close()

        def from_half():
            part = log_on(process, "alice", half).catch_up()
            got = [event.bytes for event in part.events if event.sequence <= sequence_of_last]
            assert got == [event.bytes for event in seen if event.sequence >= half]
            part.close()

        # The connection before may not be seen to have ended yet.
        eventually(lambda: retry_login(from_half))
        secure = ssl.create_default_context(cafile=path / "authority.pem")
        tls_port = port(process, "binary order entry over TLS")
        stream = socket.create_connection(("127.0.0.1", tls_port), timeout=10)
        stream = secure.wrap_socket(stream, server_hostname="localhost")
        bob = Client(None, None, "bob", "bob-secret", stream=stream)
        bob.order("b1", BUY, BTC_USD, 1, 1)
        accepted(bob, "b1")
        bob.close()
        audit = (process.data / "binary-logons.log").read_text()
        assert '"tls":true,"sender_comp_id":"bob","accepted":true' in audit, audit
        process.kill()


def retry_login(attempt):
    try:
        attempt()
    except Ended as reason:
        raise AssertionError(str(reason)) from None


def test_orders_of_a_lost_session_are_cancelled():
    with serving() as process:
        alice = log_on(process, "alice")
        alice.order("a1", BUY, BTC_USD, 10, 1_000_000)
        first = accepted(alice, "a1").sequence
        alice.close()

        def canceled():
            again = log_on(process, "alice", first).catch_up()
            reasons = [event.fields[7] for event in again.events if event.kind == binary_client.ORDER_CANCELED_KIND]
            again.close()
            assert reasons == [13], reasons

        eventually(lambda: retry_login(canceled))
        eventually(lambda: retry_login(lambda: enter(process, "a2")))
        process.kill()
        process.start()
        eventually(lambda: no_orders(process))


def enter(process, name):
    alice = log_on(process, "alice")
    alice.order(name, BUY, BTC_USD, 10, 1_000_000)
    accepted(alice, name)


def no_orders(process):
    orders = [order for order in ask("state", process.data)["orders"] if order["client_order_id"] == "a2"]
    assert not orders, orders


def test_nobody_gets_in_without_a_password_and_no_secret_is_written():
    with serving() as process:
        for user, password in (("alice", "wrong-guess"), ("mallory", "wrong-guess"), ("", "")):
            try:
                Client("127.0.0.1", port(process), user, password)
                raise AssertionError(f"{user} is logged on")
            except Ended as reason:
                assert str(reason) == "login rejected: A", reason
        with socket.create_connection(("127.0.0.1", port(process)), timeout=10) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert stranger.recv(100) == b"", "strangers are not answered"
        log_on(process, "alice").logout()
        fix = Session("BOB").connect(process.port)
        fix.logon()
        fix.logout()
        wrong = Session("CAROL", password="wrong-guess").connect(process.port)
        wrong.send("A", [(98, 0), (108, 30), (553, "carol"), (554, "wrong-guess")])
        assert wrong.wait_closed()
        audit = (process.data / "binary-logons.log").read_text()
        assert audit.count('"accepted":false') == 3 and audit.count('"accepted":true') == 1, audit
        assert process.terminate() == 0, process.errors()
        written = [path for path in process.data.rglob("*") if path.is_file()]
        everything = b"".join(path.read_bytes() for path in written)
        everything += process.data.with_suffix(".log").read_bytes() + "\n".join(process.lines).encode()
        for secret in (b"alice-secret", b"bob-secret", b"wrong-guess", b"argon2"):
            assert secret not in everything, secret


def test_the_example_client_is_what_its_help_says():
    with serving() as process:
        script = binary_client.__file__
        base = [sys.executable, script, "127.0.0.1", str(port(process)), "alice", "alice-secret"]
        bought = subprocess.run([*base, "buy", "1", "10", "100"], capture_output=True, text=True, timeout=30)
        assert bought.returncode == 0 and "0x8006" in bought.stdout and "0x8007" in bought.stdout, bought

        def events():
            seen = subprocess.run([*base, "events", "1"], capture_output=True, text=True, timeout=30)
            assert seen.returncode == 0 and "0x8002" in seen.stdout and "0x8006" in seen.stdout, seen

        eventually(events)

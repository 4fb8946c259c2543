"""Odd bytes and broken session rules, built with simplefix. The server answers by the FIX session rules, and lives."""
import contextlib
import time

from server import Skip, serving
from wire import Session, WireError, encode, new_order, now

try:
    import simplefix
except ImportError:
    raise Skip("simplefix is not installed: .venv/bin/pip install -r tests/clients/requirements.txt") from None


def built(client, kind, sequence, pairs=(), sender=None, target="RIALTO", **changed):
    """Bytes of a message by simplefix; `length` and `check` replace BodyLength and CheckSum."""
    message = simplefix.FixMessage()
    message.append_pair(8, "FIX.4.4", header=True)
    for tag, value in [(35, kind), (49, sender or client.sender), (56, target), (34, sequence), (52, now())]:
        message.append_pair(tag, value, header=True)
    for tag, value in pairs:
        message.append_pair(tag, value)
    data = message.encode()
    if "length" in changed:
        fields = data.split(b"\x01")
        fields[1] = b"9=%d" % (int(fields[1][2:]) + changed["length"])
        data = b"\x01".join(fields)
    if "check" in changed:
        data = data[:-4] + b"%03d\x01" % ((int(data[-4:-1]) + changed["check"]) % 256)
    return data


def logon_pairs(client):
    return [(98, 0), (108, 30), (553, client.username), (554, client.password)]


@contextlib.contextmanager
def logged_on(sender="ALICE"):
    """A server and a client on it. Afterwards the server must still serve another client."""
    with serving() as process:
        client = Session(sender).connect(process.port)
        client.logon()
        yield process, client
        client.cut()
        still_serves(process)


def still_serves(process):
    other = Session("CAROL").connect(process.port)
    other.logon(reset=True)
    other.ping()
    other.logout()


def refused(process, client, data):
    """Sends before a Logon and asserts that the connection ends without one."""
    client.connect(process.port)
    client.send_bytes(data)
    assert client.wait_closed(15), f"the connection stays open: {client.received}"
    assert not [message for message in client.received if message.type == "A"], client.received
    client.received.clear()
    client.next_in = 1


def test_garbage_before_a_logon_is_not_served():
    with serving() as process:
        odd = Session("ALICE")
        refused(process, odd, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)
        refused(process, odd, bytes(range(256)) * 64)
        refused(process, odd, b"8=FIX.4.4\x019=99999999999999999999\x0135=A\x01" + b"1" * 20000)
        refused(process, odd, b"8=FIX.4.2\x019=5\x0135=A\x0110=000\x01" + b"0" * 20000)
        still_serves(process)


def test_the_first_message_must_be_a_logon():
    with serving() as process:
        odd = Session("ALICE")
        refused(process, odd, encode(odd.header("D", 1) + new_order("x1", 1, "0.01", "50000")))
        refused(process, odd, built(odd, "1", 1, [(112, "ping")]))
        still_serves(process)


def test_wrong_comp_ids_user_and_password_are_refused():
    with serving() as process:
        odd = Session("ALICE")
        right = logon_pairs(odd)
        refused(process, odd, built(odd, "A", 1, right, sender="MALLORY"))
        refused(process, odd, built(odd, "A", 1, right, target="ELSEWHERE"))
        refused(process, odd, built(odd, "A", 1, right[:2] + [(553, "alice"), (554, "wrong")]))
        refused(process, odd, built(odd, "A", 1, right[:2] + [(553, "mallory"), (554, "alice-secret")]))
        refused(process, odd, built(odd, "A", 1, right[:2] + [(553, "bob"), (554, "bob-secret")]))
        refused(process, odd, built(odd, "A", 1, right[:2]))
        good = Session("ALICE").connect(process.port)
        good.logon(reset=True)


def test_a_message_with_a_wrong_checksum_was_never_received():
    with logged_on() as (_, client):
        client.send_bytes(built(client, "1", client.next_out, [(112, "damaged")], check=1))
        client.ping()
        assert not [message for message in client.received if message.get(112) == "damaged"]


def test_a_wrong_body_length_is_not_taken_for_a_message():
    for off in (-1, 1, -20, 20):
        with logged_on() as (process, client):
            client.send_bytes(built(client, "1", client.next_out, [(112, "damaged")], length=off))
            try:
                client.ping()
            except WireError:
                # As in QuickFIX, one that claims to be longer than it is takes the beginning of the next message with
                # it; the gap shows with the message after that.
                assert off > 0 and not client.closed, "neither answered nor asked for again"
                client.ping()
            assert not [message for message in client.received if message.get(112) == "damaged"]


def test_an_oversized_message_ends_only_its_own_connection():
    with logged_on() as (process, client):
        bystander = Session("BOB").connect(process.port)
        bystander.logon()
        client.send_bytes(built(client, "1", client.next_out, [(112, "x" * 1_000_000)]))
        assert client.wait_closed(), "a message of a megabyte was taken"
        bystander.ping()
        client.connect(process.port).logon()
        client.ping()


def test_one_byte_at_a_time():
    with serving() as process:
        client = Session("ALICE").connect(process.port)
        data = built(client, "A", 1, logon_pairs(client)) + built(client, "1", 2, [(112, "slow")])
        client.next_out = 3
        for at in range(len(data)):
            client.send_bytes(data[at : at + 1])
            if at % 16 == 0:
                # So that the bytes really travel apart.
                time.sleep(0.001)
        client.wait(lambda message: message.type == "A", "the Logon")
        client.wait(lambda message: message.get(112) == "slow", "the Heartbeat")


def test_many_messages_in_one_packet_are_answered_in_order():
    with logged_on() as (_, client):
        first = client.next_out
        client.next_out += 20
        client.send_bytes(b"".join(built(client, "1", first + n, [(112, f"p{n}")]) for n in range(20)))
        answers = [client.wait(lambda message: message.type == "0", "a Heartbeat")[112] for _ in range(20)]
        assert answers == [f"p{n}" for n in range(20)], answers


def test_a_gap_is_asked_for_and_filled():
    with logged_on() as (_, client):
        missing = client.next_out
        client.send_bytes(built(client, "1", missing + 3, [(112, "early")]))
        # The session answers the ResendRequest with a gap fill up to here.
        client.next_out = missing + 4
        asked = client.wait(lambda message: message.type == "2", "a ResendRequest")
        assert int(asked[7]) == missing and asked[16] in ("0", str(missing + 2)), asked
        client.ping()


def test_a_number_too_low_ends_the_session_with_a_reason():
    with logged_on() as (process, client):
        client.ping()
        client.send_bytes(built(client, "1", 1, [(112, "old")]))
        logout = client.wait(lambda message: message.type == "5", "a Logout")
        assert "too low" in logout[58], logout
        assert client.wait_closed()
        client.connect(process.port).logon()


def test_a_possible_duplicate_is_ignored():
    with logged_on() as (_, client):
        client.ping()
        client.send_bytes(encode(client.header("1", 2, [(43, "Y"), (122, now())]) + [(112, "again")]))
        client.ping()
        assert not [message for message in client.received if message.get(112) == "again"]


def test_a_second_connection_of_the_same_session_does_not_take_over_both():
    with logged_on() as (process, client):
        second = Session("ALICE")
        second.next_out, second.next_in = client.next_out, client.next_in
        second.connect(process.port)
        second.send("A", logon_pairs(second))
        ended = []
        for _ in range(100):
            ended = [one for one in (client, second) if one.wait_closed(0.05)]
            if ended:
                break
        assert len(ended) == 1, f"{len(ended)} of two connections of one session have ended"
        survivor = second if ended == [client] else client
        survivor.ping()


def test_a_second_logon_inside_a_session_does_not_log_on_again():
    with logged_on() as (process, client):
        client.send_bytes(built(client, "A", client.next_out, logon_pairs(client)))
        client.next_out += 1
        reject = client.wait(lambda message: message.type in ("3", "5"), "a Reject or a Logout")
        if reject.type == "3":
            client.ping()


def test_a_reset_logon_starts_both_numbers_at_1():
    with logged_on() as (process, client):
        client.ping()
        client.logout()
        client.connect(process.port)
        answer = client.logon(reset=True)
        assert answer.sequence == 1 and answer.get(141) == "Y", answer
        client.ping()


def test_bad_fields_are_rejected_by_tag_and_the_session_goes_on():
    order = new_order("r1", 1, "0.01", "50000")
    cases = [
        ([pair for pair in order if pair[0] != 54], "54", "1"),
        ([(tag, "" if tag == 55 else value) for tag, value in order], "55", "4"),
        ([(tag, "7x" if tag == 38 else value) for tag, value in order], "38", "6"),
        ([(tag, "Z" if tag == 54 else value) for tag, value in order], "54", "5"),
    ]
    with logged_on() as (_, client):
        for fields, tag, reason in cases:
            client.send("D", fields)
            reject = client.wait(lambda message: message.type in ("3", "8", "j"), f"a Reject for tag {tag}")
            assert (reject.type, reject[371], reject[373]) == ("3", tag, reason), reject
            client.ping()
        client.send("V", [(262, "x")])
        reject = client.wait(lambda message: message.type in ("3", "j"), "a BusinessMessageReject")
        assert reject.get(372) == "V", reject
        client.ping()

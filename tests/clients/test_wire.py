"""The tests' own codec, against a published one."""
from server import Skip
from wire import Parser, WireError, encode, new_order

LOGON = [(35, "A"), (49, "ALICE"), (56, "RIALTO"), (34, 1), (52, "20260101-00:00:00.000"), (98, 0), (108, 30)]


def test_a_message_comes_back_from_any_cut():
    data = encode(LOGON) + encode([(35, "D"), (34, 2), *new_order("a", 1, "0.5", "100")])
    for cut in range(len(data)):
        parser = Parser()
        messages = parser.feed(data[:cut]) + parser.feed(data[cut:])
        assert [message.type for message in messages] == ["A", "D"], cut
        assert messages[1][44] == "100" and parser.buffer == b""


def test_damage_is_noticed():
    good = encode(LOGON)
    length = good.split(b"\x01")[1]
    for bad in (
        good.replace(b"49=ALICE", b"49=ALICF"),
        good.replace(length, b"9=%d" % (int(length[2:]) - 1)),
        b"x" + good,
        good.replace(b"FIX.4.4", b"FIX.4.2"),
    ):
        try:
            Parser().feed(bad)
        except WireError:
            continue
        raise AssertionError(f"taken for a message: {bad!r}")


def test_simplefix_writes_and_reads_the_same_bytes():
    try:
        import simplefix
    except ImportError:
        raise Skip("simplefix is not installed") from None
    message = simplefix.FixMessage()
    for tag, value in [(8, "FIX.4.4"), *LOGON]:
        message.append_pair(tag, value)
    assert message.encode() == encode(LOGON)
    parser = simplefix.FixParser()
    parser.append_buffer(encode(LOGON))
    pairs = [(int(tag), value.decode()) for tag, value in parser.get_message().pairs]
    assert pairs == Parser().feed(encode(LOGON))[0].fields

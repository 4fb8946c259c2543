"""Drop copies on a session of QuickFIX: each checked by QuickFIX against its dictionary, replayed from the journal."""
import contextlib
import xml.etree.ElementTree as xml

from server import Server, Skip, folder, run
from wire import cancel, new_order

try:
    from stock import VERSIONS, Stock, dictionary_file
except ImportError:
    raise Skip("quickfix is not installed: .venv/bin/pip install -r tests/clients/requirements.txt") from None

TRADERS = ("ALICE", "BOB")

FIELDS = {
    1180: ("ApplID", "STRING"), 1181: ("ApplSeqNum", "INT"), 1346: ("ApplReqID", "STRING"), 1347: ("ApplReqType", "INT"),
    1348: ("ApplResponseType", "INT"), 1351: ("NoApplIDs", "NUMINGROUP"), 1352: ("ApplResendFlag", "BOOLEAN"),
    1353: ("ApplResponseID", "STRING"), 1355: ("RefApplID", "STRING"), 1356: ("ApplReportID", "STRING"),
    1357: ("RefApplLastSeqNum", "INT"), 1426: ("ApplReportType", "INT"),
}
"""What FIX 5.0SP1 added and drop copies of earlier versions use, as docs/fix.md says."""


def dictionary(version, path):
    """What QuickFIX is to check against: its own dictionary, or for a version without these messages that with them."""
    if version == "FIX.5.0SP2":
        return True
    tree = xml.parse(dictionary_file(version))
    root = tree.getroot()

    def add(to, *tags):
        for tag in tags:
            xml.SubElement(to, "field", name=FIELDS[tag][0], required="N")

    add(root.find("messages/message[@msgtype='8']"), 1180, 1181, 1352)
    answers = [("BX", "ApplicationMessageRequestAck", 1353, 1346, 1347, 1348), ("BY", "ApplicationMessageReport", 1356, 1346, 1426)]
    for kind, name, *tags in answers:
        message = xml.SubElement(root.find("messages"), "message", name=name, msgcat="app", msgtype=kind)
        add(message, *tags)
        add(xml.SubElement(message, "group", name="NoApplIDs", required="N"), 1355, 1357)
    for number, (name, kind) in FIELDS.items():
        xml.SubElement(root.find("fields"), "field", number=str(number), name=name, type=kind)
    kinds = root.find("fields/field[@number='35']")
    for kind, name, *_ in answers:
        xml.SubElement(kinds, "value", enum=kind, description=name.upper())
    file = path / f"{version}.xml"
    tree.write(file)
    return file


def configuration(path):
    """The embedded one, with a firm of ALICE and BOB, another of CAROL, and a session DROP for the first firm's copies."""
    text = run("config").stdout
    hashed = text.split('sender_comp_id = "CAROL"')[1].split('password_hash = "')[1].split('"')[0]
    for name in TRADERS:
        text = text.replace(f'sender_comp_id = "{name}"', f'sender_comp_id = "{name}"\nfirm = "desk"')
    text = text.replace('sender_comp_id = "CAROL"', 'sender_comp_id = "CAROL"\nfirm = "others"')
    user = f'[[users]]\nsender_comp_id = "DROP"\nusername = "drop"\npassword_hash = "{hashed}"\n'
    user += 'permissions = ["drop_copy"]\nfirm = "desk"\n\n'
    text = text.replace("[demo]", user + "[demo]", 1)
    # Tables of tables stand behind all others.
    text += "\n[firms.desk]\n\n[firms.others]\n"
    file = path / "exchange.toml"
    file.write_text(text)
    return file


def order(*fields):
    """FIX.4.2 requires HandlInst."""
    return [*new_order(*fields), (21, 1)]


def replay(drop, name, first):
    """Asks for all copies from a sequence on."""
    application = [(1355, "desk"), (1182, first), (1183, 0)]
    return drop.send("BW", [(1346, name), (1347, 0)], [application], group=(1351, 1355))


def executions(messages):
    return [message for message in messages if message.type == "8"]


def ids(messages):
    return sorted(message[17] for message in messages)


def live(version):
    with folder() as path, contextlib.ExitStack() as stack:
        server = Server(path / "data", "--config", configuration(path)).start()
        stack.callback(lambda: server.is_running() and server.kill())

        def client(sender, **more):
            it = Stock(sender, server.port, path / "stock", version=version, **more)
            stack.callback(it.stop)
            return it.logged_on()

        drop = client("DROP", password="carol-secret", checked=dictionary(version, path))
        alice, bob, carol = client("ALICE"), client("BOB"), client("CAROL")
        alice.send("D", order("a1", 2, "0.5", "60000"))
        alice.wait("the acceptance", t11="a1", t150="0")
        bob.send("D", order("b1", 1, "0.2", "60000"))
        bob.wait("the trade", t11="b1", t39="2")
        alice.wait("the trade", t11="a1", t39="1")
        alice.send("F", cancel("a2", "a1", 2))
        alice.wait("the cancel", t11="a2", t39="4")
        carol.send("D", order("c1", 1, "0.1", "50000"))
        carol.wait("the acceptance", t11="c1", t150="0")

        drop.wait("the copy of the cancel", t35="8", t11="a2", t39="4")
        originals = ids(executions(alice.received) + executions(bob.received))
        copies = executions(drop.received)
        assert ids(copies) == originals, f"{version}: {ids(copies)} are not copies of {originals}"
        for copy in copies:
            assert copy[1180] == "desk" and copy[1181] == copy[17].split("-")[0], copy
            assert copy.get(797) == (None if version == "FIX.4.2" else "Y"), copy

        # All of it again after a kill, from the event journal: by number, and by sequence.
        server.kill()
        server.start()
        drop.cable.server_port = server.port
        drop.cable.cut()
        drop.online.clear()
        drop.cable.plug()
        drop.logged_on()
        since = replay(drop, "again", 1)
        drop.wait("the acceptance of the replay", since, t35="BX", t1346="again", t1348="0")
        drop.wait("the replay's end", since, t35="BY", t1426="3")
        replayed = [it for it in executions(drop.received[since:]) if it.get(1352) == "Y"]
        assert ids(replayed) == originals, f"{version}: {ids(replayed)} is no replay of {originals}"
        body = lambda it: [field for field in it.fields if field[0] not in (8, 9, 34, 52, 10, 1352, 43, 122)]
        firsts = {copy[17]: body(copy) for copy in copies}
        for again in replayed:
            assert sorted(body(again)) == sorted(firsts[again[17]]), f"{again} is not {firsts[again[17]]}"
        from_there = max(int(copy[1181]) for copy in copies)
        since = replay(drop, "end", from_there)
        drop.wait("the second replay's end", since, t35="BY")
        part = [it for it in executions(drop.received[since:]) if it.get(1352) == "Y"]
        assert part and all(int(it[1181]) == from_there for it in part), part
        assert not [it for it in drop.sent if it.type in ("3", "j")], "QuickFIX rejects what it got"


def test_a_firms_executions_are_copied_and_replayed():
    for version in VERSIONS:
        live(version)

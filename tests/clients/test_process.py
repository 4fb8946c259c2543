"""Starting, stopping, and refusing to start."""
import re

import server
from server import Server, ask, eventually, folder, run, serving
from wire import Session, new_order


def rest_an_order(client, name, side=1, price="50000"):
    client.send("D", new_order(name, side, "0.01", price))
    report = client.wait(lambda message: message.get(11) == name, f"the report of {name}")
    assert (report.type, report[150], report[39]) == ("8", "0", "0"), report
    return report


def test_sigterm_logs_clients_out_and_ends_with_0():
    with folder() as path:
        process = Server(path / "data").start()
        alice = Session("ALICE").connect(process.port)
        alice.logon()
        rest_an_order(alice, "a1")
        process.process.terminate()
        alice.wait(lambda message: message.type == "5", "a Logout")
        alice.send("5", [])
        assert alice.wait_closed(), "the connection stays open after the Logout"
        code = process.wait()
        assert code == 0, f"exit code {code}: {process.errors()}"


def test_an_order_rests_through_stop_and_start_and_the_journal_replays():
    with folder() as path:
        process = Server(path / "data").start()
        alice = Session("ALICE").connect(process.port)
        alice.logon()
        report = rest_an_order(alice, "a1")
        alice.logout()
        assert process.terminate() == 0, process.errors()
        before = ask("state", path / "data")
        order = next(order for order in before["orders"] if order["client_order_id"] == "a1")
        assert str(order["order_id"]) == report[37] or report[37], (order, report)
        process.start()
        alice.connect(process.port).logon()
        alice.send("F", [(41, "a1"), (11, "a2"), (55, "BTC/USD"), (54, 1), (60, "20260101-00:00:00"), (37, report[37])])
        canceled = alice.wait(lambda message: message.get(11) == "a2", "the report of the cancel")
        assert (canceled[150], canceled[39], canceled[37]) == ("4", "4", report[37]), canceled
        assert process.terminate() == 0, process.errors()
        replay = ask("replay", path / "data")
        assert replay["identical"] is True, replay
        after = ask("state", path / "data")
        assert not [order for order in after["orders"] if order["client_order_id"] == "a1"]
        assert replay["state_hash"] == after["state_hash"]


def test_a_second_process_on_the_same_folder_is_refused_by_name():
    with serving() as process:
        second = run("serve", "--data", process.data, "--fix-bind", "127.0.0.1:0", timeout=30)
        said = second.stderr + second.stdout
        assert second.returncode != 0, said
        assert "lock" in said.lower() and process.data.name in said, said
        assert server.LISTENING not in said, said


def test_the_lock_of_a_killed_process_is_free():
    with folder() as path:
        process = Server(path / "data").start()
        process.kill()
        process.start()
        assert process.terminate() == 0, process.errors()


def refused_config(change):
    """What serve says about the default configuration after `change`, and the changed line's number."""
    with folder() as path:
        lines = run("config").stdout.splitlines()
        at, text = change(lines)
        file = path / "bad.toml"
        file.write_text("\n".join(lines[: at - 1] + [text] + lines[at:]) + "\n")
        done = run("serve", "--config", file, "--data", path / "data", "--fix-bind", "127.0.0.1:0", timeout=30)
        assert done.returncode != 0, done
        assert "bad.toml" in done.stderr, done.stderr
        return done.stderr, at


def line_of(lines, start):
    return next(at for at, line in enumerate(lines, 1) if line.startswith(start))


def test_a_malformed_configuration_is_refused_with_file_and_line():
    for start, text in [
        ("durability", 'durability = = "disk"'),
        ("durability", 'durability = "paper"'),
        ("[fix]", "[fix]\nno_such_key = 1"),
        ("bind", "bind = 9878"),
    ]:
        said, at = refused_config(lambda lines: (line_of(lines, start), text))
        allowed = {at, at + text.count("\n")}
        named = {int(number) for number in re.findall(r"line (\d+)|:(\d+)", said) for number in number if number}
        assert named & allowed, f"{text!r} stands in line {at}: {said}"


def test_a_configuration_that_cannot_be_is_refused_by_its_field():
    said, _ = refused_config(lambda lines: (line_of(lines, "taker_fee"), 'taker_fee = "0.5"'))
    assert "fee" in said, said
    missing = run("serve", "--config", "no-such-file.toml", timeout=30)
    assert missing.returncode != 0 and "no-such-file.toml" in missing.stderr, missing


def test_passwords_are_never_printed():
    with serving() as process:
        wrong = Session("ALICE", password="wr0ng-word").connect(process.port)
        wrong.send("A", [(98, 0), (108, 30), (553, "alice"), (554, "wr0ng-word")])
        assert wrong.wait_closed()
        right = Session("ALICE").connect(process.port)
        right.logon()
        right.logout()
        eventually(lambda: process.errors())
        said = "\n".join(process.lines) + process.errors()
        assert "wr0ng-word" not in said and "alice-secret" not in said, said

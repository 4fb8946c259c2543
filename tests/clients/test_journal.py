"""The journal as other programs read it: a reader written from the format document alone, and the exported files."""
import importlib.util
import json
import pathlib
import shutil
import sys

from server import Server, Skip, ask, folder, run
from wire import Session, new_order

ROOT = pathlib.Path(__file__).resolve().parents[2]


def reader():
    """journal/python/rialto_journal.py, which knows nothing but journal/FORMAT.md."""
    spec = importlib.util.spec_from_file_location("rialto_journal", ROOT / "journal/python/rialto_journal.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["rialto_journal"] = module
    spec.loader.exec_module(module)
    return module


def needs(name):
    try:
        return __import__(name)
    except ImportError:
        raise Skip(f"no package {name}") from None


def traded(path, orders=40):
    """The data folder of an exchange on which ALICE and BOB have traded, and which was stopped in order."""
    process = Server(path / "data").start()
    alice, bob = Session("ALICE").connect(process.port), Session("BOB").connect(process.port)
    alice.logon()
    bob.logon()
    for number in range(orders):
        alice.send("D", new_order(f"a{number}", 1, "0.01", "50000"))
        # Good till cancelled: nothing says whose order of the two comes first.
        bob.send("D", new_order(f"b{number}", 2, "0.01", "50000"))
    alice.wait(lambda message: message.get(11) == f"a{orders - 1}" and message.get(150) == "F", "the last trade")
    assert process.terminate() == 0, process.errors()
    return path / "data"


def dumped(data, stream):
    done = run("journal", "dump", data, "--stream", stream, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_reader_written_from_the_document_alone_reads_the_same_records_and_chain():
    journal = reader()
    with folder() as path:
        data = traded(path)
        verified = ask("journal", "verify", data)
        for name in ("commands", "events"):
            stream = journal.Stream(data / name, verify=True)
            ours, theirs = list(stream), dumped(data, name)
            assert [(it.sequence, it.timestamp_ns, it.gateway, it.session) for it in ours] == [
                (it["sequence"], it["timestamp_ns"], it["gateway"], it["session"]) for it in theirs]
            assert stream.problem is None
            assert len(ours) == verified[name]["records"] > 40
            assert stream.chain.hex() == verified[name]["chain"], name


def test_the_reader_finds_damage_and_changes_where_the_exchange_does():
    journal = reader()
    with folder() as path:
        data = traded(path, orders=3)
        file = next((data / "commands").glob("*.seg"))
        good = file.read_bytes()
        file.write_bytes(good[:4096 + 100] + bytes([good[4096 + 100] ^ 1]) + good[4096 + 101:])
        stream = journal.Stream(data / "commands", verify=True)
        assert list(stream) == [] and "4096" in stream.problem, stream.problem
        report = json.loads(run("journal", "verify", data, "--json").stdout)
        assert report["commands"]["offset"] == 4096, report


def test_the_kept_files_of_the_format_are_read():
    journal = reader()
    stream = journal.Stream(ROOT / "journal/testdata/v2/commands", verify=True)
    records = list(stream)
    assert [it.sequence for it in records] == list(range(1, 61)) and stream.problem is None
    for it in records:
        length = it.sequence * 7 % 90
        assert it.body == bytes((it.sequence * 31 + index + 1) % 256 for index in range(length)), it
    try:
        list(journal.Stream(ROOT / "journal/testdata/v1/commands"))
    except journal.Damage as damage:
        assert "format 1" in str(damage)
    else:
        raise AssertionError("version 1 is refused by name")


def test_an_archived_segment_is_read_in_every_way_that_there_is():
    journal = reader()
    ways = {"compression": journal._unpack_3_14, "zstandard": journal._unpack_package}
    unpacks = [unpack for name, unpack in ways.items() if importlib.util.find_spec(name)]
    unpacks += [journal._unpack_program] if shutil.which("zstd") else []
    if not unpacks:
        raise Skip("nothing that unpacks zstd")
    path = ROOT / "journal/testdata/v2/archived/commands"
    for unpack in unpacks:
        journal._unpack_3_14 = journal._unpack_package = journal._unpack_program = unpack
        stream = journal.Stream(path, verify=True)
        assert [it.sequence for it in stream] == list(range(1, 901)) and stream.problem is None, unpack
    with folder() as work:
        shutil.copytree(path, work / "commands")
        file = work / "commands/00000000000000000001.seg.zst"
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        try:
            list(journal.Stream(work / "commands"))
        except journal.Damage as damage:
            assert "does not unpack" in str(damage), damage
        else:
            raise AssertionError("a damaged archive is refused")


def test_pyarrow_and_duckdb_read_the_exported_parquet_file():
    parquet, duckdb = needs("pyarrow.parquet").parquet, needs("duckdb")
    with folder() as path:
        data = traded(path)
        rows = dumped(data, "both")
        assert ask("journal", "export", data, path / "all.parquet")["records"] == len(rows)
        table = parquet.read_table(path / "all.parquet")
        assert table.num_rows == len(rows)
        assert str(table.schema.field("timestamp_ns").type) == "timestamp[ns, tz=UTC]"
        for name in ("sequence", "kind", "quantity_lots", "client_order_id"):
            assert table.column(name).to_pylist() == [row.get(name) for row in rows], name
        times = table.column("timestamp_ns").cast("int64").to_pylist()
        assert times == [row["timestamp_ns"] for row in rows]
        query = f"select count(*), sum(quote_minor) from '{path / 'all.parquet'}' where kind = 'Trade'"
        trades = [row for row in rows if row["kind"] == "Trade"]
        assert duckdb.sql(query).fetchall()[0] == (len(trades), sum(row["quote_minor"] for row in trades))


def test_pandas_reads_the_exported_json_lines():
    pandas = needs("pandas")
    with folder() as path:
        data = traded(path, orders=5)
        rows = dumped(data, "events")
        ask("journal", "export", data, path / "events.jsonl", "--stream", "events")
        frame = pandas.read_json(path / "events.jsonl", lines=True)
        assert list(frame["sequence"]) == [row["sequence"] for row in rows]
        assert list(frame["kind"]) == [row["kind"] for row in rows]

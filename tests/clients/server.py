"""Starts, stops and asks the real binary."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import tomllib

START_TIMEOUT_S = 300
"""Only against a hang: a start reads the journal, and a busy machine takes its time."""
LISTENING = "FIX listening on "


class Skip(Exception):
    """A test that cannot run here; the text says why."""


def binary():
    """Path of the binary under test."""
    path = os.environ.get("RIALTO_BINARY")
    if not path or not pathlib.Path(path).is_file():
        raise Skip(f"no binary at {path}: cargo build --release")
    return path


def run(*arguments, timeout=120):
    """Runs a command of the binary to its end."""
    command = [binary(), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def ask(*arguments):
    """The JSON that a command prints; it must succeed."""
    done = run(*arguments, "--json")
    if done.returncode != 0:
        raise AssertionError(f"rialto {arguments} exits with {done.returncode}: {done.stderr}{done.stdout}")
    return json.loads(done.stdout)


def default_config():
    """The embedded configuration, parsed."""
    return tomllib.loads(run("config").stdout)


class Server:
    """A `rialto serve` process on a data folder."""

    def __init__(self, data, *more, durability="os"):
        self.data = pathlib.Path(data)
        self.more = [*more, "--durability", durability]
        self.process = None
        self.lines = []

    def start(self):
        command = [binary(), "serve", "--data", self.data, "--fix-bind", "127.0.0.1:0", *self.more]
        self.log = open(self.data.with_suffix(".log"), "ab")
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        self.lines = []
        found = threading.Event()
        self.reader = threading.Thread(target=self._read, args=(self.process.stdout, found), daemon=True)
        self.reader.start()
        if not found.wait(START_TIMEOUT_S) or self.port is None:
            self.kill()
            raise AssertionError(f"rialto serve did not say `{LISTENING}`: {self.lines} {self.errors()}")
        return self

    def _read(self, stream, found):
        self.port = None
        for line in stream:
            self.lines.append(line.rstrip())
            if line.startswith(LISTENING):
                self.port = int(line.rsplit(":", 1)[1])
                found.set()
        found.set()

    def errors(self):
        """What it has written to standard error, over all starts."""
        return self.data.with_suffix(".log").read_text(errors="replace")[-2000:]

    def kill(self):
        """kill -9."""
        self.process.kill()
        self._ended()

    def terminate(self, timeout=20):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout=20):
        self.process.wait(timeout)
        return self._ended()

    def _ended(self):
        code = self.process.wait(20)
        self.reader.join(5)
        self.process.stdout.close()
        self.log.close()
        return code

    def is_running(self):
        return self.process is not None and self.process.poll() is None


@contextlib.contextmanager
def folder():
    """A new folder on the disk that holds the build; kept, and named, when the test fails."""
    base = pathlib.Path(os.environ.get("RIALTO_SCRATCH") or tempfile.gettempdir())
    base.mkdir(parents=True, exist_ok=True)
    path = pathlib.Path(tempfile.mkdtemp(prefix="clients-", dir=base))
    try:
        yield path
    except Skip:
        shutil.rmtree(path, ignore_errors=True)
        raise
    except BaseException:
        print(f"    kept for inspection: {path}")
        raise
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def serving(*more, durability="os"):
    """A started server on a new data folder. It must still run when the block ends, and is then killed."""
    with folder() as path:
        server = Server(path / "data", *more, durability=durability)
        try:
            server.start()
            yield server
            if not server.is_running():
                raise AssertionError(f"the server has ended: {server.errors()}")
        finally:
            if server.is_running():
                server.kill()


def eventually(attempt, timeout=10.0):
    """Repeats `attempt` until it raises no AssertionError; the last one if time runs out."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return attempt()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.02)

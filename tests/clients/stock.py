"""The stock client: QuickFIX with its own file store, on a cable that can be cut."""
import select
import pathlib
import socket
import sys
import threading
import time
from decimal import Decimal

import quickfix as fix

from wire import Message

WAIT_S = 15
NUMBERS = {14, 31, 32, 38, 44, 151}
"""Tags whose values are compared as numbers: FIX's floats may have zeros at their end."""


def equal(tag, got, wanted):
    if tag in NUMBERS and got is not None:
        return Decimal(got) == Decimal(wanted)
    return got == wanted


class Cable:
    """Forwards a port of its own to the server's. Cutting it drops the connection without a word to either side's
    application, and keeps it down until it is plugged in again."""

    def __init__(self, server_port):
        self.server_port = server_port
        self.port = 0
        self.lock = threading.Lock()
        self.open = []
        self.plug()

    def plug(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        listener.listen()
        with self.lock:
            self.open = [listener]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self):
        with self.lock:
            for end in self.open:
                # shutdown, so that a thread that waits in select or accept sees it at once.
                for close in (lambda: end.shutdown(socket.SHUT_RDWR), end.close):
                    try:
                        close()
                    except OSError:
                        pass
            self.open = []

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self.server_port))
            except OSError:
                return
            with self.lock:
                if listener not in self.open:
                    near.close()
                    far.close()
                    return
                self.open += [near, far]
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()

    @staticmethod
    def _forward(near, far):
        other = {near: far, far: near}
        try:
            while True:
                for end in select.select([near, far], [], [])[0]:
                    data = end.recv(1 << 16)
                    if not data:
                        return
                    other[end].sendall(data)
        except (OSError, ValueError):
            return
        finally:
            near.close()
            far.close()


class Stock(fix.Application):
    """A QuickFIX initiator. `received` and `sent` hold every message that it took or gave, oldest first."""

    def __init__(self, sender, port, store, password=None, username=None, version="FIX.4.4", checked=False, logon=()):
        """With `checked` QuickFIX holds every message that it gets against its own dictionary of the version, or against
        the one in this file; `logon` has further fields for the Logon."""
        super().__init__()
        self.logon = logon
        self.sender = sender
        self.username = username or sender.lower()
        self.password = password or sender.lower() + "-secret"
        self.received, self.sent = [], []
        self.online = threading.Event()
        self.changed = threading.Condition()
        self.cable = Cable(port)
        store.mkdir(parents=True, exist_ok=True)
        settings = store / f"{sender}.cfg"
        text = SETTINGS.format(sender=sender, port=self.cable.port, store=store, begin=VERSIONS[version][0])
        settings.write_text(text + (dictionary_settings(version, checked) if checked else NO_DICTIONARY) + application(version))
        self.settings = fix.SessionSettings(str(settings))
        self.files = fix.FileStoreFactory(self.settings)
        self.log = fix.FileLogFactory(str(store))
        self.initiator = fix.SocketInitiator(self, self.files, self.settings, self.log)
        self.initiator.start()

    # QuickFIX calls these, in its own thread.
    def onCreate(self, session):
        self.session = session

    def onLogon(self, session):
        self.online.set()

    def onLogout(self, session):
        self.online.clear()

    def toAdmin(self, message, session):
        kind = fix.MsgType()
        message.getHeader().getField(kind)
        if kind.getValue() == "A":
            message.setField(fix.StringField(553, self.username))
            message.setField(fix.StringField(554, self.password))
            for tag, value in self.logon:
                message.setField(fix.StringField(tag, str(value)))
        self._keep(self.sent, message)

    def toApp(self, message, session):
        self._keep(self.sent, message)

    def fromAdmin(self, message, session):
        self._keep(self.received, message)

    def fromApp(self, message, session):
        self._keep(self.received, message)

    def _keep(self, where, message):
        pairs = (part.partition("=") for part in message.toString().split("\x01") if part)
        with self.changed:
            where.append(Message([(int(tag), value) for tag, _, value in pairs]))
            self.changed.notify_all()

    # The tests call these.
    def logged_on(self):
        assert self.online.wait(WAIT_S), f"{self.sender}: no logon; got {self.received[-3:]}"
        return self

    def send(self, kind, fields, instances=(), group=(73, 11)):
        """Sends and returns how many messages had been received before. `instances` are those of a repeating group, of the
        orders of a list if `group`, its count and its first field, says nothing else."""
        message = fix.Message()
        message.getHeader().setField(fix.MsgType(kind))
        for tag, value in fields:
            message.setField(fix.StringField(tag, str(value)))
        for instance in instances:
            entry = fix.Group(*group)
            for tag, value in instance:
                entry.setField(fix.StringField(tag, str(value)))
            message.addGroup(entry)
        before = len(self.received)
        assert fix.Session.sendToTarget(message, self.session), f"{self.sender} cannot send {fields}"
        return before

    def wait(self, what, since=0, wait_s=WAIT_S, **wanted):
        """The first message received from `since` on whose tags have these values: t150="0" for ExecType New."""
        pairs = [(int(tag[1:]), value) for tag, value in wanted.items()]
        deadline = time.monotonic() + wait_s
        with self.changed:
            while True:
                for message in self.received[since:]:
                    if all(equal(tag, message.get(tag), value) for tag, value in pairs):
                        return message
                left = deadline - time.monotonic()
                assert left > 0, f"{self.sender} waits for {what} {wanted}; got {self.received[since:][-5:]}"
                self.changed.wait(left)

    def stop(self):
        self.initiator.stop()
        self.cable.cut()
        # QuickFIX finds sessions by name in the whole process; only the destructor takes this one off.
        del self.initiator


SETTINGS = """[DEFAULT]
ConnectionType=initiator
StartTime=00:00:00
EndTime=00:00:00
ReconnectInterval=1
HeartBtInt=30
FileStorePath={store}
SocketNodelay=Y
ResetOnLogon=N
ResetOnLogout=N
ResetOnDisconnect=N
[SESSION]
BeginString={begin}
SenderCompID={sender}
TargetCompID=RIALTO
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
"""

VERSIONS = {
    "FIX.4.2": ("FIX.4.2", None),
    "FIX.4.4": ("FIX.4.4", None),
    "FIX.5.0SP2": ("FIXT.1.1", "9"),
}
"""BeginString, and DefaultApplVerID if there is one."""

NO_DICTIONARY = "UseDataDictionary=N\n"


def application(version):
    number = VERSIONS[version][1]
    return f"DefaultApplVerID={number}\n" if number else ""


def dictionary_file(version):
    """QuickFIX's own dictionary, which its package brings along."""
    file = pathlib.Path(sys.prefix) / "share" / "quickfix" / (version.replace(".", "") + ".xml")
    assert file.exists(), f"the dictionary of the package quickfix is not at {file}"
    return file


def dictionary_settings(version, checked):
    file = dictionary_file(version) if checked is True else checked
    if VERSIONS[version][1] is None:
        return f"UseDataDictionary=Y\nDataDictionary={file}\n"
    transport = dictionary_file("FIXT.1.1")
    return f"UseDataDictionary=Y\nTransportDataDictionary={transport}\nAppDataDictionary={file}\n"

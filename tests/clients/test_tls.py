"""FIX over TLS, by OpenSSL's and QuickFIX's eyes."""
import contextlib
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import threading

from certificates import Authority
from server import Server, Skip, eventually, folder, run
from wire import Session, cancel, encode, new_order, now


def configuration(path, *, client_ca=None, require=False, user="", more=""):
    """The embedded configuration with TLS; `user` is put into ALICE's table, `more` before the assets."""
    text = run("config").stdout
    tls = f"""[tls]
bind = "127.0.0.1:0"
certificate = "{path / 'server.pem'}"
key = "{path / 'server.key'}"
require_client_certificate = {str(require).lower()}
"""
    if client_ca:
        tls += f'client_ca = "{client_ca}"\n'
    text = text.replace("[[assets]]", f"{tls}\n{more}\n[[assets]]", 1)
    text = text.replace('username = "alice"', f'username = "alice"\n{user}', 1)
    file = path / "tls.toml"
    file.write_text(text)
    return file


@contextlib.contextmanager
def serving_tls(**options):
    """A server with a TLS port; it, the port and the folder of the certificates."""
    with folder() as path:
        authority = Authority(path, "authority")
        authority.sign("server", "localhost")
        if options.get("client_ca"):
            clients = Authority(path, options["client_ca"])
            clients.sign("alice", "alice.example.com")
            options["client_ca"] = clients.certificate
        process = Server(path / "data", "--config", configuration(path, **options))
        try:
            process.start()
            yield process, tls_port(process), path
            assert process.is_running(), process.errors()
        finally:
            if process.is_running():
                process.kill()


def tls_port(process):
    return port_of(process, "FIX over TLS")


def port_of(process, what):
    found = [re.fullmatch(what + r" listening on .*:(\d+)", line) for line in process.lines]
    return next(int(it.group(1)) for it in found if it)


MARKET_DATA = '[market_data]\nbind = "127.0.0.1:0"\ntls_bind = "127.0.0.1:0"\n'
WATCH = [(262, "w"), (263, 1), (264, 0), (265, 1), (267, 2), (269, 0), (269, 1), (146, 1), (55, "BTC/USD")]


def test_market_data_comes_over_tls_on_a_port_of_its_own():
    with serving_tls(more=MARKET_DATA) as (process, port, path):
        made = context(path)
        watcher = TlsSession("BOB").connect_tls(port_of(process, "market data over FIX over TLS"), made)
        watcher.logon()
        watcher.send("V", WATCH)
        watcher.wait(lambda message: message.type == "W", "the book")
        alice = TlsSession("ALICE").connect_tls(port, made)
        alice.logon()
        alice.send("D", new_order("a", 1, "0.01", "50000"))
        watcher.wait(lambda message: message.type == "X", "the order in the book")
        audit = (process.data / "fix-market-data-logons.log").read_text()
        assert audit.count('"tls":true,"sender_comp_id":"BOB","accepted":true') == 1, audit


def test_failed_logons_count_on_all_ports_together():
    with serving_tls(more=MARKET_DATA) as (process, port, _):
        for _ in range(5):
            guess = Session("ALICE").connect(port_of(process, "market data over FIX"))
            guess.send("A", [(98, 0), (108, 30), (553, "alice"), (554, "guessed")])
            assert guess.wait_closed()
        alice = Session("ALICE").connect(process.port)
        alice.send("A", [(98, 0), (108, 30), (553, "alice"), (554, "alice-secret")])
        assert alice.wait_closed(), "locked on the port for orders, too"
        audit = (process.data / "fix-logons.log").read_text()
        assert "locked out" in audit, audit


def context(path, version=None, certificate=None):
    made = ssl.create_default_context(cafile=path / "authority.pem")
    if version:
        made.minimum_version = made.maximum_version = version
    if certificate:
        made.load_cert_chain(path / f"{certificate}.pem", path / f"{certificate}.key")
    return made


class TlsSession(Session):
    """The plain client over TLS."""

    def connect_tls(self, port, made):
        self.connect(port)
        self.socket = made.wrap_socket(self.socket, server_hostname="localhost")
        return self

    def pump(self, timeout=0.0):
        # What TLS has decrypted already does not show in select; what does show may be a session ticket.
        if self.closed or not (self.socket.pending() or select.select([self.socket], [], [], timeout)[0]):
            return False
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            return False
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        if not data:
            self.cut()
            return False
        for message in self.parser.feed(data):
            self._on_message(message)
        return True


def test_both_versions_trade():
    with serving_tls() as (process, port, path):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            alice = TlsSession("ALICE").connect_tls(port, context(path, version))
            assert alice.socket.version() == version.name.replace("TLSv1_", "TLSv1."), alice.socket.version()
            alice.logon(reset=True)
            alice.send("D", new_order(f"a{version}", 1, "0.01", "50000"))
            alice.wait(lambda message: message.get(150) == "0", "the acceptance")
            alice.send("F", cancel(f"c{version}", f"a{version}", 1))
            alice.wait(lambda message: message.get(150) == "4", "the cancellation")
            alice.logout()
        audit = (process.data / "fix-logons.log").read_text()
        assert audit.count('"tls":true,"sender_comp_id":"ALICE","accepted":true') == 2, audit


def test_old_versions_and_strangers_are_turned_away():
    with serving_tls() as (process, port, path):
        old = context(path)
        try:
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
            with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
                old.wrap_socket(plain, server_hostname="localhost")
            raise AssertionError("TLS 1.1 is accepted")
        except (ssl.SSLError, ValueError, ConnectionError):
            pass
        nobody = ssl.create_default_context()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            try:
                nobody.wrap_socket(plain, server_hostname="localhost")
                raise AssertionError("a certificate of an unknown authority is trusted")
            except ssl.SSLCertVerificationError:
                pass
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            logon = [(35, "A"), (34, 1), (49, "ALICE"), (56, "RIALTO"), (52, now()), (98, 0), (108, 30), (554, "alice-secret")]
            plain.sendall(encode(logon))
            answer = b""
            while more := plain.recv(4096):
                answer += more
            # A TLS alert at most (RFC 8446, 6): content type 21.
            assert not answer or answer[0] == 21, answer
        alice = TlsSession("ALICE").connect_tls(port, context(path))
        alice.logon()
        eventually(lambda: _in_log(process, "TLS handshake"))
        assert "alice-secret" not in process.errors()


def _in_log(process, words):
    assert words in process.errors(), process.errors()


def test_openssl_says_what_it_sees():
    if shutil.which("openssl") is None:
        raise Skip("no openssl")
    with serving_tls() as (_, port, path):
        for version in ("-tls1_2", "-tls1_3"):
            command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", version, "-servername", "localhost"]
            command += ["-CAfile", str(path / "authority.pem"), "-verify_return_error", "-brief"]
            done = subprocess.run(command, input="", capture_output=True, text=True, timeout=30)
            said = done.stderr + done.stdout
            assert "Verification: OK" in said and "CONNECTION ESTABLISHED" in said, said


def test_client_certificates_are_required_and_bind_a_user():
    options = {"client_ca": "clients", "require": True, "user": 'certificate = "alice.example.com"'}
    with serving_tls(**options) as (process, port, path):
        alice = TlsSession("ALICE").connect_tls(port, context(path, certificate="alice"))
        alice.logon()
        alice.logout()
        forgers = Authority(path, "forgers")
        forgers.sign("forged", "alice.example.com")
        for certificate in (None, "forged"):
            try:
                mallory = TlsSession("ALICE").connect_tls(port, context(path, certificate=certificate))
                mallory.send("A", [(98, 0), (108, 30), (553, "alice"), (554, "alice-secret")])
                assert mallory.wait_closed(), certificate
            except (ssl.SSLError, ConnectionError):
                pass
        plain = Session("ALICE").connect(process.port)
        plain.send("A", [(98, 0), (108, 30), (553, "alice"), (554, "alice-secret")])
        assert plain.wait_closed(), "the plain port asks for the certificate too"
        audit = (process.data / "fix-logons.log").read_text()
        assert audit.count('"accepted":true') == 1, audit
        assert "without the certificate" in audit, audit


def test_sighup_reads_the_certificates_again():
    with serving_tls() as (process, port, path):
        alice = TlsSession("ALICE").connect_tls(port, context(path))
        alice.logon()
        before = alice.socket.getpeercert(binary_form=True)
        authority = Authority(path, "authority")
        authority.sign("server", "localhost")
        process.process.send_signal(signal.SIGHUP)
        eventually(lambda: _in_log(process, "read again"))
        bob = TlsSession("BOB").connect_tls(port, context(path))
        bob.logon()
        assert bob.socket.getpeercert(binary_form=True) != before
        (path / "server.pem").write_text("nonsense")
        process.process.send_signal(signal.SIGHUP)
        eventually(lambda: _in_log(process, "stay as they were"))
        alice.ping()


def test_mistakes_are_named_at_the_start():
    with folder() as path:
        Authority(path, "authority").sign("server", "localhost")
        file = configuration(path)
        (path / "server.key").unlink()
        done = run("serve", "--data", path / "data", "--config", file, timeout=30)
        assert done.returncode == 2 and "server.key" in done.stderr and "[tls]" in done.stderr, done.stderr


class Tunnel:
    """Plain TCP here, TLS to the server: for clients that have none."""

    def __init__(self, server_port, made):
        self.server_port, self.context = server_port, made
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.server_port))
                far = self.context.wrap_socket(far, server_hostname="localhost")
                # What shows in select may be a session ticket, behind which nothing comes.
                far.settimeout(0.05)
            except OSError:
                return
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()

    @staticmethod
    def _forward(near, far):
        other = {near: far, far: near}
        try:
            while True:
                ready = [far] if far.pending() else select.select([near, far], [], [])[0]
                for end in ready:
                    try:
                        data = end.recv(1 << 16)
                    except TimeoutError:
                        continue
                    if not data:
                        return
                    other[end].sendall(data)
        except (OSError, ValueError):
            return
        finally:
            near.close()
            far.close()

    def close(self):
        self.listener.close()


def test_quickfix_trades_over_tls():
    try:
        from stock import Stock
    except ImportError:
        raise Skip("quickfix is not installed") from None
    with serving_tls() as (process, port, path), contextlib.ExitStack() as stack:
        tunnel = Tunnel(port, context(path))
        stack.callback(tunnel.close)
        alice = Stock("ALICE", tunnel.port, path / "stock")
        stack.callback(alice.stop)
        alice.logged_on()
        alice.send("D", new_order("q1", 2, "0.5", "60000"))
        alice.wait("the acceptance", t35="8", t11="q1", t150="0")
        alice.send("F", cancel("q2", "q1", 2))
        alice.wait("the cancellation", t35="8", t150="4", t11="q2")
        assert '"tls":true' in (process.data / "fix-logons.log").read_text()

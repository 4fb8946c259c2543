"""QuickFIX's acceptance scripts against the real binary, where they and their player are at hand."""
import pathlib
import re
import subprocess
import sys

from server import Server, Skip, default_config, folder, run

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
PLAYER = SHARED / "tools/fixat/run.py"
SCRIPTS = SHARED / "data/fix/acceptance/server"
LIMIT_S = 300


def configuration():
    """The default configuration with the clients and the acceptor of the scripts in place of its own."""
    text = run("config").stdout
    text = re.sub(r'target_comp_id = "\w+"', 'target_comp_id = "ISLD"', text)
    users = default_config()["users"]
    for user, name in zip(users, ["TW42", "TW44", "TW50"]):
        text = text.replace(f'sender_comp_id = "{user["sender_comp_id"]}"', f'sender_comp_id = "{name}"')
        text = text.replace(f'username = "{user["username"]}"', 'username = "alice"')
        text = text.replace(user["password_hash"], users[0]["password_hash"])
    return text + "\n[sessions]\nreset_on_logon = true\n"


def play(*arguments):
    if not PLAYER.is_file() or not SCRIPTS.is_dir():
        raise Skip(f"skipped: no data at {SCRIPTS}")
    with folder() as path:
        (path / "exchange.toml").write_text(configuration())
        process = Server(path / "data", "--config", path / "exchange.toml").start()
        try:
            command = [sys.executable, PLAYER, f"127.0.0.1:{process.port}", *sorted(SCRIPTS.iterdir())]
            command += ["--logon", "553=alice|554=alice-secret", "--quiet", *arguments]
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=LIMIT_S)
        finally:
            process.terminate()
    passed = re.search(r"(\d+) of (\d+) passed", done.stdout)
    assert done.returncode == 0 and passed and int(passed[1]) > 0, done.stdout + done.stderr


def test_session_dictionary_and_reject_scripts_pass_word_for_word():
    play("--level", "text", "--kind", "session,dict,bizrej")


def test_application_scripts_pass_with_reports_for_echoes():
    play("--level", "code", "--app", "er", "--kind", "echo")

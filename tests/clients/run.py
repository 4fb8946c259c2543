#!/usr/bin/env python3
"""Runs the tests by foreign clients: every function test_* in every file test_*.py beside this one.

    run.py --binary target/release/rialto            all
    run.py --binary target/release/rialto --only kill

Each file runs in a process of its own (a client in C++ may take its process with it) and has a time limit. A test that
lacks a package or the binary is skipped aloud. The last line reads `N passed, N failed, N skipped`.
"""
import argparse
import faulthandler
import importlib
import os
import pathlib
import subprocess
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
FILE_LIMIT_S = int(os.environ.get("RIALTO_FILE_LIMIT_S", "600"))
DONE = "file done"


def run_file(name):
    """Runs the tests of one file in this process, one line of result each."""
    from server import Skip

    # Before the limit of the parent, so that it shows where the test hangs.
    faulthandler.dump_traceback_later(FILE_LIMIT_S - 10, exit=True)
    try:
        module = importlib.import_module(name)
    except Skip as reason:
        print(f"SKIP {name}: {reason}", flush=True)
        tests = {}
    else:
        tests = {test: call for test, call in vars(module).items() if test.startswith("test_")}
    for test, call in tests.items():
        started = time.monotonic()
        try:
            call()
            verdict = "PASS"
        except Skip as reason:
            verdict = f"SKIP ({reason})"
        except Exception:
            traceback.print_exc(file=sys.stdout)
            verdict = "FAIL"
        word, _, why = verdict.partition(" ")
        print(f"{word} {name}.{test} {time.monotonic() - started:.1f} s {why}".rstrip(), flush=True)
    print(DONE, flush=True)
    # Threads of a C++ client may still run; they must not turn a result into a crash.
    os._exit(0)


def run_all(options):
    environment = dict(os.environ, RIALTO_BINARY=str(pathlib.Path(options.binary).resolve()))
    scratch = pathlib.Path(options.binary).resolve().parent.parent / "clients"
    environment.setdefault("RIALTO_SCRATCH", str(scratch))
    counts = {"PASS": 0, "FAIL": 0, "SKIP": 0}
    files = sorted(path.stem for path in HERE.glob("test_*.py") if options.only in path.stem)
    for name in files:
        command = [sys.executable, "-u", str(HERE / "run.py"), "--file", name]
        child = subprocess.Popen(command, cwd=HERE, env=environment, stdout=subprocess.PIPE, text=True)
        finished = False
        for line in child.stdout:
            finished |= line.strip() == DONE
            if line.strip() != DONE:
                print(line, end="", flush=True)
            word = line.split(" ", 1)[0]
            if word in counts:
                counts[word] += 1
        child.wait()
        if not finished:
            print(f"FAIL {name}: its process ended early, code {child.returncode}")
            counts["FAIL"] += 1
    if not files:
        print(f"FAIL no test file matches {options.only!r}")
        counts["FAIL"] += 1
    print(f"{counts['PASS']} passed, {counts['FAIL']} failed, {counts['SKIP']} skipped")
    return 1 if counts["FAIL"] else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/rialto", help="the rialto to test")
    parser.add_argument("--only", default="", help="only files whose name contains this")
    parser.add_argument("--file", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.file:
        run_file(options.file)
    sys.exit(run_all(options))


if __name__ == "__main__":
    main()

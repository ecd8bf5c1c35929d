"""Standard output, error and input are treated once, for every command: full, closed, left, in any locale."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from command_line import COMMANDS
from commanding import COMMAND, environment
from examples import some_of
from samples import walk

from tui_feeder.engine.core.candle import Source
from tui_feeder.engine.storage.store import Store

FULL = "feeder-tui: standard output cannot be written: No space left on device\n"
NAME = "币安人生USDT"


def shell(line: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run ``line`` in bash, where $F is the program."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        capture_output=True, timeout=120, check=False, cwd=cwd,
        env=environment(
            None, F=shlex.join(COMMAND), HOME=str(cwd), PYTHONPATH=str(Path.cwd()),
            FEEDER_TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS="2", **env,
        ),
    )  # fmt: skip


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A folder with a store in ``lmdb_data`` that has a name of Chinese characters."""
    store = Store(tmp_path / "lmdb_data", exchange="a simulated exchange")
    try:
        for symbol in ("BTCUSDT", NAME):
            store.put(symbol, walk(3_000, seed=5), Source.REST).result()
    finally:
        store.close()
    return tmp_path


WRITING = [
    "--version",
    "config show",
    "info",
    "info --json",
    "gaps --json",
    "export --symbol BTCUSDT",
    "replay --symbols BTCUSDT",
    "verify --offline",
    "doctor --symbols BTCUSDT",
    "simulate",
    "--demo --symbols BTCUSDT --demo-speed 60 --output jsonl",
    "--show-completion bash",
]


@pytest.mark.parametrize("words", some_of(list(COMMANDS)), ids=" ".join)
def test_help_onto_a_full_disk_or_a_closed_output(words: tuple[str, ...], tmp_path: Path) -> None:
    asked = f"$F {' '.join(words)} --help"
    done = shell(f"{asked} > /dev/full", tmp_path)
    assert (done.returncode, done.stderr.decode()) == (1, FULL)
    done = shell(f"{asked} >&-", tmp_path)
    closed = "feeder-tui: standard output cannot be written: Bad file descriptor\n"
    assert (done.returncode, done.stderr.decode()) == (1, closed)


@pytest.mark.parametrize("words", some_of(WRITING, every=2))
def test_a_full_disk_behind_stdout_is_one_line(words: str, stored: Path) -> None:
    done = shell(f"$F {words} > /dev/full", stored)
    assert done.returncode == 1, done.stderr
    told = done.stderr.decode()
    assert told.count(FULL) == 1, told
    assert told.endswith(FULL)
    assert "internal error" not in told
    assert "Traceback" not in told
    if not words.startswith(("--demo", "simulate")):
        assert told == FULL


@pytest.mark.parametrize("words", some_of(WRITING[1:], every=2))  # the others meet a full disk
def test_a_reader_that_leaves_ends_a_command_quietly(words: str, stored: Path) -> None:
    """The code is the one a shell gives to what SIGPIPE has ended."""
    done = shell(f"$F {words} | true", stored)
    assert done.returncode == 128 + signal.SIGPIPE, done.stderr
    for word in (b"internal error", b"Traceback", b"ignored", b"Broken pipe"):
        assert word not in done.stderr


def test_a_reader_that_leaves_a_named_output_ends_an_export_quietly(stored: Path) -> None:
    done = shell("$F export --symbol BTCUSDT -o /dev/stdout | true", stored)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_first_line_is_had_before_the_reader_leaves(stored: Path) -> None:
    done = shell("$F doctor --symbols BTCUSDT | head -n 1", stored)
    assert done.stdout.startswith(b"ok    config")
    assert b"internal error" not in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_input_and_error_disturb_nothing(closed: str, stored: Path) -> None:
    done = shell(f"$F info {closed}", stored)
    assert done.returncode == 0
    assert b"BTCUSDT" in done.stdout


def test_a_closed_descriptor_is_never_a_file_of_the_program(stored: Path) -> None:
    """What is printed by chance must not land in the store, whose file would have got the number."""
    done = shell("$F --demo --symbols BTCUSDT --demo-speed 60 --run-for 3 --no-ui <&- >&- 2>&-", stored)
    assert done.returncode == 0
    probe = "import os, tui_feeder.standard_streams as s; s.install(); print(os.open('/dev/null', 0))"
    done = shell(f"{COMMAND[0]} -c {shlex.quote(probe)} <&- 2>&-", stored)
    assert int(done.stdout) > 2


def test_an_output_that_is_full_for_now_is_waited_for(stored: Path) -> None:
    """Whoever gave the pipe may have made it non-blocking: a full one is no fault."""
    reading, writing = os.pipe()
    flags = fcntl.fcntl(writing, fcntl.F_GETFL)
    fcntl.fcntl(writing, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    process = subprocess.Popen(
        [*COMMAND, "export", "--symbol", "BTCUSDT"], stdout=writing, stderr=subprocess.PIPE, cwd=stored,
        env=environment(),
    )  # fmt: skip
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().splitlines()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(30) == 0
    assert len(lines) == 3_001


@pytest.mark.parametrize(
    "locale",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1:strict"},
    ],
)
def test_a_name_that_the_locale_cannot_show_is_escaped(locale: dict[str, str], stored: Path) -> None:
    done = shell("$F info; $F gaps; $F info --json; $F info --symbols 币 ", stored, **locale)
    escaped = NAME.encode("ascii", "backslashreplace")
    assert done.stdout.count(escaped) == 2  # of info, and of its JSON: gaps names no complete one
    assert done.stdout.isascii()
    assert b"internal error" not in done.stderr
    assert b"no candles of \\u5e01 in" in done.stderr or "LC_ALL" in locale  # whose argument is bytes


def test_json_is_the_same_in_every_locale(stored: Path) -> None:
    for locale in ({}, {"PYTHONIOENCODING": "ascii"}):
        done = shell(f"$F export --symbol {NAME} --format jsonl | head -n 1", stored, **locale)
        assert done.stdout.startswith(b'{"')

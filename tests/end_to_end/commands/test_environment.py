"""Odd environments times all commands: each succeeds, or ends with a message that says what to do.

Every environment meets one command, with ``--thorough`` every seventh; ``ODD=all`` lets it meet
all of them.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import examples
import pytest
from command_line import COMMANDS as WORDS
from commanding import COMMAND
from places import ROOT
from ports import free_port
from terminals import Terminal

Step = Callable[[], None]

#: What to run; {} is a folder of the case, and those that serve are stopped after a while.
COMMANDS = (
    "--no-ui --run-for 1", "--demo --run-for 1 --no-ui --symbols BTCUSDT", "backfill", "gaps",
    "verify --offline", "export --symbol BTCUSDT", "export --symbol BTCUSDT -o {}/out.csv", "info",
    "backup {}/copy", "sinks check", "attach", "status", "serve", "doctor --patience 1", "replay",
    "replay --ui", "profiles rebuild", "simulate", "config check", "config show", "config init",
    "sinks discard kafka", "gateway", "cluster status", "keys", "mcp", "proof keygen {}/key", "proof seal",
    "proof show", "proof verify {}",
)  # fmt: skip
SERVING = ("serve", "simulate")
EVERY = 1 if os.environ.get("ODD") == "all" else 7 if examples.thorough else len(COMMANDS)

#: Root that keeps to modes like anybody else, and a user whom nobody knows who may read the program.
BOUND = ("setpriv", "--bounding-set=-dac_override,-dac_read_search",
         "--inh-caps=-dac_override,-dac_read_search")  # fmt: skip
NOBODY = ("setpriv", "--reuid=12345", "--clear-groups", "--inh-caps=+dac_read_search",
          "--ambient-caps=+dac_read_search")  # fmt: skip


@dataclass(frozen=True)
class Odd:
    """An environment: @ in a value stands for the folder of odd things."""

    env: Mapping[str, str | None] = field(default_factory=dict)
    run_by: Sequence[str] = ()
    step: Step | None = None
    cwd: str = ""
    arguments: Sequence[str] = ()


def limit(which: int, value: int) -> Step:
    return lambda: resource.setrlimit(which, (value, value))


def closed(*descriptors: int) -> Step:
    return lambda: [os.close(one) for one in descriptors] and None


def storage(path: str) -> dict[str, str | None]:
    return {"FEEDER_APPLICATION__STORAGE_PATH": path}


LOCKED = {name: "@/locked/in" for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")}
ODD = {
    "no home": Odd({"HOME": None}),
    "nobody": Odd({"HOME": None}, NOBODY),
    "nobody in /": Odd({"HOME": "/"}, NOBODY),
    "home that is not there": Odd({"HOME": "/nonexistent"}, NOBODY),
    "relative home": Odd({"HOME": "somewhere"}),
    "home that is a file": Odd({"HOME": "@/file"}),
    "~ without home": Odd({"HOME": None, "FEEDER_SERVICE__SOCKET": "~/x"} | storage("~/store"), NOBODY),
    "unreadable storage": Odd(storage("@/locked/in/store"), BOUND),
    "storage below a file": Odd(storage("@/file/store")),
    "storage that is a file": Odd(storage("@/file")),
    "storage in /proc": Odd(storage("/proc/store")),
    "storage with a long name": Odd(storage("@/" + "x" * 300)),
    "storage with a long path": Odd(storage("@/" + "x/" * 3_000)),
    "unreadable configuration": Odd({"FEEDER_CONFIG": "@/locked/config.toml"}, BOUND),
    "configuration in an unreadable folder": Odd(arguments=("--config", "@/locked/in/c.toml"), run_by=BOUND),
    "configuration that is a folder": Odd({"FEEDER_CONFIG": "@"}),
    "unreadable log": Odd({"FEEDER_SERVICE__LOG_FILE": "@/locked/feeder.log"}, BOUND),
    "log that is a folder": Odd({"FEEDER_SERVICE__LOG_FILE": "@"}),
    "unreadable messages": Odd({"FEEDER_FILE__ENABLED": "true", "FEEDER_FILE__PATH": "@/locked/in"}, BOUND),
    "unreadable socket": Odd({"FEEDER_SERVICE__SOCKET": "@/locked/x.sock"}, BOUND),
    "unreadable XDG folders": Odd(LOCKED, BOUND),
    "relative XDG folders": Odd(dict.fromkeys(LOCKED, "somewhere")),
    "XDG folders that are files": Odd(dict.fromkeys(LOCKED, "@/file")),
    "no temporary folder": Odd({"TMPDIR": "/nonexistent"}),
    "8 descriptors": Odd(step=limit(resource.RLIMIT_NOFILE, 8)),
    "24 descriptors": Odd(step=limit(resource.RLIMIT_NOFILE, 24)),
    "64 descriptors": Odd(step=limit(resource.RLIMIT_NOFILE, 64)),
    "400 MB of addresses": Odd(step=limit(resource.RLIMIT_AS, 400 << 20)),
    "1200 MB of addresses": Odd(step=limit(resource.RLIMIT_AS, 1_200 << 20)),
    "files of no size": Odd(step=limit(resource.RLIMIT_FSIZE, 0)),
    "files of 64 kB": Odd(step=limit(resource.RLIMIT_FSIZE, 65_536)),
    "nothing open": Odd(step=closed(0, 1, 2)),
    "no input": Odd(step=closed(0)),
    "no errors": Odd(step=closed(2)),
    "no terminal type": Odd({"TERM": None}),
    "unknown terminal type": Odd({"TERM": "nonsense-9", "COLUMNS": "many", "LINES": "-3"}),
    "a terminal of no size": Odd({"COLUMNS": "0", "LINES": "0"}),
    "nonsense in TZ": Odd({"TZ": "nonsense/\udcff"}),
    "nonsense in LC_ALL": Odd({"LC_ALL": "nonsense", "PYTHONUTF8": "0"}),
    "ASCII": Odd({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    "systemd that is not there": Odd({"NOTIFY_SOCKET": "/nonexistent/x", "WATCHDOG_USEC": "soon"}),
    "a folder that is gone": Odd(cwd="gone"),
    "a folder that cannot be read": Odd(cwd="@/locked/in", run_by=BOUND),
    "nonsense in a value": Odd({"FEEDER_UI__THEME": "\udcff"}),
    "nonsense in proxies": Odd({"HTTPS_PROXY": "nonsense", "HTTP_PROXY": "http://[", "NO_PROXY": "\udcff"}),
    "symbols that are no text": Odd(arguments=("--symbols", "\udcff\udcfe")),
    "symbols with controls": Odd(arguments=("--symbols", "A\nB\x1b[2J")),
    "symbols without end": Odd(arguments=("--symbols", "A" * 100_000)),
    "storage that is no text": Odd(arguments=("--storage", "@/\udcff/x")),
    "configuration that is no text": Odd(arguments=("--config", "\udcff")),
    "configuration without end": Odd(arguments=("--config", "c" * 5_000)),
    "a moment without end": Odd(arguments=("--from", "9" * 5_000)),
    "a moment that is no text": Odd(arguments=("--from", "\udcff")),
    "an option that is no text": Odd(arguments=("--\udcff\n",)),
    "an empty storage": Odd(arguments=("--storage", "")),
    "no symbols": Odd(arguments=("--symbols", "")),
    "an unreadable socket to attach to": Odd(arguments=("--socket", "@/locked/x.sock"), run_by=BOUND),
    "a socket that is a file": Odd(arguments=("--socket", "@/file")),
    "a socket without end": Odd(arguments=("--socket", "/" + "s" * 5_000)),
    "an unreadable output": Odd(arguments=("-o", "@/locked/in/x.csv"), run_by=BOUND),
    "an output that is a folder": Odd(arguments=("-o", "@")),
    "unreadable data": Odd(arguments=("--data", "@/locked/in"), run_by=BOUND),
    "data that is a file": Odd(arguments=("--data", "@/file")),
}


def test_every_command_is_among_those() -> None:
    reached = {" ".join(words) for words in WORDS if words}
    assert reached == {next(w for w in sorted(reached, key=len, reverse=True) if c.startswith(w))
                       for c in COMMANDS if not c.startswith("--")}  # fmt: skip


@pytest.fixture(scope="module")
def odd_things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "file").write_text("x")
    (folder / "locked" / "in").mkdir(parents=True)
    (folder / "locked" / "config.toml").write_text("")
    (folder / "locked").chmod(0)
    for path in (folder, *list(folder.parents)[:3]):
        path.chmod(path.stat().st_mode | 0o755)
    return folder


def ends(command: str, odd: Odd, things: Path, folder: Path) -> tuple[int, str]:
    """Exit code of a command, and all it has said."""
    folder.chmod(0o777)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FEEDER_", "PYTHON"))}
    nowhere = "//127.0.0.1:9"
    env |= {
        "HOME": str(folder), "TMPDIR": str(folder), "FEEDER_APPLICATION__HEALTH_SERVER_PORT": "0",
        "FEEDER_EXCHANGE__REST_URL": f"http:{nowhere}", "FEEDER_EXCHANGE__STREAM_URL": f"ws:{nowhere}",
        "FEEDER_EXCHANGE__ARCHIVE_URL": f"http:{nowhere}",
        "PYTHONPATH": str(ROOT), "FEEDER_TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS": "2",
    }  # fmt: skip
    for name, value in odd.env.items():
        env.pop(name, None)
        if value is not None:
            env[name] = value.replace("@", str(things))
    words = command.replace("{}", str(folder)).split()
    words += ["--port", str(free_port())] if words[0] == "serve" else []
    words += [one.replace("@", str(things)) for one in odd.arguments]

    def before() -> None:
        if odd.cwd == "gone":
            (folder / "gone").mkdir()
            os.chdir(folder / "gone")
            (folder / "gone").rmdir()
        elif odd.cwd:
            os.chdir(odd.cwd.replace("@", str(things)))
        if odd.step is not None:
            odd.step()

    process = subprocess.Popen(
        [*odd.run_by, *COMMAND, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, cwd=folder, preexec_fn=before, start_new_session=True,
        env={name: os.fsencode(value) for name, value in env.items()},
    )  # fmt: skip
    said = bytearray()
    readers = [threading.Thread(target=_read, args=(pipe, said)) for pipe in (process.stdout, process.stderr)]
    for reader in readers:
        reader.start()
    serving = words[0] in SERVING
    deadline = time.monotonic() + (10 if serving else 120)
    try:
        # One that serves ends at any moment; here it is when it has said something, where it still can.
        while process.poll() is None and time.monotonic() < deadline and not (serving and said):
            time.sleep(0.02)
        if process.returncode is None:
            assert serving, "it does not end"
            process.terminate()
            process.wait(60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError("it ended and left a process behind")
    for reader in readers:
        reader.join(30)
    return process.returncode, said.decode(errors="replace")


def _read(pipe: IO[bytes], said: bytearray) -> None:
    with pipe:
        while part := pipe.read1(65_536):
            said += part


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can be others")
@pytest.mark.parametrize("name", ODD)
def test_a_command_succeeds_or_says_what_to_do(name: str, odd_things: Path, short_path: Path) -> None:
    first = list(ODD).index(name) % min(EVERY, len(COMMANDS))
    short_path.chmod(0o755)
    for number, command in enumerate(COMMANDS[first::EVERY]):
        folder = short_path / str(number)
        folder.mkdir()
        code, told = ends(command, ODD[name], odd_things, folder)
        where = f"{command}: exit code {code}\n{told[-2_000:]}"
        for word in ("internal error", "Traceback", "Exception ignored", "never awaited"):
            assert word not in told, where
        assert code >= 0 or -code == signal.SIGTERM, where
        if code > 0 and name != "nothing open" and name != "no errors":
            assert told.strip(), where


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can be others")
@pytest.mark.parametrize(
    "name",
    examples.some_of(["nobody", "nobody in /", "unreadable XDG folders", "XDG folders that are files"], 2),
)
def test_the_screen_comes_up_without_a_home(name: str, odd_things: Path, tmp_path: Path) -> None:
    odd = ODD[name]
    tmp_path.chmod(0o777)
    environ = {
        "TMPDIR": str(tmp_path), "HOME": str(tmp_path), "FEEDER_TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS": "2",
    }  # fmt: skip
    environ |= {key: (value or "").replace("@", str(odd_things)) for key, value in odd.env.items()}
    command = [*odd.run_by, "env", *(("-u", "HOME") if odd.env.get("HOME", "") is None else ())]
    # The demo keeps nothing: where it runs is no matter but for its log and what the screen remembers.
    one = Terminal(
        "-m", "tui_feeder", "--demo", "--symbols", "BTCUSDT", "--demo-speed", "20",
        command=[*command, sys.executable], **environ,
    )  # fmt: skip
    try:
        one.wait_for(b"LIVE", 90)
        one.leave()
        code, _ = one.end(60)
        assert code == 0, one.received[-500:]
        assert b"shut down cleanly; log in " in one.received
    finally:
        one.close()

"""The screen over a real ssh, in tmux: what goes over the wire, a line that breaks, and coming back."""

from __future__ import annotations

import contextlib
import getpass
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT
from ports import free_port
from terminals import Terminal

_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
_NEEDED = {name: shutil.which(name, path=_PATH) for name in ("sshd", "ssh", "ssh-keygen", "tmux")}
_LACKING = ", ".join(name for name, path in _NEEDED.items() if path is None)
_SECONDS = 4.0


@pytest.fixture(autouse=True)
def needed() -> None:
    if _LACKING and os.environ.get("CI"):
        pytest.fail(f"not installed: {_LACKING}")
    if _LACKING:
        pytest.skip(f"not installed: {_LACKING} (Debian: openssh-server, openssh-client, tmux)")


class Wire:
    """A line to ``port`` whose bytes are counted, and which can be cut."""

    def __init__(self, port: int) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.sent = 0  # by the server
        self._to = port
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [client, server]
                threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(65_536)
                    if not data:
                        return
                    self.sent += len(data) if source is server else 0
                    (client if source is server else server).sendall(data)

    def cut(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def close(self) -> None:
        self.cut()
        self._listening.close()


def made_key(path: Path) -> Path:
    keygen = _NEEDED["ssh-keygen"]
    assert keygen is not None
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    """An sshd of our own on a scratch port, with scratch keys, behind a wire."""
    made_key(tmp_path / "host")
    key = made_key(tmp_path / "key")
    (tmp_path / "authorized").write_text(key.with_suffix(".pub").read_text())
    port = free_port()
    (tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path / 'host'}\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {tmp_path / 'authorized'}\nStrictModes no\nPasswordAuthentication no\n"
        f"PermitRootLogin prohibit-password\nSetEnv LANG=C.UTF-8 XDG_STATE_HOME={tmp_path / 'state'}\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where a server of root's shuts itself in
    assert _NEEDED["sshd"] is not None
    server = subprocess.Popen(
        [_NEEDED["sshd"], "-D", "-e", "-f", str(tmp_path / "sshd_config")], stderr=subprocess.PIPE
    )
    assert server.stderr is not None
    try:
        while b"listening" not in (line := server.stderr.readline()):
            assert line, "sshd does not start"
        one = Wire(port)
        yield one
        one.close()
    finally:
        server.terminate()
        server.wait()
        server.stderr.close()


class Tmux:
    """A tmux server of its own."""

    def __init__(self) -> None:
        self.name = f"feeder-{uuid.uuid4().hex[:8]}"

    def run(self, *arguments: str, check: bool = True) -> str:
        assert _NEEDED["tmux"] is not None
        done = subprocess.run(
            [_NEEDED["tmux"], "-L", self.name, *arguments],
            capture_output=True, text=True, check=check, timeout=20,
        )  # fmt: skip
        return done.stdout

    def wait_for(self, window: Terminal, *texts: str, seconds: float = 60.0) -> str:
        """What is on the screen once it has all the texts; ``window`` is read meanwhile."""
        end = time.monotonic() + seconds
        while True:
            shown = self.run("capture-pane", "-p", "-t", "w", check=False)
            if all(text in shown for text in texts):
                return shown
            assert time.monotonic() < end, f"no {texts} in\n{shown}\n{window.received[-500:]!r}"
            window.read(0.15)


def over_ssh(folder: Path, wire: Wire, command: str) -> Terminal:
    """A terminal on which somebody has logged in and runs a command."""
    assert _NEEDED["ssh"] is not None
    return Terminal(
        command, size=(80, 24),
        command=(_NEEDED["ssh"], "-F", "none", "-tt", "-p", str(wire.port), "-i", str(folder / "key"),
                 "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                 f"{getpass.getuser()}@127.0.0.1"),
    )  # fmt: skip


def minutes_closed(folder: Path) -> int:
    log = folder / "state" / "feeder-tui" / "feeder-tui.log"
    return log.read_text().count(" closed: ") if log.exists() else 0


def test_a_line_that_breaks_costs_nothing_and_one_comes_back_to_the_same_screen(
    tmp_path: Path, wire: Wire
) -> None:
    tmux = Tmux()
    feeder = f"{sys.executable} -m tui_feeder --demo --demo-speed 20 --symbols BTCUSDT,ETHUSDT,SOLUSDT"
    (tmp_path / "tmux.conf").write_text("set -g status off\n")  # or a line of the 24 is lost to it
    begin = f"{_NEEDED['tmux']} -L {tmux.name} -f {tmp_path / 'tmux.conf'}"
    windows: list[Terminal] = []
    try:
        windows.append(over_ssh(tmp_path, wire, f"cd {ROOT} && {begin} new-session -s w '{feeder}; cat'"))
        tmux.wait_for(windows[0], "● LIVE 3 sym", "ws 1/1")
        windows[0].send(b"5\x1b[6~\x1b[6~")  # its last page
        tmux.wait_for(windows[0], "drawn 2 times a second")  # it knows that it is over ssh
        for key, seen in ((b"2", "vol "), (b"3", "the value area"), (b"4", "COVERAGE"), (b"1", "▸ BTCUSDT")):
            windows[0].send(key)
            tmux.wait_for(windows[0], seen)
            windows[0].read(0.3)
        before = wire.sent
        windows[0].read(_SECONDS)
        rate = (wire.sent - before) / _SECONDS
        assert 100 < rate < 4_000, f"{rate:.0f} B/s encrypted"
        print(f"80x24 over ssh and tmux: {rate:.0f} B/s on the wire")
        windows[0].send(b"2")
        tmux.wait_for(windows[0], "vol ")

        wire.cut()
        assert windows[0].end()[0] == 255  # ssh: the connection is gone
        closed = minutes_closed(tmp_path)
        end = time.monotonic() + 45
        while minutes_closed(tmp_path) < closed + 2:
            assert time.monotonic() < end, "nothing goes on without the line"
            time.sleep(0.2)

        windows.append(over_ssh(tmp_path, wire, f"{begin} attach -t w"))
        windows[1].wait_for(b"BTCUSDT 1h", 30.0)  # the chart, where it was left
        windows[1].wait_for(b"LIVE")
        assert "gaps 0" in tmux.wait_for(windows[1], "● LIVE 3 sym", "vol ")
        windows[1].send(b"q")
        tmux.wait_for(windows[1], "Quit?")
        windows[1].send(b"q")
        tmux.wait_for(windows[1], "shut down cleanly")
    finally:
        tmux.run("kill-server", check=False)
        for window in windows:
            if window.process.poll() is None:
                os.kill(window.process.pid, signal.SIGTERM)
            window.close()

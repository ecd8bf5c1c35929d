"""A pseudo-terminal with an app on it, and a picture of what was sent to it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from places import ROOT
from preloaded import SCREENS, PreloadedPopen, own_session, own_terminal
from rich.cells import cell_len

COLOUR = re.compile(rb"\x1b\[[0-9;]*?\b(3[0-9]|4[0-9]|9[0-7]|10[0-7])\b[0-9;]*m")


@dataclass
class Picture:
    """A terminal that understands as much as the app sends: places, styles, text."""

    cells: dict[tuple[int, int], tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    style: tuple[str, ...] = ()
    at: tuple[int, int] = (0, 0)

    def feed(self, data: str) -> Picture:
        for match in re.finditer(r"\x1b\[([<>=?]?)([0-9;$]*)([A-Za-z])|([^\x1b]+)", data):
            private, parameters, final, text = match.groups()
            if text is not None:
                self._write(text)
            elif final == "H" and not private:
                row, column = (parameters or "1;1").split(";")
                self.at = (int(row) - 1, int(column) - 1)
            elif final == "m" and not private:
                self._restyle(parameters.split(";"))
        return self

    def _write(self, text: str) -> None:
        row, column = self.at
        for character in text:
            if character == "\n":
                row, column = row + 1, 0
            elif character == "\r":
                column = 0
            else:
                width = cell_len(character)
                self.cells[row, column] = (character, self._seen(character))
                if width == 2:  # what was in its second cell is gone
                    self.cells.pop((row, column + 1), None)
                column += width
        self.at = (row, column)

    def _seen(self, character: str) -> tuple[str, ...]:
        """The style as far as it shows: of a blank only its background, unless reversed or underlined."""
        if character == " " and not {"7", "4"} & set(self.style):
            return tuple(part for part in self.style if part.startswith("4"))
        return self.style

    def _restyle(self, codes: list[str]) -> None:
        style = list(self.style)
        while codes:
            code = codes.pop(0) or "0"
            if code in ("38", "48"):
                code = ";".join([code, *(codes.pop(0) for _ in range(4 if codes[0] == "2" else 2))])
            style = {
                "0": lambda s: [],
                "22": lambda s: [c for c in s if c not in ("1", "2")],
                "24": lambda s: [c for c in s if c != "4"],
                "27": lambda s: [c for c in s if c != "7"],
                "39": lambda s: [c for c in s if not is_foreground(c)],
                "49": lambda s: [c for c in s if not is_background(c)],
            }.get(code, lambda s, code=code: replaced(s, code))(style)
        self.style = tuple(sorted(style))

    def shows(self, text: str, width: int = 200, height: int = 60) -> bool:
        return any(text in self.line(row, width) for row in range(height))

    def line(self, row: int, width: int = 80) -> str:
        return "".join(self.cells.get((row, x), (" ", ()))[0] for x in range(width))


def is_foreground(code: str) -> bool:
    return code[:2] == "38" or (code.isdigit() and (30 <= int(code) <= 37 or 90 <= int(code) <= 97))


def is_background(code: str) -> bool:
    return code[:2] == "48" or (code.isdigit() and (40 <= int(code) <= 47 or 100 <= int(code) <= 107))


def replaced(style: list[str], code: str) -> list[str]:
    for kind in (is_foreground, is_background):
        if kind(code):
            return [c for c in style if not kind(c)] + [code]
    return style if code in style else [*style, code]


class Terminal:
    """A pseudo-terminal with the fake monitor's app on it, or with another command."""

    def __init__(
        self,
        *arguments: str,
        command: Sequence[str] = (),
        size: tuple[int, int] = (80, 24),
        controlling: bool = True,
        **environ: str,
    ) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.attributes = termios.tcgetattr(self.slave)
        self.received = b""
        keep = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "SSH_CONNECTION", "SSH_TTY")}
        self.process = PreloadedPopen(
            [*(command or (sys.executable, "-m", SCREENS)), *arguments],
            cwd=ROOT,
            stdin=self.slave,
            stdout=self.slave if command else subprocess.PIPE,  # the app draws on stderr
            stderr=self.slave,
            env={**keep, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONUTF8": "1", **environ},
            preexec_fn=own_terminal if controlling else own_session,
        )

    def read(self, seconds: float) -> bytes:
        """What comes within ``seconds``."""
        got = b""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and select.select([self.master], [], [], left)[0]:
            try:
                got += os.read(self.master, 65_536)
            except OSError:
                break
        self.received += got
        return got

    def wait_for(self, text: bytes, seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while text not in self.received:
            assert time.monotonic() < end, self.received[-500:]
            self.read(0.05)

    def send(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def leave(self) -> None:
        """Press q, and q again when it asks."""
        self.send(b"q")
        end = time.monotonic() + 20.0
        # Unchanged cells are not sent again: the word is in the picture, not in what is sent.
        while not Picture().feed(self.received.decode(errors="replace")).shows("Quit?"):
            assert time.monotonic() < end, self.received[-500:]
            self.read(0.2)
        self.send(b"q")

    def end(self, seconds: float = 20.0) -> tuple[int, str]:
        """Exit code and what the program said on stdout, while what it draws is read."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            if self.master >= 0:
                self.read(0.05)
            else:
                time.sleep(0.05)
        while self.master >= 0 and self.read(0.2):  # a busy machine hands over a full buffer in pieces
            pass
        said = "" if self.process.stdout is None else self.process.stdout.read().decode()
        return self.process.returncode, said

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        for descriptor in (self.master, self.slave):
            if descriptor >= 0:
                os.close(descriptor)
        self.master = self.slave = -1

    def assert_restored(self, most: int = 1) -> None:
        """What was set is set back; of a terminal that did not read perhaps twice, since once may be lost."""
        entered, left = (self.received.count(b"\x1b[?1049" + end) for end in (b"h", b"l"))
        assert (entered, min(max(left, 1), most)) == (1, left), self.received[-2_000:]
        tail = self.received[self.received.index(b"\x1b[?1049l") :]
        assert b"\x1b[?25h" in tail
        assert b"\x1b[?25l" not in tail
        assert termios.tcgetattr(self.slave)[:4] == self.attributes[:4]


def unread(descriptor: int) -> int:
    """Bytes that wait to be read."""
    answer = fcntl.ioctl(descriptor, termios.FIONREAD, struct.pack("i", 0))
    return int(struct.unpack("i", answer)[0])

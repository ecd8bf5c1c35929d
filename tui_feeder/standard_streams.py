"""Standard input, output and error, treated once for every command.

Python leaves each write to standard output to fail where it stands: as a traceback, as an exit code of its
own at the very end, or as a fault of whatever was being done. Here a write that fails ends the command by
one exception, and :func:`final_exit_code` gives its exit code.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import select
import sys
from typing import Any

from tui_feeder.errors import ExitCode, HostError


class OutputError(HostError):
    """Standard output cannot be written.

    Not an OSError, or code on the way would take it for an error of one of its own files.
    """


class _Output(io.FileIO):
    """Descriptor 1. The first write that fails raises, and those after it vanish: nothing waits for them."""

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - any buffer
        """Write some of ``data``, waiting where the descriptor is a full one that does not block."""
        while self.failure is None:
            try:
                written = super().write(data)
            except OSError as error:
                self.failure = error
                raise OutputError(error.strerror) from error
            if written is not None:  # typed as never None, but it is where a write would block
                return written
            select.select([], [self], [])
        return len(data)


class _Errors(io.FileIO):
    """Descriptor 2. An error cannot be reported anywhere else: a write never fails."""

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - any buffer
        """Write ``data`` as far as it can be."""
        try:
            written = super().write(data)
        except OSError:
            return len(data)
        return len(data) if written is None else written


class _Ascii(io.TextIOWrapper):
    """A text stream in ASCII. Under its name typer takes it for a mistake, and writes UTF-8 instead."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """No name that is known."""
        return "ascii-escaped"


_output: _Output | None = None


def install() -> None:
    """Make standard input, output and error such as every command can rely on.

    A descriptor that is closed is opened on nothing: the next file, maybe the store's, would get its number,
    and with it whatever is printed. What the locale cannot show is written escaped.
    """
    global _output
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one. Output is opened for reading, so that a write to it fails.
            os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)
            os.set_inheritable(number, True)
    _output = _Output(1, "wb", closefd=False)
    out, err = _text(_output, sys.stdout), _text(_Errors(2, "wb", closefd=False), sys.stderr)
    vars(sys).update(stdout=out, __stdout__=out, stderr=err, __stderr__=err)
    if sys.stdin is None:
        nothing = open(0, closefd=False)  # noqa: SIM115 - for the life of the process
        vars(sys).update(stdin=nothing, __stdin__=nothing)
    err.reconfigure(line_buffering=True)


def _text(raw: io.FileIO, before: Any) -> io.TextIOWrapper:  # noqa: ANN401 - may be None, despite its type
    if before is not None:
        before.flush()
    encoding = getattr(before, "encoding", None) or sys.getfilesystemencoding()
    kind = _Ascii if codecs.lookup(encoding).name == "ascii" else io.TextIOWrapper
    return kind(
        io.BufferedWriter(raw),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=bool(getattr(before, "line_buffering", False)),
    )


def final_exit_code(code: int) -> int:
    """Flushes what a command has written; a failed write is reported on stderr.

    Args:
        code: what the command itself came to.

    Returns:
        The exit code of the process.
    """
    with contextlib.suppress(OutputError):
        sys.stdout.flush()
    failure = None if _output is None else _output.failure
    if failure is None:
        return code
    if failure.errno == errno.EPIPE:
        return ExitCode.BROKEN_PIPE
    sys.stderr.write(f"feeder-tui: standard output cannot be written: {failure.strerror}\n")
    return ExitCode.FAILED

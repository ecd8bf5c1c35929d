"""Runs the embedded exchange as a child process, so that it shares neither loop nor lock with the engine.

Imports the standard library and the tree of errors alone: a command that starts the child does not load
the exchange.
"""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tui_feeder.errors import ExchangeFailure

_START_WITHIN = 60.0
_STOP_WITHIN = 5.0
_CONTROL_WITHIN = 5.0


class ExchangeStartError(ExchangeFailure):
    """The exchange did not start; the message has the reason and is meant for the user."""


class ExchangeControlError(ExchangeFailure):
    """The exchange does not answer to its controls: it has ended, or hangs."""


@dataclass(frozen=True)
class Urls:
    """Where the exchange listens: the values of ``[exchange]`` in the configuration."""

    rest_url: str
    stream_url: str
    archive_url: str


class ChildExchange:
    """An exchange that runs as a child process; a context manager.

    It ends when :meth:`stop` is called or when this process is gone, however it went. It is in a session
    of its own, so Ctrl-C on the terminal does not reach it.

    Attributes:
        urls: where it listens.
        clock_start: exchange time at its start, ms.
        rate: exchange seconds in a real second.
        began: when it was ``clock_start``, by ``time.monotonic()``.
        symbols: the perpetuals in trading.
        notes: what a user must know about the market.
    """

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes], line: dict[str, object]) -> None:
        self.urls = Urls(str(line["rest_url"]), str(line["stream_url"]), str(line["archive_url"]))
        self.clock_start = int(str(line["clock_start"]))
        self.rate = float(str(line["rate"]))
        self.began = float(str(line["began"]))
        symbols, notes = line["symbols"], line["notes"]
        assert isinstance(symbols, list)
        assert isinstance(notes, list)
        self.symbols: tuple[str, ...] = tuple(symbols)
        self.notes: tuple[str, ...] = tuple(notes)
        self._process = process
        self._errors = errors

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the child still lives."""
        return self._process.poll() is None

    def complaint(self) -> str:
        """The last lines the child wrote to its stderr, less those about faults; empty if it is well."""
        return _tail(self._errors)

    def fault(
        self, name: str, symbol: str | None = None, duration: float | None = None, **more: object
    ) -> dict[str, Any]:
        """Switches a fault on.

        Args:
            name: see :data:`tui_feeder.simulator.fault_kinds.KINDS`.
            symbol: confines it to a symbol.
            duration: exchange seconds; None until :meth:`heal`.
            more: ``target``, ``count``, and the fault's own parameters.

        Returns:
            The fault as the control interface describes it.

        Raises:
            ValueError: for what is not known or cannot be; the message is for the user.
            ExchangeControlError: if the exchange does not answer.
        """
        wanted: dict[str, object] = {"name": name, "symbol": symbol, "duration": duration}
        wanted |= {key: more.pop(key) for key in ("target", "count") if key in more}
        return self._control("POST", "", wanted | {"parameters": more})

    def heal(self, name: str | None = None, symbol: str | None = None) -> int:
        """Switches faults off.

        Args:
            name: kind of the faults to end; None for any.
            symbol: symbol the faults to end are confined to; None for any.

        Returns:
            How many ended.

        Raises:
            ValueError: for a name no fault has.
            ExchangeControlError: if the exchange does not answer.
        """
        from urllib.parse import urlencode

        chosen = {key: value for key, value in (("name", name), ("symbol", symbol)) if value is not None}
        return int(self._control("DELETE", urlencode(chosen), None)["ended"])

    def faults(self) -> list[dict[str, Any]]:
        """The faults that are on: name, symbol, target, begins_ms, ends_ms, left, parameters.

        Raises:
            ExchangeControlError: if the exchange does not answer.
        """
        found: list[dict[str, Any]] = self._control("GET", "", None)["faults"]
        return found

    def _control(self, method: str, query: str, body: dict[str, object] | None) -> dict[str, Any]:
        import http.client
        from urllib.parse import urlsplit

        address = urlsplit(self.urls.rest_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_CONTROL_WITHIN)
        try:
            connection.request(
                method,
                "/_simulator/faults" + (f"?{query}" if query else ""),
                None if body is None else json.dumps(body),
                {"Content-Type": "application/json"},
            )
            with connection.getresponse() as response:
                answer: dict[str, Any] = json.loads(response.read())
                status = response.status
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ExchangeControlError(f"the embedded exchange does not answer: {error}") from error
        finally:
            connection.close()
        if status == 400:
            raise ValueError(answer["error"])
        if status != 200:
            raise ExchangeControlError(f"the embedded exchange answered {status}: {answer.get('error')}")
        return answer

    def stop(self) -> None:
        """Asks the child to end, waits, and makes it end if it does not. Safe to call again."""
        _end(self._process)
        if not self._errors.closed:
            self._errors.close()

    def __enter__(self) -> ChildExchange:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def launch_blocking(
    *,
    data: Path | None = None,
    symbols: Sequence[str] | None = None,
    speed: float = 1.0,
    start_ms: int | None = None,
    port: int = 0,
    seed: int = 1,
    faults: Sequence[str] = (),
    random_faults: int | None = None,
    random_gap: float | None = None,
    market: str = "usdm",
    began: float | None = None,
) -> ChildExchange:
    """Starts an exchange as a child process and waits until it listens.

    Args:
        data: folder of recorded archives; None for a synthetic market.
        symbols: symbols to list; None for the default ones.
        speed: seconds of exchange time per real second.
        start_ms: exchange time to start at, ms; None for the market's own.
        port: TCP port to listen on; 0 for a free one.
        seed: seed of the synthetic market.
        faults: faults to switch on, see :func:`~tui_feeder.simulator.faults.read_fault`.
        random_faults: seed of random faults; None for none.
        random_gap: mean exchange seconds between two random faults; None for the default.
        market: which it is: usdm, spot or coinm.
        began: when it was ``start_ms``, by ``time.monotonic()``; None for when it starts.

    Returns:
        The child with its URLs; a context manager that ends it.

    Raises:
        ExchangeStartError: if it does not start.
    """
    command = [
        sys.executable,
        "-m",
        "tui_feeder.simulator",
        "--attached",
        f"--port={port}",
        f"--speed={speed}",
    ]
    command += [f"--seed={seed}", f"--market={market}"]
    if data is not None:
        command.append(f"--data={data}")
    if symbols is not None:
        command.append(f"--symbols={','.join(symbols)}")
    command += [f"--fault={fault}" for fault in faults]
    if random_faults is not None:
        command += ["--faults=random", f"--fault-seed={random_faults}"]
    if random_gap is not None:
        command.append(f"--fault-gap={random_gap}")
    if start_ms is not None:
        command.append(f"--start-ms={start_ms}")
    if began is not None:
        command.append(f"--began={began!r}")
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
        bufsize=0,
    )
    try:
        line = _first_line(process)
        if line is None:
            _end(process)
            reason = _tail(errors) or f"it ended with code {process.returncode} without a message"
            raise ExchangeStartError(f"the embedded exchange did not start: {reason}")
        if "error" in line:
            raise ExchangeStartError(str(line["error"]))
        return ChildExchange(process, errors, line)
    except BaseException:
        _end(process)
        errors.close()
        raise


def _first_line(process: subprocess.Popen[bytes]) -> dict[str, object] | None:
    """The JSON line a child prints when it listens; None if it ends or takes too long."""
    assert process.stdout is not None
    deadline = time.monotonic() + _START_WITHIN
    text = b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        chunk = process.stdout.read(65_536) if ready else b""
        if not chunk:
            return None
        text += chunk
    line: dict[str, object] = json.loads(text)
    return line


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    for ask in (None, process.terminate, process.kill):
        if ask is not None:
            ask()
        try:
            process.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            continue
        return


def _tail(errors: IO[bytes]) -> str:
    if errors.closed:
        return ""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").splitlines()
    return "\n".join([line for line in lines if not line.startswith('{"fault":')][-5:])

"""Notifications for systemd: ready when data flows, watchdog as long as the engine's loop answers.

The protocol of ``sd_notify(3)``: datagrams of ``NAME=value`` to the socket that ``NOTIFY_SOCKET`` names.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping

from tui_feeder.config import Service
from tui_feeder.engine.thread import EngineThread
from tui_feeder.service.engine_probe import BusyError, EngineProbe
from tui_feeder.service.readiness import checks

log = logging.getLogger(__name__)

#: What a start waits for. A sink that is down or a disk that fills is a fault of a feeder that has started.
_TO_BE_READY = ("history", "streams", "symbols")
_PERIOD_SECONDS = 1.0


@contextlib.contextmanager
def systemd_notifications(
    engine: EngineThread, settings: Service, environ: Mapping[str, str] = os.environ
) -> Iterator[None]:
    """Notifies systemd inside the context, if it asked for it.

    Args:
        engine: the engine.
        settings: the configuration of the service.
        environ: the environment with NOTIFY_SOCKET and WATCHDOG_USEC.

    Yields:
        Nothing, inside the context.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        yield
        return
    notifier = Notifier(engine, settings, address, _watchdog_seconds(environ))
    try:
        yield
    finally:
        notifier.close()


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """How long systemd waits for a sign of life; None where it does not, or asks another process."""
    try:
        seconds = int(environ.get("WATCHDOG_USEC", "")) / 1e6
        other = int(environ.get("WATCHDOG_PID") or os.getpid()) != os.getpid()
    except ValueError:
        return None
    return None if other or seconds <= 0 else seconds


class Notifier:
    """Sends datagrams from a thread of its own.

    Args:
        engine: the engine's thread.
        settings: bounds of what is ready.
        address: of systemd's socket; ``@`` first for an abstract one.
        watchdog: seconds systemd waits for a sign of life, None if it does not.
    """

    def __init__(self, engine: EngineThread, settings: Service, address: str, watchdog: float | None) -> None:
        self._probe = EngineProbe(engine)
        self._settings = settings
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._period = _PERIOD_SECONDS if watchdog is None else min(_PERIOD_SECONDS, watchdog / 3)
        self._watchdog = watchdog is not None
        self._ready = False
        self._status = ""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Report that the shutdown has begun."""
        self._ended.set()
        self._thread.join(5.0)
        self._send("STOPPING=1", "STATUS=shutting down")
        self._socket.close()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            while not self._ended.wait(self._period):
                try:
                    runner.run(self._notify())
                except BusyError as error:
                    self._send_status(str(error))  # no sign of life
                except Exception:
                    log.exception("the state could not be reported to systemd")

    async def _notify(self) -> None:
        status = await self._probe.status()
        found = checks(status, self._settings)
        missing = [check for check in found if not check.ok]
        if not self._ready and not any(check.name in _TO_BE_READY for check in missing):
            self._ready = True
            self._send("READY=1")
            log.info("reported to systemd: ready")
        if self._watchdog:
            self._send("WATCHDOG=1")
        self._send_status("; ".join(f"{check.name}: {check.text}" for check in missing or found))

    def _send_status(self, status: str) -> None:
        if status != self._status:
            self._status = status
            self._send("STATUS=" + status.replace("\n", " "))

    def _send(self, *lines: str) -> None:
        with contextlib.suppress(OSError):  # the socket is gone: the feeder continues
            self._socket.sendto("\n".join(lines).encode(), self._address)

"""The gateway of a feeder: a child process, so that its clients take nothing from the engine's loop.

Imports little: a feeder that serves no gateway does not load it, one that does loads it in the child alone.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from tui_feeder.configuration.sections import Gateway

log = logging.getLogger(__name__)

_MODULE = "tui_feeder.service.gateway.process"
_STOP_SECONDS = 5.0
#: Between two starts, growing while it ends soon.
_WAITS = (0.5, 2.0, 5.0, 15.0, 60.0)
_WELL_SECONDS = 60.0
_LEVELS = {name: getattr(logging, name) for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}


class GatewayChild:
    """Starts the gateway, and again whenever it ends, until :meth:`close`.

    Args:
        settings: ``[gateway]``.
        socket: of this feeder, for it to attach to.
    """

    def __init__(self, settings: Gateway, socket: Path) -> None:
        self._command = [
            sys.executable, "-m", _MODULE, msgspec.json.encode(settings).decode(), str(socket),
        ]  # fmt: skip
        self._over = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._keep, name="gateway", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Process id of the gateway.

        Returns:
            None while it does not run.
        """
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def close(self) -> None:
        """End it."""
        self._over.set()
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                process.terminate()
        self._thread.join(2 * _STOP_SECONDS)

    def _keep(self) -> None:
        tries = 0
        while not self._over.is_set():
            began = time.monotonic()
            code = self._run()
            if self._over.is_set():
                return
            tries = 0 if time.monotonic() - began > _WELL_SECONDS else tries + 1
            wait = _WAITS[min(tries, len(_WAITS) - 1)]
            log.error("the gateway ended (exit code %s); started again in %g s", code, wait)
            self._over.wait(wait)

    def _run(self) -> int | None:
        try:
            process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                text=True, errors="replace", start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            log.error("the gateway cannot be started: %s", error)
            return None
        self._process = process
        if self._over.is_set():
            process.terminate()
        assert process.stderr is not None
        with process:
            for line in process.stderr:
                level, _, text = line.rstrip("\n").partition(" ")
                if level in _LEVELS:
                    log.log(_LEVELS[level], "%s", text)
                else:
                    log.warning("%s", line.rstrip("\n"))
            try:
                return process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait()

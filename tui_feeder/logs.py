"""Log lines for people or as JSON: on stderr, or in a file that is rotated. Secrets are masked in both."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import logging
import logging.handlers
import os
import stat
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from functools import reduce
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from tui_feeder.config import Config
from tui_feeder.configuration.keys import kind_at, leaf_names
from tui_feeder.configuration.sections import Service
from tui_feeder.configuration.values import is_secret
from tui_feeder.engine.core.proxy import Proxies
from tui_feeder.errors import HostError
from tui_feeder.paths import FolderError, check_owner
from tui_feeder.safe_text import MASK, Secret, printable

log = logging.getLogger(__name__)
_MB = 1_000_000
#: Runs that may write a log of the program's choice at once, about.
_BESIDE = 100
#: Third parties whose own lines would drown ours.
_NOISY = ("websockets", "asyncio", "aiohttp")
#: Modules that log and were renamed since the last release, by their old name. That goes on working in
#: ``service.log_levels``, with a warning; a package stands for everything below it.
MOVED = {
    "tui_feeder.engine.alerts.desk": "tui_feeder.engine.alerts.manager",
    "tui_feeder.engine.binance": "tui_feeder.engine.exchanges.binance",
    "tui_feeder.engine.binance.stream": "tui_feeder.engine.exchanges.binance.stream_connection",
    "tui_feeder.engine.environment": "tui_feeder.engine.storage.environment",
    "tui_feeder.engine.group_commit": "tui_feeder.engine.storage.group_commit",
    "tui_feeder.engine.live": "tui_feeder.engine.thread",
    "tui_feeder.engine.records": "tui_feeder.engine.storage.records",
    "tui_feeder.engine.recovery": "tui_feeder.engine.acquisition.recovery",
    "tui_feeder.engine.sinks.outbox": "tui_feeder.engine.storage.outbox",
    "tui_feeder.engine.store": "tui_feeder.engine.storage.store",
    "tui_feeder.engine.supervisor": "tui_feeder.engine.core.supervisor",
    "tui_feeder.engine.upgrade": "tui_feeder.engine.storage.upgrade",
    "tui_feeder.replaying": "tui_feeder.replay",
    "tui_feeder.replaying.player": "tui_feeder.replay.monitor",
    "tui_feeder.running": "tui_feeder.runner",
    "tui_feeder.screens.kept": "tui_feeder.screens.ui_state",
    "tui_feeder.service.configured": "tui_feeder.service.startup",
}
#: Shorter ones are parts of ordinary words, and masking them would garble the log.
_SECRET_AT_LEAST = 4
#: Loggers whose levels were stated last.
_stated: set[str] = set()


class LogError(HostError):
    """The log cannot be written where it should be."""


class _MaskingFormatter(logging.Formatter):
    """A formatter that knows what must not be shown, should a library put it into a message."""

    secrets: tuple[str, ...] = ()

    def masked(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        return text


class _TextFormatter(_MaskingFormatter):
    default_msec_format = "%s.%03d"

    def __init__(self) -> None:
        self.converter = time.gmtime
        super().__init__("%(asctime)sZ %(levelname)-7s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """One line a message, whatever it holds: names and reasons come from outside too."""
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: ANN401 - the library's own
        """A traceback with its lines, and nothing in them that a terminal takes for its own."""
        return "\n".join(map(printable, super().formatException(ei).split("\n")))

    def format(self, record: logging.LogRecord) -> str:
        before = record.levelname
        record.levelname = before.lower()
        try:
            return self.masked(super().format(record))
        finally:
            record.levelname = before


class _JsonFormatter(_MaskingFormatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.masked(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = self.masked(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class RotatedFile(logging.handlers.RotatingFileHandler):
    """A file for its owner's eyes only, as are those it was rotated to.

    Lines that cannot be written, as on a full disk, are counted, and their number is the first thing that
    is written once it can be: stderr may be the screen, and is left alone.
    """

    lost = 0  # lines
    _begun = False
    _mode = 0o600  # of a new file; that of the one before it where that was changed

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):  # stderr by its name, a terminal: others may write there too
            return open(descriptor, "a", encoding="utf-8")
        if self._begun and not found.st_size and stat.S_IMODE(found.st_mode) == 0o600 != self._mode:
            os.fchmod(descriptor, self._mode)
        self._mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not self._begun:
                os.close(descriptor)
                raise
        except OSError:  # a file system without locks
            pass
        self._begun = True
        return open(descriptor, "a", encoding="utf-8")

    def reopen_if_moved(self) -> None:
        """Reopen a file that was moved, without waiting for the next line."""
        with self.lock or contextlib.nullcontext():
            if self._moved():
                self._reopen()

    def _moved(self) -> bool:
        """Whether another file, or none, has its name: logrotate has moved it, or it was removed."""
        if self.stream is None:
            return False
        try:
            return not os.path.samestat(os.stat(self.baseFilename), os.fstat(self.stream.fileno()))
        except FileNotFoundError:
            return True
        except (OSError, ValueError):
            return False

    def _reopen(self) -> None:
        """Go on in the file of its name; where there can be none, in the one that was moved."""
        before = self.stream
        try:
            self.stream = self._open()
        except OSError:
            return
        if before is not None:
            with contextlib.suppress(OSError):
                before.close()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, and before it how many were lost."""
        if self._moved():
            self._reopen()
        lost, self.lost = self.lost, 0
        if lost:
            text = f"{lost} log lines could not be written"
            super().emit(logging.LogRecord(__name__, logging.WARNING, "", 0, text, (), None))
            if self.lost:  # nor can this one
                self.lost += lost - 1
        super().emit(record)

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        """Checks whether the file is full; a pipe or a terminal never is (Python 3.13 asks for its position).

        Args:
            record: the next record.

        Returns:
            True if the file is to be rotated.
        """
        if self.stream is not None and not self.stream.seekable():
            return False
        return bool(super().shouldRollover(record))

    def handleError(self, record: logging.LogRecord) -> None:
        """Counts a record that could not be written.

        Args:
            record: the record.
        """
        self.lost += 1


def configure_logging(config: Config, file: Path | None = None, *, own: bool = False) -> Path | None:
    """Send log lines to stderr, or to ``file`` (mode 0600, rotated), as set in ``[service]``.

    Args:
        config: with its secrets, which are masked.
        file: None for stderr.
        own: the name is the program's choice: where another run writes the file, it is one beside it.

    Returns:
        The file that is written; None for stderr.

    Raises:
        LogError: ``file`` cannot be written, or another run writes it.
    """
    service = config.service
    root = logging.getLogger()
    for old in root.handlers:
        if isinstance(old, RotatedFile):
            old.close()
    written = None if file is None else _open_log_file(service, file, own)
    handler = logging.StreamHandler(sys.stderr) if written is None else written
    form = _JsonFormatter() if service.log_format == "json" else _TextFormatter()
    form.secrets = _secrets_of(config)
    handler.setFormatter(form)
    root.handlers[:] = [handler]
    threading.excepthook = _thread_failed
    apply_log_levels(service)
    return None if written is None else Path(written.baseFilename)


def reopen_log_files() -> None:
    """Reopen a log file that was moved, as logrotate asks by SIGHUP. Not from a signal handler.

    The thread that a signal interrupts may be within a line.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RotatedFile):
            handler.reopen_if_moved()


def _open_log_file(service: Service, file: Path, own: bool) -> RotatedFile:
    names = [file, *(file.with_stem(f"{file.stem}-{number}") for number in range(2, _BESIDE) if own)]
    size, keep = service.log_rotate_mb * _MB, service.log_keep
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in names:
            check_owner(name)
            # Of a link the file behind it is rotated, not the link.
            written = name.resolve() if name.is_file() else name
            with contextlib.suppress(BlockingIOError):
                return RotatedFile(written, maxBytes=size, backupCount=keep, encoding="utf-8")
    except FolderError as error:
        raise LogError(f"{error}, with service.log_file") from error
    except OSError as error:
        raise LogError(
            f"the log cannot be written to {file}: {error.strerror}; service.log_file names another"
        ) from error
    raise LogError(f"another run writes its log to {file}: service.log_file names another")


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """A thread that ends by an exception is logged; Python's own way is stderr, the screen."""
    if failure.exc_value is None or failure.exc_type is SystemExit:
        return
    name = failure.thread.name if failure.thread is not None else "of a part that is gone"
    log.critical("the thread %s failed", name, exc_info=failure.exc_value)


def apply_log_levels(service: Service) -> None:
    """Applies the levels of ``[service]``: the general one, and those of single modules.

    Args:
        service: the configuration of the service.
    """
    logging.getLogger().setLevel(service.log_level.upper())
    stated = _by_module(service.log_levels)
    levels = dict.fromkeys(_NOISY, "warning") | {_present_name(name): stated[name] for name in stated}
    for name in _stated - levels.keys():
        logging.getLogger(name).setLevel(logging.NOTSET)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level.upper())
        if not _is_there(name):
            log.warning("service.log_levels: there is no module %s", name)
    for name in stated:
        if (present := _present_name(name)) != name:
            log.warning(
                "service.log_levels: the module %s is now %s: use that name; the old one works until the "
                "next release", name, present,
            )  # fmt: skip
    _stated.clear()
    _stated.update(levels)


def _by_module(stated: Sequence[str]) -> dict[str, str]:
    return {name: level for name, _, level in (entry.partition("=") for entry in stated)}


def _present_name(module: str) -> str:
    """The name that a module has now, where it was renamed; see :data:`MOVED`."""
    if _is_there(module):
        return module
    package, rest = module, ""
    while package:
        if package in MOVED:
            return MOVED[package] + rest
        package, _, last = package.rpartition(".")
        rest = f".{last}{rest}"
    return module


def _is_there(module: str) -> bool:
    try:
        return module in _NOISY or importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _secrets_of(config: Config) -> tuple[str, ...]:
    """Every secret in force, the longest first: one may hold another."""
    found: Iterator[object] = (
        reduce(getattr, key, config) for key in leaf_names() if is_secret(kind_at(key))
    )
    secrets = {secret.reveal() for secret in found if isinstance(secret, Secret)}
    secrets.update(Proxies(config.exchange.proxy).secrets())
    return tuple(sorted((s for s in secrets if len(s) >= _SECRET_AT_LEAST), key=len, reverse=True))

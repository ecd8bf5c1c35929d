"""Log lines for people or as JSON: on stderr, or in a file that is rotated. Secrets are masked in both."""

from __future__ import annotations

import importlib.util
import json
import logging
import logging.handlers
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from functools import reduce
from io import TextIOWrapper
from pathlib import Path

from tui_feeder.config import Config
from tui_feeder.configuration.keys import kind_at, leaf_names
from tui_feeder.configuration.sections import Service
from tui_feeder.configuration.text import MASK, Secret
from tui_feeder.configuration.values import is_secret
from tui_feeder.engine.proxy import configured_proxies

log = logging.getLogger(__name__)
_MB = 1_000_000
#: Third parties whose own lines would drown ours.
_NOISY = ("websockets", "asyncio", "aiohttp")
#: Shorter ones are parts of ordinary words, and masking them would garble the log.
_SECRET_AT_LEAST = 4
#: Loggers whose levels were stated last.
_stated: set[str] = set()


class LogError(Exception):
    """The log cannot be written where it should be; the text says why."""


class _Masking(logging.Formatter):
    """A formatter that knows what must not be shown, should a library put it into a message."""

    secrets: tuple[str, ...] = ()

    def masked(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        return text


class _Human(_Masking):
    default_msec_format = "%s.%03d"

    def __init__(self) -> None:
        self.converter = time.gmtime
        super().__init__("%(asctime)sZ %(levelname)-7s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        before = record.levelname
        record.levelname = before.lower()
        try:
            return self.masked(super().format(record))
        finally:
            record.levelname = before


class _Json(_Masking):
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

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        return open(descriptor, "a", encoding="utf-8")

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, and before it how many were lost."""
        lost, self.lost = self.lost, 0
        if lost:
            text = f"{lost} lines of this log could not be written"
            super().emit(logging.LogRecord(__name__, logging.WARNING, "", 0, text, (), None))
            if self.lost:  # nor can this one
                self.lost += lost - 1
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Count it."""
        self.lost += 1


def set_up(config: Config, file: Path | None = None) -> None:
    """Send log lines to stderr, or to ``file`` (mode 0600, rotated), as ``[service]`` says.

    Raises:
        LogError: ``file`` cannot be written.
    """
    service = config.service
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handler = RotatedFile(
                file, maxBytes=service.log_rotate_mb * _MB, backupCount=service.log_keep, encoding="utf-8"
            )
        except OSError as error:
            raise LogError(
                f"the log cannot be written to {file}: {error.strerror}; service.log_file names another"
            ) from error
    form = _Json() if service.log_format == "json" else _Human()
    form.secrets = _secrets_of(config)
    handler.setFormatter(form)
    root = logging.getLogger()
    for old in root.handlers:
        if isinstance(old, RotatedFile):
            old.close()
    root.handlers[:] = [handler]
    threading.excepthook = _thread_failed
    follow(service)


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """A thread that ends by an exception says so in the log; Python's own way is stderr, the screen."""
    if failure.exc_value is None or failure.exc_type is SystemExit:
        return
    name = failure.thread.name if failure.thread is not None else "of a part that is gone"
    log.critical("the thread %s ended: it failed", name, exc_info=failure.exc_value)


def follow(service: Service) -> None:
    """Apply the levels of ``[service]``: of everything, and of the modules stated."""
    logging.getLogger().setLevel(service.log_level.upper())
    levels = dict.fromkeys(_NOISY, "warning") | _by_module(service.log_levels)
    for name in _stated - levels.keys():
        logging.getLogger(name).setLevel(logging.NOTSET)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level.upper())
        if not _is_there(name):
            log.warning("service.log_levels: there is no module %s", name)
    _stated.clear()
    _stated.update(levels)


def _by_module(stated: Sequence[str]) -> dict[str, str]:
    return {name: level for name, _, level in (one.partition("=") for one in stated)}


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
    secrets.update(configured_proxies(config).secrets())
    return tuple(sorted((s for s in secrets if len(s) >= _SECRET_AT_LEAST), key=len, reverse=True))

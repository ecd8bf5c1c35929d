"""Requests that are none: who sent one is told so, and the log is left alone."""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError


def leave_refusals_out() -> None:
    """Let the HTTP server log nothing of requests it cannot read: it answers 400.

    It would write a traceback for each, so whoever reaches the port could fill the log.
    """
    logging.getLogger("aiohttp.server").addFilter(_not_refused)


def _not_refused(record: logging.LogRecord) -> bool:
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)

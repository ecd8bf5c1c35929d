"""Starts a real server for tests, or skips them where it is not installed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from services import Service, Unavailable


def running(service: Service) -> Iterator[Service]:
    """Start a server for a fixture, and kill it at the end. With CI set one that is missing is an error."""
    try:
        service.start()
    except Unavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    yield service
    service.kill()

"""Options of the suite, and where its temporary files are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import examples
import pytest

#: Memory as a file system: a commit of a store there does not wait for a disk.
MEMORY = Path("/dev/shm")
#: It must have that much room for the files of all workers, bytes.
NEEDED = 4 << 30


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz",
        type=float,
        default=3.0,
        metavar="SECONDS",
        help="how long each input is fuzzed in test_fuzz",
    )
    parser.addoption(
        "--thorough",
        action="store_true",
        help="try four times as many examples of the properties that cost much",
    )


def pytest_configure(config: pytest.Config) -> None:
    examples.thorough = config.getoption("--thorough")
    roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= NEEDED
    if roomy and "PYTEST_DEBUG_TEMPROOT" not in os.environ:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)

"""Options of the suite, and where its temporary files are."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

import examples
import pytest
from hypothesis import HealthCheck, settings

#: Memory as a file system: a commit of a store there does not wait for a disk.
MEMORY = Path("/dev/shm")
_UNIT = Path(__file__).parent / "unit"
#: When cycles of garbage are looked for, by generation.
_USUAL, _SELDOM = gc.get_threshold(), (20_000, 20, 50)
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
        help="try all examples, cases, sizes and months of tests that cost much",
    )


def pytest_configure(config: pytest.Config) -> None:
    examples.thorough = config.getoption("--thorough")
    # How long an example takes is a matter of what else the machine does.
    settings.register_profile(
        "feeder",
        max_examples=examples.examples(100),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("feeder")
    roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= NEEDED
    if roomy and "PYTEST_DEBUG_TEMPROOT" not in os.environ:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Look for cycles of garbage only among what the tests make, not among the modules."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Look for cycles seldom in unit tests: it took a seventh of their time. Engines would hold much."""
    gc.set_threshold(*(_SELDOM if item.path.is_relative_to(_UNIT) else _USUAL))

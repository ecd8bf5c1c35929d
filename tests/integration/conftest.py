"""Real servers for integration tests; each test that asks for one gets its own, killed at the end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from services import Kafka, Postgres, Service
from starting import running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=4, help="how often a feeder is killed in its tests")
    parser.addoption("--outage", type=float, default=9.0, help="how long a cluster's broker is away, s")
    parser.addoption("--pause", type=float, default=0.0, help="how long a worker is paused at least, s")
    parser.addoption("--minutes", type=float, default=1.0, help="how long clients of the gateway listen")


@pytest.fixture
def outage(request: pytest.FixtureRequest) -> float:
    """For how long the broker of a cluster is away, seconds."""
    return float(request.config.getoption("--outage", 9.0))


@pytest.fixture
def pause(request: pytest.FixtureRequest) -> float:
    """For how long a worker of a cluster is stopped with SIGSTOP at least, seconds."""
    return float(request.config.getoption("--pause", 0.0))


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How often to kill a feeder."""
    return int(request.config.getoption("--kills", 4))


@pytest.fixture
def minutes(request: pytest.FixtureRequest) -> float:
    """How long clients of the gateway listen."""
    return float(request.config.getoption("--minutes", 1.0))


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[Service]:
    """A real Apache Kafka."""
    yield from running(Kafka(tmp_path / "kafka"))


@pytest.fixture
def postgres() -> Iterator[Service]:
    """A real PostgreSQL. Its folder is not pytest's: the server's user could not enter that one."""
    folder = Path(tempfile.mkdtemp(prefix="feeder-postgres-"))
    yield from running(Postgres(folder / "server"))
    shutil.rmtree(folder, ignore_errors=True)

"""A cluster of real feeders: workers as processes, an undisturbed feeder beside them, an independent reader.

The reader is librdkafka's with ``isolation.level=read_committed``: what it sees is what is checked.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import confluent_kafka
from cluster_checks import MINUTE_MS, Differing, Record, check_each_once_and_in_order, check_equal
from services import Kafka as Broker

from tui_feeder.engine.cluster.partitions import assign
from tui_feeder.simulator.launch import ChildExchange

TOPICS = ("data", "candles", "alerts")
TOPICS_OF_BOTH = ("ta_state", *(f"{prefix}_{topic}" for prefix in ("ta", "one") for topic in TOPICS))
#: Alerts of a worker's first minutes depend on when it began to look.
_ALERTS_SETTLE_MS = 10 * MINUTE_MS
_RULES = """
[alerts]
kafka = true
[alerts.rules]
volume = { kind = "volume_above", quantile = "q50", cooldown_seconds = 0 }
trend = { kind = "trend_flip", timeframe = 300, cooldown_seconds = 0 }
"""
#: Bytes that a file may have on a disk that is said to be full: less than a store, more than a log.
_LITTLE = 512 << 10
_MARK = b"feeder cluster "  # begins the records of the state topic
_ASSIGNED = re.compile(r"cluster: (\d+) of \d+ partitions, (\d+) workers")


def wait_until(condition: Callable[[], object], seconds: float, why: Callable[[], str] | str = "") -> None:
    """Wait until ``condition()`` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {why if isinstance(why, str) else why()}")
        time.sleep(0.05)


class Reader:
    """Reads topics of committed records from their beginnings, on a thread; a context manager.

    Args:
        servers: of the broker.
        topics: their names; those that are not there yet are read once they are.
    """

    def __init__(self, servers: str, topics: Sequence[str]) -> None:
        self._servers, self._topics = servers, list(topics)
        self._records: dict[str, dict[str, list[Record]]] = {topic: {} for topic in topics}
        self._next: dict[tuple[str, int], int] = {}  # by topic and partition, the offset to be read next
        self._partitions: dict[int, list[Record]] = {}  # the #position records of the state topic
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(20)

    def _read(self) -> None:
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self._servers,
                "group.id": f"reader {time.time_ns()}",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "topic.metadata.refresh.interval.ms": 500,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        consumer.subscribe(self._topics)
        while not self._closing.is_set():
            found = consumer.consume(1_000, 0.1)
            arrived = time.monotonic()
            with self._lock:
                for message in found:
                    place = message.topic(), message.partition()
                    # Where the broker was away its group may begin anew, and give everything once more.
                    if not message.error() and message.offset() >= self._next.get(place, 0):
                        self._next[place] = message.offset() + 1
                        self._take(arrived, message)
        consumer.close()

    def _take(self, arrived: float, message: confluent_kafka.Message) -> None:
        key = (message.key() or b"").decode(errors="replace")
        record = Record(arrived, message.timestamp()[1], message.value() or b"")
        if key == "#position":
            if _MARK in record.payload:  # else a test has written it
                self._partitions.setdefault(message.partition(), []).append(record)
        elif not message.topic().endswith("state"):
            self._records[message.topic()].setdefault(key, []).append(record)

    def records(self, topic: str) -> dict[str, list[Record]]:
        """By symbol what was read of a topic, in the order of its partition."""
        with self._lock:
            return {symbol: list(found) for symbol, found in self._records[topic].items()}

    def newest(self, topic: str, symbol: str) -> int:
        """Close time (ms) of the newest minute of a symbol; 0 without any."""
        with self._lock:
            return max((at.timestamp for at in self._records[topic].get(symbol, ())), default=0)

    def positions(self) -> dict[int, list[Record]]:
        """By partition with symbols a record for each transaction; its payload has the worker's name."""
        with self._lock:
            return {partition: list(found) for partition, found in self._partitions.items()}


@dataclass
class Feeder:
    """``feeder-tui --no-ui`` as a process."""

    name: str
    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    _earlier: int = 0  # characters of the log that are of earlier runs

    @property
    def log_path(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self) -> Feeder:
        """Start it, again or for the first time, on its own store."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FEEDER_")}
        self._earlier = len(self.log)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tui_feeder", "--no-ui", "--config", str(self.folder / "config.toml"),
                 "--storage", str(self.folder / self.name)],
                stdout=log, stderr=log, env=inherited | self.environment, start_new_session=True,
            )  # fmt: skip
        return self

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """Stop it cleanly; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @contextlib.contextmanager
    def disk_full(self) -> Iterator[None]:
        """As long as this lasts its store takes nothing, as if its disk were full; its log goes on."""
        assert self.process is not None
        forever = resource.RLIM_INFINITY
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (_LITTLE, forever))
        try:
            yield
        finally:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (forever, forever))

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def assignment(self) -> tuple[int, int]:
        """Partitions that the group gave it last, and workers in the group then; of its present run."""
        found = _ASSIGNED.findall(self.log[self._earlier :])
        return (int(found[-1][0]), int(found[-1][1])) if found else (0, 0)


@dataclass
class ClusterRun:
    """Workers of one cluster, an undisturbed feeder of the same symbols, and a reader of both."""

    broker: Broker
    exchange: ChildExchange
    folder: Path
    symbols: Sequence[str]
    reader: Reader
    partitions: int = 8
    settings: Mapping[str, str] = field(default_factory=dict)  # environment of all, without the prefix
    workers: dict[str, Feeder] = field(default_factory=dict)
    undisturbed: Feeder | None = None

    @property
    def minute_seconds(self) -> float:
        """How long a minute of the exchange takes."""
        return 60 / self.exchange.rate

    def _feeder(self, name: str, prefix: str, more: Mapping[str, str]) -> Feeder:
        environment = {
            "APPLICATION__SYMBOLS": ",".join(self.symbols),
            "APPLICATION__HEALTH_SERVER_PORT": "0",
            "TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS": "2",
            "TECHNICAL_ANALYSIS__VOLUME_LOOKBACK_DAYS": "1",
            "EXCHANGE__CLOCK_RATE": str(self.exchange.rate),
            "KAFKA__ENABLED": "true",
            "KAFKA__BOOTSTRAP_SERVERS": self.broker.servers,
            "KAFKA__TOPIC_PREFIX": prefix,
            "KAFKA__CANDLES_TOPIC": "true",
            "SERVICE__SOCKET": "off",
        }
        environment |= _addresses(self.exchange) | dict(self.settings) | dict(more)
        return Feeder(name, self.folder, {f"FEEDER_{key}": value for key, value in environment.items()})

    def worker(self, name: str, **more: str) -> Feeder:
        """A worker, made when new and not started; ``more``: environment without its prefix."""
        if name not in self.workers:
            cluster = {"ENABLED": "true", "NAME": name, "PARTITIONS": str(self.partitions)}
            more = {f"CLUSTER__{key}": value for key, value in cluster.items()} | more
            self.workers[name] = self._feeder(name, "ta_", more)
        return self.workers[name]

    def start_undisturbed(self, exchange: ChildExchange | None = None) -> None:
        """Start the feeder by itself that publishes to ``one_data`` and so on.

        Args:
            exchange: where it gets its candles, the same market at the same time; None for that of the
                workers, whose request limit it then shares.
        """
        more = {} if exchange is None else _addresses(exchange)
        self.undisturbed = self._feeder("undisturbed", "one_", more).start()

    def have(self, *names: str) -> None:
        """See that these workers run, and no others, and that each publishes in all of its partitions."""
        for name, worker in self.workers.items():
            if name not in names and worker.alive:
                assert worker.stop() == 0, worker.log[-2000:]
        for name in names:
            if not self.worker(name).alive:
                self.worker(name).start()
        self.wait_for_assignment(*names)
        self.wait_for_minutes(1, 60 + 9 * self.minute_seconds)
        given = assign(names, self.partitions)
        wait_until(
            lambda: all(self.published_by(name) == set(given[name]) & self.reader.positions().keys()
                        for name in names), 60 + self.minute_seconds,
            lambda: f"given {given}, published {[self.published_by(name) for name in names]}\n{self.logs()}",
        )  # fmt: skip

    def wait_for_assignment(self, *names: str, seconds: float = 60) -> None:
        """Wait until all partitions are given to these workers, and each knows that."""

        def divided() -> bool:
            found = [self.workers[name].assignment for name in names]
            return {workers for _, workers in found} == {len(names)} and self.partitions == sum(
                partitions for partitions, _ in found
            )

        wait_until(divided, seconds, lambda: f"{', '.join(names)} do not share all partitions\n{self.logs()}")

    def wait_for_minutes(self, count: int, seconds: float) -> None:
        """Wait until ``count`` minutes that have not closed yet are published of every symbol, by both."""
        topics = ["ta_data"] if self.undisturbed is None else ["ta_data", "one_data"]
        now = max(self.reader.newest(topic, symbol) for topic in topics for symbol in self.symbols)

        def behind() -> list[str]:
            return [f"{topic} {symbol}" for topic in topics for symbol in self.symbols
                    if self.reader.newest(topic, symbol) < max(1, now + count * MINUTE_MS)]  # fmt: skip

        wait_until(lambda: not behind(), seconds, lambda: f"{behind()[:9]} lack minutes\n{self.logs()}")

    def minutes_compared(self) -> int:
        """How many minutes both have published of every symbol, after those in which alerts settle."""
        spans = self._compared(_ALERTS_SETTLE_MS)
        assert spans.keys() == set(self.symbols)
        return min((last - first) // MINUTE_MS + 1 for first, last in spans.values())

    def published_by(self, name: str) -> set[int]:
        """The partitions in which a worker has published last."""
        positions = self.reader.positions()
        return {at for at, found in positions.items() if _is_of(found[-1], name)}

    def takeover_seconds(
        self, since: float, partitions: Collection[int], former: str, seconds: float = 40
    ) -> float:
        """How long after ``since`` (time.monotonic()) others than ``former`` publish in all of these."""

        assert partitions, f"{former} has published nothing"

        def taken() -> dict[int, float]:
            positions = self.reader.positions()
            return {at: record.arrived for at in partitions for record in reversed(positions[at])
                    if record.arrived > since and not _is_of(record, former)}  # fmt: skip

        wait_until(lambda: taken().keys() == set(partitions), seconds, self.logs)
        return max(taken().values()) - since

    def close(self) -> None:
        """Kill all feeders."""
        for feeder in (*self.workers.values(), *([] if self.undisturbed is None else [self.undisturbed])):
            feeder.kill()

    def logs(self) -> str:
        """The ends of the workers' logs."""
        return "\n".join(f"--- {name}\n{worker.log[-1500:]}" for name, worker in self.workers.items())

    def check(self, minutes: int = 2, seconds: float = 60) -> dict[str, int]:
        """After some more minutes of all: each once, in order, and equal to what the undisturbed feeder made.

        Returns:
            By topic, how many messages were compared.
        """
        self.wait_for_minutes(minutes, seconds)
        deadline = time.monotonic() + 15
        while True:
            try:
                return {topic: self._check(topic) for topic in TOPICS}
            except Differing:  # a revision may still be on its way
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _check(self, topic: str) -> int:
        ours, theirs = self.reader.records(f"ta_{topic}"), self.reader.records(f"one_{topic}")
        check_each_once_and_in_order(ours)
        return check_equal(ours, theirs, self._compared(_ALERTS_SETTLE_MS if topic == "alerts" else 0))

    def _compared(self, settle: int) -> dict[str, tuple[int, int]]:
        """By symbol the first and the last close time (ms) of which both have published minutes."""
        ours, theirs = self.reader.records("ta_data"), self.reader.records("one_data")
        spans = {}
        for symbol in ours.keys() & theirs.keys():
            times = [[record.timestamp for record in found[symbol]] for found in (ours, theirs)]
            spans[symbol] = (max(map(min, times)) + settle, min(map(max, times)))
        return spans


def _is_of(position: Record, worker: str) -> bool:
    return b" %s" % worker.encode() in position.payload  # "STORE WORKER" names the store


def _addresses(exchange: ChildExchange) -> dict[str, str]:
    urls = exchange.urls
    return {
        "EXCHANGE__REST_URL": urls.rest_url,
        "EXCHANGE__STREAM_URL": urls.stream_url,
        "EXCHANGE__ARCHIVE_URL": urls.archive_url,
    }


@contextlib.contextmanager
def cluster_run(
    broker: Broker,
    exchange: ChildExchange,
    folder: Path,
    symbols: Sequence[str],
    partitions: int = 8,
    topics: Sequence[str] = TOPICS_OF_BOTH,
) -> Iterator[ClusterRun]:
    """Give a run without feeders; all that are started in it are killed at its end."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(_RULES)
    with Reader(broker.servers, topics) as reader:
        run = ClusterRun(broker, exchange, folder, symbols, reader, partitions)
        try:
            yield run
        finally:
            run.close()

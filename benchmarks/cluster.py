"""A cluster at a market's speed on a real Kafka: takeovers, kills in a row, a pause, and what it costs.

    python -m benchmarks.cluster [--check] [--symbols 120] [--workers 4] [PART ...]

``takeover``: a worker is killed, another stopped, a third paused for 40 s, each shortly before a minute ends,
so that its messages are due during the takeover. ``kills``: twenty in a row, at random. ``cost``: one feeder,
and clusters of one, two and four workers beside it, all with the same symbols at the same time.
``throughput``: a backlog through the outbox alone, and through the transactions of a worker. The first
two take about a quarter of an hour each, as alerts are compared, ``cost`` four minutes, ``throughput`` one.

After the first two an independent reader of committed records must have seen each message once, in order, and
equal to that of a feeder which nobody disturbed; and in the broker's own log no batch of a former owner may
follow one of a new owner.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from msgspec.structs import replace

from benchmarks._report import Figure, percentile, show
from benchmarks.sinks import FIRST, MESSAGES, SYMBOLS, drain, fill, payload, until
from tui_feeder.config import Kafka
from tui_feeder.engine.cluster.partition_publisher import Checkpoint
from tui_feeder.engine.cluster.topics import prepare, topics_of
from tui_feeder.engine.sinks.kafka import KafkaSink
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.launch import launch_blocking

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support" / "brokers"))

from cluster_child import TOPICS, Publishing
from cluster_run import TOPICS_OF_BOTH, ClusterRun, Feeder, cluster_run, wait_until
from services import Kafka as Broker
from services import Unavailable

PARTITIONS = 32
#: The workers share the request limit of one address: EMAs of short periods need fewer bars to begin with.
SETTINGS = {"TECHNICAL_ANALYSIS__EMA_PERIODS": "5,9"}
#: Seconds before the end of a minute at which a worker is disturbed.
BEFORE_THE_END = 3.0
PAUSE_SECONDS = 40.0
COST_SECONDS = 120.0
#: Minutes of alerts that are compared.
ALERT_MINUTES = 3
#: In the cost part: workers of each cluster.
CLUSTERS = (1, 2, 4)


def invented(count: int) -> list[str]:
    """Names of symbols, each with prices of its own."""
    return ["BTCUSDT", "ETHUSDT", *(f"COIN{n}USDT" for n in range(count - 2))]


@contextlib.contextmanager
def running(
    scratch: Path, symbols: Sequence[str], topics: Sequence[str] = TOPICS_OF_BOTH
) -> Iterator[ClusterRun]:
    """A broker, an exchange at a market's speed at ten in the morning, and one feeder by itself.

    That one has an address of its own at an exchange of the same market: what it asks for is not of the
    workers' limit.
    """
    today = int(datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0).timestamp() * 1000)
    broker = Broker(scratch / "kafka")
    broker.start()
    try:
        with (
            launch_blocking(symbols=symbols, start_ms=today) as exchange,
            launch_blocking(symbols=symbols, start_ms=exchange.clock_start, began=exchange.began) as apart,
            cluster_run(broker, exchange, scratch, symbols, PARTITIONS, topics) as run,
        ):
            run.settings = SETTINGS
            run.start_undisturbed(apart)
            yield run
    finally:
        broker.kill()


def wait_for_the_end_of_a_minute(run: ClusterRun) -> None:
    """Wait until shortly before the exchange's next minute ends; where it is about to end, the one after."""
    exchange = run.exchange
    minutes = (exchange.clock_start / 1000 + (time.monotonic() - exchange.began) * exchange.rate) / 60
    left = (1 - minutes % 1) * run.minute_seconds - BEFORE_THE_END
    time.sleep(left if left > 0 else left + run.minute_seconds)


def verify(run: ClusterRun) -> list[Figure]:
    """What the reader saw, and what the broker's log holds."""
    # Alerts are compared too, of some minutes after those in which a feeder that has just begun lacks them.
    minutes = max(2, ALERT_MINUTES - run.minutes_compared())
    compared = run.check(minutes, 60 * minutes + 90)
    batches = run.broker.epochs("ta_data").values()
    late = sum(before > after for found in batches for before, after in pairwise(found))
    written = sum(map(len, batches))
    return [
        *(Figure(f"{topic} compared, each once and equal", count, "messages", at_least=1)
          for topic, count in compared.items()),
        Figure("batches of a former owner after a new one's", late, f"of {written:,}", at_most=0),
        Figure("writes that the broker refused", sum(refused(worker) for worker in run.workers.values()), ""),
    ]  # fmt: skip


def refused(worker: Feeder) -> int:
    """How often the broker refused a worker's producer, by its log."""
    return worker.log.count("the broker refuses our producer")


def takeover(scratch: Path, given: argparse.Namespace) -> list[Figure]:
    """A worker is killed, one stopped, one paused."""
    names = [f"w{n}" for n in range(given.workers)]
    with running(scratch, invented(given.symbols)) as run:
        begun = time.monotonic()
        run.have(*names)
        figures = [
            Figure(f"{given.workers} workers and {given.symbols} symbols live", time.monotonic() - begun, "s")
        ]
        wait_for_the_end_of_a_minute(run)
        killed = run.workers[names[0]]
        orphans = run.published_by(killed.name)
        killed.kill()
        took = run.takeover_seconds(time.monotonic(), orphans, killed.name)
        figures.append(Figure("kill -9 until all its symbols publish again", took, "s", at_most=15.0))
        killed.start()
        run.wait_for_assignment(*names)
        wait_for_the_end_of_a_minute(run)
        stopped = run.workers[names[1]]
        orphans = run.published_by(stopped.name)
        since = time.monotonic()
        # What it published itself before it left the group counts as well: no symbol may pause for longer.
        assert stopped.stop() == 0, stopped.log[-2000:]
        left = time.monotonic() - since
        took = run.takeover_seconds(since, orphans, stopped.name)
        figures += [
            Figure("stopped cleanly, until it has ended", left, "s"),
            Figure("stopped cleanly, until all its symbols publish again", took, "s", at_most=6.0),
        ]
        wait_for_the_end_of_a_minute(run)
        paused = run.workers[names[-1]]
        orphans = run.published_by(paused.name)
        paused.send(signal.SIGSTOP)
        since = time.monotonic()
        stopped.start()
        figures.append(
            Figure(
                "paused until all its symbols publish again",
                run.takeover_seconds(since, orphans, paused.name, 75),
                "s",
                at_most=15.0,
            )
        )
        time.sleep(max(0.0, PAUSE_SECONDS - (time.monotonic() - since)))
        paused.send(signal.SIGCONT)
        woken = time.monotonic()
        run.wait_for_assignment(*names)
        figures.append(Figure("woken until it has partitions again", time.monotonic() - woken, "s"))
        return figures + verify(run)


def kills(scratch: Path, given: argparse.Namespace) -> list[Figure]:
    """Workers are killed at random, one after the other, and started again."""
    names = [f"w{n}" for n in range(given.workers)]
    draw = random.Random(16)
    with running(scratch, invented(given.symbols)) as run:
        run.have(*names)
        took = []
        for _ in range(given.kills):
            victim = run.workers[draw.choice(names)]
            victim.kill()
            since = time.monotonic()
            time.sleep(draw.uniform(0.0, 9.0))
            victim.start()
            took.append(time.monotonic() - since)
            time.sleep(draw.uniform(0.0, 5.0))
        run.wait_for_assignment(*names)
        return [Figure("kills in a row", given.kills, ""), *verify(run)]


def cost(scratch: Path, given: argparse.Namespace) -> list[Figure]:
    """Processor time of one feeder, and of clusters beside it."""
    topics = ["one_data", *(f"c{count}_data" for count in CLUSTERS)]
    with running(scratch, invented(given.symbols), topics) as run:
        clusters: dict[int, list[Feeder]] = {}
        for count in CLUSTERS:
            for n in range(count):
                name = f"c{count}-{n}"
                more = {"CLUSTER__GROUP": f"group{count}", "KAFKA__TOPIC_PREFIX": f"c{count}_"}
                clusters.setdefault(count, []).append(run.worker(name, **more).start())
        wait_until(
            lambda: all(run.reader.newest(topic, symbol) for topic in topics for symbol in run.symbols),
            240,
            run.logs,
        )
        assert run.undisturbed is not None
        feeders = {0: [run.undisturbed], **clusters}
        time.sleep(20)  # histories of the symbols that came last
        before = {count: [spent(feeder) for feeder in found] for count, found in feeders.items()}
        time.sleep(COST_SECONDS)
        used = {
            count: [
                (spent(feeder) - at) / COST_SECONDS * 100
                for feeder, at in zip(found, before[count], strict=True)
            ]
            for count, found in feeders.items()
        }
        memory = {count: [megabytes(feeder) for feeder in found] for count, found in feeders.items()}
    alone = used[0][0]
    figures = [
        Figure("one feeder", alone, "% of a processor"),
        Figure("one feeder, memory", memory[0][0], "MB"),
    ]
    for count in CLUSTERS:
        whole = sum(used[count])
        figures += [
            Figure(f"cluster of {count}, each worker", whole / count, "% of a processor"),
            Figure(f"cluster of {count}, in sum", whole, "% of a processor"),
            Figure(f"cluster of {count}, each worker, memory", sum(memory[count]) / count, "MB"),
        ]
    overhead = sum(used[1]) / alone - 1
    figures.append(Figure("overhead of a cluster of one", overhead * 100, "%", at_most=35.0))
    return figures


def spent(feeder: Feeder) -> float:
    """Processor time of a feeder so far, seconds."""
    assert feeder.process is not None
    fields = Path(f"/proc/{feeder.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes(feeder: Feeder) -> float:
    """Anonymous resident memory of a feeder, MB."""
    assert feeder.process is not None
    lines = Path(f"/proc/{feeder.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def throughput(scratch: Path, _: argparse.Namespace) -> list[Figure]:
    """A backlog through the outbox alone, and through a worker's transactions."""
    return asyncio.run(_throughput(scratch))


async def _throughput(scratch: Path) -> list[Figure]:
    broker = Broker(scratch / "kafka")
    await asyncio.to_thread(broker.start)
    payloads = [payload(n) for n in range(2_000)]
    config = replace(Kafka(), bootstrap_servers=(broker.servers,))
    try:
        await prepare(config, topics_of("one_", ["data"]), PARTITIONS)
        await prepare(config, topics_of("ta_", TOPICS), PARTITIONS)
        store = Store(scratch / "one", exchange="a benchmark")
        outbox = store.open_outbox(["kafka"], 4_096)
        await fill(store, 0, payloads)
        sink = KafkaSink(replace(config, topic_prefix="one_"), outbox)
        alone = MESSAGES / await drain(sink, outbox)
        await asyncio.to_thread(sink.close, 5.0)
        store.close()

        made = Publishing(scratch / "worker", broker.servers, "w0", PARTITIONS, 4_096)
        made.publisher.start(made.journal)
        made.publisher.own(range(PARTITIONS))
        await until(lambda: len(made.taken) == PARTITIONS)
        queue = made.store.outboxes["data"]
        for n in range(SYMBOLS):  # a new symbol's first transaction waits for one
            check = zlib.crc32(payloads[n])
            made.publisher.checkpoint(f"S{n}USDT", Checkpoint(FIRST, check, FIRST, bytes(8_000), {}))
        await fill(made.store, 0, payloads, SYMBOLS)
        await until(lambda: queue.status("kafka").depth == 0)
        made.holds = False
        await fill(made.store, SYMBOLS, payloads)
        made.holds = True
        begun = time.perf_counter()
        await until(lambda: queue.status("kafka").depth == 0)
        worker = MESSAGES / (time.perf_counter() - begun)
        minutes = []
        for n in range(20):
            begun = time.perf_counter()
            await fill(made.store, SYMBOLS + MESSAGES + n * SYMBOLS, payloads, SYMBOLS)
            await until(lambda: queue.status("kafka").depth == 0)
            minutes.append((time.perf_counter() - begun) * 1000)
        await asyncio.to_thread(made.publisher.close, 5.0)
        made.store.close()
    finally:
        broker.kill()
    return [
        Figure("outbox to Kafka", alone, "messages/s"),
        Figure("outbox through transactions", worker, "messages/s", at_least=5_000),
        Figure("through transactions / without", worker / alone, "ratio"),
        Figure("a minute of 600, made to committed, median", percentile(minutes, 0.5), "ms"),
        Figure("a minute of 600, made to committed, worst", max(minutes), "ms", at_most=5_000),
    ]


PARTS = {"takeover": takeover, "kills": kills, "cost": cost, "throughput": throughput}


def main() -> None:
    """Measure the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--symbols", type=int, default=120)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 where a bound is missed")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends too
    if unknown := set(given.parts) - PARTS.keys():
        parser.error(f"no part {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    figures: list[Figure] = []
    for name in given.parts or PARTS:
        scratch = Path(tempfile.mkdtemp(prefix="feeder-bench-"))
        try:
            figures += PARTS[name](scratch, given)
        except Unavailable as error:
            print(f"left out: {error}", file=sys.stderr)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    show(figures, as_json=given.json, check=given.check)


if __name__ == "__main__":
    main()

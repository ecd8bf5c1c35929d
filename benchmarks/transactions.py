"""Transactional producers of aiokafka in one process against a real broker: what each costs.

A cluster worker has one transactional producer for each partition it owns, and commits a transaction a
partition and minute. Measured here for 8, 32 and 64 of them, each number in a process of its own: memory,
connections, processor time while idle and for each minute, and the time from the begin of a transaction to
its commit where all producers commit at once, as they do after a minute's end.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks._report import Figure, anonymous_mb, percentile, report

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support" / "brokers"))

from services import Kafka as Broker
from services import Unavailable

PRODUCERS = (8, 32, 64)
#: In all, whatever the number of partitions.
SYMBOLS = 600
MINUTES = 25
#: Bytes of a message, of the progress of a symbol, and of a checkpoint; minutes between checkpoints.
MESSAGE, PROGRESS, CHECKPOINT, CHECKPOINT_EVERY = 1_350, 300, 12_000, 15
IDLE_SECONDS = 5.0


def noise(size: int, seed: int) -> bytes:
    """Digits that compress about as prices do."""
    return bytes(np.random.default_rng(seed).integers(48, 58, size, dtype=np.uint8))


def broker_seconds(pid: int) -> float:
    """Processor time of another process, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connections() -> int:
    """Open sockets of this process."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found += str(entry.readlink()).startswith("socket:")
        except OSError:  # the listing's own
            continue
    return found


async def minute(producer: AIOKafkaProducer, partition: int, symbols: int, number: int) -> float:
    """One transaction of a minute: messages, progress and some checkpoints; ms until its commit."""
    begun = time.perf_counter()
    await producer.begin_transaction()
    message, progress = noise(MESSAGE, number), noise(PROGRESS, number + 1)
    data, state = producer.create_batch(), producer.create_batch()
    for n in range(symbols):
        key = f"S{partition}-{n}".encode()
        data.append(key=key, value=message, timestamp=None)
        state.append(key=key, value=progress, timestamp=None)
        if (number + n) % CHECKPOINT_EVERY == 0:
            state.append(key=key + b" checkpoint", value=noise(CHECKPOINT, n), timestamp=None)
    data.close()
    state.close()
    await producer.send_batch(data, "data", partition=partition)
    await producer.send_batch(state, "state", partition=partition)
    await producer.commit_transaction()
    return (time.perf_counter() - begun) * 1000


async def measured(servers: str, count: int, pid: int) -> dict[str, float]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, count, 1) for topic in ("data", "state")])
    await admin.close()
    sockets, memory = connections(), anonymous_mb()
    begun = time.perf_counter()
    producers = [
        AIOKafkaProducer(
            bootstrap_servers=servers,
            transactional_id=f"feeder-p{n}",
            compression_type="snappy",
            max_batch_size=1 << 20,
        )
        for n in range(count)
    ]
    await asyncio.gather(*(producer.start() for producer in producers))
    started = (time.perf_counter() - begun) * 1000
    each = SYMBOLS // count
    latencies: list[float] = []
    spent = 0.0
    broker = 0.0
    for number in range(MINUTES):
        before, others = time.process_time(), broker_seconds(pid)
        took = await asyncio.gather(*(minute(p, n, each, number) for n, p in enumerate(producers)))
        if number >= 5:  # the broker warms up
            latencies += took
            spent += time.process_time() - before
            broker += broker_seconds(pid) - others
    alone = []
    for number in range(20):
        alone.append(await minute(producers[0], 0, each, number))
    before, others = time.process_time(), broker_seconds(pid)
    await asyncio.sleep(IDLE_SECONDS)
    idle = (time.process_time() - before) / IDLE_SECONDS * 100
    result = {
        "memory": anonymous_mb() - memory,
        "connections": connections() - sockets,
        "start": started,
        "processor": spent / (MINUTES - 5) * 1000,
        "broker": broker / (MINUTES - 5) * 1000,
        "idle": idle,
        "p50": percentile(latencies, 0.5),
        "p99": percentile(latencies, 0.99),
        "alone": percentile(alone, 0.5),
    }
    await asyncio.gather(*(producer.stop() for producer in producers))
    return result


def child(servers: str, count: int, pid: int, answer: multiprocessing.SimpleQueue[dict[str, float]]) -> None:
    answer.put(asyncio.run(measured(servers, count, pid)))


def measure() -> list[Figure]:
    spawn = multiprocessing.get_context("spawn")
    figures: list[Figure] = []
    for count in PRODUCERS:
        scratch = Path(tempfile.mkdtemp(prefix="feeder-bench-"))
        broker = Broker(scratch / "kafka")
        try:
            broker.start()
            assert broker.process is not None
            answer = spawn.SimpleQueue()
            process = spawn.Process(target=child, args=(broker.servers, count, broker.process.pid, answer))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(f"the process with {count} producers failed")
            found = answer.get()
        except Unavailable as error:
            raise SystemExit(f"left out: {error}") from error
        finally:
            broker.kill()
            shutil.rmtree(scratch, ignore_errors=True)
        name = f"{count} producers"
        figures += [
            Figure(f"{name}: memory", found["memory"], "MB", at_most=100),
            Figure(f"{name}: connections to one broker", found["connections"], "", at_most=count * 3 + 1),
            Figure(f"{name}: started at once", found["start"], "ms"),
            Figure(f"{name}: idle", found["idle"], "% of a core", at_most=2),
            Figure(f"{name}: processor for a minute of {SYMBOLS} symbols", found["processor"], "ms"),
            Figure(f"{name}: the broker's for it", found["broker"], "ms"),
            Figure(f"{name}: commit of one alone, median", found["alone"], "ms"),
            Figure(f"{name}: commit of all at once, median", found["p50"], "ms"),
            Figure(f"{name}: commit of all at once, p99", found["p99"], "ms", at_most=1_000),
        ]
    return figures


if __name__ == "__main__":
    report("transactions", measure)

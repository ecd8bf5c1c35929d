"""What a cluster of 10 to 1,000 workers asks of its broker and of the exchange: a model.

    python -m benchmarks.cluster_model

Prints the table of docs/cluster.md. Dividing the partitions is measured here, with the program's own code, so
is what members send; the costs of producers and transactions are those that ``benchmarks.transactions``
measured. Two numbers are assumptions: what the broker adds to a member (:data:`MEMBER_BYTES`), and how long a
takeover itself lasts (:data:`TAKEOVER_SECONDS`). The rest follows from the protocol.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from tui_feeder.engine.cluster.group import Worker, divide
from tui_feeder.engine.cluster.membership import DESCRIBE_SECONDS, HEARTBEAT_SECONDS, SESSION_SECONDS
from tui_feeder.engine.cluster.partitions import assign
from tui_feeder.engine.exchanges.binance.rest_limits import FUTURES_LIMITS

#: Workers, partitions, symbols. One feeder carries 600 symbols on a few percent of a processor.
CLUSTERS = ((3, 32, 600), (10, 64, 600), (100, 512, 6_000), (1_000, 4_096, 60_000))
#: Of benchmarks.transactions: connections of a transactional producer to one broker, its memory (MB) and the
#: processor time (ms) of a transaction on the worker's side.
CONNECTIONS, MEGABYTES, TRANSACTION_MS = 2, 0.2, 0.7
#: Of a worker beside its producers: membership, describing the group, a takeover's reader.
OTHER_CONNECTIONS = 4
#: Assumed: from the assignment to the first transaction, without waiting for request weight. An orderly stop
#: took 4.8 s until all symbols were published again (benchmarks.cluster), with the worker's own end in it.
TAKEOVER_SECONDS = 3.0
#: A record of the group's topic may have so many bytes: max.message.bytes of Kafka's defaults.
GROUP_RECORD_BYTES = 1_048_588
#: Assumed: bytes of a member in the group's record beside what it sends: ids, host, protocol.
MEMBER_BYTES = 200
DAY_MINUTES = 1_440


@dataclass(frozen=True)
class Model:
    """A cluster of some size."""

    workers: int
    partitions: int
    symbols: int

    @property
    def used(self) -> int:
        """Partitions that have symbols, where names are spread evenly."""
        return round(self.partitions * (1 - (1 - 1 / self.partitions) ** self.symbols))

    @property
    def share(self) -> float:
        """Symbols that the largest share has: a tenth above the average."""
        return 1.1 * self.symbols / self.workers

    def group_bytes(self) -> int:
        """Of the record in which the broker keeps the group."""
        members = {
            f"feeder-{n}": Worker(f"feeder-{n}", "0" * 16, 1, f"http://feeder-{n}:8000", "default")
            for n in range(self.workers)
        }
        size = 0
        for member, (partitions, answer) in divide(members, self.partitions).items():
            given = ConsumerProtocolMemberAssignment(
                1, [("ta_work", partitions)], msgspec.msgpack.encode(answer)
            )
            size += len(given.encode()) + len(msgspec.msgpack.encode(members[member])) + MEMBER_BYTES
        return size

    def dividing_seconds(self) -> float:
        """Processor time of the group's leader to divide the partitions."""
        begun = time.process_time()
        assign([f"feeder-{n}" for n in range(self.workers)], self.partitions)
        return time.process_time() - begun

    def takeover_weight(self) -> int:
        """Request weight for the symbols of a worker that died at the end of a day: the rows of the day."""
        pages = -(-DAY_MINUTES // FUTURES_LIMITS.page_candles)
        return round(self.share * pages * FUTURES_LIMITS.candles_weight(FUTURES_LIMITS.page_candles))

    def takeover_seconds(self) -> tuple[float, float]:
        """From a kill until its first and its last symbol are published again; all share one address."""
        first = SESSION_SECONDS + HEARTBEAT_SECONDS + self.dividing_seconds() + TAKEOVER_SECONDS
        return first, first + 60 * max(0.0, self.takeover_weight() / FUTURES_LIMITS.weight_limit - 1)

    def row(self) -> list[str]:
        """The cluster as a column of the table."""
        first, last = self.takeover_seconds()
        own = self.partitions / self.workers
        size = self.group_bytes()
        return [
            f"{self.workers:,}",
            f"{self.partitions:,} / {self.symbols:,}",
            f"{self.workers / HEARTBEAT_SECONDS:,.1f}",
            f"{self.used:,}",
            f"{self.partitions * CONNECTIONS + self.workers * OTHER_CONNECTIONS:,}",
            f"{own * MEGABYTES:.1f} MB, {own * TRANSACTION_MS:,.0f} ms",
            f"{size / 1024:,.0f} kB ({size / GROUP_RECORD_BYTES:.0%})",
            f"{size * self.workers / DESCRIBE_SECONDS / 1024:,.0f} kB/s",
            f"{self.dividing_seconds():.2f} s",
            f"{self.share:,.0f} / {self.takeover_weight():,}",
            f"{first:.0f} s / {last:.0f} s",
        ]


TITLES = (
    "workers",
    "partitions / symbols",
    "heartbeats/s at the coordinator",
    "transactions/min",
    "connections to a broker that leads all",
    "a worker's producers: memory, processor a minute",
    "the group's record (of its limit)",
    "descriptions of the group, sent by the coordinator",
    "dividing the partitions, on the leader",
    "a dead worker's symbols / request weight",
    "published again after a kill, first / last symbol",
)


def table(models: Sequence[Model]) -> list[list[Any]]:
    """A row a title, a column a model."""
    return [list(row) for row in zip(TITLES, *(model.row() for model in models), strict=True)]


def main() -> None:
    rows = table([Model(*sizes) for sizes in CLUSTERS])
    for number, row in enumerate(rows):
        print("| " + " | ".join(row) + " |")
        if number == 0:
            print("|---" * len(row) + "|")


if __name__ == "__main__":
    main()

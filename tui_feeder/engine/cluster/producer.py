"""The exclusive right to publish in a partition, and what was published there last.

Each partition has a transactional id. Who begins a producer with it raises the epoch of the id: whatever a
former owner had open is aborted, and the broker refuses everything that it writes from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from tui_feeder.config import Kafka
from tui_feeder.engine.cluster.records import PartitionState
from tui_feeder.engine.sinks.kafka_cluster import client_settings
from tui_feeder.errors import RunFailure

#: A transaction that is open for longer is aborted by the broker.
_TRANSACTION_SECONDS = 30.0
_REQUEST_SECONDS = 15.0
_END_SECONDS = 1.0
_BATCH = 256 << 10  # bytes
_FETCH_MS = 500


class Fenced(RunFailure):
    """Another producer has begun with the id of this one, or the broker has ended its transaction."""


class Record(NamedTuple):
    """A record to be written."""

    key: bytes
    value: bytes | None  # None: the key is deleted
    timestamp: int | None = None  # ms; None: the broker's


class PartitionProducer:
    """Publishes in one partition of several topics, all or nothing.

    Args:
        config: the section ``[kafka]``.
        transactional_id: of the partition.
        partition: its number.
    """

    def __init__(self, config: Kafka, transactional_id: str, partition: int) -> None:
        self.partition = partition
        self.epoch = -1  # of the producer, once it has begun
        self._producer = AIOKafkaProducer(
            **client_settings(config),
            request_timeout_ms=int(_REQUEST_SECONDS * 1000),
            transactional_id=transactional_id,
            transaction_timeout_ms=int(_TRANSACTION_SECONDS * 1000),
            compression_type=None if config.compression_type == "none" else config.compression_type,
            max_batch_size=_BATCH,
        )

    async def start(self) -> None:
        """Begins, which ends every producer that began with the same id before.

        Raises:
            KafkaError: the cluster refuses it.
            TimeoutError: the cluster does not answer.
        """
        async with asyncio.timeout(2 * _REQUEST_SECONDS):
            await self._producer.start()
        # Private to aiokafka; tests/integration/test_cluster_producer.py fails if it changes.
        self.epoch = self._producer._txn_manager.producer_epoch

    async def begin(self, topics: Iterable[str]) -> None:
        """Opens a transaction.

        Args:
            topics: what it will write to, as far as is known; named to the broker in one request.
        """
        await self._producer.begin_transaction()
        for topic in topics:  # private to aiokafka, which asks for each topic when it is first written to
            self._producer._txn_manager.maybe_add_partition_to_txn(TopicPartition(topic, self.partition))

    async def send(self, topic: str, records: Sequence[Record]) -> Sequence[Awaitable[object]]:
        """Writes records in the open transaction, in order, without waiting for the broker.

        Args:
            topic: where.
            records: each goes into this producer's partition, whatever its key.

        Returns:
            To be given to :meth:`sent` before the transaction is committed.

        Raises:
            Fenced: this producer may write no more.
            KafkaError: a record is too large.
            TimeoutError: there is no room for the records, since the cluster does not answer.
        """
        answers: list[Awaitable[object]] = []
        with _fencing():
            left = list(reversed(records))
            while left:
                batch = self._producer.create_batch()
                while left:
                    key, value, timestamp = left[-1]
                    if batch.append(key=key, value=value, timestamp=timestamp) is None:
                        break
                    left.pop()
                batch.close()
                async with asyncio.timeout(_TRANSACTION_SECONDS):
                    answer = await self._producer.send_batch(batch, topic, partition=self.partition)
                answer.add_done_callback(_look_at)  # nobody waits for it where a later record is refused
                answers.append(answer)
        return answers

    async def sent(self, answers: Iterable[Awaitable[object]]) -> None:
        """Waits until the broker has what was written.

        Args:
            answers: of :meth:`send`.

        Raises:
            Fenced: this producer may write no more.
            KafkaError: the cluster refuses a record.
            TimeoutError: the cluster does not answer.
        """
        with _fencing():
            for answer in answers:
                async with asyncio.timeout(_TRANSACTION_SECONDS):
                    await answer

    async def commit(self) -> None:
        """Ends the open transaction: all that was sent in it can be read from now on.

        Raises:
            Fenced: this producer may write no more; nothing of the transaction is published.
            KafkaError: the cluster refuses it.
            TimeoutError: the cluster does not answer. Whether the transaction is published is not known.
        """
        with _fencing():
            async with asyncio.timeout(_TRANSACTION_SECONDS):
                await self._producer.commit_transaction()

    async def close(self) -> None:
        """Ends the producer; a transaction that is open is left to the broker or to the next owner."""
        # A batch that is never answered must not be waited for.
        for end in (self._producer.stop, self._producer.client.close):
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(_END_SECONDS):
                    await end()


def _look_at(answer: asyncio.Future[Any]) -> None:
    if not answer.cancelled():
        answer.exception()


def ignore_refusals(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler for loops with producers.

    Where a producer is refused, aiokafka also fails futures that it gave to nobody: asyncio would report each
    of them when it is collected.

    Args:
        loop: where it happened.
        context: what did.
    """
    if not isinstance(context.get("exception"), KafkaError):
        loop.default_exception_handler(context)


@contextlib.contextmanager
def _fencing() -> Iterator[None]:
    try:
        yield
    except (ProducerFenced, InvalidProducerEpoch) as error:
        raise Fenced(str(error)) from error


async def read_states(config: Kafka, topic: str, partitions: Iterable[int]) -> Mapping[int, PartitionState]:
    """Reads what is committed in partitions of the state topic, to their ends.

    Args:
        config: the section ``[kafka]``.
        topic: the state topic.
        partitions: which; whoever calls has begun a producer for each, so that nobody else writes there.

    Returns:
        The state of each.

    Raises:
        KafkaError: the cluster refuses it.
        TimeoutError: the cluster does not answer.
    """
    states = {partition: PartitionState() for partition in partitions}
    if not states:
        return states
    consumer = AIOKafkaConsumer(
        **client_settings(config),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        request_timeout_ms=int(_REQUEST_SECONDS * 1000),
    )
    try:
        async with asyncio.timeout(_REQUEST_SECONDS):
            await consumer.start()
            waiting = {TopicPartition(topic, partition) for partition in states}
            consumer.assign(waiting)
            ends = await consumer.end_offsets(waiting)
            await consumer.seek_to_beginning(*waiting)
        while waiting:
            async with asyncio.timeout(_REQUEST_SECONDS):
                # Records of aborted transactions move the position too, and are not among those found.
                waiting = {at for at in waiting if await consumer.position(at) < ends[at]}
                found = await consumer.getmany(*waiting, timeout_ms=_FETCH_MS) if waiting else {}
            for at, records in found.items():
                for record in records:
                    states[at.partition].take(record.key or b"", record.value)
        return states
    finally:
        with contextlib.suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(_END_SECONDS):
                await consumer.stop()

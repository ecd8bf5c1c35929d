"""Messages to a Kafka topic: in order per symbol, acknowledged by the broker, tried for ever.

Each partition has one batch under way. With ``acks = "all"`` the producer is idempotent, so a batch that is
sent again after a lost answer is stored once; a new session, after a restart of either side, may repeat what
was under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.partitioner import murmur2

from tui_feeder.config import Kafka
from tui_feeder.engine.core.event_names import event_name
from tui_feeder.engine.sinks.draining import DrainingSink
from tui_feeder.engine.sinks.kafka_cluster import client_settings, describe_error, reach, too_large
from tui_feeder.engine.sinks.thread import TICK, SinkError
from tui_feeder.engine.storage.outbox import Outbox
from tui_feeder.engine.storage.outbox_format import QueuedMessage

#: Payloads read ahead of the broker's answers, bytes.
_AHEAD = 4 << 20
#: A batch takes what waits, up to so many bytes where ``batch_size`` is less: an outage is soon caught up.
_BATCH = 256 << 10
#: A broker that has not answered for so long is reported, seconds.
_SILENT_SECONDS = 3.0
_END_SECONDS = 1.0


class _PartitionQueue:
    """What waits for one partition, the batch under way included."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.waiting: deque[QueuedMessage] = deque()
        self.bytes = 0  # payloads that wait
        self.filled = asyncio.Event()
        self.full = asyncio.Event()  # there is enough for a batch
        self.most = 1 << 30  # messages in a batch: fewer where the broker found one too large
        self.sent_at: float | None = None  # time.monotonic() of the batch under way


class _Delivery:
    """What a session has under way."""

    def __init__(self, partitions: int, taken: int) -> None:
        self.queues = [_PartitionQueue(partition) for partition in range(partitions)]
        self.ahead = 0  # bytes read and not yet acknowledged
        self.read = taken  # number of the last message read


class KafkaSink(DrainingSink):
    """Publishes to ``{topic_prefix}`` and the outbox's topic: key = symbol, record timestamp = the message's.

    Args:
        config: the section ``[kafka]``.
        outbox: where the messages wait.
    """

    kind = "kafka"

    def __init__(self, config: Kafka, outbox: Outbox) -> None:
        super().__init__(outbox)
        self.topic = f"{config.topic_prefix}{outbox.topic}"
        self._config = config
        self._delivery: _Delivery | None = None
        self._refused = 0  # bytes of the largest message that was too large
        self.replace_after_seconds = max(
            60.0, (config.delivery_timeout_ms + 2 * config.request_timeout_ms) / 1000
        )
        # aiokafka logs every failed try, several times a second; what is wrong is logged here, once.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    def status(self) -> str:
        """``ok``, or what is wrong and how much waits."""
        if not self.wrong() and (seconds := self._silence()) >= _SILENT_SECONDS:
            return self.status_with_backlog(f"the broker has not answered for {seconds:.0f} s")
        return self.status_with_backlog(self.wrong())

    def _silence(self) -> float:
        """Seconds since the oldest batch under way was sent; 0.0 without one."""
        delivery = self._delivery
        queues = [] if delivery is None else delivery.queues
        sent = [at for queue in queues if (at := queue.sent_at) is not None]
        return time.monotonic() - min(sent) if sent else 0.0

    async def session(self) -> None:
        """Connect, then hand over batch by batch."""
        partitions = await reach(self._config, self.topic)
        config = self._config
        acks: Any = {"all": "all", "-1": "all", "1": 1, "0": 0}[config.acks]
        producer = AIOKafkaProducer(
            **client_settings(config),
            request_timeout_ms=config.request_timeout_ms,
            acks=acks,
            enable_idempotence=acks == "all",
            compression_type=None if config.compression_type == "none" else config.compression_type,
            max_batch_size=max(config.batch_size, _BATCH),
        )
        delivery = self._delivery = _Delivery(partitions, self.taken)
        try:
            async with asyncio.timeout(config.request_timeout_ms / 1000):
                await producer.start()
            self.connected(f"publishing to {self.topic} ({partitions} partitions)")
            await self._drain(producer, delivery)
            await self.flush()
        except (KafkaError, TimeoutError) as error:
            raise SinkError(describe_error(error, self.topic)) from error
        finally:
            if self._delivery is delivery:
                self._delivery = None
            # A batch that no broker takes is not waited for; the end of the session's loop ends the rest.
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(_END_SECONDS):
                    await producer.stop()
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(_END_SECONDS):
                    await producer.client.close()

    async def _drain(self, producer: AIOKafkaProducer, delivery: _Delivery) -> None:
        parts = [asyncio.create_task(self._send(producer, delivery, queue)) for queue in delivery.queues]
        parts.append(asyncio.create_task(self._fill(delivery)))
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in parts:
                task.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def _fill(self, delivery: _Delivery) -> None:
        """Read the outbox into the queues, until the session is over."""
        queue_of: dict[str, _PartitionQueue] = {}
        while True:
            ending, room = self.ending, _AHEAD - delivery.ahead
            found = self.outbox.read_after(delivery.read, room) if room > 0 else []
            for message in found:
                queue = queue_of.get(message.symbol)
                if queue is None:
                    # As Kafka's own producers choose it, so that a symbol stays where another put it.
                    place = (murmur2(message.symbol.encode()) & 0x7FFFFFFF) % len(delivery.queues)
                    queue = queue_of[message.symbol] = delivery.queues[place]
                queue.waiting.append(message)
                queue.bytes += len(message.payload)
                queue.filled.set()
                if queue.bytes >= self._config.batch_size:
                    queue.full.set()
                delivery.ahead += len(message.payload)
            if found:
                delivery.read = found[-1].number
                await asyncio.sleep(0)
                continue
            idle = not delivery.ahead
            if idle:
                self.progress()
            if self.over(idle=(ending and idle) or self._silence() >= _SILENT_SECONDS):
                return
            self.report_dropped()
            await self.woken(TICK)

    async def _send(self, producer: AIOKafkaProducer, delivery: _Delivery, queue: _PartitionQueue) -> None:
        """One partition: a batch, its answer, the next."""
        linger, timeout = self._config.linger_ms / 1000, self._config.delivery_timeout_ms / 1000
        while True:
            if not queue.waiting:
                queue.filled.clear()
                await queue.filled.wait()
            if queue.bytes < self._config.batch_size:
                queue.full.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(linger):
                        await queue.full.wait()
            batch = producer.create_batch()
            for taken, message in enumerate(queue.waiting):
                key = message.symbol.encode()
                if taken >= queue.most or not batch.append(
                    key=key, value=message.payload, timestamp=message.timestamp
                ):
                    break
            count = batch.record_count()
            batch.close()
            queue.sent_at = time.monotonic()
            try:
                sent = await producer.send_batch(batch, self.topic, partition=queue.partition)
                # Not cancelled with us: it is a shield, and what it shields may be refused later, unheard.
                sent.add_done_callback(lambda answer: answer.cancelled() or answer.exception())
                if not (await asyncio.wait([sent], timeout=timeout))[0]:
                    raise TimeoutError
                sent.result()
            except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
                if count == 1:
                    self._refused = max(self._refused, len(queue.waiting[0].payload))
                    raise SinkError(too_large(self._refused, self.topic)) from error
                queue.most = count // 2
                continue
            finally:
                queue.sent_at = None
            size = sum(len(queue.waiting.popleft().payload) for _ in range(count))
            queue.bytes -= size
            delivery.ahead -= size
            self.count(event_name(self.name, "messages"), count)
            left = [other.waiting[0].number for other in delivery.queues if other.waiting]
            self.take(min(left) - 1 if left else delivery.read)
            assert self._woken is not None
            self._woken.set()  # there is room again

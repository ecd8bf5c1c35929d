"""Which partitions a store is current for: its messages of their symbols are what was published."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Mapping

import msgspec

from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.storage.store import Store

_NOTE = "cluster partitions held"


class _Kept(msgspec.Struct, frozen=True):
    """The form in the store."""

    id: str
    scope: str  # the group and topics they are of
    partitions: tuple[int, ...] = ()
    of: int = 0  # partitions in all
    floors: dict[int, dict[str, int]] = {}  # see HeldPartitions.floor


class HeldPartitions:
    """The partitions whose last owner was the worker on this store, by what it knows itself.

    One that is not held was given to another worker since, or never had by this one: what the store knows of
    its symbols is not what was published last, and what waits in the outboxes for it is not to be published.

    Args:
        store: where it is kept.
        scope: group and topics; of another scope nothing is held.
        of: how many partitions there are.
        worker: name of the worker: a copy of a store that is used by another worker is another store.
    """

    def __init__(self, store: Store, scope: str, of: int, worker: str) -> None:
        self._store = store
        self._of = of
        self._scope = scope
        kept = _read(store)
        self._id = secrets.token_hex(8) if kept is None else kept.id
        self.store = f"{self._id} {worker}"  # names the store in what is published
        known = kept if kept is not None and kept.scope == scope else _Kept("", scope)
        self.partitions = frozenset(known.partitions)
        self._floors: dict[int, Mapping[str, int]] = dict(known.floors)

    def floor(self, partition: int) -> Mapping[str, int]:
        """Gives the end of what the outboxes hold of a partition and is not to be published.

        Args:
            partition: one that is held.

        Returns:
            By topic, the last message that was made before the partition was taken over.
        """
        return self._floors.get(partition, {})

    async def add(self, partition: int, floor: Mapping[str, int]) -> None:
        """Holds a partition from now on; returns once that is on the disk.

        Args:
            partition: its number.
            floor: see :meth:`floor`.
        """
        await self._keep(self.partitions | {partition}, self._floors | {partition: floor})

    async def remove(self, partitions: Collection[int]) -> None:
        """Does not hold these any more; returns once that is on the disk.

        Args:
            partitions: their numbers.
        """
        left = self.partitions.difference(partitions)
        await self._keep(left, {at: floor for at, floor in self._floors.items() if at in left})

    async def _keep(self, partitions: frozenset[int], floors: dict[int, Mapping[str, int]]) -> None:
        changed = (partitions, floors) != (self.partitions, self._floors)
        if changed or _read(self._store) is None:
            self.partitions, self._floors = partitions, floors
            written = {at: dict(floor) for at, floor in floors.items() if floor}
            kept = _Kept(self._id, self._scope, tuple(sorted(partitions)), self._of, written)
            await asyncio.wrap_future(self._store.put_note(_NOTE, msgspec.json.encode(kept)))


def hold_all(store: Store) -> None:
    """Notes that a feeder publishes by itself what is in a store: a worker's store holds all then.

    Args:
        store: of a feeder that may have been a worker.
    """
    kept = _read(store)
    if kept is not None and len(kept.partitions) < kept.of:
        whole = msgspec.structs.replace(kept, partitions=tuple(range(kept.of)))
        store.put_note(_NOTE, msgspec.json.encode(whole)).result()


def share_of(store: Store) -> tuple[int, int] | None:
    """Finds for how much of a cluster a store is current.

    Args:
        store: of a feeder that may have been a worker.

    Returns:
        How many partitions it holds, and how many there were; None where it was never of a cluster.
    """
    kept = _read(store)
    return None if kept is None else (len(kept.partitions), kept.of)


def _read(store: Store) -> _Kept | None:
    block = store.note(_NOTE)
    if block is None:
        return None
    try:
        return msgspec.json.decode(block, type=_Kept)
    except UNREADABLE as error:
        store.report_unusable(_NOTE, str(error))
        return None

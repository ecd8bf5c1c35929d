"""Public requests that the store cannot answer: sent to the exchange within the weight budget, and cached."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence

from tui_feeder.live_access import Forwarded
from tui_feeder.service.gateway.clients import Figures
from tui_feeder.service.gateway.feeder import Feeder
from tui_feeder.service.gateway.refusals import RefusalError

#: Answers that are kept, and their bytes.
_MOST_ANSWERS, _MOST_BYTES = 512, 16 << 20


class Forwarding:
    """Forwards the requests that the configuration names.

    Args:
        feeder: sends them.
        names: of :data:`~tui_feeder.engine.exchanges.binance.forwarded_calls.PUBLIC_CALLS`.
        cache_ms: how long an answer serves whoever asks the same.
        figures: counts what is done.
    """

    def __init__(self, feeder: Feeder, names: Collection[str], cache_ms: int, figures: Figures) -> None:
        self._feeder = feeder
        self._names = frozenset(names)
        self._cache_seconds = cache_ms / 1000
        self._figures = figures
        self._kept: OrderedDict[tuple[object, ...], tuple[float, Forwarded]] = OrderedDict()
        self._bytes = 0
        self._under_way: dict[tuple[object, ...], asyncio.Task[Forwarded]] = {}

    async def answer(self, name: str, parameters: Sequence[tuple[str, str]]) -> Forwarded:
        """The exchange's answer to a request, or one that is not too old.

        Args:
            name: of the call.
            parameters: of its query.

        Returns:
            The answer.

        Raises:
            RefusalError: it is not among those that are forwarded.
            FeederGoneError: the feeder does not answer.
        """
        if name not in self._names:
            text = f"Path is invalid: {name} is not forwarded, see gateway.forward"
            raise RefusalError(404, -5000, text)
        key = (name, *sorted(parameters))
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() < kept[0]:
            self._figures.cached += 1
            return kept[1]
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._forward(key, name, parameters))
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        else:
            self._figures.cached += 1
        return await asyncio.shield(task)  # one client that leaves takes no answer from the others

    async def _forward(
        self, key: tuple[object, ...], name: str, parameters: Sequence[tuple[str, str]]
    ) -> Forwarded:
        found = await self._feeder.forward(name, parameters)
        if found.weight:
            self._figures.forwarded += 1
            self._figures.forwarded_weight += found.weight
        if found.status == 200 and self._cache_seconds and len(found.body) <= _MOST_BYTES:
            self._drop(key)
            self._kept[key] = time.monotonic() + self._cache_seconds, found
            self._bytes += len(found.body)
            while len(self._kept) > _MOST_ANSWERS or self._bytes > _MOST_BYTES:
                self._drop(next(iter(self._kept)))
        return found

    def _drop(self, key: tuple[object, ...]) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(kept[1].body)

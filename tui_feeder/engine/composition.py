"""Joins the engine to the exchange that the configuration names."""

from __future__ import annotations

from collections.abc import Sequence

from tui_feeder.config import Config
from tui_feeder.engine.core.event_loop import worker_thread
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.exchanges.configured import configured_exchange
from tui_feeder.engine.sinks import Sink
from tui_feeder.engine.storage.store import Store


def configured_engine(
    config: Config, store: Store, sinks: Sequence[Sink] = (), kind: type[Engine] = Engine
) -> Engine:
    """The engine of a configuration, not running yet. Called on its own loop.

    Args:
        config: the whole configuration.
        store: the opened store; the engine closes it.
        sinks: where messages go; the engine closes them.
        kind: which engine, for measurements that look inside.

    Returns:
        One that reads the configured exchange.

    Raises:
        ProxyError: the proxy on the way to the exchange cannot be used.
    """
    workers = worker_thread()
    return kind(config, store, configured_exchange(config, workers, store), sinks, workers)

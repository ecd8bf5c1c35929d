"""Joins the engine to the exchange that the configuration names, and to its cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tui_feeder.config import Config
from tui_feeder.engine.cluster.held import hold_all, share_of
from tui_feeder.engine.cluster.ownership import Ownership, SoleOwner
from tui_feeder.engine.core.event_loop import worker_thread
from tui_feeder.engine.core.proxy import Proxies, Proxy
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.exchanges.base import Exchange
from tui_feeder.engine.exchanges.configured import configured_addresses, configured_exchange
from tui_feeder.engine.sinks import Sink
from tui_feeder.engine.storage.store import Store

log = logging.getLogger(__name__)

#: What makes an engine of its parts: `Engine`, or one that a measurement looks into.
EngineKind = Callable[[Config, Store, Exchange, Sequence[Sink], ThreadPoolExecutor, Ownership], Engine]


def configured_engine(
    config: Config, store: Store, sinks: Sequence[Sink] = (), kind: EngineKind = Engine
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
    exchange = configured_exchange(config, workers, store)
    return kind(config, store, exchange, sinks, workers, configured_ownership(config, store))


def configured_routes(config: Config) -> dict[str, Proxy | None]:
    """Finds how REST, the streams and the archive of each market used, and the webhook, are reached.

    Args:
        config: the configuration.

    Returns:
        The proxy of each, None for a direct connection.

    Raises:
        ProxyError: one of them cannot be.
    """
    proxies = Proxies(config.exchange.proxy)
    found = {name: proxies.of(url) for name, url in configured_addresses(config).items()}
    if config.alerts.webhook_url is not None:  # exchange.proxy is not for it: the environment decides
        found["webhook"] = Proxies().of(config.alerts.webhook_url.reveal())
    return found


def configured_ownership(config: Config, store: Store) -> Ownership:
    """Makes what decides which symbols are a feeder's. What a cluster needs is imported where it is enabled.

    Args:
        config: the whole configuration.
        store: the opened store, with the outboxes of its sinks.

    Returns:
        A worker of the configured cluster, or the owner of everything.
    """
    if not config.cluster.enabled:
        held = share_of(store)
        if held is not None and held[0] < held[1]:
            log.warning(
                "%s is of a worker that had %d of the %d partitions of a cluster: what others published is "
                "not known here. Let it take over all of them first, see docs/cluster.md",
                store.path, *held,
            )  # fmt: skip
        if config.kafka.enabled:
            hold_all(store)
        return SoleOwner()
    from tui_feeder.engine.cluster.worker import ClusterWorker

    return ClusterWorker(config, store)

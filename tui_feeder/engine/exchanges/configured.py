"""The exchange that a configuration names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tui_feeder.config import Config
from tui_feeder.engine.exchanges.base import Exchange, Notes
from tui_feeder.engine.exchanges.binance.markets import binance_markets


def configured_exchange(config: Config, workers: ThreadPoolExecutor, notes: Notes | None = None) -> Exchange:
    """The exchange to read, not connected yet.

    Args:
        config: its section ``exchange``.
        workers: the thread that hashes, inflates and parses archives; closed by whoever made it.
        notes: where it keeps what must outlast the process; None keeps nothing.

    Returns:
        One exchange for one event loop.

    Raises:
        ProxyError: the proxy on the way cannot be used.
    """
    return binance_markets(config, workers, notes)

"""The exchange that a configuration names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tui_feeder.config import Config
from tui_feeder.engine.exchanges.base import Exchange, Notes
from tui_feeder.engine.exchanges.binance.markets import binance_markets
from tui_feeder.symbol_name import market_of


def configured_addresses(config: Config) -> dict[str, str]:
    """The addresses of the markets that the configured symbols belong to.

    Args:
        config: its section ``exchange``, and the symbols wanted.

    Returns:
        By what is there, such as "REST", "streams", "archive", and "REST spot" of a market of that name.
    """
    found: dict[str, str] = {}
    exchange = config.exchange
    for market in dict.fromkeys(map(market_of, config.application.symbols)):
        section = getattr(exchange, market) if market else exchange
        archive = section.archive_url or exchange.archive_url
        parts = {"REST": section.rest_url, "streams": section.stream_url, "archive": archive}
        found |= {f"{what} {market}".rstrip(): url for what, url in parts.items()}
    return found


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

"""What the exchange lists of the followed symbols, as the feeder keeps it in the store."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import msgspec
import orjson

from tui_feeder.engine.acquisition.listing_notes import ENTRY, head_note
from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.storage.store import Store
from tui_feeder.service.gateway.bars import Decimals
from tui_feeder.service.gateway.markets import SPOT, ServedMarket, served_market

#: How long what was read counts as new, real seconds.
_FRESH_SECONDS = 10.0
_MOST_DECIMALS = 12
#: Decimals of amounts of a coin.
_BASE_COIN_DECIMALS = 8


class _Stated(msgspec.Struct):
    symbol: str
    pair: str = ""
    contractType: str = "PERPETUAL"
    pricePrecision: int = 8
    quantityPrecision: int = 8
    contractSize: float = 0.0


class Entry(msgspec.Struct, frozen=True):
    """A symbol as the exchange lists it."""

    raw: bytes  # JSON
    name: str  # without its market
    pair: str
    contract_type: str
    decimals: Decimals
    contract_size: float  # in the quote asset; 0 where volumes are base coins


class Listing:
    """Reads what the exchange listed of symbols.

    Args:
        store: where the feeder keeps it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._entries: dict[str, tuple[float, Entry | None]] = {}

    def entry(self, symbol: str) -> Entry | None:
        """The entry of a symbol; None where none is kept.

        Args:
            symbol: any.

        Returns:
            At most ten seconds old.

        Raises:
            StoreError: the store is closed.
        """
        now = time.monotonic()
        known = self._entries.get(symbol)
        if known is None or now - known[0] >= _FRESH_SECONDS:
            found = _entry(self._store.note(ENTRY + symbol), served_market(symbol))
            if known is not None and known[1] == found:
                found = known[1]  # callers compare by identity
            known = self._entries[symbol] = now, found
        return known[1]

    def exchange_info(self, market: ServedMarket, symbols: Iterable[str], now: int) -> bytes:
        """The answer to exchangeInfo with these symbols alone.

        Args:
            market: that is asked.
            symbols: in the order wanted.
            now: exchange ms.

        Returns:
            JSON.

        Raises:
            StoreError: the store is closed.
        """
        head: dict[str, Any] = {"timezone": "UTC", "serverTime": now}
        try:
            kept = orjson.loads(self._store.note(head_note(market.name)) or b"{}")
            head |= kept if isinstance(kept, dict) else {}
        except orjson.JSONDecodeError:
            pass
        head["symbols"] = [orjson.Fragment(found.raw) for name in symbols if (found := self.entry(name))]
        return orjson.dumps(head)


def _entry(raw: bytes | None, market: ServedMarket) -> Entry | None:
    try:
        found = msgspec.json.decode(raw or b"", type=_Stated)
    except UNREADABLE:
        return None
    assert raw is not None
    if market is SPOT:  # whatever is stated of its digits, candles have eight of them
        decimals = Decimals(_BASE_COIN_DECIMALS, _BASE_COIN_DECIMALS, _BASE_COIN_DECIMALS)
    else:
        price = min(max(found.pricePrecision, 0), _MOST_DECIMALS)
        quantity = min(max(found.quantityPrecision, 0), _MOST_DECIMALS)
        # A quote volume is a sum of products of both.
        decimals = Decimals(price, quantity, price + quantity)
        if market.counts_contracts:
            decimals = Decimals(price, 0, _BASE_COIN_DECIMALS)
    size = found.contractSize if market.counts_contracts else 0.0
    return Entry(raw, found.symbol, found.pair, found.contractType, decimals, size)

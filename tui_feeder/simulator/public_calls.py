"""Public requests beside those for candles: order book, funding, mark price, open interest.

What they answer follows from the candles: a book around the last price, a mark price at it, funding every
eight hours. They are here for whoever asks for them beside candles, not for their own sake.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from tui_feeder.simulator import noise
from tui_feeder.simulator.clock import SkewedClock
from tui_feeder.simulator.market import CLOSE, HOUR, MINUTE, Instrument, decimal
from tui_feeder.simulator.tape import Tape

_FUNDING = 8 * HOUR
_LEVELS = (5, 10, 20, 50, 100, 500, 1_000)
_WEIGHTS = (2, 2, 2, 2, 5, 10, 20)
_USUAL_LEVELS, _MOST_RATES, _USUAL_RATES = 500, 1_000, 100


def depth_weight(query: Mapping[str, str]) -> int:
    """Gives the weight of a request for the order book.

    Args:
        query: of the request.

    Returns:
        By its limit; of one that is not valid that of the default.
    """
    limit = query.get("limit", "")
    levels = int(limit) if limit.isdigit() and int(limit) in _LEVELS else _USUAL_LEVELS
    return _WEIGHTS[_LEVELS.index(levels)]


class PublicCalls:
    """Makes the answers.

    Args:
        tape: what can be seen of the market.
        clock: exchange time.
    """

    def __init__(self, tape: Tape, clock: SkewedClock) -> None:
        self._tape = tape
        self._clock = clock

    def _price(self, instrument: Instrument) -> int:
        """The last price in smallest units."""
        now = self._clock.now()
        seen = self._tape.seen(instrument.symbol, now - now % MINUTE - MINUTE, now + 1, now)
        return int(seen.values[-1, CLOSE])

    def depth(self, instrument: Instrument, levels: int | None) -> bytes | None:
        """Gives an order book around the last price.

        Args:
            instrument: the symbol.
            levels: on each side; None for the default.

        Returns:
            The answer; None where there is no such number of levels.
        """
        levels = _USUAL_LEVELS if levels is None else levels
        if levels not in _LEVELS:
            return None
        now, price = self._clock.now(), self._price(instrument)

        def side(sign: int) -> list[list[str]]:
            rows = []
            for step in range(1, levels + 1):
                at = max(instrument.tick, price + sign * step * instrument.tick)
                size = instrument.step * (1 + noise.key_of(instrument.symbol, str(at)) % 5_000)
                rows.append(
                    [decimal(at, instrument.price_decimals), decimal(size, instrument.quantity_decimals)]
                )
            return rows

        return orjson.dumps({"lastUpdateId": now, "E": now, "T": now, "bids": side(-1), "asks": side(1)})

    def premium_index(self, instrument: Instrument) -> bytes:
        """Gives the mark price and the funding to come.

        Args:
            instrument: the symbol.

        Returns:
            The answer.
        """
        now = self._clock.now()
        price = decimal(self._price(instrument), instrument.price_decimals)
        return orjson.dumps(
            {
                "symbol": instrument.symbol,
                "markPrice": price,
                "indexPrice": price,
                "estimatedSettlePrice": price,
                "lastFundingRate": "0.00010000",
                "interestRate": "0.00010000",
                "nextFundingTime": now - now % _FUNDING + _FUNDING,
                "time": now,
            }
        )

    def funding_rate(
        self, instrument: Instrument, start: int | None, end: int | None, limit: int | None
    ) -> bytes | None:
        """Gives the funding rates of the past.

        Args:
            instrument: the symbol.
            start: ms; None for the newest.
            end: ms, inclusive; None for now.
            limit: rows; None for the default.

        Returns:
            The answer; None where the limit is outside of its bounds.
        """
        limit = _USUAL_RATES if limit is None else limit
        if not 1 <= limit <= _MOST_RATES:
            return None
        now = self._clock.now()
        last = (now if end is None else min(end, now)) // _FUNDING * _FUNDING
        first = last - (limit - 1) * _FUNDING if start is None else start + -start % _FUNDING
        first = max(first, instrument.onboard + -instrument.onboard % _FUNDING)
        times = range(first, last + 1, _FUNDING)[:limit]
        return orjson.dumps(
            [
                {"symbol": instrument.symbol, "fundingTime": at, "fundingRate": "0.00010000", "markPrice": ""}
                for at in times
            ]
        )

    def open_interest(self, instrument: Instrument) -> bytes:
        """Gives the open interest.

        Args:
            instrument: the symbol.

        Returns:
            The answer.
        """
        size = decimal(instrument.step * 10_000_000, instrument.quantity_decimals)
        return orjson.dumps({"symbol": instrument.symbol, "openInterest": size, "time": self._clock.now()})

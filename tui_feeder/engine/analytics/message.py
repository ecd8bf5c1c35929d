"""The published message of a symbol's closed minute, and its JSON form.

The form is fixed by ``docs/message.schema.json``. The order of the fields never changes, absent values
are left out, and numbers are written in the shortest form that reads back the same.

Names: closes are ``close_1m close_5m close_15m close_60m close_4h``, and for other timeframes ``close_``
and minutes (``30m``), hours (``2h``) or ``1d``; one hour alone is ``60m``, as consumers know it. Deltas end
in the same way. Indicators, trends and divergences end in ``1min 5min 15min 30min``, ``1h 4h``, ``1d``; so
do ``partial`` and ``warming``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
import orjson

from tui_feeder.engine.analytics.delta import Divergence
from tui_feeder.engine.analytics.profile.day_profile import ProfileFigures
from tui_feeder.engine.analytics.quantiles import Quartet
from tui_feeder.engine.analytics.trend import Trend
from tui_feeder.engine.core.candle import timeframe_label
from tui_feeder.symbol_name import market_of


class PeakVolume(msgspec.Struct, frozen=True, gc=False):
    """The largest 5-minute candle of the window."""

    volume: float  # base asset
    price: float  # its close
    end: int  # its exclusive end, ms
    trend: Trend  # the last three completed 4 h closes against that price


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Everything published for one closed minute. Values that are not known are absent."""

    symbol: str
    timestamp: int  # close time of the minute, ms, inclusive
    revision: int  # 0, then one more each time the minute is corrected
    closes: dict[str, float]  # by field name, of the last completed bars
    indicators: dict[str, float]  # likewise
    trends: dict[str, Trend]
    deltas: dict[str, float] = {}  # likewise: what takers bought less what they sold, base asset
    volumes: dict[str, float] = {}  # of the bars of the deltas, by their names, base asset; not published
    divergences: dict[str, Divergence] = {}  # likewise, where there is one
    cvd_day: float | None = None  # cumulative volume delta of the UTC day, base asset
    peak: PeakVolume | None = None
    quantiles: dict[str, Quartet] | None = None  # by field
    profile: ProfileFigures | None = None
    partial: tuple[str, ...] = ()  # timeframes whose last due bar is absent or lacks minutes
    warming: tuple[str, ...] = ()  # indicators that are present and have not converged, or lack bars


def span_name(timeframe: int) -> str:
    """Formats a timeframe as it ends the names of indicators and trends: ``5min``, ``1h``, ``1d``.

    Args:
        timeframe: seconds.

    Returns:
        The suffix.
    """
    label = timeframe_label(timeframe)
    return label.replace("m", "min")


def close_name(timeframe: int) -> str:
    """Names the field of a timeframe's close: ``close_5m``, ``close_60m``, ``close_4h``.

    Args:
        timeframe: seconds.

    Returns:
        The field name.
    """
    return "close_60m" if timeframe == 3600 else f"close_{timeframe_label(timeframe)}"


def delta_name(timeframe: int) -> str:
    """Names the field of a timeframe's delta: ``delta_5m``, ``delta_60m``.

    Args:
        timeframe: seconds.

    Returns:
        The field name.
    """
    return close_name(timeframe).replace("close", "delta")


def divergence_name(timeframe: int) -> str:
    """Names the field of a divergence between price and CVD: ``cvd_divergence_15min``.

    Args:
        timeframe: seconds.

    Returns:
        The field name.
    """
    return f"cvd_divergence_{span_name(timeframe)}"


def indicator_name(kind: str, period: int, timeframe: int) -> str:
    """Names the field of an indicator: ``ema21_1min``.

    Args:
        kind: name of its kind, as ``ema``.
        period: bars.
        timeframe: seconds.

    Returns:
        The field name.
    """
    return f"{kind}{period}_{span_name(timeframe)}"


def trend_name(timeframe: int) -> str:
    """Names the field of a trend: ``trend_1h``.

    Args:
        timeframe: seconds.

    Returns:
        The field name.
    """
    return f"trend_{span_name(timeframe)}"


@lru_cache(maxsize=4096)
def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def encode(message: Message) -> bytes:
    """Encodes a message as JSON; equal messages give equal bytes.

    Args:
        message: the message of a closed minute.

    Returns:
        One JSON object, UTF-8, without a line end.
    """
    fields: dict[str, Any] = {
        "symbol": message.symbol,
        "timestamp": message.timestamp,
        "revision": message.revision,
        **message.closes,
        **message.indicators,
        **message.trends,
        **message.deltas,
    }
    if message.cvd_day is not None:
        fields["cvd_day"] = message.cvd_day
    fields |= message.divergences
    if market := market_of(message.symbol):
        fields["market"] = market
    if (peak := message.peak) is not None:
        fields["max_volume"] = peak.volume
        fields["max_volume_price"] = peak.price
        fields["max_volume_time"] = _instant(peak.end)
        fields["max_volume_trend"] = peak.trend
    if message.quantiles:
        fields["volume_quantiles"] = {
            name: {"q25": q[0], "q50": q[1], "q75": q[2], "q90": q[3]}
            for name, q in message.quantiles.items()
        }
    if message.profile is not None:
        fields["volume_profile"] = _profile(message.profile)
    if message.partial:
        fields["partial"] = message.partial
    if message.warming:
        fields["warming"] = message.warming
    return orjson.dumps(fields)


def _profile(profile: ProfileFigures) -> dict[str, Any]:
    fields: dict[str, Any] = {"date": _instant(profile.day)[:10], "total_volume": profile.total_volume}
    if profile.vwap is not None:
        fields["vwap"] = profile.vwap
    fields["poc"] = profile.poc
    if profile.exact_share is not None:
        fields["exact_share"] = profile.exact_share
        fields["buy_volume"] = profile.buy_volume
        fields["sell_volume"] = profile.sell_volume
    fields["value_area"] = {
        "high": profile.vah,
        "low": profile.val,
        "volume_percentage": profile.value_area_percent,
        "volume": profile.value_area_volume,
    }
    fields["price_increment"] = profile.increment
    fields["min_price"] = profile.min_price
    fields["max_price"] = profile.max_price
    fields["candle_count"] = profile.candles
    fields["last_updated"] = profile.last_minute + 59_999
    return fields

"""The indicators of every timeframe, an entry each: messages, checkpoints, documents and screens follow.

An indicator is computed of the closes of completed bars. Its class is in a file of its own; the entry in
:data:`INDICATORS` makes it part of everything else. See docs/contributing.md, "How to add an indicator".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.analytics.ema import Ema, EmaState
from tui_feeder.engine.analytics.settings import PipelineSettings


class Indicator(Protocol):
    """One indicator of one timeframe, fed one close at a time or many at once, with equal results."""

    period: int  # bars
    value: float | None  # after the last close; None while there is none

    @property
    def warming(self) -> bool:
        """There is a value, but how it began, or bars that are absent, still weigh too much in it."""
        ...

    def add(self, close: float) -> None:
        """Adds the next close.

        Args:
            close: price, positive.
        """
        ...

    def miss(self, bars: int) -> None:
        """Records that bars are missing before the next close.

        Args:
            bars: number of missing bars.
        """
        ...

    def load(self, closes: NDArray[np.float64], absent: Iterable[tuple[int, int]] = ()) -> list[float]:
        """Starts again with many closes, bit-equal to adding them one by one.

        Args:
            closes: shape (n,), prices, positive, in order.
            absent: (index of a close, number of bars missing before it), ascending.

        Returns:
            The values after each of the last closes, as many as had to be computed; the last is the value.
        """
        ...

    def state(self) -> Any:  # noqa: ANN401 - of the kind's own type, IndicatorKind.state
        """Everything later values follow from, of the type ``state`` of the kind; msgpack can hold it."""
        ...

    def restore(self, state: Any) -> None:  # noqa: ANN401 - likewise
        """Continues from a saved state.

        Args:
            state: what :meth:`state` returned.
        """
        ...


@dataclass(frozen=True, slots=True)
class IndicatorKind:
    """A kind of indicator: how it is computed, published, described and shown."""

    name: str  # small letters; fields are the name, the period, "_" and the timeframe: ema21_1h
    title: str  # for people, as "EMA"
    make: Callable[[int], Indicator]  # of a period
    state: Any  # type of Indicator.state(), of which a checkpoint is read
    periods: Callable[[PipelineSettings], tuple[int, ...]]  # bars; those that are computed
    span: Callable[[int], int]  # of a period: that of the EMA which forgets as slowly
    on_price: bool  # its values are prices, so the scanner compares two periods; else it shows each
    schema: Mapping[str, object]  # of a value, in docs/message.schema.json
    description: str  # there
    unit: str  # in docs/message.md, and of the scanner's field
    absent: str  # there: until when a message lacks it
    meaning: str  # there
    example: tuple[str, str]  # there: a field and its value in the message at the end of the page


#: Every kind, in the order of a message's fields.
INDICATORS: tuple[IndicatorKind, ...] = (
    IndicatorKind(
        name="ema",
        title="EMA",
        make=Ema,
        state=EmaState,
        periods=lambda settings: settings.ema_periods,
        span=lambda period: period,
        on_price=True,
        schema={"$ref": "#/$defs/price"},
        description="Exponential moving average of the closes of completed bars: period, then timeframe.",
        unit="quote asset",
        absent="until the timeframe has as many bars as the period",
        meaning="exponential moving average of the closes of completed bars: each of "
        "`technical_analysis.ema_periods`, then the timeframe: `1min 5min 15min 1h 4h`. It begins with the "
        "simple mean of as many closes",
        example=("ema21_1min", "8.821794342598267"),
    ),
)


def chosen(settings: PipelineSettings) -> tuple[tuple[IndicatorKind, int], ...]:
    """Lists the indicators of each timeframe.

    Args:
        settings: what is derived for a symbol.

    Returns:
        Kind and period (bars), in the order of a message's fields; none without technical analysis.
    """
    if not settings.ema_periods:
        return ()
    return tuple((kind, period) for kind in INDICATORS for period in kind.periods(settings))


def longest_span(settings: PipelineSettings) -> int:
    """Finds how slowly the slowest indicator forgets.

    Args:
        settings: what is derived for a symbol.

    Returns:
        The period (bars) of the EMA that forgets as slowly; 0 without indicators.
    """
    return max((kind.span(period) for kind, period in chosen(settings)), default=0)

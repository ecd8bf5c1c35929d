"""What shapes a volume profile: the values of ``[volume_profile]`` and the tick size of a symbol."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """What shapes a profile; names and defaults of the configuration's ``[volume_profile]``.

    Raises:
        ValueError: an unknown mode, or a number out of range.
    """

    price_increment_mode: Literal["Auto", "Fixed", "Adaptive"] = "Auto"
    target_price_levels: int = 200
    fixed_price_increment: float = 0.01
    min_price_increment: float = 0.001
    max_price_increment: float = 1.0
    volume_distribution_mode: Literal["ClosingPrice", "WeightedOHLC", "HighLowWeighted", "UniformOHLC"] = (
        "WeightedOHLC"
    )
    value_area_calculation_mode: Literal["Traditional", "Greedy"] = "Traditional"
    calculation_mode: Literal["Volume", "TPO"] = "Volume"
    update_frequency: Literal["EveryCandle", "Every5Candles", "Every10Candles", "Batched"] = "EveryCandle"
    batch_size: int = 1  # candles, for Batched
    value_area_percentage: float = 70.0
    #: Whether volume lies where candles or where trades show it. Not in what stamps are made of: what rests
    #: on trades has a stamp of these.
    source: Literal["candles", "trades"] = field(default="candles", repr=False)
    tick_size: float | None = None  # of the symbol; Auto and Adaptive increments are multiples of it

    def __post_init__(self) -> None:
        for name, allowed in _MODES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, int | float) and not 0 < value < float("inf"):
                raise ValueError(f"{each.name} is positive, not {value}")
        if self.value_area_percentage > 100:
            raise ValueError(f"value_area_percentage is at most 100, not {self.value_area_percentage}")
        if self.min_price_increment > self.max_price_increment:
            raise ValueError("min_price_increment exceeds max_price_increment")

    @property
    def every(self) -> int:
        """Candles from one publication of the derived values to the next."""
        return {"EveryCandle": 1, "Every5Candles": 5, "Every10Candles": 10}.get(
            self.update_frequency, self.batch_size
        )


_MODES = {
    "price_increment_mode": ("Auto", "Fixed", "Adaptive"),
    "volume_distribution_mode": ("ClosingPrice", "WeightedOHLC", "HighLowWeighted", "UniformOHLC"),
    "value_area_calculation_mode": ("Traditional", "Greedy"),
    "calculation_mode": ("Volume", "TPO"),
    "source": ("candles", "trades"),
    "update_frequency": ("EveryCandle", "Every5Candles", "Every10Candles", "Batched"),
}

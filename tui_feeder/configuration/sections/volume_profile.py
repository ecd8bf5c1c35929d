"""``[volume_profile]``: the volume profile of a UTC day, for all symbols and for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Struct, defstruct, field
from msgspec.structs import fields, replace

from tui_feeder.configuration.forms import Sessions, SymbolName
from tui_feeder.configuration.values import Key


class ProfileKeys(Struct, frozen=True):
    """What can be set for all symbols, and for one."""

    enabled: Annotated[bool, Key("keep a volume profile for each symbol and UTC day")] = True
    source: Annotated[
        Literal["trades", "candles"],
        Key("volume where it was traded, of symbols whose trades are read ([trades]), or where candles were"),
    ] = "trades"
    price_increment_mode: Annotated[
        Literal["Auto", "Fixed", "Adaptive"],
        Key("row height: fitted to each symbol's range, stated, or fitted between two limits"),
    ] = "Auto"
    target_price_levels: Annotated[int, Key("Auto, Adaptive: rows of a day to aim for", 2, 100_000)] = 200
    fixed_price_increment: Annotated[
        float, Key('Fixed: row height; stated alone it means "Fixed"', 1e-12, 1e9, unit="quote currency")
    ] = 0.01
    min_price_increment: Annotated[
        float, Key("Adaptive: smallest row height", 1e-12, 1e9, unit="quote currency")
    ] = 0.001
    max_price_increment: Annotated[
        float, Key("Adaptive: largest row height", 1e-12, 1e9, unit="quote currency")
    ] = 1.0
    volume_distribution_mode: Annotated[
        Literal["ClosingPrice", "WeightedOHLC", "HighLowWeighted", "UniformOHLC"],
        Key("how a candle's volume is spread over its prices"),
    ] = "WeightedOHLC"
    value_area_calculation_mode: Annotated[
        Literal["Traditional", "Greedy"], Key("grow the value area by two rows at a time, or by one")
    ] = "Traditional"
    calculation_mode: Annotated[
        Literal["Volume", "TPO"], Key("weigh rows by volume, or by candles that touched them")
    ] = "Volume"
    update_frequency: Annotated[
        Literal["EveryCandle", "Every5Candles", "Every10Candles", "Batched"],
        Key("how often to publish the profile"),
    ] = "EveryCandle"
    batch_size: Annotated[
        int, Key("Batched: candles between two publications", 1, 1_000_000, unit="candles")
    ] = 1
    value_area_percentage: Annotated[float, Key("share of the weight inside the value area", 1, 100)] = 70.0
    historical_days: Annotated[int, Key("days of profiles to keep built", 1, 3_650)] = 60


_Optional: Any = defstruct(
    "_Optional", [(key.name, key.type | None, None) for key in fields(ProfileKeys)], frozen=True
)


class AssetOverrides(_Optional):  # type: ignore[misc]  # its fields are those of ProfileKeys
    """What differs from ``[volume_profile]`` for one symbol."""


class Reprocessing(Struct, frozen=True):
    """Which stored days are built again."""

    mode: Annotated[
        Literal["missing_days_only", "today_only", "reprocess_whole_history"], Key("what to build at a start")
    ] = "missing_days_only"


class VolumeProfile(ProfileKeys, frozen=True):
    """The volume profile of a UTC day."""

    sessions: Annotated[
        Sessions, Key("named hours (UTC) that the API and export give profiles of, beside the UTC day")
    ] = ("Asia 00:00-09:00", "London 08:00-16:30", "New York 13:30-20:00")
    asset_overrides: Annotated[
        Mapping[SymbolName, AssetOverrides],
        Key(
            "a table per symbol; any key of [volume_profile] above can differ",
            example="BTCUSDT = { fixed_price_increment = 10.0 }\nETHUSDT = { target_price_levels = 500 }",
        ),
    ] = field(default_factory=dict)
    reprocessing: Reprocessing = Reprocessing()

    def for_symbol(self, symbol: str) -> VolumeProfile:
        """These settings as they hold for one symbol.

        Args:
            symbol: its name.

        Returns:
            The settings with the overrides of the symbol applied, and none left over.
        """
        overrides = self.asset_overrides.get(symbol)
        values = {key.name: getattr(overrides, key.name, None) for key in fields(ProfileKeys)}
        stated = {name: value for name, value in values.items() if value is not None}
        return replace(self, asset_overrides={}, **stated)

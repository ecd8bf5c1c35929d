"""``[application]``: what is followed, where it is stored, and how missing minutes are found."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

from msgspec import Struct

from tui_feeder.configuration.forms import Symbols, Timeframes
from tui_feeder.configuration.values import Key


class Application(Struct, frozen=True):
    """What is followed, where it is stored, and how missing minutes are found."""

    symbols: Annotated[
        Symbols,
        Key(
            'symbols to follow, others than USD-M as spot:BTCUSDT; also "ALL", or patterns like "*USDT"',
            flag="--symbols",
            reload=True,
        ),
    ] = ("BTCUSDT",)
    timeframes: Annotated[
        Timeframes, Key(unit="seconds", ignored="one-minute candles are stored, all others made of them")
    ] = (60,)
    storage_path: Annotated[Path, Key("directory of the candle store (LMDB)", flag="--storage")] = Path(
        "lmdb_data"
    )
    gap_detection_enabled: Annotated[
        bool, Key("false: no periodic check; gaps that live minutes show are always filled")
    ] = True
    start_date: Annotated[
        datetime | None,
        Key(
            "where history begins, a date or time (UTC); unset: min_history_days ago",
            example='"2025-01-01"',
        ),
    ] = None
    respect_config_start_date: Annotated[
        bool, Key("use start_date even where the store begins elsewhere", needs=("start_date", ()))
    ] = False
    monthly_threshold_months: Annotated[
        int, Key("ranges of this many months and more are read from monthly files", 1, 1_200)
    ] = 3
    enable_technical_analysis: Annotated[bool, Key("compute bars, EMAs, trends and quantiles")] = True
    health_server_port: Annotated[
        int, Key("port for health, metrics and the read-only API; 0: none", 0, 65_535)
    ] = 8080
    reconnection_gap_threshold_minutes: Annotated[
        int, Key(low=1, high=525_600, ignored="every missing minute is filled, a single one included")
    ] = 1
    reconnection_gap_check_delay_seconds: Annotated[
        float, Key(low=0, high=86_400, ignored="gaps are filled as soon as they are detected")
    ] = 5.0
    periodic_gap_detection_enabled: Annotated[
        bool, Key("check for gaps periodically, also while all is live")
    ] = True
    periodic_gap_check_interval_minutes: Annotated[
        int, Key("time between two periodic checks", 1, 525_600)
    ] = 5
    periodic_gap_check_window_minutes: Annotated[
        int, Key("how far back a periodic check goes", 1, 525_600)
    ] = 30
    recovery_deadline_seconds: Annotated[
        float,
        Key("how long a bar waits for missing minutes before it is marked partial", 0.001, 86_400),
    ] = 20.0

"""``[parquet]``: past days as Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Struct

from tui_feeder.configuration.values import Key


class Parquet(Struct, frozen=True):
    """Past days and months of symbols as Parquet files that DuckDB, Polars and pandas read by themselves."""

    enabled: Annotated[bool, Key("write each day of a symbol once it is over and complete")] = False
    folder: Annotated[Path, Key("folder of the files")] = Path("partitions")
    months_folder: Annotated[
        Path | None,
        Key(
            "write each month too, into this folder: whoever reads years opens 30 times fewer files",
            example='"months"',
        ),
    ] = None

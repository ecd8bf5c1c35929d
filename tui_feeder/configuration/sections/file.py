"""``[file]``: messages in files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Struct

from tui_feeder.configuration.values import Key


class File(Struct, frozen=True):
    """The messages as JSON lines in files that rotate."""

    enabled: Annotated[bool, Key("write the messages into files")] = False
    path: Annotated[Path, Key("directory of the files")] = Path("messages")
    candles: Annotated[bool, Key("write closed bars of all timeframes too, into files of their own")] = False
    rotate_mb: Annotated[int, Key("size at which the next file begins", 1, 1_000_000)] = 256
    rotate_minutes: Annotated[
        int, Key("age at which the next file begins; 0: by size alone", 0, 2_147_483_647)
    ] = 1_440
    keep: Annotated[int, Key("completed files of each topic to keep; 0: all of them", 0, 2_147_483_647)] = 0
    compression: Annotated[Literal["none", "gzip", "zstd"], Key("compression of completed files")] = "gzip"

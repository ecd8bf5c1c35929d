"""``[trades]``: symbols whose trades are read, for exact volume at price."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from tui_feeder.configuration.forms import SymbolNames
from tui_feeder.configuration.values import Key


class Trades(Struct, frozen=True):
    """Live trades and those of the archive, as volume bought and sold at each price: docs/orderflow.md."""

    symbols: Annotated[
        SymbolNames,
        Key("followed symbols whose trades are read, live and of days that are published; none: no trades"),
    ] = ()
    days: Annotated[int, Key("UTC days before today that are read and kept", 1, 400)] = 7

"""``[ui]``: the screen."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Struct

from tui_feeder.configuration.forms import Line, TimeZoneName
from tui_feeder.configuration.values import Key


class Ui(Struct, frozen=True):
    """The screen."""

    refresh_hz: Annotated[float, Key("screen refreshes per second", 0.2, 20, flag="--hz")] = 4.0
    slow: Annotated[bool, Key("low-bandwidth mode: fewer refreshes, for slow connections", flag="--slow")] = (
        False
    )
    theme: Annotated[
        Line, Key("a theme of the program or of the configuration directory", flag="--theme")
    ] = "feeder-dark"
    symbol_set: Annotated[
        Literal["auto", "braille", "block", "ascii"], Key("drawing characters", flag="--symbols-set")
    ] = "auto"
    timezone: Annotated[
        TimeZoneName,
        Key('time zone of all times on the screens: "UTC", "local" or as "Europe/Berlin"', flag="--timezone"),
    ] = "UTC"
    mouse: Annotated[
        bool, Key("take clicks, drags and the wheel; false leaves them to the terminal, to mark text")
    ] = True
    colors: Annotated[
        Literal["auto", "truecolor", "256", "16", "none"], Key("colours to use", flag="--colors")
    ] = "auto"

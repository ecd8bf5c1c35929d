"""The question for a time to go to."""

from __future__ import annotations

from collections.abc import Callable

from tui_feeder.screens.host import ScreenHost
from tui_feeder.time_format import parse_moment
from tui_feeder.widgets import cells
from tui_feeder.widgets.popup import Prompt

_LONGEST = 40
_HINT = "14:30, 02-03, 2026-02-03 14:30, -4h, -3d"


def time_prompt(host: ScreenHost, go_to: Callable[[int], str | None]) -> Prompt:
    """Asks for a time.

    Args:
        host: whose exchange time and time zone count.
        go_to: goes to a moment (ms); what is wrong with it, in which case the question stays, else None.

    Returns:
        The question.
    """

    def take(text: str) -> str | None:
        try:
            moment = parse_moment(text, host.snapshot.exchange_time, host.palette.zone)
        except ValueError as fault:
            return str(fault)
        return go_to(moment)

    zone = cells.zone_text(host.snapshot.exchange_time, host.palette.zone).strip()
    return Prompt(f"Go to a time ({'UTC' if zone == 'Z' else zone})", "", _LONGEST, _HINT, take)

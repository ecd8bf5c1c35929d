"""The end: the question before it, naming what stops with the screen and what stays, and its reasons."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from tui_feeder.monitor import Snapshot
from tui_feeder.widgets.popup import Choice, Popup


class ExitReason(StrEnum):
    """Why the app ended; its ``return_value``. None stands for a crash: see ``failure``."""

    QUIT = "quit"  # q, or ctrl+c twice
    STOP = "stop"  # request_stop()
    SIGNAL = "signal"  # SIGINT or SIGTERM
    HANGUP = "hangup"  # SIGHUP, or the terminal is gone


class QuitEffect(StrEnum):
    """What ends with the screen."""

    STOPS = "stops"  # the feeder, in order; its candles stay
    FORGETS = "forgets"  # the feeder and its candles: a demo that keeps nothing
    DETACHES = "detaches"  # nothing: the feeder runs in another process

    @property
    def verb(self) -> str:
        """What quit_effect is called."""
        return "leave" if self is QuitEffect.DETACHES else "stop the feeder and quit"


def quit_prompt(snapshot: Snapshot, quit_effect: QuitEffect, leave: Callable[[], None]) -> Popup:
    """Asks whether to quit, and shows what stops and what goes on; not for a screen that only detaches.

    Args:
        snapshot: the newest one.
        quit_effect: what quitting does.
        leave: called to quit.

    Returns:
        The question.
    """
    return Popup(
        "Quit?",
        [Choice("q", quit_effect.verb, leave), Choice("n", "stay here", lambda: None)],
        text=_effects(snapshot, quit_effect),
    )


def _effects(snapshot: Snapshot, quit_effect: QuitEffect) -> list[tuple[str, str]]:
    count = len(snapshot.symbols)
    symbols = f"{count} symbol{'' if count == 1 else 's'}"
    effects = [("stops", f"the live candles of {symbols}, and the messages made of them")]
    fraction = snapshot.history_fraction
    if fraction is not None:
        effects.append(("stops", f"reading history, {fraction * 100:.0f}% done; the next start resumes"))
    open_gaps = sum(gap.state != "filled" for gap in snapshot.gaps)
    if open_gaps:
        effects.append(("stops", f"filling {open_gaps} gap{'' if open_gaps == 1 else 's'}"))
    sinks = [name for name, state in snapshot.sinks.items() if state != "off"]
    if sinks:
        effects.append(("stops", f"{', '.join(sinks)}: queued messages are sent after the next start"))
    if quit_effect is QuitEffect.FORGETS:
        effects.append(
            ("goes", f"{snapshot.store_candles:,} candles of this demo (--storage DIR keeps them)")
        )
    else:
        stored = f"{snapshot.store_candles:,} candles in {snapshot.store_path}"
        effects.append(("stays", f"{stored}; the next start downloads the minutes in between"))
    return effects

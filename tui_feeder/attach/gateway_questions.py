"""What a gateway asks of the feeder it is attached to, beside what screens ask."""

from __future__ import annotations

import asyncio

import msgspec

from tui_feeder.errors import InputError
from tui_feeder.live_access import (
    FeederState,
    FollowedState,
    Forwarded,
    GapState,
    GatewayFigures,
    LiveAccess,
    MinutesInProgress,
)
from tui_feeder.monitor import Snapshot

_FIGURES = msgspec.json.Decoder(GatewayFigures)
_OPEN = ("queued", "filling", "unavailable")
#: Longest name of a request, and parts of its query.
_NAME, _PARTS = 32, 16


class UnfitQuestionError(InputError):
    """A question whose arguments make no sense."""


def minutes_in_progress(live: LiveAccess, args: tuple[str | int | None, ...]) -> MinutesInProgress:
    """Minutes that have changed since a stamp.

    Args:
        live: of the feeder.
        args: the stamp.

    Returns:
        With the exchange's clock.

    Raises:
        UnfitQuestionError: it is none.
    """
    if len(args) != 1 or not isinstance(args[0], int):
        raise UnfitQuestionError("one stamp is expected")
    return live.minutes_in_progress(args[0])


def feeder_state(snapshot: Snapshot, traded: tuple[str, ...]) -> FeederState:
    """What a feeder follows, and what it lacks.

    Args:
        snapshot: newest.
        traded: by the exchange.

    Returns:
        For a gateway.
    """
    return FeederState(
        store_path=snapshot.store_path,
        symbols=tuple(
            FollowedState(
                view.symbol,
                view.state.value,
                view.reason,
                view.first_minute,
                view.progress.eta_seconds if view.progress is not None else None,
            )
            for view in snapshot.symbols
        ),
        gaps=tuple(
            GapState(gap.symbol, gap.start, gap.end, gap.next_try, gap.eta_seconds)
            for gap in snapshot.gaps
            if gap.state in _OPEN
        ),
        traded=traded,
    )


async def forward(live: LiveAccess, args: tuple[str | int | None, ...]) -> Forwarded:
    """Send a request to the exchange.

    Args:
        live: of the feeder.
        args: name of the call, then names and values of its parameters in turn.

    Returns:
        The answer.

    Raises:
        UnfitQuestionError: they are no request.
    """
    texts = [arg for arg in args if isinstance(arg, str)]
    if len(texts) != len(args) or not len(texts) % 2 or len(texts) > _PARTS or len(texts[0]) > _NAME:
        raise UnfitQuestionError("a name and pairs of texts are expected")
    pairs = tuple(zip(texts[1::2], texts[2::2], strict=True))
    return await asyncio.wrap_future(live.forward(texts[0], pairs))


def report(live: LiveAccess, args: tuple[str | int | None, ...]) -> None:
    """Takes what a gateway reports of itself.

    Args:
        live: of the feeder.
        args: its figures as JSON.

    Raises:
        UnfitQuestionError: they are none.
    """
    try:
        figures = _FIGURES.decode(args[0] if len(args) == 1 and isinstance(args[0], str) else "")
    except msgspec.DecodeError as error:
        raise UnfitQuestionError(str(error)) from error
    live.report(figures)

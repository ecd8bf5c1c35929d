"""Whether a run makes sense, checked once the exchange has stated its symbols and its time."""

from __future__ import annotations

from collections.abc import Sequence

from tui_feeder.engine.acquisition.subscriptions import Subscriptions
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.journal import shortened
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import RunFailure
from tui_feeder.time_format import format_second


class EngineError(RunFailure):
    """The engine cannot do what was asked; the message has the reason and the remedy."""


def check_symbols(
    symbols: Sequence[str], wanted: Sequence[str], subscriptions: Subscriptions, store: Store, address: str
) -> None:
    """Refuses a run of which no symbol is listed or stored.

    A list that lacks a symbol for a moment does not end a feeder that has its candles.

    Args:
        symbols: those that names and patterns stand for.
        wanted: names and patterns as configured.
        subscriptions: knows what the exchange lists.
        store: has the candles of earlier runs.
        address: of the exchange, to be shown.

    Raises:
        EngineError: there is none.
    """
    if any(symbol in subscriptions.listed or store.present(symbol) for symbol in symbols):
        return
    near = [hint for symbol in symbols if (hint := subscriptions.closest_name(symbol))]
    guess = f" (did you mean {near[0]}?)" if near else ""
    found = subscriptions.unusable
    if unusable := [f"{name}: {found[name]}" for name in symbols if name in found]:
        guess = f"; the listing of {shortened(unusable)}"
    names = ", ".join(symbols or wanted)
    raise EngineError(
        f"the exchange at {address} lists none of {names}{guess}: check application.symbols or --symbols"
    )


def check_store_age(symbols: Sequence[str], store: Store, now: int) -> None:
    """Refuses a store with candles from the exchange's future: it is of another (simulated) run.

    Args:
        symbols: whose candles are looked at.
        store: where they are.
        now: exchange ms.

    Raises:
        EngineError: there are some.
    """
    ahead = [symbol for symbol in symbols if (p := store.present(symbol)) and p.end > now + MINUTE_MS]
    if ahead:
        end = format_second(store.present(ahead[0]).end)
        raise EngineError(
            f"the store {store.path} holds minutes of {ahead[0]} up to {end}, but the "
            f"exchange's clock is at {format_second(now)}: name another with --storage"
        )

"""Live trades are well only where trades or closed minutes came lately, never by a connection alone."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tui_feeder.engine.acquisition.live_trades import FollowedTrades
from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.core.candle import MINUTE_MS, Candle
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.health import trades_health
from tui_feeder.monitor import StreamView

NOW = 1_773_144_030_000  # half a minute after a minute has begun
LAST = NOW - NOW % MINUTE_MS - MINUTE_MS  # the last one that is over


@dataclass
class Socket:
    """As much of a socket as is looked at."""

    view: StreamView

    def __getattr__(self, name: str) -> object:
        return getattr(self.view, name)


def socket(state: str = "live", reason: str = "") -> Socket:
    return Socket(StreamView("market-trades-1", state, 1, NOW, 1.0, None, 0, reason))


def tracked(last: int = LAST, traded: int | None = LAST, phase: str = "live") -> dict[str, TrackedSymbol]:
    candle = Candle(last, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1, 1.0, 1.0)
    return {"BTCUSDT": TrackedSymbol("BTCUSDT", phase=phase, last=candle, last_traded=traded)}


def health(
    newest: int | None, sockets: list[Socket] | None = None, since: int = 0, **of: object
) -> tuple[str, str, tuple[str, ...]]:
    followed = {"BTCUSDT": FollowedTrades(since, newest, 0, 0)}
    return trades_health(
        sockets or [socket()],  # type: ignore[arg-type]
        followed,
        tracked(**of),  # type: ignore[arg-type]
        NOW,
        ExchangeClock().at_least,
    )


def test_it_is_live_while_trades_come_or_candles_show_that_there_were_none() -> None:
    assert health(NOW - 100) == ("live", "", ())
    quiet = LAST - 30 * MINUTE_MS
    assert health(quiet, traded=quiet) == ("live", "", ()), "no candle since shows a trade"
    assert health(None, traded=None) == ("live", "", ())


def test_it_is_behind_where_a_candle_shows_trades_that_did_not_come() -> None:
    for newest in (None, LAST - 1):
        state, reason, behind = health(newest)
        assert (state, behind) == ("behind", ("BTCUSDT",))
        assert reason == "BTCUSDT: candles have trades that did not come"
    assert health(LAST)[0] == "live"
    assert health(None, since=LAST + MINUTE_MS)[0] == "live", "nobody asked for trades in that minute"
    assert health(None, phase="backfill")[0] == "live", "its candles of the past prove nothing"


def test_neither_a_trade_nor_a_minute_is_silence() -> None:
    old = LAST - 10 * MINUTE_MS
    state, reason, behind = health(old + 5, last=old, traded=old)
    assert (state, behind) == ("silent", ())
    assert reason == f"BTCUSDT: neither a trade nor a closed minute for {(NOW - old - MINUTE_MS) // 1000} s"
    assert health(NOW - 1, last=old, traded=old)[0] == "live"


@pytest.mark.parametrize("state", ["connecting", "silent", "backing off"])
def test_a_socket_that_is_not_live_is_named(state: str) -> None:
    sockets = [socket(), socket(state, "closed 1006")]
    assert health(NOW - 1, sockets)[:2] == (state, "market-trades-1: closed 1006")
    assert health(None, sockets)[2] == ("BTCUSDT",), "what is behind is known all the same"
    assert health(NOW - 1, [socket("connecting")])[1] == "market-trades-1: no trade yet"


def test_without_symbols_it_is_idle() -> None:
    assert trades_health([], {}, {}, NOW, ExchangeClock().at_least)[0] == "idle"

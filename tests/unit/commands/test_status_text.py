"""``feeder-tui status``: what is wrong stands first, and 600 symbols take no more lines than one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import msgspec
import pytest
from fake_monitor import FakeMonitor, with_trades

from tui_feeder.commands.status_text import status_text
from tui_feeder.live_access import GatewayFigures
from tui_feeder.monitor import GapView, Snapshot, StreamView, SymbolState

BAD = tuple(state for state in SymbolState if state is not SymbolState.LIVE)


@cache
def healthy(symbols: int) -> Snapshot:
    snapshot = FakeMonitor(12).snapshot()
    more = (replace(snapshot.symbols[n % 12], symbol=f"C{n}USDT") for n in range(12, symbols))
    return replace(snapshot, symbols=(*snapshot.symbols[:symbols], *more))


def troubled(symbols: int) -> Snapshot:
    """Every kind of trouble at once."""
    snapshot = healthy(symbols)
    views = tuple(
        replace(view, symbol=f"S{number}USDT", state=BAD[number % len(BAD)], reason=f"reason {number}")
        for number, view in enumerate(snapshot.symbols)
    )
    gaps = tuple(
        GapView(view.symbol, 0, 180_000, 3, "queued", 1, "REST", "no closing frame", None) for view in views
    )
    streams = tuple(
        StreamView(f"market {n}", "silent", 50, None, 0.0, None, 3, "no frame for 20 s") for n in range(12)
    )
    parts = {f"part {n}": "degraded" for n in range(20)} | {"store": "degraded"}
    sinks = {name: "stalled: 12 messages wait" for name in ("kafka", "postgres", "file", "jsonl", "webhook")}
    return replace(
        snapshot,
        state="degraded",
        symbols=views,
        gaps=gaps,
        streams=streams,
        parts=parts,
        sinks=sinks,
        store_pausing="disk full",
        gateway=GatewayFigures("127.0.0.1:8091", 1, 3, 500, 2.5, 1, 7, 14, 900, 0),
    )


@pytest.mark.parametrize("symbols", [1, 12, 600])
def test_it_is_short_for_any_number_of_symbols(symbols: int) -> None:
    lines = status_text(troubled(symbols), "head").splitlines()
    assert len(lines) <= 30
    assert lines[2] == "disk      disk full: writes are paused"
    assert max(map(len, lines)) < 160
    good = status_text(replace(healthy(symbols), sinks={"kafka": "ok"}), "head").splitlines()
    assert len(good) <= 8
    assert [line.split()[0] for line in good] == [
        "head", "state", "symbols", "newest", "streams", "gaps", "sinks", "store",
    ]  # fmt: skip


def test_what_is_wrong_stands_before_what_is_well() -> None:
    snapshot = healthy(600)
    views = list(snapshot.symbols)
    for number in range(7):
        views[number] = replace(views[number], state=SymbolState.STALE, reason="no frame from market 1")
    shown = status_text(
        replace(snapshot, symbols=tuple(views), sinks={"kafka": "broker away", "file": "ok"}), "head"
    )
    lines = shown.splitlines()
    assert lines[2] == "sink      kafka: broker away"
    assert lines[3] == (
        "stale     7 symbols, BTCUSDT, ETHUSDT, SOLUSDT, BNBUSDT and 3 more: no frame from market 1"
    )
    assert lines[4] == "symbols   600: 593 live, 7 stale"
    assert "sinks     file ok" in lines


def test_live_trades_have_a_line_that_states_how_they_come() -> None:
    snapshot = with_trades(FakeMonitor(12)).snapshot()
    trades = snapshot.trades
    assert trades is not None
    bad = status_text(snapshot, "head").splitlines()
    assert bad[2:4] == [
        "trades    backing off: spot-trades-1: closed 1006, 3 symbols, last trade 0 s ago, 1,204 missing and "
        "asked for, 17 waiting, 3 cuts, 5 new connections",
        "          spot-trades-1: backing off, 0.0 frames/s, closed 1006",
    ]
    well = replace(trades, state="live", reason="", missing=0, last_trade=None, streams=trades.streams[:1])
    good = status_text(replace(snapshot, trades=well), "head").splitlines()
    (line,) = [line for line in good[good.index("symbols   12: 12 live") :] if line.startswith("trades ")]
    assert line.startswith(
        "trades    live, 3 symbols, no trade yet, 0 missing and asked for, 17 waiting, 2 cuts"
    )


def test_all_names_every_one() -> None:
    snapshot = troubled(600)
    shown = status_text(snapshot, "head", everything=True)
    for view in snapshot.symbols:
        assert f"\n{view.symbol:<10}" in shown
        assert f"gap       {view.symbol} 1970-01-01T00:00Z .. " in shown
    assert shown.count("degraded") == 22
    assert "more (--all)" not in shown


def test_a_gateway_has_a_line_with_its_address_and_clients() -> None:
    figures = GatewayFigures("127.0.0.1:8091", 1, 3, 500, 2.5, 0, 7, 14, 900, 0)
    shown = status_text(replace(healthy(3), gateway=figures), "head")
    assert "\ngateway   http://127.0.0.1:8091, 1 client, 3 streams, 2.5 requests/s\n" in shown
    refusing = replace(healthy(3), gateway=msgspec.structs.replace(figures, refused=1_200))
    assert "2.5 requests/s, 1,200 refused\n" in status_text(refusing, "head")
    assert "gateway" not in status_text(healthy(3), "head")

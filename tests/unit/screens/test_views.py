from __future__ import annotations

from dataclasses import replace

import pytest
from examples import some_of
from fake_monitor import NOON, FakeMonitor, with_trades, with_troubles
from rich.cells import cell_len
from screens import app_of, palette_of, settled, text_of

from tui_feeder.live_access import GatewayFigures
from tui_feeder.monitor import Event, GapView, MinuteState, Snapshot, StreamView, SymbolState
from tui_feeder.widgets.coverage import legend, paint_coverage, strip_widths
from tui_feeder.widgets.lines import news_line
from tui_feeder.widgets.palette import Palette
from tui_feeder.widgets.sources import source_lines

DAY = 86_400_000


async def test_profiles_of_earlier_days_stand_beside_todays_on_one_axis() -> None:
    app = app_of(FakeMonitor(6))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("3")
        lines = await settled(pilot)
        assert "today" in lines[2]
        assert "2026-02-02" in lines[2]
        assert "2026-02-01" in lines[2]
        poc = app.monitor.profile("BTCUSDT", NOON - NOON % DAY)
        assert poc is not None
        assert f"POC  {poc.poc:.2f}" in "\n".join(lines)
        await pilot.press("left_curly_bracket")
        lines = await settled(pilot)
        assert "today" not in lines[2]
        assert "2026-02-02" in lines[2][:30]
        await pilot.press("left_curly_bracket", "left_curly_bracket", "left_curly_bracket")
        assert "no candles" in "\n".join(await settled(pilot))
        await pilot.press("end", "right_curly_bracket", "down")
        lines = await settled(pilot)
        assert "ETHUSDT" in lines[1]
        assert "today" in lines[2]


@pytest.mark.parametrize("size", some_of(((80, 24), (120, 40), (200, 60)), every=2))
async def test_every_day_has_its_value_area_in_numbers_whole_at_every_width(size: tuple[int, int]) -> None:
    monitor = FakeMonitor(2)
    profiles = {
        day: replace(
            found, increment=1.0, low_index=103_000, poc=103_100.0, vah=103_180.0, val=103_020.0,
            vwap=103_111.1,
        )
        for day in range(4)
        if (found := monitor.profile("BTCUSDT", NOON - NOON % DAY - day * DAY)) is not None
    }  # fmt: skip
    monitor.profile = lambda symbol, day=None, patience=None: profiles.get(
        0 if day is None else (NOON - NOON % DAY - day) // DAY
    )
    app = app_of(monitor)
    async with app.run_test(size=size) as pilot:
        await pilot.press("3")
        lines = await settled(pilot)
        text = "\n".join(lines)
        days = lines[2].count("today") + lines[2].count("2026-")
        shown = min(days, 4)
        assert text.count("VAH  103180.00") >= shown
        assert text.count("VAL  103020.00") >= shown
        assert "…" not in text


async def test_a_profile_is_fetched_again_only_when_a_minute_closed() -> None:
    monitor = FakeMonitor(2)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("3")
        await settled(pilot)
        monitor.calls.clear()
        monitor.change("BTCUSDT", price=60_100.0)
        app.tick()
        assert monitor.calls == []
        monitor.change("BTCUSDT", last_closed=NOON)
        app.tick()
        assert monitor.calls == ["profile BTCUSDT"] * 3


async def test_coverage_is_asked_for_again_only_when_something_changed() -> None:
    monitor = FakeMonitor(30)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        lines = await settled(pilot)
        shown = [line for line in lines if "USDT" in line and "━━━" in line]
        assert len(shown) == 10
        monitor.calls.clear()
        app.tick()
        assert monitor.calls == []
        minute = NOON - NOON % 60_000
        noon = minute - DAY // 2
        monitor.gaps = (GapView("SOLUSDT", noon, noon + 60_000, 1, "queued", 1, "REST", "", None),)
        app.tick()
        assert {call.split()[1] for call in monitor.calls} == {"SOLUSDT"}
        (line,) = [line for line in await settled(pilot) if "SOLUSDT" in line and "━" in line]
        assert "━!━" in line


def test_coverage_has_a_sign_for_every_state_and_says_what_it_means() -> None:
    for glyphs in ("braille", "ascii"):
        palette = palette_of(glyphs, colors=False)
        states = list(MinuteState)
        strips = paint_coverage([("BTCUSDT", 3, (states, states))], "BTCUSDT", (7, 7), 14, 80, palette)
        signs = strips[1].text[22:29]
        assert len(set(signs)) == len(states)
        assert set(signs) <= set(legend(80, palette).text)
        assert all(cell_len(strip.text) == 80 for strip in (*strips, legend(80, palette)))
    assert all(sum(strip_widths(width, 14)) + 26 == width for width in range(80, 300))


def test_sources_tell_of_sockets_weight_archives_store_and_sinks() -> None:
    monitor = with_troubles(FakeMonitor(12))
    snapshot = replace(
        monitor.snapshot(),
        streams=(StreamView("market 1", "backing off", 12, NOON - 42_000, 0.0, None, 3, "reset by peer"),),
        sinks={"kafka": "ok", "postgres": "behind by 3 min", "file candles": "ok"},
        counters={"archive_files": 12, "rest_requests": 188, "weight_waits": 2, "gaps_filled": 7},
        parts={"store": "running", "streams": "degraded", "clock": "running", "history BTCUSDT": "stopped"},
    )  # fmt: skip
    for width in (80, 120, 200):
        lines = [
            "".join(text for text, _ in parts)
            for parts in source_lines(snapshot, width, palette_of("braille"), 4.0)
        ]
        text = "\n".join(lines)
        for expected in (
            "0 of 1 live", "backing off", "reset by peer", "61 of 2,400", "188, 2 waited for weight",
            "BNBUSDT", "68% monthly files, 12/40 files 31 MB, 1m20s to go", "1,036,800 candles in 182 MB",
            "  postgres     behind by 3 min", "  file candles ok", "1 of 2 parts run", "streams degraded",
            "7 gaps filled",
        ):  # fmt: skip
            assert expected in text, expected
        assert "history BTCUSDT" not in text


def test_live_trades_are_among_the_sources() -> None:
    monitor = with_trades(FakeMonitor(12))
    for width in (80, 120, 200):
        text = "\n".join(
            "".join(part for part, _ in parts)
            for parts in source_lines(monitor.snapshot(), width, palette_of("braille"), 4.0)
        )
        for expected in (
            "Live trades 1 of 2 live", "  backing off 3 symbols, last trade 0s ago, 17 waiting",
            "1,204 missing and asked for, 3 cuts, 5 new connections", "spot-trades-1: closed 1006",
            "  market-trades-1  live",
        ):  # fmt: skip
            assert expected in text, expected
    monitor.trades = None
    lines = source_lines(monitor.snapshot(), 80, palette_of("braille"), 4.0)
    assert not any("Live trades" in part for parts in lines for part, _ in parts)


def test_a_clock_far_from_this_one_and_a_single_minute_are_stated_shortly() -> None:
    monitor = FakeMonitor(2)
    monitor.stream_minutes = monitor.stream_minutes[:1]
    for offset, text in ((3.0, "+3 ms"), (-2_008_351.0, "-33m28s")):
        snapshot = replace(monitor.snapshot(), clock_offset_ms=offset)
        lines = source_lines(snapshot, 80, palette_of("braille"), 4.0)
        texts = ["".join(part for part, _ in parts) for parts in lines]
        assert any(f"exchange clock {text} from this one" in line for line in texts)
        (latency,) = (line for line in texts if line.startswith("  latency "))
        assert latency.endswith(" 48 ms")
        assert " to " not in latency


@pytest.mark.parametrize("key", ["2", "3", "8"])
async def test_the_title_over_a_stale_symbol_warns_of_it(key: str) -> None:
    monitor = FakeMonitor(4)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(key)
        assert "stale" not in (await settled(pilot))[1]
        monitor.change("BTCUSDT", state=SymbolState.STALE)
        app.tick()
        title = (await settled(pilot))[1]
        assert title.index("BTCUSDT") < title.index("! stale ")


@pytest.mark.parametrize(("width", "marked"), [(40, True), (80, False)])
async def test_a_list_without_ages_marks_symbols_that_are_not_live(width: int, marked: bool) -> None:
    monitor = FakeMonitor(4)
    monitor.change("SOLUSDT", state=SymbolState.STALE, last_frame=NOON - 200_000)
    app = app_of(monitor, colors="none")
    async with app.run_test(size=(width, 24)) as pilot:
        lines = await settled(pilot)
        (row,) = (line for line in lines if "SOLUSDT" in line)
        assert row.startswith(" !SOLUSDT") is marked
        assert ("200!" in row) is not marked
        (other,) = (line for line in lines[:10] if "ETHUSDT" in line)
        assert other.startswith("  ETHUSDT")


async def test_a_feeder_that_does_not_answer_is_all_that_is_stated() -> None:
    monitor = with_troubles(FakeMonitor(12))
    monitor.state = "lost"
    monitor.events = (
        *monitor.events, Event(NOON, "error", None, "the feeder does not answer; reconnecting"),
    )  # fmt: skip
    app = app_of(monitor)
    async with app.run_test(size=(120, 40)) as pilot:
        lines = await settled(pilot)
        assert lines[0].startswith("■ LOST 12 sym │ all as it was last │")
        assert not {"ws", "lmdb", "gaps", "rest"}.intersection(lines[0].split())
        assert lines[-2].startswith("! 14:03:22 the feeder does not answer; reconnecting")


def test_why_a_socket_is_cut_stands_below_it_where_there_is_no_room_behind() -> None:
    reason = "did not receive a valid HTTP response"
    stream = StreamView("market-1", "backing off", 6, NOON - 42_000, 0.0, 131.0, 4, reason)
    snapshot = replace(FakeMonitor(2).snapshot(), streams=(stream,))
    for width, behind in ((80, False), (120, True)):
        lines = source_lines(snapshot, width, palette_of("braille"), 4.0)
        texts = ["".join(part for part, _ in parts) for parts in lines]
        (at,) = (y for y, text in enumerate(texts) if text.startswith("  market-1"))
        assert (reason in texts[at]) is behind
        assert (texts[at + 1].strip() == reason) is not behind
        assert max(map(cell_len, texts)) <= width
    news = news_line(snapshot, None, palette_of("braille").glyphs)
    assert "".join(text for text, _ in news) == f"! market-1 backing off: {reason}"


def text_at_200(snapshot: Snapshot, palette: Palette) -> str:
    lines = source_lines(snapshot, 200, palette, 4.0, 58)
    return "\n".join(text_of([palette.strip(parts, 200) for parts in lines]))


@pytest.mark.parametrize("glyphs", ["braille", "ascii"])
def test_a_wide_terminal_shows_symbols_that_are_not_well_and_the_newest_warnings(glyphs: str) -> None:
    monitor, palette = with_troubles(FakeMonitor(40)), palette_of(glyphs)
    events = (*monitor.events, *(Event(NOON + n, "info", None, "minute closed") for n in range(30)))
    snapshot = replace(monitor.snapshot(), events=events)
    lines = source_lines(snapshot, 200, palette, 4.0, 58)
    shown = text_of([palette.strip(parts, 200) for parts in lines])
    assert {cell_len(text) for text in shown} == {200}
    assert all(sum(cell_len(text) for text, _ in parts) <= 200 for parts in lines)
    left, right = [text[:99] for text in shown], [text[101:] for text in shown]
    (stale,) = (text for text in left if "DOGEUSDT" in text)
    assert "stale" in stale
    assert "no frame since 14:00:02" in stale
    assert "Symbols 35 live, 1 stale, 1 late" in "\n".join(left)
    troubles = left[next(at for at, text in enumerate(left) if "Warnings and errors" in text) + 1 :]
    newest = [event.text for event in reversed(monitor.events) if event.level != "info"]
    assert newest
    assert all(event in text for event, text in zip(newest, troubles, strict=False))
    assert "minute closed" not in "\n".join(left)
    oldest = right[next(at for at, text in enumerate(right) if "Oldest last frames" in text) + 2]
    assert oldest.split()[:2] == ["DOGEUSDT", "200"]
    well = replace(FakeMonitor(3).snapshot(), events=())
    text = text_at_200(well, palette)
    assert "every symbol is live" in text
    assert "none" in text[text.index("Warnings and errors") :]
    crowd = with_troubles(FakeMonitor(40))
    for name in list(crowd.views):
        crowd.change(name, state=SymbolState.STALE)
    text = text_at_200(crowd.snapshot(), palette)
    assert "30 more" in text


def test_a_replay_has_no_streams_and_waits_for_none() -> None:
    for state, why in (("backfill", "none yet: history is read first"), ("paused", "a replay shows stored")):
        snapshot = replace(FakeMonitor(3).snapshot(), streams=(), state=state)
        sources = source_lines(snapshot, 80, palette_of("braille"), 4.0)
        assert why in "".join(text for text, _ in sources[1])


def test_a_gateway_that_serves_the_store_is_among_the_sources() -> None:
    snapshot = FakeMonitor(8).snapshot()
    palette = palette_of("braille")

    def text_at(width: int, **changed: object) -> str:
        shown = replace(snapshot, **changed)
        return "\n".join("".join(t for t, _ in parts) for parts in source_lines(shown, width, palette, 4.0))

    assert "Gateway" not in text_at(120)
    figures = GatewayFigures("127.0.0.1:8090", 7, 350, 1_000, 12.5, 3, 20, 45, 99, 1)
    for width in (100, 160):
        text = text_at(width, gateway=figures)
        assert "Gateway http://127.0.0.1:8090" in text
        assert "7 connected, 12.5 requests/s, 350 streams, 3 refused, 1 cut" in text
        assert "20 requests to the exchange, weight 45" in text


async def test_sources_scroll_where_they_do_not_fit() -> None:
    monitor = FakeMonitor(12)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        for name in list(monitor.views):
            monitor.change(name, progress=with_troubles(FakeMonitor(12)).views["BNBUSDT"].progress)
        app.tick()
        await pilot.press("5")
        lines = await settled(pilot)
        assert lines[-2].rstrip().endswith("1-21 of 31")
        assert sum("68% monthly files, 12/40 files 31 MB, 1m20s to go" in line for line in lines) >= 10
        await pilot.press("pagedown")
        lines = await settled(pilot)
        assert "Engine" in "\n".join(lines)
        await pilot.press("pageup", "up")
        assert "WebSocket streams (ws)" in (await settled(pilot))[1]

"""The lists: gaps and log."""

from __future__ import annotations

import re
from dataclasses import replace

from fake_monitor import NOON, FakeMonitor
from screens import app_of, settled

from tui_feeder.monitor import Event, GapView


async def test_gaps_are_listed_and_tried_again() -> None:
    monitor = FakeMonitor(3)
    end = NOON - NOON % 60_000
    monitor.gaps = tuple(
        GapView(name, end - 600_000, end, 4, "filling", 2, "REST", "why", None)
        for name in ("BTCUSDT", "ETHUSDT")
    )
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        lines = await settled(pilot)
        assert lines[7].startswith("▸ BTCUSDT")
        assert "60%" in lines[7]
        await pilot.press("down", "r", "R")
        assert [call for call in monitor.calls if "retry" in call] == ["retry ETHUSDT", "retry None"]
        monitor.gaps = monitor.gaps[1:]
        app.tick()
        assert (await settled(pilot))[7].startswith("▸ ETHUSDT")
        monitor.gaps = ()
        app.tick()
        assert "no gap" in (await settled(pilot))[7]
        await pilot.press("r")
        assert "no gap to try" in (await settled(pilot))[-1]


async def test_log_follows_scrolls_stays_and_filters() -> None:
    monitor = FakeMonitor(3)
    monitor.events = tuple(
        Event(NOON + i * 1000, ("info", "warning", "error")[i % 3], None, f"event {i}") for i in range(100)
    )
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("6")
        assert "event 99" in (await settled(pilot))[21]
        await pilot.press("up", "up")
        assert "event 97" in (await settled(pilot))[21]
        monitor.events = (*monitor.events[3:], Event(NOON, "info", None, "event 100"))
        app.tick()
        lines = await settled(pilot)
        assert "event 97" in lines[21]
        assert "3 newer below" in lines[22]
        await pilot.press("end")
        assert "event 100" in (await settled(pilot))[21]
        await pilot.press("l", "l")
        lines = await settled(pilot)
        assert "errors" in lines[22]
        assert "event 98" in lines[21]
        assert "event 95" in lines[20]


async def test_a_line_of_the_log_that_is_too_long_goes_on_in_the_next_row() -> None:
    monitor = FakeMonitor(3)
    words = "a candle was refused: high 0.5930 is below close 0.5934, so it is asked for at REST again"
    monitor.events = tuple(
        Event(NOON + i * 1000, "error", "XRPUSDT", words if i % 2 else f"event {i}") for i in range(60)
    )
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("6")
        for size in ((80, 24), (81, 25), (120, 40)):
            await pilot.resize_terminal(*size)
            lines = await settled(pilot)
            rows = "".join(line.strip() + " " for line in lines[1:-2])
            assert words in " ".join(rows.split()), size
            assert "…" not in rows
        await pilot.resize_terminal(80, 24)
        await pilot.press("home")
        lines = await settled(pilot)
        assert "event 0" in lines[1]
        assert "1-14 of 60" in lines[22]
        await pilot.click(offset=(30, 3))  # the second row of the second event
        assert "2 of 60 shown" in "\n".join(await settled(pilot))
        await pilot.press("escape", "pagedown")
        assert "event 14" in (await settled(pilot))[1]
        await pilot.press("pageup", "pageup")
        assert "event 0" in (await settled(pilot))[1]


async def test_the_log_is_filtered_by_symbol_and_by_what_is_typed() -> None:
    monitor = FakeMonitor(3)
    monitor.events = (
        Event(NOON, "info", "BTCUSDT", "minute closed"),
        Event(NOON, "warning", "ETHUSDT", "no closing frame"),
        Event(NOON, "info", None, "stream connected"),
    )
    app = app_of(monitor)

    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down", "6", "o")  # the second symbol is selected
        lines = await settled(pilot)
        assert "no closing frame" in lines[1]
        assert sum(bool(line.strip()) for line in lines[1:-2]) == 1
        assert "everything of ETHUSDT" in lines[-2]
        await pilot.press("l", "l")
        assert "errors of ETHUSDT, none of the 3 lines kept" in (await settled(pilot))[-2]
        await pilot.press("l", "escape", "slash", *"clos")
        lines = await settled(pilot)
        assert lines[-1].startswith(" /clos█")
        assert sum(bool(line.strip()) for line in lines[1:-2]) == 2  # closed, closing
        await pilot.press("enter")
        assert (await settled(pilot))[-1].startswith(" /clos")
        await pilot.press("slash", "escape", "slash", *"!usdt", "enter")
        lines = await settled(pilot)
        assert "stream connected" in lines[1]
        assert sum(bool(line.strip()) for line in lines[1:-2]) == 1
        await pilot.press("slash", "left_parenthesis")
        assert "unterminated" in (await settled(pilot))[-1]


async def test_a_gap_tells_its_tries_its_next_try_or_when_it_is_filled_and_why() -> None:
    monitor = FakeMonitor(3)
    end = NOON - NOON % 60_000
    why = "unreachable: http://127.0.0.1:1 is unreachable: [Errno 104] Connection reset by peer"
    monitor.gaps = (
        GapView("BTCUSDT", end - 600_000, end, 4, "filling", 2, "REST", why, None, 12.4),
        GapView("ETHUSDT", end - 300_000, end, 5, "queued", 3, "REST", why, NOON + 8_000),
        GapView("SOLUSDT", end - 90_000_000, end - 86_000_000, 0, "filled", 1, "daily archive", "", None,
                None, NOON),
    )  # fmt: skip
    app = app_of(monitor)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("4")
        lines = await settled(pilot)
        rows = {line[2:9]: line for line in lines[7:11]}
        assert "13:53→14:03" in rows["BTCUSDT"]
        assert "eta 12s" in rows["BTCUSDT"]
        assert "in 8s" in rows["ETHUSDT"]
        assert "unreachable: Connection" in rows["ETHUSDT"]  # whole in the line below
        assert "02-02 13:03→14:09" in rows["SOLUSDT"]
        assert "filled" in rows["SOLUSDT"]
        assert "http://127.0.0.1:1 is unreachable" in " ".join(lines[-3:-1])


async def test_the_reason_of_a_gap_is_there_in_full_at_80_columns() -> None:
    monitor = FakeMonitor(30)
    end = NOON - NOON % 60_000
    short, long = (
        "socket silent",
        "unreachable: " + "the exchange answers every request with an error; " * 3 + "it is down",
    )
    gaps = [
        GapView(name, end - 600_000, end, 4, ("filling", "queued")[at % 2], 2, "REST", short, None, 12.4)
        for at, name in enumerate(list(monitor.views)[:6])
    ]
    monitor.gaps = tuple(gaps)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        lines = await settled(pilot)
        rows = [line for line in lines if "13:53→14:03" in line]
        assert len(rows) >= 3
        assert all("socket silent, asked REST" in line for line in rows), rows
        monitor.gaps = tuple(replace(gap, reason=long) for gap in gaps)
        app.tick()
        await settled(pilot)
        for _ in gaps:
            lines = await settled(pilot)
            at = next(at for at, line in enumerate(lines) if line.startswith("▸") and "→" in line)
            assert at < len(lines) - 4
            shown = " ".join(" ".join(lines[-5:-1]).split())
            assert f"{long}, asked REST" in re.sub(r" gaps \d+-\d+ of 6", "", shown)
            await pilot.press("down")


async def test_a_gap_that_was_filled_is_told_until_something_else_happens() -> None:
    monitor = FakeMonitor(3)
    end = NOON - NOON % 60_000
    gap = GapView("BTCUSDT", end - 180_000, end, 0, "filled", 2, "REST", "", None, None, NOON - 5_000)
    monitor.gaps = (gap, gap)
    monitor.events = (Event(NOON - 60_000, "warning", None, "stream lost"),)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(100, 30)) as pilot:
        line = (await settled(pilot))[-2]
        assert "gap BTCUSDT 14:00→14:03 filled from REST at 14:03:17, 2 tries · 1 more closed before" in line
        monitor.events += (Event(NOON - 1_000, "error", None, "the disk is full"),)
        app.tick()
        assert "the disk is full" in (await settled(pilot))[-2]
        monitor.events = ()
        monitor.now = NOON + 200_000
        app.tick()
        assert "no minute missing" in (await settled(pilot))[-2]

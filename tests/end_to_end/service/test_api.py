"""The read-only API over real sockets: what it gives equals the store, and nothing odd makes it fail."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from feed import NOON, configured, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markets import exchanges, invented, pointed_at
from serving import SYMBOLS, Served, exchange_at, serving

from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.analytics.profile.day_profile import DayProfile
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.derived.settings import profile_settings
from tui_feeder.engine.derived.stored_profiles import day_profile
from tui_feeder.simulator.clock import SimulatedClock, clock_for
from tui_feeder.simulator.dialect import COINM, USDM
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market


async def test_the_first_bar_of_a_listing_is_there_and_flags_are_named(tmp_path: Path) -> None:
    listed = NOON - 7_200_000 - 23 * MINUTE_MS  # 09:37
    market = synthetic_market(SYMBOLS, as_of_ms=NOON, listed={"BTCUSDT": listed})
    exchange = Exchange(market, clock_for(market, start_ms=NOON, rate=1.0))
    async with exchange, serving(configured(exchange, SYMBOLS), tmp_path) as feeder:
        await feeder.until_ready(True)
        store = feeder.engine.engine.store
        await until(lambda: store.present("BTCUSDT").end >= NOON)
        answer = await feeder.get("/api/v1/candles?symbol=BTCUSDT&timeframe=1h")
        assert [bar["open_time"] for bar in answer["candles"]] == [NOON - n * 3_600_000 for n in (3, 2, 1)]
        rows = store.read("BTCUSDT", 0, NOON)
        first = answer["candles"][0]
        assert (first["open"], first["close"]) == (rows["open"][0], rows["close"][22])
        one = feeder.engine.engine.tracked["BTCUSDT"]
        told = (await feeder.get("/api/v1/symbols"))["symbols"][0]
        assert "partial" not in told
        async with asyncio.timeout(20):
            while "partial" not in told:  # a minute may close meanwhile, and a look is kept for a moment
                one.states = tuple(
                    msgspec.structs.replace(s, minutes_lacking=s.timeframe == 300) for s in one.states
                )
                told = (await feeder.get("/api/v1/symbols"))["symbols"][0]
        assert told["partial"] == {"5m": {"minutes_lacking": 1, "bars_lacking": 0}}


async def test_candles_of_contracts_have_their_number_as_the_exchange_counts_them(tmp_path: Path) -> None:
    symbols = ["BTCUSDT", "coinm:BTCUSD_PERP"]
    markets = {"usdm": invented(USDM, ["BTCUSDT"]), "coinm": invented(COINM, ["BTCUSD_PERP"])}
    async with (
        exchanges(SimulatedClock(NOON, 1.0), markets) as running,
        serving(pointed_at(running, symbols), tmp_path) as feeder,
    ):
        await feeder.until_ready(True)
        end = f"end={NOON - 3_600_000}&limit=5"
        asked = await feeder.get(f"/api/v1/candles?symbol=coinm:BTCUSD_PERP&timeframe=5m&{end}")
        times = [bar["open_time"] for bar in asked["candles"]]
        base = running["coinm"].rest_url
        query = f"symbol=BTCUSD_PERP&interval=5m&startTime={times[0]}&endTime={times[-1]}"
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{base}/dapi/v1/klines?{query}") as answer,
        ):
            rows = await answer.json()
        assert [(bar["open_time"], bar["contracts"]) for bar in asked["candles"]] == [
            (row[0], int(row[5])) for row in rows
        ]
        assert len(rows) == 5
        usual = await feeder.get(f"/api/v1/candles?symbol=usdm:BTCUSDT&timeframe=5m&{end}")
        assert usual["symbol"] == "BTCUSDT"
        assert not any("contracts" in bar for bar in usual["candles"])


async def test_candles_are_those_of_the_store_page_by_page(tmp_path: Path) -> None:
    async with exchange_at(NOON) as exchange, serving(configured(exchange, SYMBOLS), tmp_path) as feeder:
        await feeder.until_ready(True)
        store = feeder.engine.engine.store
        start, end = NOON - DAY_MS, NOON - DAY_MS // 2
        for timeframe, seconds in (("1m", 60), ("15m", 900), ("4h", 14_400)):
            got: list[dict[str, Any]] = []
            following: int | None = start
            while following is not None:
                page = await feeder.get(
                    f"/api/v1/candles?symbol=BTCUSDT&timeframe={timeframe}&start={following}&end={end}&limit=70"
                )
                assert len(page["candles"]) <= 70
                got += page["candles"]
                following = page["next_start"]
            wanted = aggregate(store.read("BTCUSDT", start, end), seconds).rows
            assert [bar["open_time"] for bar in got] == wanted["open_time"].tolist()
            for name in (
                "open",
                "high",
                "low",
                "close",
                "volume",
                "quote_volume",
                "trades",
                "taker_buy_volume",
            ):
                assert [bar[name] for bar in got] == wanted[name].tolist()
            assert all(bar["close_time"] == bar["open_time"] + seconds * 1000 - 1 for bar in got)
        await until(lambda: store.present("BTCUSDT").end >= NOON)  # recovery reads the last minutes
        first = store.present("BTCUSDT").start
        hole = Coverage([(first - 2 * MINUTE_MS, first - MINUTE_MS)])
        store.set_omitted("BTCUSDT", hole).result()
        states = await feeder.get(f"/api/v1/states?symbol=BTCUSDT&end={NOON}")
        assert states["states"] == [
            {"start": hole.start, "end": hole.end, "state": "none_at_exchange"},
            {"start": hole.end, "end": first, "state": "missing"},
            {"start": first, "end": NOON, "state": "present"},
        ]
        assert (states["total"], states["next_offset"]) == (3, None)
        states = await feeder.get(f"/api/v1/states?symbol=BTCUSDT&start={first}&end={NOON}&limit=1")
        assert [span["state"] for span in states["states"]] == ["present"]
        last = await feeder.get("/api/v1/candles?symbol=BTCUSDT&limit=3")
        assert [bar["open_time"] for bar in last["candles"]] == [
            NOON - back * MINUTE_MS for back in (3, 2, 1)
        ] or last["candles"][-1]["open_time"] >= NOON
        assert last["next_start"] is None
        name = "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"
        quiet = await feeder.get(f"/api/v1/candles?symbol={name}&start=2026-03-09T00:00:00Z&limit=2")
        assert quiet["symbol"] == SYMBOLS[1]
        assert len(quiet["candles"]) == 2


async def test_symbols_messages_profiles_and_gaps_are_told(tmp_path: Path) -> None:
    async with exchange_at(NOON - 5_000, 10.0) as exchange:
        config = configured(exchange, SYMBOLS)
        async with serving(config, tmp_path) as feeder:
            await feeder.until_ready(True)
            first = await feeder.get("/api/v1/symbols?limit=1")
            rest = await feeder.get(f"/api/v1/symbols?offset={first['next_offset']}")
            told = [one["symbol"] for one in first["symbols"] + rest["symbols"]]
            assert (told, rest["next_offset"], rest["total"]) == (SYMBOLS, None, 2)
            message = await feeder.get("/api/v1/message?symbol=BTCUSDT")
            assert message["symbol"] == "BTCUSDT"
            assert "volume_profile" in message
            day = NOON // DAY_MS * DAY_MS - DAY_MS
            shown = await feeder.get("/api/v1/profile?symbol=BTCUSDT&date=2026-03-09&limit=5000")
            engine = feeder.engine.engine
            tick = engine.tracked["BTCUSDT"].info.tick_size
            rules = profile_settings(config, "BTCUSDT", tick)
            assert rules is not None
            made = day_profile(engine.store, "BTCUSDT", rules, day)
            assert made is not None
            assert (shown["poc"], shown["vah"], shown["val"]) == (made.poc, made.vah, made.val)
            assert [row[0] for row in shown["rows"]] == made.prices[made.weights > 0].tolist()
            assert [row[1] for row in shown["rows"]] == [w for w in made.weights.tolist() if w]
            assert sum(row[1] for row in shown["rows"]) == pytest.approx(made.total_volume)
            await profile_tools_are_told(feeder, made, day)
            assert await feeder.get("/api/v1/gaps") == {"gaps": [], "total": 0, "next_offset": None}
            exchange.faults.switch_on("refuse-connections")
            deadline = time.monotonic() + 60
            while not (found := await feeder.get("/api/v1/gaps?symbol=BTCUSDT"))["gaps"]:
                assert time.monotonic() < deadline, "no gap was told of"
                await asyncio.sleep(0.1)
            gap = found["gaps"][0]
            assert (gap["symbol"], gap["state"]) == ("BTCUSDT", gap["state"])
            assert gap["missing"] >= 1


async def profile_tools_are_told(feeder: Served, made: DayProfile, day: int) -> None:
    """Each against the monitor, or against the profile of the same day."""
    monitor, dates = feeder.engine.monitor, "2026-03-08..2026-03-09"
    shown = await feeder.get(f"/api/v1/profile/range?symbol=BTCUSDT&dates={dates}&limit=5000")
    view = monitor.range_profile("BTCUSDT", ((day - DAY_MS, day), (day, day + DAY_MS)))
    assert view is not None
    assert (shown["poc"], shown["vah"], shown["vwap"]) == (view.poc, view.vah, view.vwap)
    assert shown["high_volume_nodes"] == list(view.high_nodes)
    assert sum(row[1] for row in shown["rows"]) == pytest.approx(view.total_volume)
    asked = "symbol=BTCUSDT&dates=2026-03-09&session=London"
    london = await feeder.get(f"/api/v1/profile/range?{asked}")
    assert london["spans"] == [[day + 8 * 3_600_000, day + 16 * 3_600_000 + 1_800_000]]
    assert london["candle_count"] == 510
    sessions = await feeder.get("/api/v1/profile/sessions?symbol=BTCUSDT&date=2026-03-09")
    names = [session["session"] for session in sessions["sessions"]]
    assert names == ["UTC", "Asia", "London", "New York"]
    assert sessions["sessions"][2]["poc"] == london["poc"]
    assert sessions["sessions"][0]["total_volume"] == pytest.approx(made.total_volume)
    naked = await feeder.get("/api/v1/profile/naked?symbol=BTCUSDT")
    assert [level["poc"] for level in naked["naked_pocs"]] == [x.price for x in monitor.naked_pocs("BTCUSDT")]
    lines = await feeder.get("/api/v1/profile/developing?symbol=BTCUSDT&date=2026-03-09&every=60")
    assert len(lines["levels"]) == 24
    last = lines["levels"][-1]
    assert (last["poc"], last["vah"], last["val"], last["vwap"]) == (made.poc, made.vah, made.val, made.vwap)
    values = await feeder.get(f"/api/v1/vwap?symbol=BTCUSDT&anchor={day}&end={day + DAY_MS}&timeframe=4h")
    assert [value["time"] for value in values["values"]] == [day + n * DAY_MS // 6 for n in range(1, 7)]
    last = values["values"][-1]
    assert last["vwap"] == pytest.approx(made.vwap)
    assert last["upper_2"] - last["vwap"] == pytest.approx(2 * last["deviation"])


REFUSED = [
    ("/api/v1/profile/range?symbol=BTCUSDT", 400, "give start and end, or dates"),
    ("/api/v1/profile/range?symbol=BTCUSDT&start=2026-03-09", 400, "give start and end, or dates"),
    (
        "/api/v1/profile/range?symbol=BTCUSDT&dates=2026-03-09&session=Lima",
        400,
        "UTC, Asia, London, New York",
    ),
    ("/api/v1/profile/range?symbol=BTCUSDT&dates=yesterday", 400, "yesterday is no day"),
    ("/api/v1/profile/range?symbol=BTCUSDT&dates=2026-03-09..2026-03-01", 400, "dates are 1 to 100 days"),
    ("/api/v1/profile/range?symbol=BTCUSDT&dates=1970-01-01", 404, "nothing is stored"),
    ("/api/v1/profile/range?symbol=BTCUSDT&start=2020-01-01&end=2026-03-01", 400, "one minute to 100 days"),
    ("/api/v1/profile/developing?symbol=BTCUSDT&every=0", 400, "1 to 1440"),
    ("/api/v1/profile/developing?symbol=BTCUSDT&date=1970-01-01", 404, "nothing is stored, or was traded"),
    ("/api/v1/vwap?symbol=BTCUSDT", 400, "anchor is missing"),
    ("/api/v1/vwap?symbol=BTCUSDT&anchor=2026-03-09&timeframe=7m", 400, "timeframe is"),
    ("/api/v1/states?symbol=BTCUSDT&start=2026-02-02&end=2026-02-01", 400, "end is not after start"),
    ("/api/v1/candles", 400, "symbol is missing"),
    ("/api/v1/candles?symbol=NOPE", 404, "not followed"),
    ("/api/v1/candles?symbol=BTCUSDT&timeframe=7m", 400, "timeframe is"),
    ("/api/v1/candles?symbol=BTCUSDT&limit=0", 400, "1 to 1500"),
    ("/api/v1/candles?symbol=BTCUSDT&limit=1501", 400, "1 to 1500"),
    ("/api/v1/candles?symbol=BTCUSDT&limit=1e3", 400, "1 to 1500"),
    ("/api/v1/candles?symbol=BTCUSDT&limit=%D9%A3", 400, "1 to 1500"),
    ("/api/v1/candles?symbol=BTCUSDT&start=yesterday", 400, "start is a time"),
    ("/api/v1/candles?symbol=BTCUSDT&start=-5", 400, "start is a time"),
    ("/api/v1/candles?symbol=BTCUSDT&start=99999999999999999", 400, "start is a time"),
    ("/api/v1/candles?symbol=BTCUSDT&start=1773144000000&end=1773143000000", 400, "end is not after start"),
    ("/api/v1/candles?symbol=BTCUSDT&start=1773144000", 400, "it looks like seconds: write 1773144000000"),
    ("/api/v1/candles?symbol=BTCUSDT&end=", 400, "'' is not a time"),
    ("/api/v1/candles?symbol=BTCUSDT&end=NaN", 400, "'NaN' is not a time"),
    ("/api/v1/candles?symbol=BTCUSDT&symbol=BTCUSDT", 400, "given twice"),
    ("/api/v1/candles?symbol=BTCUSDT&format=csv", 400, "no such parameter"),
    (f"/api/v1/candles?symbol={'A' * 200}", 400, "too long"),
    ("/api/v1/profile?symbol=BTCUSDT&date=2026-02-30", 400, "date is a time"),
    ("/api/v1/profile?symbol=BTCUSDT&date=1772000000000", 400, "date is a day"),
    ("/api/v1/profile?symbol=BTCUSDT&date=1970-01-01", 404, "nothing is stored, or was traded"),
    ("/api/v1/symbols?offset=-1", 400, "whole number"),
    ("/api/v1/nothing", 404, "Not Found"),
    ("/", 404, "Not Found"),
    ("/metrics/../../etc/passwd", 404, "Not Found"),
]


async def test_questions_that_make_no_sense_are_refused_with_what_is_allowed(tmp_path: Path) -> None:
    async with exchange_at(NOON) as exchange, serving(configured(exchange, SYMBOLS), tmp_path) as feeder:
        await feeder.until_ready(True)
        for path, status, said in REFUSED:
            assert said in (await feeder.get(path, status))["error"], path
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            for path in ("/health", "/api/v1/candles", "/nothing"):
                async with feeder.session.request(method, feeder.url + path, data=b"x") as answer:
                    assert answer.status == 405
                    assert answer.headers["Allow"] == "GET, HEAD"
        async with feeder.session.head(feeder.url + "/health") as answer:
            assert (answer.status, await answer.read()) == (200, b"")


NAMES = st.sampled_from(["symbol", "timeframe", "start", "end", "limit", "offset", "date"]) | st.text(
    max_size=8
)
VALUES = st.one_of(
    st.sampled_from(
        [
            "BTCUSDT", "1m", "4h", "1d", "0", "1500", "-1", "2026-03-09", "2026-03-09T00:00:00Z",
            str(NOON), "9" * 30, "1970-01-01", "0001-01-01T00:00:00Z", "٣", "1e9", "NaN", "%00", "\x00",
        ]
    ),
    st.text(max_size=30),
    st.integers(-(2**70), 2**70).map(str),
)  # fmt: skip
PATHS = st.sampled_from(
    ["/health", "/ready", "/metrics"]
    + [f"/api/v1/{n}" for n in ("symbols", "candles", "profile", "message", "gaps")]
) | st.text(max_size=20).map(lambda text: "/" + text)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=PATHS,
    query=st.lists(st.tuples(NAMES, VALUES), max_size=5),
    method=st.sampled_from(["GET"] * 8 + ["HEAD", "POST", "BREW"]),
    raw=st.booleans(),
)
def test_no_path_query_or_method_makes_it_fail(
    feeder: tuple[str, int], path: str, query: list[tuple[str, str]], method: str, raw: bool
) -> None:
    from urllib.parse import quote, urlencode

    if raw:  # bytes as they come, but for what would end the request line
        target = path + "?" + "&".join(f"{name}={value}" for name, value in query)
        target = "".join(c for c in target if c not in " \r\n\t\x00" and 32 < ord(c) < 127) or "/"
    else:
        target = quote(path, safe="/") + "?" + urlencode(query, errors="replace")
    connection = http.client.HTTPConnection(*feeder, timeout=20)
    try:
        connection.request(method, target)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    assert answer.status in (200, 400, 404, 405), (target, answer.status, body)
    assert b"Traceback" not in body
    assert len(body) < 2_000_000
    if answer.status != 200 and method != "HEAD" and answer.headers.get_content_type() == "application/json":
        assert json.loads(body)["error"]


def test_garbage_instead_of_a_request_is_refused_and_serving_goes_on(feeder: tuple[str, int]) -> None:
    import socket

    for rubbish in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"\r\n" * 1000,
    ):
        with socket.create_connection(feeder, timeout=20) as one:
            one.settimeout(5)
            try:
                one.sendall(rubbish)
                answered = one.recv(4096)
            except (TimeoutError, ConnectionError):
                answered = b""
        assert b"Traceback" not in answered
        assert not answered or answered.startswith(b"HTTP/1.")
        connection = http.client.HTTPConnection(*feeder, timeout=20)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()

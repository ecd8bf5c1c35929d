from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from feed import until
from history_parts import LTC, NOON, HandClock, LeapClock, Reading, reading, truth

from tui_feeder.engine.acquisition.fill_progress import FillProgress
from tui_feeder.engine.core.candle import MINUTE_MS, SECOND_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.coverage import EMPTY, span
from tui_feeder.engine.exchanges.base import Page, Refusal, RestError
from tui_feeder.engine.exchanges.binance import rest_client
from tui_feeder.engine.exchanges.binance.ban import keep_ban, known_ban
from tui_feeder.engine.exchanges.binance.rest_budget import RequestBudget
from tui_feeder.engine.exchanges.binance.rest_client import RestClient
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

MOMENT = NOON + 30_100
CHINESE = "币安人生USDT"


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Reading]:
    async with reading(tmp_path, [LTC, CHINESE], now=MOMENT, timeout=0.5) as made:
        yield made


@pytest.mark.parametrize(
    ("fault", "parameters", "kind", "says", "again"),
    [
        ("rest-429", {}, "rate limited", "Too many requests", MOMENT + 10_000),
        ("rest-429", {"retry_after": 0}, "rate limited", "Too many requests", NOON + MINUTE_MS),
        ("rest-418", {}, "banned", f"banned until {MOMENT + 120_000}", MOMENT + 120_000),
        ("rest-418", {"header": False}, "banned", "banned until", MOMENT + 120_000),
        ("rest-403", {}, "forbidden", "firewall (403)", MOMENT + MINUTE_MS),
        ("rest-451", {}, "refused here", "refused by country (451)", None),
        ("rest-5xx", {"status": "408"}, "exchange error", "answers 408", None),
        ("rest-5xx", {"status": "500"}, "exchange error", "answers 500", None),
        ("rest-5xx", {"status": "502"}, "exchange error", "answers 502", None),
        ("rest-5xx", {"status": "503"}, "exchange error", "answers 503", None),
        ("rest-5xx", {"status": "504"}, "exchange error", "answers 504", None),
        ("rest-timeout", {}, "timeout", "no answer within 0.5 s", None),
        ("rest-truncated", {}, "bad answer", "cannot be read", None),
        ("rest-truncated", {"how": "transfer"}, "bad answer", "broke off", None),
        ("refuse-connections", {}, "unreachable", "is unreachable", None),
    ],
)
async def test_every_refusal_is_a_state_of_its_own_and_over_when_it_is_over(
    parts: Reading, fault: str, parameters: dict[str, Any], kind: str, says: str, again: int | None
) -> None:
    parts.exchange.faults.switch_on(fault, **parameters)
    with pytest.raises(RestError) as refused:
        await parts.rest.klines(LTC, start=NOON - 10 * MINUTE_MS, end=NOON)
    assert (refused.value.kind, parts.rest.state) == (kind, kind)
    assert says in str(refused.value)
    assert refused.value.retry_ms == again
    parts.exchange.faults.switch_off()
    parts.hand.moment = max(parts.hand.moment, again or 0)
    rows = await parts.rest.klines(LTC, start=NOON - 10 * MINUTE_MS, end=NOON)
    assert len(rows) == 10
    assert parts.rest.state == "ok"


async def test_an_empty_list_is_a_state_too_and_no_proof(parts: Reading) -> None:
    parts.exchange.faults.switch_on("rest-empty", count=1)
    assert not len(await parts.rest.klines(LTC, start=NOON - 10 * MINUTE_MS, end=NOON))
    assert parts.rest.state == "empty answer"
    parts.exchange.faults.switch_on("rest-empty", count=1)
    filled = await parts.fill(span(NOON - 10 * MINUTE_MS, NOON))
    assert filled.got.minutes == 10
    assert parts.journal.counters["rest_empty_answer"] == 1


@pytest.mark.parametrize("header", [True, False])
async def test_during_a_ban_nothing_is_asked_at_all(parts: Reading, header: bool) -> None:
    parts.exchange.faults.switch_on("rest-418", header=header)
    with pytest.raises(RestError):
        await parts.rest.server_time()
    asked = parts.exchange.requests.total()
    parts.exchange.faults.switch_off()
    for moment in (MOMENT + 1, MOMENT + 60_000, MOMENT + 119_999):
        parts.hand.moment = moment
        for request in (parts.rest.server_time, parts.rest.listings, parts.rest.sync_clock):
            with pytest.raises(RestError, match="no request during a ban"):
                await request()
        filled = await parts.fill(span(NOON - 600 * MINUTE_MS, NOON))
        assert filled.failed.minutes == 600
        assert filled.reason.startswith("banned: ")
    assert parts.exchange.requests.total() == asked
    parts.hand.moment = MOMENT + 120_000
    assert await parts.rest.server_time() == parts.hand.moment


async def test_a_request_that_waited_for_weight_is_not_sent_into_a_ban(
    parts: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.exchange.faults.switch_on("rest-418", target="time", duration=600)
    over = asyncio.Event()

    async def sleep_until(exchange_ms: int) -> None:
        if exchange_ms > parts.hand.moment:
            await over.wait()
            parts.hand.moment = exchange_ms

    monkeypatch.setattr(parts.clock, "sleep_until", sleep_until)
    monkeypatch.setattr(parts.rest.ledger, "_sleep_until", sleep_until)
    await parts.rest.ledger.spend(parts.rest.ledger.limit - 20, urgent=True)
    waiting = asyncio.create_task(parts.rest.klines(LTC, start=NOON - 10 * MINUTE_MS, end=NOON))
    with pytest.raises(RestError, match="banned"):
        await parts.rest.server_time()
    over.set()
    with pytest.raises(RestError, match="no request during a ban"):
        await waiting
    assert parts.exchange.requests["klines"] == 0


async def test_a_ban_is_kept_across_a_restart_whatever_the_unmeasured_clock_says(tmp_path: Path) -> None:
    store = Store(tmp_path, exchange="a test")
    assert known_ban(store, "ban", ExchangeClock()) == 0
    hand = HandClock(MOMENT)
    keep_ban(store, "ban", LeapClock(hand), MOMENT + 180_000)
    store.close()
    store = Store(tmp_path, exchange="a test")
    # This machine's clock is months away from the exchange's, and nothing may be asked to find out.
    clock = ExchangeClock()
    left = known_ban(store, "ban", clock) - clock.now()
    assert 170_000 < left <= 180_000
    quick = ExchangeClock(rate=60.0, wall=lambda: time.time() + 1.0)  # a minute of the exchange later
    assert 110_000 < known_ban(store, "ban", quick) - quick.now() <= 120_000
    async with Exchange(synthetic_market([LTC], as_of_ms=NOON), hand) as exchange:
        budget = RequestBudget(2_400, clock, banned_until=known_ban(store, "ban", clock))
        rest = RestClient(exchange.rest_url, clock, budget=budget)
        with pytest.raises(RestError, match="no request during a ban"):
            await rest.sync_clock()
        assert not exchange.requests
        await rest.close()
    store.close()


async def test_a_ban_learnt_before_the_clock_is_measured_lasts_as_long_as_it_is_said_to(
    parts: Reading,
) -> None:
    for header in (True, False):
        clock = ExchangeClock()  # months ahead of this exchange
        bans: list[int] = []
        budget = RequestBudget(2_400, clock, on_ban=bans.append)
        rest = RestClient(parts.exchange.rest_url, clock, budget=budget)
        parts.exchange.faults.switch_on("rest-418", header=header)
        with pytest.raises(RestError):
            await rest.sync_clock()
        parts.exchange.faults.switch_off()
        asked = parts.exchange.requests.total()
        with pytest.raises(RestError, match="no request during a ban"):
            await rest.sync_clock()
        assert parts.exchange.requests.total() == asked
        assert bans == [rest.banned_until]
        assert 115_000 < rest.banned_until - clock.now() <= 120_000
        # Over, it is over, although the clock is set back by months.
        budget.banned_until = clock.now()
        await rest.sync_clock()
        await rest.sync_clock()
        assert abs(clock.now() - MOMENT) < 5_000
        await rest.close()


async def test_after_too_many_requests_all_are_silent_and_then_one_goes_first(parts: Reading) -> None:
    parts.exchange.faults.switch_on("rest-429", count=3, retry_after=10)

    async def ask() -> int:
        await parts.rest.klines(LTC, start=NOON - MINUTE_MS, end=NOON, limit=1)
        return parts.hand.moment

    with pytest.raises(RestError):
        await ask()
    results = await asyncio.gather(*(ask() for _ in range(10)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, RestError)]
    assert [error.kind for error in refused] == ["rate limited"] * 2
    assert [error.retry_ms for error in refused] == [MOMENT + 20_000, MOMENT + 30_000]
    assert {result for result in results if not isinstance(result, BaseException)} == {MOMENT + 30_000}
    assert parts.exchange.requests["klines"] == 11


@pytest.mark.parametrize("fault", ["rest-429", "rest-5xx", "rest-truncated", "rest-timeout", "rest-403"])
async def test_a_passing_refusal_costs_a_fill_nothing(parts: Reading, fault: str) -> None:
    parts.exchange.faults.switch_on(fault, count=2)
    filled = await parts.fill(span(NOON - 600 * MINUTE_MS, NOON))
    assert filled.got.minutes == 600
    np.testing.assert_array_equal(
        parts.store.read(LTC, 0, 1 << 62), truth(parts.exchange, LTC, NOON - 600 * MINUTE_MS, NOON)
    )
    assert parts.exchange.faults.struck[fault] == 2
    assert parts.exchange.requests["429"] + parts.exchange.requests["418"] == 0


async def test_a_lasting_refusal_fails_its_span_with_a_reason_and_is_not_asked_for_ever(
    parts: Reading,
) -> None:
    parts.exchange.faults.switch_on("rest-451")
    filled = await parts.fill(span(NOON - 600 * MINUTE_MS, NOON))
    assert filled.failed == span(NOON - 600 * MINUTE_MS, NOON)
    assert filled.reason == "refused here: refused by country (451): archives may still work"
    assert parts.exchange.requests["klines"] == 2  # once a page: a country does not change its mind
    assert not parts.store.present(LTC)


@pytest.mark.parametrize(
    ("question", "body"),
    [
        ("sync_clock", b'{"serverTime":' + b"9" * 400 + b"}"),
        ("listings", b'{"rateLimits":[{"rateLimitType":"\xff"}]}'),
        ("listings", b"[" * 3_000),
        ("sync_clock", b'{"serverTime":9223372036854775808}'),
    ],
    ids=["too large for a float", "no UTF-8", "too deep", "too large for 64 bits"],
)
async def test_an_answer_nothing_can_be_made_of_is_a_bad_one(question: str, body: bytes) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    rest = RestClient(f"http://127.0.0.1:{runner.addresses[0][1]}", ExchangeClock(), timeout=5.0)
    try:
        with pytest.raises(RestError) as refused:
            await getattr(rest, question)()
        assert refused.value.kind == "bad answer"
    finally:
        await rest.close()
        await runner.cleanup()


async def test_a_row_that_was_not_asked_for_proves_nothing(parts: Reading) -> None:
    get = parts.rest._get

    async def with_another(path: str, weight: int, *, urgent: bool = False) -> bytes:
        rows = json.loads(await get(path, weight, urgent=urgent))
        far = rows[-1][0] + 1_000 * MINUTE_MS
        return json.dumps([*rows, [far, *rows[-1][1:6], far + MINUTE_MS - 1, *rows[-1][7:]]]).encode()

    parts.rest._get = with_another
    rows, newest = await parts.rest.page(LTC, "1m", NOON - MINUTE_MS, NOON + MINUTE_MS, 2, urgent=False)
    assert (rows["open_time"].tolist(), newest) == ([NOON - MINUTE_MS], NOON)


async def test_a_minute_that_is_not_over_is_never_given_as_closed(parts: Reading) -> None:
    for late, last in ((0, 2), (2_400, 2), (2_600, 1), (59_999, 1), (60_000, 1), (62_000, 1), (62_600, 0)):
        parts.hand.moment = NOON + late
        for limit in (3, 499, 1500):
            rows = await parts.rest.klines(LTC, start=NOON - 2 * MINUTE_MS, end=NOON + MINUTE_MS, limit=limit)
            assert int(rows["open_time"][-1]) == NOON - last * MINUTE_MS, late
            np.testing.assert_array_equal(
                rows, truth(parts.exchange, LTC, NOON - 2 * MINUTE_MS, NOON + (1 - last) * MINUTE_MS)
            )


async def test_a_minute_read_soon_after_its_end_is_not_certified_before_it_is_confirmed(
    parts: Reading,
) -> None:
    parts.exchange.faults.switch_on("unfinished-row", seconds=10)
    parts.hand.moment = NOON + MINUTE_MS + 3 * SECOND_MS
    minute = span(NOON, NOON + MINUTE_MS)
    filled = await parts.fill(span(NOON - 5 * MINUTE_MS, NOON + MINUTE_MS))
    assert filled.unconfirmed == minute
    assert parts.store.certified(LTC) == span(NOON - 5 * MINUTE_MS, NOON)
    parts.hand.moment = NOON + MINUTE_MS + 16 * SECOND_MS
    confirmed = await parts.history.confirm(LTC, minute)
    assert (confirmed.changed, confirmed.unconfirmed) == ([NOON], minute)
    parts.hand.moment = NOON + 2 * MINUTE_MS
    confirmed = await parts.history.confirm(LTC, minute)
    assert (confirmed.changed, confirmed.unconfirmed) == ([], EMPTY)
    assert minute.start in parts.store.certified(LTC)
    np.testing.assert_array_equal(
        parts.store.read(LTC, NOON, NOON + MINUTE_MS), truth(parts.exchange, LTC, NOON, NOON + MINUTE_MS)
    )


async def test_a_clock_that_is_ahead_certifies_no_minute_that_the_exchange_has_not_ended(
    parts: Reading,
) -> None:
    minute = span(NOON, NOON + MINUTE_MS)
    parts.hand.moment, parts.clock.ahead = NOON + 40 * SECOND_MS, 90 * SECOND_MS
    filled = await parts.fill(span(NOON - 5 * MINUTE_MS, NOON + MINUTE_MS))
    assert parts.store.read(LTC, NOON, NOON + MINUTE_MS) != truth(
        parts.exchange, LTC, NOON, NOON + MINUTE_MS
    ), "the minute in progress was not taken for over: the test shows nothing"
    assert filled.unconfirmed == parts.store.unconfirmed(LTC) == span(NOON - MINUTE_MS, NOON + MINUTE_MS)
    parts.hand.moment = NOON + MINUTE_MS + 1  # and still ahead
    assert (await parts.history.confirm(LTC, filled.unconfirmed)).unconfirmed == minute
    parts.hand.moment = NOON + 2 * MINUTE_MS + 1
    confirmed = await parts.history.confirm(LTC, minute)
    assert (confirmed.changed, confirmed.unconfirmed) == ([NOON], EMPTY)
    assert not parts.store.unconfirmed(LTC)
    np.testing.assert_array_equal(
        parts.store.read(LTC, NOON, NOON + MINUTE_MS), truth(parts.exchange, LTC, NOON, NOON + MINUTE_MS)
    )


async def test_without_later_minutes_ten_of_them_must_pass_before_one_is_certified(parts: Reading) -> None:
    """Of a symbol that is traded no longer nothing later comes."""
    minute = span(NOON, NOON + MINUTE_MS)
    page, times = parts.rest.page, []

    async def without_later(*asked: Any, urgent: bool) -> Page:  # noqa: ANN401
        rows, _ = await page(*asked, urgent=urgent)
        return Page(rows, NOON)

    parts.rest.page = without_later
    for seconds in (76, 600, 661):
        parts.hand.moment = NOON + seconds * SECOND_MS
        await parts.history.confirm(LTC, minute)
        times.append(minute.start in parts.store.certified(LTC))
    assert times == [False, False, True]


async def test_a_name_that_is_not_ascii_is_a_name(parts: Reading) -> None:
    assert CHINESE in (await parts.rest.listings()).symbols
    assert len(await parts.rest.klines(CHINESE, start=NOON - 9 * MINUTE_MS, end=NOON)) == 9
    with pytest.raises(RestError) as refused:
        await parts.rest.klines("币安USDT", start=NOON - 9 * MINUTE_MS, end=NOON)
    assert refused.value.kind is Refusal.UNKNOWN_SYMBOL
    assert parts.rest.state == "ok"


async def test_weight_that_another_process_spends_slows_it_down_and_is_never_too_much(tmp_path: Path) -> None:
    market = synthetic_market([LTC, "AVAXUSDT"], as_of_ms=NOON)
    async with Exchange(market, SimulatedClock(NOON, rate=120.0)) as exchange:
        clock = ExchangeClock(rate=120.0)
        rest = RestClient(exchange.rest_url, clock)
        await rest.sync_clock()
        exchange.faults.switch_on("weight-jump", used=2300)
        began = clock.now()
        gap = 499 * MINUTE_MS

        async def bulk(symbol: str, pages: int) -> None:
            for page in range(pages):
                end = NOON - (page + 1) * gap
                assert len(await rest.klines(symbol, start=end - gap, end=end)) == 499

        await asyncio.gather(*(bulk(symbol, 2) for symbol in (LTC, "AVAXUSDT") for _ in range(3)))
        # A request of live repair has what the others leave.
        rows = await rest.klines(LTC, start=NOON - 2 * gap, end=NOON - gap, urgent=True)
        assert len(rows) == 499
        assert clock.now() - began >= 5 * MINUTE_MS  # one page a minute after the first six
        assert exchange.requests["429"] == exchange.requests["418"] == 0
        assert rest.state == "ok"
        await rest.close()


async def test_progress_of_a_fill_is_told(parts: Reading) -> None:
    tracker = FillProgress(600)
    await parts.history.fill(LTC, span(NOON - 600 * MINUTE_MS, NOON), tracker)
    view = tracker.view()
    assert (view.rows_done, view.rows_total, view.source) == (600, 600, "REST")


async def test_what_a_request_waits_for_before_it_is_sent_does_not_move_the_clock() -> None:
    market = synthetic_market([LTC], as_of_ms=NOON)
    async with Exchange(market, SimulatedClock(NOON)) as exchange:
        rest = RestClient(exchange.rest_url, ExchangeClock())
        granted = rest.ledger.spend

        async def waits(weight: int, *, urgent: bool = False) -> None:
            await asyncio.sleep(2.0)
            await granted(weight, urgent=urgent)

        rest.ledger.spend = waits
        await rest.sync_clock()
        assert abs(rest.clock.now() - exchange.clock.now()) < 700
        await rest.close()


async def test_when_candles_are_given_again_is_told_once_and_trials_are_few(
    parts: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = 1_000.0
    monkeypatch.setattr(rest_client.time, "monotonic", lambda: moment)
    told: list[bool] = []
    parts.rest.on_reached = told.append

    async def candles() -> bool:
        try:
            await parts.rest.klines(LTC, start=NOON - 10 * MINUTE_MS, end=NOON)
        except RestError:
            return False
        return True

    assert await candles()
    assert await parts.rest.server_time()
    assert told == []
    parts.exchange.faults.switch_on("rest-5xx", target="klines")
    assert not await candles()
    for _ in range(30):  # its clock answers all the time: a trial every 5 s, not with each answer
        await parts.rest.server_time()
        moment += 1
    assert told == [False] * 6
    parts.exchange.faults.switch_off()
    assert await candles()
    assert await candles()
    assert told == [False] * 6 + [True]
    # One request refused now and then is no outage: its own next try is soon enough.
    parts.exchange.faults.switch_on("rest-5xx", target="klines", count=1)
    assert not await candles()
    moment += 1
    assert await candles()
    assert told == [False] * 6 + [True]


async def test_requests_under_way_are_bounded_and_do_not_hold_up_the_clock(
    parts: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, under_way, most = parts.rest._ask, 0, 0

    async def counted(path: str) -> bytes:
        nonlocal under_way, most
        under_way += "klines" in path
        most = max(most, under_way)
        try:
            return await send(path)
        finally:
            under_way -= "klines" in path

    monkeypatch.setattr(parts.rest, "_ask", counted)
    parts.exchange.faults.switch_on("rest-timeout", target="klines")
    asked = [asyncio.create_task(parts.rest.klines(LTC, end=NOON, limit=1)) for _ in range(50)]
    try:
        await until(lambda: most >= 16)
        assert await parts.rest.server_time() == parts.hand.moment
        assert under_way > 0, "it did not wait for those that hang"
        await asyncio.gather(*asked, return_exceptions=True)
        assert most == 16
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

from __future__ import annotations

import asyncio
import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.dialect import SPOT, USDM
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.fault_kinds import KINDS, Value
from tui_feeder.simulator.fault_random import RandomFaults, draws
from tui_feeder.simulator.faults import Event, Fault, Faults, make_fault, read_fault
from tui_feeder.simulator.launch import ExchangeControlError, ExchangeStartError, launch_blocking
from tui_feeder.simulator.synthetic import synthetic_market

NOON = 1_773_144_000_000  # 2026-03-10T12:00:00Z
ASKED_FOR = """
ack-without-data silence no-close-frame late-close duplicate-frames out-of-order disconnect half-open
refuse-connections garbage bad-values rest-429 rest-418 rest-403 rest-451 rest-5xx rest-timeout
rest-truncated rest-empty weight-jump unfinished-row bad-checksum no-checksum corrupt-zip missing-file
forbidden-file zip-bomb zip-path two-members csv-long-header csv-no-header csv-crlf csv-microseconds
missing-rows duplicate-rows unsorted-rows zero-rows slow-archive clock-skew delist outage
early-close hasty-close two-closes odd-rows odd-listing short-listing
"""


class HandClock(SimulatedClock):
    def __init__(self, moment: int) -> None:
        super().__init__(moment)
        self.moment = moment

    def now(self) -> int:
        return self.moment


class Console:
    """The control door, and what came of it."""

    def __init__(self, exchange: Exchange, session: aiohttp.ClientSession) -> None:
        self.exchange = exchange
        self.session = session
        self.url = f"{exchange.rest_url}/_simulator/faults"

    async def post(self, body: object) -> tuple[int, dict[str, object]]:
        async with self.session.post(self.url, json=body) as response:
            return response.status, await response.json()


@pytest.fixture
async def console() -> AsyncIterator[Console]:
    market = synthetic_market(["BTCUSDT", "币安人生USDT"], as_of_ms=NOON)
    async with Exchange(market, HandClock(NOON)) as exchange, aiohttp.ClientSession() as session:
        yield Console(exchange, session)


def test_all_faults_asked_for_are_there_and_each_is_explained() -> None:
    assert set(ASKED_FOR.split()) <= set(KINDS)
    assert all(kind.what for kind in KINDS.values())


@pytest.mark.parametrize(
    ("text", "symbol", "duration", "count"),
    [
        ("silence", None, None, None),
        ("silence:BTCUSDT", "BTCUSDT", None, None),
        ("silence:90", None, 90.0, None),
        ("silence:BTCUSDT:5m", "BTCUSDT", 300.0, None),
        ("silence::1.5h", None, 5400.0, None),
        ("silence:币安人生USDT:2d", "币安人生USDT", 172_800.0, None),
        ("silence:500ms:count=3", None, 0.5, 3),
        ("silence:symbol=BTCUSDT:duration=10s", "BTCUSDT", 10.0, None),
        ("rest-418", None, 120.0, None),
        ("disconnect", None, None, 1),
        ("disconnect:60", None, 60.0, None),
    ],
)
def test_a_fault_is_read_from_its_text(
    text: str, symbol: str | None, duration: float | None, count: int | None
) -> None:
    fault = read_fault(text)
    assert (fault.symbol, fault.duration, fault.left) == (symbol, duration, count)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("disconnect:code=1006", "code", "1006"),
        ("late-close:BTCUSDT:5m:seconds=35", "seconds", 35.0),
        ("clock-skew:seconds=-90", "seconds", -90.0),
        ("rest-418:header=no", "header", False),
        ("corrupt-zip:target=monthly", "signed", True),
    ],
)
def test_parameters_have_the_type_of_their_default(text: str, name: str, value: Value) -> None:
    assert read_fault(text).parameters[name] == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bad-cheksum", "there is no fault 'bad-cheksum': did you mean bad-checksum"),
        ("xyz", "there is no fault 'xyz'. The faults are: refuse-connections, ack-without-data"),
        ("rest-418:BTCUSDT", "cannot be confined to a symbol, 'BTCUSDT'"),
        ("delist", "needs a symbol, as in delist:BTCUSDT"),
        ("silence:BTCUSDT:soon", "'soon' is not a duration such as 90, 5m or 2h"),
        ("silence:0", "above 0, not 0.0"),
        ("silence:count=0", "above 0, not 0"),
        ("silence:count=many", "count='many' is not a whole number"),
        ("silence:duration=long", "'long' is not a duration"),
        ("silence:target=monthly", "takes no target"),
        ("late-close:secconds=3", "no parameter 'secconds': did you mean seconds"),
        ("late-close:seconds=x", "seconds of the fault late-close is a number, not 'x'"),
        ("late-close:seconds=inf", "is a number, not 'inf'"),
        (
            "disconnect:code=1234",
            "disconnect is one of 1001, 1006, 1008, reset, not '1234'",
        ),
        ("rest-418:header=perhaps", "is true or false, not 'perhaps'"),
    ],
)
def test_what_is_not_understood_is_said_in_one_message(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        Faults.parse([text])
    assert "\n" not in str(error.value)


def test_a_symbol_that_is_not_listed_is_refused_at_the_start_and_later() -> None:
    market, clock = synthetic_market(["BTCUSDT"], as_of_ms=NOON), HandClock(NOON)
    with pytest.raises(ValueError, match="lists no symbol 'BTCUSD': did you mean BTCUSDT"):
        Exchange(market, clock, faults=Faults.parse(["silence:BTCUSD"]))
    exchange = Exchange(market, clock)
    with pytest.raises(ValueError, match="lists no symbol 'ETHUSDT'"):
        exchange.faults.switch_on("silence", "ETHUSDT")
    assert not exchange.faults


def test_faults_given_at_the_start_begin_with_the_exchange_and_end_in_time() -> None:
    clock = HandClock(NOON)
    faults = Faults.parse(["silence:BTCUSDT:60", "rest-5xx:90"])
    told: list[tuple[Event, str, int, str]] = []
    faults.listen(
        lambda event, f: told.append((event, f.name, f.begins if event == "begin" else f.ended, f.why_ended))
    )
    exchange = Exchange(synthetic_market(["BTCUSDT"], as_of_ms=NOON), clock, faults=faults)
    assert [fault.name for fault in exchange.faults.active()] == ["silence", "rest-5xx"]
    clock.moment += 59_999
    assert faults.find("silence", "BTCUSDT")
    assert not faults.find("silence", "ETHUSDT")
    clock.moment += 1
    assert not faults.find("silence", "BTCUSDT")
    faults.switch_on("rest-403", count=2)
    faults.switch_off("rest-5xx")
    faults.strike("rest-403")
    assert faults.strike("rest-403")
    assert not faults.strike("rest-403")
    assert not faults
    assert told == [
        ("begin", "silence", NOON, ""),
        ("begin", "rest-5xx", NOON, ""),
        ("end", "silence", NOON + 60_000, "time"),
        ("begin", "rest-403", NOON + 60_000, ""),
        ("end", "rest-5xx", NOON + 60_000, "off"),
        ("end", "rest-403", NOON + 60_000, "spent"),
    ]


def test_the_same_fault_again_takes_the_place_of_the_first() -> None:
    faults = Faults()
    faults.switch_on("late-close", seconds=3)
    faults.switch_on("late-close", seconds=35)
    faults.switch_on("late-close", "BTCUSDT", seconds=10)
    assert [(f.symbol, f.number("seconds")) for f in faults.active()] == [(None, 35.0), ("BTCUSDT", 10.0)]
    assert faults.switch_off(symbol="BTCUSDT") == 1
    assert faults.switch_off() == 1


async def test_faults_are_switched_by_http_and_shown(console: Console) -> None:
    async with console.session.get(console.url) as response:
        assert await response.json() == {"now_ms": NOON, "faults": [], "struck": {}}
    wanted = {"name": "late-close", "symbol": "币安人生USDT", "duration": 60, "parameters": {"seconds": 35}}
    status, shape = await console.post(wanted)
    assert status == 200
    assert shape == {
        "name": "late-close",
        "symbol": "币安人生USDT",
        "target": None,
        "begins_ms": NOON,
        "ends_ms": NOON + 60_000,
        "left": None,
        "parameters": {"seconds": 35.0},
    }
    await console.post({"name": "missing-file", "target": "monthly", "count": 2})
    async with console.session.get(f"{console.exchange.rest_url}/_simulator/faults?kinds") as response:
        shown = await response.json()
    assert shown["faults"][0] == shape
    assert [kind["name"] for kind in shown["kinds"]] == list(KINDS)
    async with console.session.delete(console.url, params={"symbol": "币安人生USDT"}) as response:
        assert await response.json() == {"ended": 1}
    async with console.session.delete(console.url, params={"name": "missing-file"}) as response:
        assert await response.json() == {"ended": 1}
    assert not console.exchange.faults


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"name": "silense"}, "did you mean silence"),
        ({"name": "silence", "symbol": "NOSUCHUSDT"}, "lists no symbol"),
        ({"name": "silence", "symbol": 5}, "symbol must be a text"),
        ({"name": "silence", "duration": "long"}, "duration must be a number"),
        ({"name": "silence", "duration": -1}, "above 0"),
        ({"name": "silence", "count": 1.5}, "whole number"),
        ({"name": "silence", "minutes": 5}, "'minutes' is not known here"),
        ({"name": "silence", "parameters": [1]}, "parameters must be an object"),
        ({"name": "silence", "parameters": {"count": 1}}, "parameters must be an object"),
        ({"name": "late-close", "parameters": {"x": 1}}, "no parameter 'x'"),
        ({"symbol": "BTCUSDT"}, 'an object with a "name"'),
        (["silence"], 'an object with a "name"'),
    ],
)
async def test_a_bad_order_is_answered_with_400_and_why(console: Console, body: object, message: str) -> None:
    status, answer = await console.post(body)
    assert status == 400
    assert message in str(answer["error"])
    assert not console.exchange.faults


async def test_strangers_noise_and_floods_are_refused(console: Console) -> None:
    form = {"Content-Type": "application/json"}
    for data, headers, status in (
        (b"{broken", form, 400),
        (b'{"name":"silence"}', {"Content-Type": "text/plain"}, 400),
        (b'{"name":"silence"}', form | {"Origin": "https://elsewhere.example"}, 403),
        (b'{"name":"' + b"x" * 5_000 + b'"}', form, 413),
    ):
        async with console.session.post(console.url, data=data, headers=headers) as response:
            assert response.status == status
            assert (await response.json())["error"]
    async with console.session.delete(console.url, params={"name": "nothing"}) as response:
        assert response.status == 400
    assert not console.exchange.faults


def trace(drawn: list[Fault]) -> list[str]:
    return [json.dumps(fault.shape() | {"duration": fault.duration}, sort_keys=True) for fault in drawn]


def test_random_faults_are_the_same_for_a_seed_and_others_for_another() -> None:
    symbols = ["BTCUSDT", "ETHUSDT"]

    def sequence(seed: int) -> list[tuple[int, str]]:
        drawn = list(itertools.islice(draws(seed, symbols, NOON), 2_000))
        return list(zip([d.begins for d in drawn], trace([d.fault for d in drawn]), strict=True))

    first = sequence(7)
    assert first == sequence(7)
    assert first != sequence(8)


def test_random_faults_are_of_every_kind_that_heals_and_all_end() -> None:
    drawn = list(itertools.islice(draws(1, ["BTCUSDT", "ETHUSDT"], NOON, gap=600), 4_000))
    assert {d.fault.name for d in drawn} == {*KINDS} - {
        "delist",
        "server-shutdown",
        "hasty-close",
        "two-closes",
        "odd-listing",
        "short-listing",
        "missing-trades",
        "zero-trade",
        "insurance-fills",
        "straddling-trades",
        "late-archive",
    }
    assert all(d.fault.duration is not None and 5 <= d.fault.duration <= 900 for d in drawn)
    begins = [d.begins for d in drawn]
    assert begins == sorted(begins)
    assert 550 < (begins[-1] - NOON) / 1000 / len(drawn) < 650
    assert {d.fault.symbol for d in drawn} == {None, "BTCUSDT", "ETHUSDT"}
    assert {d.fault.text("code") for d in drawn if d.fault.name == "disconnect"} == {
        "1001",
        "1006",
        "1008",
        "reset",
    }
    with pytest.raises(ValueError, match="above 0"):
        draws(1, [], NOON, gap=0)


def test_only_spot_announces_the_end_of_connections_at_random_and_one_market_alone_errs_in_time() -> None:
    def kinds(market: str, *, clock: bool) -> set[str]:
        return {
            d.fault.name for d in itertools.islice(draws(1, ["X"], NOON, market=market, clock=clock), 2_000)
        }

    usdm, spot = kinds("usdm", clock=True), kinds("spot", clock=False)
    assert usdm - spot == {"clock-skew"}
    assert spot - usdm == {"server-shutdown"}


async def test_a_market_with_the_clock_of_another_shows_the_errors_of_that() -> None:
    market = synthetic_market(["BTCUSDT"], as_of_ms=NOON)
    clock = HandClock(NOON)
    first = Exchange(market, clock)
    second = Exchange(market, clock, dialect=SPOT, clock_faults=first.faults)
    async with first, second, aiohttp.ClientSession() as session:
        first.faults.switch_on("clock-skew", seconds=90.0)
        for exchange, dialect in ((first, USDM), (second, SPOT)):
            async with session.get(f"{exchange.rest_url}{dialect.rest}/time") as answer:
                assert (await answer.json())["serverTime"] == NOON + 90_000


async def test_an_exchange_begins_its_random_faults_at_their_times_whatever_its_speed() -> None:
    told: list[list[tuple[str, int]]] = []
    for rate in (2_000, 5_000):
        enough = asyncio.Event()
        begun: list[tuple[str, int]] = []
        told.append(begun)

        def hear(
            event: Event, fault: Fault, begun: list[tuple[str, int]] = begun, enough: asyncio.Event = enough
        ) -> None:
            if event == "begin" and len(begun) < 15:
                begun.append((fault.name, fault.begins))
            elif event == "begin":
                enough.set()

        faults = Faults()
        faults.listen(hear)
        market = synthetic_market(["BTCUSDT"], as_of_ms=NOON)
        clock = SimulatedClock(NOON, rate)
        async with Exchange(market, clock, faults=faults, random_faults=RandomFaults(3, gap=60)):
            await asyncio.wait_for(enough.wait(), 20)
    assert told[0] == told[1]
    assert [name for name, _ in told[0]] == [
        d.fault.name for d in itertools.islice(draws(3, ["BTCUSDT"], NOON, gap=60), 15)
    ]


def test_a_child_has_faults_from_its_flags_and_from_its_parent() -> None:
    with launch_blocking(
        symbols=["BTCUSDT", "ETHUSDT"], start_ms=NOON, faults=["rest-5xx:BTCUSDT:5m", "no-checksum"]
    ) as child:
        on = child.faults()
        assert [fault["name"] for fault in on] == ["rest-5xx", "no-checksum"]
        assert on[0]["ends_ms"] - on[0]["begins_ms"] == 300_000
        assert child.fault("refuse-connections")["ends_ms"] is None
        made = child.fault("late-close", "ETHUSDT", 60, seconds=35, count=4)
        assert (made["left"], made["parameters"]) == (4, {"seconds": 35.0})
        assert child.heal("refuse-connections") == 1
        with pytest.raises(ValueError, match="did you mean silence"):
            child.fault("silent")
        with pytest.raises(ValueError, match="did you mean silence"):
            child.heal("silent")
        assert child.heal() == 3
        assert child.faults() == []
        assert child.complaint() == ""
    with pytest.raises(ExchangeControlError, match="does not answer"):
        child.faults()


def test_a_child_is_not_started_with_a_fault_that_is_not_understood() -> None:
    with pytest.raises(ExchangeStartError, match="there is no fault 'silense': did you mean silence"):
        launch_blocking(symbols=["BTCUSDT"], faults=["silense"])


def test_begin_and_end_of_random_faults_are_json_lines_on_stderr_and_no_complaint() -> None:
    with launch_blocking(
        symbols=["BTCUSDT"], start_ms=NOON, speed=5_000, random_faults=3, random_gap=60
    ) as child:
        deadline = time.monotonic() + 20
        while not child.faults() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert child.faults()
        assert child.complaint() == ""
    command = [sys.executable, "-m", "tui_feeder.simulator", "--symbols=BTCUSDT", f"--start-ms={NOON}"]
    command += ["--speed=5000", "--faults=random", "--seed=3", "--fault-gap=60", "--fault=silence:BTCUSDT:30"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert process.stdout is not None
    lines = [json.loads(process.stderr.readline()) for _ in range(12)]
    process.terminate()
    process.communicate(timeout=30)
    begun = [line["fault"] for line in lines if line["event"] == "begin"]
    drawn = [d.fault.name for d in itertools.islice(draws(3, ["BTCUSDT"], NOON, gap=60), 12)]
    assert begun == ["silence", *drawn][: len(begun)]
    ended = [line for line in lines if line["event"] == "end"]
    assert ended
    assert all(line["at"].startswith("2026-03-10T12:") for line in lines)


def test_a_fault_that_is_made_is_not_on() -> None:
    faults = Faults()
    fault = make_fault("silence", "BTCUSDT", duration=1)
    assert not faults
    faults.add(fault)
    assert faults.active() == [fault]

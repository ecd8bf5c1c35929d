"""Clients from the package index, with only their address changed, read what the exchange has."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.clients.environments import CannotInstallError, interpreter
from tests.support.feed import configured
from tests.support.gateway_process import attached, running_gateway
from tests.support.serving import serving
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT"]
CLIENTS = Path(__file__).parents[1] / "support" / "clients"
#: Right after its start a feeder has the newest minutes from REST, and confirms them over three minutes.
GATEWAY = """
forward = ["depth", "premiumIndex", "fundingRate", "markPriceKlines"]
serve_unconfirmed = true
"""
pytestmark = pytest.mark.timeout(900)


class Setting:
    """An exchange, and a gateway beside a feeder of it."""

    def __init__(self, exchange: Exchange, url: str, session: aiohttp.ClientSession) -> None:
        self.exchange, self.url, self.session = exchange, url, session

    async def rows(self, symbol: str, interval: str, start: int) -> dict[int, list[Any]]:
        """The exchange's own rows from ``start`` on that can no longer change, by open time."""
        found: dict[int, list[Any]] = {}
        settled = self.exchange.clock.now() - 10_000
        while True:
            path = f"/fapi/v1/klines?symbol={symbol}&interval={interval}&startTime={start}&limit=1500"
            async with self.session.get(self.exchange.rest_url + path) as answer:
                page = await answer.json()
            found |= {row[0]: row for row in page if row[6] < settled}
            if len(page) < 1500:
                return found
            start = page[-1][0] + 1

    def compare(self, got: list[list[Any]], wanted: dict[int, list[Any]], least: int) -> None:
        """Every row that is over equals the exchange's."""
        same = [row for row in got if row[0] in wanted]
        assert len(same) >= least
        assert len({row[0] for row in same}) == len(same)
        assert len(got) - len(same) <= 2  # the one in progress, and one that may still change there
        for row in same:
            assert row == wanted[row[0]][: len(row)], (row, wanted[row[0]])


@contextlib.asynccontextmanager
async def setting(path: Path, days: int) -> AsyncIterator[Setting]:
    now = int(time.time() * 1000)
    market = synthetic_market(SYMBOLS, as_of_ms=now)
    exchange = Exchange(market, SimulatedClock(now, 1.0))
    async with (
        exchange,
        serving(configured(exchange, SYMBOLS, days=days), path) as feeder,
        attached(feeder.engine) as socket,
    ):
        await feeder.until_ready(True, seconds=180.0)
        async with running_gateway(socket, GATEWAY) as gateway, aiohttp.ClientSession() as session:
            yield Setting(exchange, gateway.url, session)


async def python_of(name: str) -> Path:
    try:
        return await asyncio.to_thread(interpreter, name)
    except CannotInstallError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{name} cannot be installed here: {error}")


async def run(python: Path, *arguments: object, seconds: float = 300.0, **environment: str) -> str:
    """What a program printed."""
    process = await asyncio.create_subprocess_exec(
        str(python), *map(str, arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds):
            out, complaints = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, complaints.decode()[-3000:]
    return out.decode()


def floats(rows: dict[int, list[Any]]) -> dict[int, list[Any]]:
    """Rows as clients give them that make numbers of the exchange's text."""
    return {at: [at, *map(float, row[1:6])] for at, row in rows.items()}


def bars_of(events: list[dict[str, Any]]) -> list[list[Any]]:
    """Closing frames as rows of klines."""
    bars = [event["k"] for event in events if event["k"]["x"]]
    return [
        [bar[key] for key in ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")] for bar in bars
    ]


async def test_ccxt(tmp_path: Path) -> None:
    python = await python_of("ccxt")
    async with setting(tmp_path, 62) as here:
        before = here.exchange.requests["klines"]
        got = json.loads(await run(python, CLIENTS / "ccxt_client.py", here.url, "BTC/USDT:USDT", "5m", 60))
        asked = here.exchange.requests["klines"] - before
        start = here.exchange.clock.now() // DAY_MS * DAY_MS - 61 * DAY_MS
        here.compare(got["rows"][:-1], floats(await here.rows("BTCUSDT", "5m", start)), 60 * 288 - 2)
        assert got["last"] > 0
        assert asked <= 10  # the feeder's own, not the twenty of the client


async def test_python_binance(tmp_path: Path, minutes: float) -> None:
    python = await python_of("python-binance")
    async with setting(tmp_path, 22) as here:
        seconds = 60 * minutes + 5
        arguments = (CLIENTS / "python_binance_client.py", here.url, ",".join(SYMBOLS), seconds)
        got = json.loads(await run(python, *arguments, seconds=seconds + 120))
        start = here.exchange.clock.now() // DAY_MS * DAY_MS - 21 * DAY_MS
        here.compare(got["klines"][:-1], await here.rows("BTCUSDT", "1m", start), 1498)
        here.compare(got["historical"][:-1], await here.rows("ETHUSDT", "15m", start), 20 * 96 - 2)
        assert got["info"] == SYMBOLS
        await asyncio.sleep(12)  # until what closed last can no longer change at the exchange
        for symbol in SYMBOLS:
            bars = bars_of([event for event in got["events"] if event["s"] == symbol])
            here.compare(bars, await here.rows(symbol, "1m", start), int(minutes))
            times = [bar[0] for bar in bars]
            assert times == list(range(times[0], times[-1] + 1, MINUTE_MS))
        assert len(got["events"]) > 10 * len(SYMBOLS)


async def test_the_official_connectors(tmp_path: Path, minutes: float) -> None:
    connector, sdk = await python_of("connector"), await python_of("sdk")
    seconds = 60 * minutes + 5
    async with setting(tmp_path, 25) as here:
        for python, script in ((connector, "connector_client.py"), (sdk, "sdk_client.py")):
            text = await run(python, CLIENTS / script, here.url, "BTCUSDT", seconds, seconds=seconds + 120)
            got = json.loads(text)
            start = here.exchange.clock.now() // DAY_MS * DAY_MS - 22 * DAY_MS
            here.compare(got["klines"][:-1], await here.rows("BTCUSDT", "1h", start), 498)
            await asyncio.sleep(12)
            here.compare(bars_of(got["events"]), await here.rows("BTCUSDT", "1m", start), int(minutes))
            if "continuous" in got:
                here.compare(got["continuous"][:-1], await here.rows("BTCUSDT", "5m", start), 298)
                assert got["day"]["symbol"] == got["price"]["symbol"] == "BTCUSDT"
                assert len(got["depth"]["bids"]) == 5


async def test_jesse_imports(tmp_path: Path) -> None:
    python = await python_of("jesse")
    async with setting(tmp_path / "store", 12) as here:
        got = json.loads(
            await run(python, CLIENTS / "jesse_client.py", here.url, "BTC-USDT", 2, tmp_path / "project")
        )
        start = here.exchange.clock.now() // DAY_MS * DAY_MS - 12 * DAY_MS
        assert got["first"] <= start + DAY_MS
        assert {f"{symbol[:-4]}-USDT" for symbol in SYMBOLS} == set(got["symbols"])
        here.compare(got["minutes"], floats(await here.rows("BTCUSDT", "1m", start)), 3_000)
        here.compare(got["hours"], floats(await here.rows("BTCUSDT", "1h", start)), 200)


async def test_freqtrade_downloads_and_runs(tmp_path: Path, minutes: float) -> None:
    python = await python_of("freqtrade")
    pairs = {f"{symbol[:-4]}/USDT:USDT": symbol for symbol in SYMBOLS[:3]}
    async with setting(tmp_path / "store", 40) as here:
        urls = {"urls": {"api": {"fapiPublic": f"{here.url}/fapi/v1", "fapiPublicV2": f"{here.url}/fapi/v2"}}}
        client = {**urls, "options": {"fetchMarkets": {"types": ["linear"]}}}
        config = {
            "dry_run": True, "initial_state": "running", "stake_currency": "USDT", "stake_amount": 100,
            "max_open_trades": 3,
            "trading_mode": "futures", "margin_mode": "isolated", "timeframe": "5m",
            "db_url": f"sqlite:///{tmp_path}/trades.sqlite",
            "exchange": {
                "name": "binance", "key": "", "secret": "", "pair_whitelist": list(pairs),
                "ccxt_config": client, "ccxt_async_config": client, "enable_ws": False,
            },
            "pairlists": [{"method": "StaticPairList"}],
            "entry_pricing": {"price_side": "same", "use_order_book": True},
            "exit_pricing": {"price_side": "same", "use_order_book": True},
        }  # fmt: skip
        file, home = tmp_path / "config.json", tmp_path / "user_data"
        file.write_text(json.dumps(config))
        (home / "strategies").mkdir(parents=True)
        (home / "strategies" / "recorder.py").write_text((CLIENTS / "freqtrade_strategy.py").read_text())
        freqtrade = (python.parent / "freqtrade").as_posix()
        await run(
            python, freqtrade, "download-data", "-c", file, "--userdir", home, "--days", 30, "-t", "5m"
        )  # fmt: skip
        start = here.exchange.clock.now() // DAY_MS * DAY_MS - 38 * DAY_MS
        for pair, symbol in pairs.items():
            name = pair.replace("/", "_").replace(":", "_")
            feather = home / "data/binance/futures" / f"{name}-5m-futures.feather"
            rows = json.loads(await run(python, CLIENTS / "freqtrade_rows.py", feather))
            here.compare(rows, floats(await here.rows(symbol, "5m", start)), 30 * 288 - 3)

        recorded = tmp_path / "recorded.jsonl"
        process = await asyncio.create_subprocess_exec(
            freqtrade, "trade", "-c", str(file), "--userdir", str(home), "-s", "Recorder", "--dry-run",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "RECORDED": str(recorded)},
        )  # fmt: skip
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(40 + 60 * minutes):
                await process.wait()
        assert process.returncode is None, (await process.communicate())[1].decode()[-3000:]
        process.terminate()
        log = (await process.communicate())[1].decode()
        assert " ERROR " not in log, log[-3000:]
        given = [json.loads(line) for line in recorded.read_text().splitlines()]
        assert {entry["pair"] for entry in given} == set(pairs)
        for entry in given:
            wanted = floats(await here.rows(pairs[entry["pair"]], "5m", start))
            here.compare([[int(row[0]), *row[1:]] for row in entry["rows"]], wanted, 100)

"""Spot and COIN-M: what their archives, lists and frames come to, by real files and by hand-made numbers."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from places import SHARED_DATA

from tui_feeder.configuration.forms import MARKETS_WITHOUT_TRADES
from tui_feeder.engine.core.candle import MINUTE_MS, ROW, Candle, faulty
from tui_feeder.engine.exchanges.base import Trading
from tui_feeder.engine.exchanges.binance import answers, kline_csv
from tui_feeder.engine.exchanges.binance.coinm import COINM
from tui_feeder.engine.exchanges.binance.contracts import candle_in_assets, rows_in_assets
from tui_feeder.engine.exchanges.binance.spot import SPOT
from tui_feeder.engine.exchanges.binance.usdm import USDM

real_data = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real data is not in ../shared/data")
OUTAGE = 1_619_323_200_000  # 2021-04-25T04:00:00Z: the minute ended at 04:00:58.146


def text_of(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(archive.namelist()[0])


def table_of(text: bytes) -> list[list[str]]:
    return [line for line in csv.reader(io.StringIO(text.decode())) if line[0].isdigit()]


@real_data
@pytest.mark.parametrize(
    ("name", "per_ms"), [("spot/BTCUSDT-1m-2025-01-02.zip", 1_000), ("spot/ETHUSDT-1m-2022-08-14.zip", 1)]
)
def test_a_day_of_spot_is_read_in_ms_or_us_without_a_header(name: str, per_ms: int) -> None:
    text = text_of(SHARED_DATA / name)
    rows, refused = kline_csv.parse(text, may_end_early=SPOT.may_end_early)
    lines = table_of(text)
    assert (len(rows), len(refused), faulty(rows).sum()) == (1_440, 0, 0)
    assert rows["open_time"].tolist() == [int(line[0]) // per_ms for line in lines]
    for field, column in (("open", 1), ("volume", 5), ("quote_volume", 7), ("taker_buy_quote_volume", 10)):
        assert rows[field].tolist() == [float(line[column]) for line in lines]


@real_data
def test_a_day_of_coin_margined_futures_is_in_base_coins_and_usd() -> None:
    lines = table_of(text := text_of(SHARED_DATA / "coinm/BTCUSD_PERP-1m-2022-10-24.zip"))
    rows = rows_in_assets(kline_csv.parse(text).rows, 100.0)
    assert rows["volume"].tolist() == [float(line[7]) for line in lines]
    assert rows["quote_volume"].tolist() == [100 * float(line[5]) for line in lines]
    assert rows["taker_buy_volume"].tolist() == [float(line[10]) for line in lines]
    traded = rows[rows["volume"] > 0]
    vwap = traded["quote_volume"] / traded["volume"]
    assert len(traded) == 1_439
    assert ((traded["low"] - 1e-6 * vwap <= vwap) & (vwap <= traded["high"] + 1e-6 * vwap)).all()
    assert not faulty(rows).any()


@real_data
def test_every_early_close_that_is_known_is_accepted_in_spot_alone() -> None:
    with (SHARED_DATA / "spot/spot-early-close.csv").open() as file:
        known = list(csv.DictReader(file))
    assert len(known) > 10
    for entry in known:
        opened, ended = (
            int(np.datetime64(entry[name].removesuffix("Z"), "ms").astype(np.int64))
            for name in ("open_time", "close_time")
        )
        if entry["interval"] != "1m" or ended <= opened:
            continue
        text = f"{opened},1,2,1,2,5,{ended},8,3,2,3,0\n".encode()
        (row,) = kline_csv.parse(text, may_end_early=SPOT.may_end_early).rows
        assert row["open_time"] == opened
        with pytest.raises(kline_csv.CsvError, match="does not close 60000 ms"):
            kline_csv.parse(text, may_end_early=USDM.may_end_early)


def test_an_answer_may_show_a_minute_that_ended_early_in_spot_alone() -> None:
    body = json.dumps([[OUTAGE, "1", "2", "1", "2", "5", OUTAGE + 58_146, "8", 3, "2", "3", "0"]]).encode()
    assert answers.klines(body, "1m", may_end_early=True).rows["open_time"].tolist() == [OUTAGE]
    assert not len(answers.klines(body, "1m").rows)


def test_rows_off_the_minute_are_set_aside_not_rounded() -> None:
    text = b"".join(
        b"%d,1,2,1,2,5,%d,8,3,2,3,0\n" % (at, at + MINUTE_MS - 1)
        for at in (OUTAGE - MINUTE_MS, OUTAGE, OUTAGE + MINUTE_MS + 14_789)
    )
    rows = kline_csv.parse(text, may_end_early=True).rows
    assert faulty(rows).tolist() == [False, False, True]


def test_a_frame_of_coin_margined_futures_is_in_base_coins() -> None:
    # A frame of 2021: 1,893 contracts of 10 USD were 9.49653573 coins.
    frame = Candle(1, 1_993.0, 1_994.0, 1_993.0, 1_993.5, 1_893.0, 9.49653573, 50, 900.0, 4.515)
    found = candle_in_assets(frame, 10.0)
    assert (found.volume, found.quote_volume) == (9.49653573, 18_930.0)
    assert (found.taker_buy_volume, found.taker_buy_quote_volume) == (4.515, 9_000.0)
    assert round(found.quote_volume / found.volume, 2) == 1_993.36
    rows = np.array([frame.as_tuple()], dtype=ROW)
    assert rows_in_assets(rows, 10.0)[0].item() == found.as_tuple()


def test_the_configuration_knows_the_markets_whose_trades_are_not_read() -> None:
    unread = {market.name for market in (USDM, SPOT, COINM) if market.trades_columns is None}
    assert set(MARKETS_WITHOUT_TRADES) == unread


@real_data
def test_the_lists_of_spot_and_coin_margined_futures_are_read() -> None:
    spot = gzip.decompress((SHARED_DATA / "rest/spot-exchangeInfo-2021-10-12.json.gz").read_bytes())
    found, limit = answers.listings(spot)
    assert (len(found.symbols), found.unusable, limit) == (1_695, {}, 1_200)
    btc = found.symbols["BTCUSDT"]
    assert (btc.tick_size, btc.trading, btc.matches_patterns) == (0.01, Trading.NOW, True)
    coin = (SHARED_DATA / "rest/dapi-exchangeInfo-2026-09-25.trimmed.json").read_bytes()
    found, _ = answers.listings(coin)
    assert not found.unusable
    perpetual = found.symbols["BTCUSD_PERP"]
    assert (perpetual.contract_size, perpetual.trading) == (100.0, Trading.NOW)
    sizes = {name: info.contract_size for name, info in found.symbols.items()}
    assert COINM.facts.contract_size is not None
    assert sizes == {name: COINM.facts.contract_size(name) for name in sizes}
    deliveries = {name: info.delivery for name, info in found.symbols.items()}
    stated = {entry["symbol"]: entry["deliveryDate"] for entry in json.loads(coin)["symbols"]}
    assert deliveries == {name: 0 if "_PERP" in name else stated[name] for name in stated}
    assert any(deliveries.values())
    states = {info.trading for info in found.symbols.values()}
    assert states == {Trading.NOW, Trading.NOT_YET, Trading.NO_LONGER}


@pytest.mark.parametrize(("limit", "weight"), [(1, 2), (1_000, 2)])
def test_candles_of_spot_weigh_the_same_whatever_the_limit(limit: int, weight: int) -> None:
    assert SPOT.limits.candles_weight(limit) == weight
    assert SPOT.facts.page_candles == 1_000

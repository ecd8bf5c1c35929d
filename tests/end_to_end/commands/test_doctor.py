"""``feeder-tui doctor`` as a user runs it, against the embedded exchange with faults on: it names each."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from commanding import command, command_at
from feed import configured, until
from serving import serving

from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.dialect import COINM, SPOT
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.other_markets import ListedElsewhere
from tui_feeder.simulator.synthetic import synthetic_market

SYMBOLS = ["BTCUSDT", "ETHUSDT"]


def exchange_now() -> Exchange:
    """An exchange of this very moment, so that its clock can be compared with ours."""
    market = synthetic_market(SYMBOLS)
    return Exchange(market, clock_for(market))


async def looked_at(
    exchange: Exchange, folder: Path, *more: str, **env: str
) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code and the findings by what was looked at."""
    done = await command_at(
        exchange,
        "doctor",
        "--json",
        "--patience",
        "4",
        "--symbols",
        "BTCUSDT,ETHUSDT",
        *more,
        cwd=folder,
        **env,
    )
    assert "Traceback" not in done.err
    answer = json.loads(done.out)
    assert answer["ok"] == (done.code == 0)
    return done.code, {one["check"]: one for one in answer["findings"]}


async def test_where_all_is_well_every_line_says_so(tmp_path: Path) -> None:
    async with exchange_now() as exchange:
        code, found = await looked_at(exchange, tmp_path)
        assert code == 0
        assert {name: one["state"] for name, one in found.items()} == dict.fromkeys(
            (
                "config",
                "disk",
                "proxy",
                "http",
                "names",
                "REST",
                "clock",
                "symbols",
                "streams",
                "archive",
                "Kafka",
                "PostgreSQL",
            )
            + (("file",) if "file" in found else ()),
            "ok",
        )
        assert "its SHA256 agrees" in found["archive"]["text"]
        assert "first frame after" in found["streams"]["text"]
        assert found["http"]["text"] == (
            "nothing is served: the exchange is a simulated one, "
            "and application.health_server_port is not set"
        )
        done = await command_at(exchange, "doctor", "--symbols", "BTCUSDT", cwd=tmp_path)
        assert done.code == 0
        assert "ok    streams" in done.out
        assert "0 failed, 0 warnings" in done.out
        assert not (tmp_path / "lmdb_data").exists(), "it makes nothing"


async def test_a_subscription_that_is_acknowledged_and_stays_silent_is_named(tmp_path: Path) -> None:
    async with exchange_now() as exchange:
        exchange.faults.switch_on("ack-without-data")
        code, found = await looked_at(exchange, tmp_path)
    assert code == 4
    assert found["streams"]["state"] == "fail"
    assert "takes the subscription and sends no frame" in found["streams"]["text"]
    assert "retired" in found["streams"]["remedy"]
    assert found["REST"]["state"] == found["archive"]["state"] == "ok"


@pytest.mark.parametrize(
    ("fault", "parameters", "said", "remedy"),
    [
        ("rest-429", {"retry_after": 30.0}, "rate limited", "another program"),
        ("rest-429", {"retry_after": 0.0}, "rate limited", "another program"),
        ("rest-418", {}, "banned", "send nothing"),
        ("rest-403", {}, "forbidden", "firewall"),
        ("rest-451", {}, "refused here", "country"),
        ("rest-5xx", {"status": "502"}, "the exchange answers 502", "wait"),
        ("rest-timeout", {}, "no answer within", "network"),
        ("rest-truncated", {}, "bad answer", "on the way"),
        ("rest-empty", {}, "empty list", "wait"),
    ],
)
async def test_each_way_in_which_rest_refuses_is_named_with_its_remedy(
    tmp_path: Path, fault: str, parameters: dict[str, Any], said: str, remedy: str
) -> None:
    async with exchange_now() as exchange:
        exchange.faults.switch_on(fault, **parameters)
        code, found = await looked_at(exchange, tmp_path, FEEDER_EXCHANGE__REQUEST_TIMEOUT_SECONDS="1.5")
    assert code == 4
    assert found["REST"]["state"] == "fail"
    assert said in found["REST"]["text"]
    assert remedy in found["REST"]["remedy"]
    assert found["streams"]["state"] == "ok", "the streams are another way"
    assert found["archive"]["state"] == "ok"


async def test_no_request_is_sent_during_a_ban_that_an_earlier_run_met(tmp_path: Path) -> None:
    from tui_feeder.engine.core.clock import ExchangeClock
    from tui_feeder.engine.exchanges.binance.ban import keep_ban

    def remember() -> None:
        store = Store(tmp_path / "lmdb_data", exchange="a simulated exchange")
        clock = ExchangeClock()
        keep_ban(store, "ban", clock, clock.now() + 600_000)
        store.close()

    await asyncio.to_thread(remember)
    async with exchange_now() as exchange:
        exchange.faults.switch_on("rest-418", count=1_000)
        code, found = await looked_at(exchange, tmp_path)
        assert exchange.faults.struck["rest-418"] == 0
    assert code == 4
    assert "no request during a ban; until " in found["REST"]["text"]


@pytest.mark.parametrize(("seconds", "said"), [(90.0, "90.0 s behind"), (-90.0, "90.0 s ahead of")])
async def test_a_clock_that_is_wrong_is_named(tmp_path: Path, seconds: float, said: str) -> None:
    async with exchange_now() as exchange:
        exchange.faults.switch_on("clock-skew", seconds=seconds)
        code, found = await looked_at(exchange, tmp_path)
    assert code == 0, "the feeder follows the exchange's clock"
    assert found["clock"]["state"] == "warn"
    assert said in found["clock"]["text"]
    assert found["clock"]["remedy"]


async def test_a_clock_that_steps_is_named(tmp_path: Path) -> None:
    """It is measured before candles are requested, and again some seconds after they came."""
    async with exchange_now() as exchange:
        looking = asyncio.create_task(looked_at(exchange, tmp_path))
        await until(lambda: exchange.requests["klines"])
        exchange.faults.switch_on("clock-skew", seconds=90.0)
        code, found = await looking
    assert code == 0, "the feeder follows the exchange's clock"
    assert "stepped by +9" in found["clock"]["text"]
    assert found["clock"]["state"] == "warn"
    assert found["clock"]["remedy"]


async def test_a_broker_and_a_database_that_are_down_are_named(tmp_path: Path) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))  # and nobody listens
        port = one.getsockname()[1]
        async with exchange_now() as exchange:
            code, found = await looked_at(
                exchange,
                tmp_path,
                FEEDER_KAFKA__ENABLED="true",
                FEEDER_KAFKA__BOOTSTRAP_SERVERS=f"127.0.0.1:{port}",
                FEEDER_DATABASE__ENABLED="true",
                FEEDER_DATABASE__HOST="127.0.0.1",
                FEEDER_DATABASE__PORT=str(port),
                FEEDER_DATABASE__PASSWORD="hunter2",
            )
    assert code == 4
    for name, key in (("Kafka", "kafka.bootstrap_servers"), ("PostgreSQL", "[database]")):
        assert found[name]["state"] == "fail"
        assert key in found[name]["remedy"]
        assert "hunter2" not in found[name]["text"]
    assert found["streams"]["state"] == "ok"


async def test_a_missing_and_a_damaged_archive_are_told_apart(tmp_path: Path) -> None:
    async with exchange_now() as exchange:
        exchange.faults.switch_on("missing-file")
        code, found = await looked_at(exchange, tmp_path)
        assert (code, found["archive"]["state"]) == (0, "warn")
        assert "is not there" in found["archive"]["text"]
        exchange.faults.switch_off()
        exchange.faults.switch_on("bad-checksum")
        code, found = await looked_at(exchange, tmp_path)
    assert (code, found["archive"]["state"]) == (4, "fail")
    assert "SHA256" in found["archive"]["text"]


async def test_symbols_that_nobody_lists_are_told_with_a_guess(tmp_path: Path) -> None:
    async with exchange_now() as exchange:
        code, found = await looked_at(exchange, tmp_path, "--symbols", "BTCUSDT,ETHUSDTT")
        assert (code, found["symbols"]["state"]) == (0, "warn")
        assert "ETHUSDTT (did you mean ETHUSDT?)" in found["symbols"]["text"]


async def test_a_store_in_use_is_said_and_one_of_another_exchange_refused(tmp_path: Path) -> None:
    async with exchange_now() as exchange:
        store = await asyncio.to_thread(Store, tmp_path / "lmdb_data", exchange="a simulated exchange")
        try:
            code, found = await looked_at(exchange, tmp_path)
        finally:
            await asyncio.to_thread(store.close)
        assert code == 0
        assert f"in use by feeder-tui pid {os.getpid()}" in found["disk"]["text"]
        _, found = await looked_at(exchange, tmp_path)
        assert "in use" not in found["disk"]["text"]
        other = await asyncio.to_thread(Store, tmp_path / "other", exchange="https://elsewhere.example")
        await asyncio.to_thread(other.close)
        code, found = await looked_at(exchange, tmp_path, "--storage", str(tmp_path / "other"))
    assert (code, found["disk"]["state"]) == (4, "fail")
    assert "elsewhere.example" in found["disk"]["text"]


def test_a_wrong_configuration_is_told_with_every_problem_and_nothing_else_is_tried(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[kafka]\nacks = 'al'\n[ui]\nrefresh_hz = 99\n")
    done = command("doctor", "--json", cwd=tmp_path)
    assert done.code == 4
    found = json.loads(done.out)["findings"]
    assert [(one["check"], one["state"]) for one in found] == [("config", "fail")] * 2
    assert "kafka.acks" in found[0]["text"]
    assert 'did you mean "all"?' in found[0]["remedy"]


async def test_without_a_way_to_the_exchange_each_part_says_so_and_nothing_hangs(tmp_path: Path) -> None:
    async with exchange_now() as exchange:
        exchange.faults.switch_on("refuse-connections")
        code, found = await looked_at(exchange, tmp_path)
    assert code == 4
    assert found["REST"]["state"] == found["streams"]["state"] == found["archive"]["state"] == "fail"
    assert "unreachable" in found["REST"]["text"]
    assert "cannot be connected" in found["streams"]["text"]


async def test_a_port_that_another_has_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        async with exchange_now() as exchange:
            code, found = await looked_at(
                exchange, tmp_path, FEEDER_APPLICATION__HEALTH_SERVER_PORT=str(number)
            )
    assert code == 4
    assert found["http"]["state"] == "fail"
    assert found["http"]["text"] == f"port {number} of 127.0.0.1 is in use, perhaps by another feeder"
    assert "application.health_server_port" in found["http"]["remedy"]


async def test_a_port_that_a_running_feeder_serves_is_well(tmp_path: Path) -> None:
    async with exchange_now() as exchange:
        async with serving(configured(exchange, SYMBOLS), tmp_path / "store") as feeder:
            number = feeder.service.address[1]
            port = {"FEEDER_APPLICATION__HEALTH_SERVER_PORT": str(number)}
            own = {"FEEDER_APPLICATION__STORAGE_PATH": str(tmp_path / "store")}
            _, found = await looked_at(exchange, tmp_path, **port, **own)
            _, other = await looked_at(exchange, tmp_path, **port)
        assert found["http"]["state"] == "ok"
        url = f"http://127.0.0.1:{number}"
        assert (
            found["http"]["text"] == f"{url} is served by a feeder that runs; a second one needs another port"
        )
        assert other["http"]["state"] == "fail"  # the port is set: a run does not start without it
        assert other["http"]["text"].startswith(f"{url} is served by a feeder of another store")
        assert "set application.health_server_port to another" in other["http"]["remedy"]


async def test_each_market_that_is_used_is_tried(tmp_path: Path) -> None:
    """One frame of each market's stream, and one file of its archive; a market that is silent is named."""
    usdm, listed = exchange_now(), synthetic_market(SYMBOLS)
    spot = Exchange(ListedElsewhere(listed, SPOT), usdm.clock, dialect=SPOT)
    async with usdm, spot:
        env = {
            f"FEEDER_EXCHANGE__SPOT__{name.upper()}": getattr(spot, name)
            for name in ("rest_url", "stream_url", "archive_url")
        }
        wanted = ("--symbols", "BTCUSDT,spot:BTCUSDT")
        code, found = await looked_at(usdm, tmp_path, *wanted, **env)
        states = {name: one["state"] for name, one in found.items() if name.startswith(("stre", "arch"))}
        assert states == dict.fromkeys(("streams", "archive", "streams spot", "archive spot"), "ok")
        assert spot.stream_url in found["streams spot"]["text"]
        assert found["symbols"]["text"].startswith("2 of ")
        spot.faults.switch_on("silence")
        code, found = await looked_at(usdm, tmp_path, *wanted, **env)
        assert code != 0
        assert (found["streams"]["state"], found["streams spot"]["state"]) == ("ok", "fail")
        assert "check exchange.spot.stream_url" in found["streams spot"]["remedy"]
        env["FEEDER_EXCHANGE__SPOT__ARCHIVE_URL"] = "http://no-such-host.invalid"
        env["HTTPS_PROXY"] = env["HTTP_PROXY"] = ""
        code, found = await looked_at(usdm, tmp_path, *wanted, **env)
        assert code != 0
        assert (found["names"]["state"], "no-such-host.invalid" in found["names"]["text"]) == ("fail", True)
        assert "check the network and exchange.spot.archive_url" in found["archive spot"]["remedy"]
        env["FEEDER_EXCHANGE__SPOT__STREAM_URL"] = "ws://spot.invalid"
        env["HTTP_PROXY"] = "http://proxy.invalid:3128"
        env["NO_PROXY"] = "127.0.0.1"
        code, found = await looked_at(usdm, tmp_path, *wanted, **env)
        assert "streams spot, archive spot: through http://proxy.invalid:3128" in found["proxy"]["text"]


async def test_what_the_documents_leave_open_is_asked_and_recorded(tmp_path: Path) -> None:
    usdm = exchange_now()
    ledger = usdm.rest.ledger
    listed = synthetic_market(SYMBOLS)
    spot = Exchange(ListedElsewhere(listed, SPOT), usdm.clock, dialect=SPOT)
    coinm = Exchange(ListedElsewhere(listed, COINM), usdm.clock, dialect=COINM, ledger=ledger)
    async with usdm, spot, coinm:
        env = {
            f"FEEDER_EXCHANGE__{other.dialect.name.upper()}__{name.upper()}": getattr(other, name)
            for other in (spot, coinm)
            for name in ("rest_url", "stream_url", "archive_url")
        }
        wanted = ("--symbols", "BTCUSDT,spot:BTCUSDT,coinm:BTCUSD_PERP", "--record", "seen")
        code, found = await looked_at(usdm, tmp_path, *wanted, **env)
        assert code == 0, [one for one in found.values() if one["state"] == "fail"]
        for other in (usdm, spot, coinm):
            assert not other.requests["429"]
    lines = [json.loads(line) for line in (tmp_path / "seen/probes.jsonl").read_text().splitlines()]
    answers = {probe["question"]: probe["answer"] for probe in lines}
    assert len(lines) == len(answers) == 9
    for url, path, name in (
        (usdm.stream_url, "/market/stream", "BTCUSD_PERP"), (spot.stream_url, "/stream", "BTCUSD_PERP"),
        (coinm.stream_url, "/stream", "BTCUSDT"), (coinm.stream_url, "/market/stream", "BTCUSD_PERP"),
    ):  # fmt: skip
        assert answers[f"is {name} carried by {url}{path}?"].startswith("no frame in 4 s")
    assert answers["how is the end of a connection announced?"].startswith("none was announced in 4 s")
    # The newest minute of each of the two may have ended by our clock, a moment before the exchange's.
    quiet = answers["has REST a row of a minute without a trade?"]
    assert re.match("0 rows without a trade, [0-2] absent", quiet), quiet
    for market in ("usdm", "spot", "coinm"):
        question = f"does f(next) = L(previous) + 1 hold from minute to minute of {market}?"
        assert "seams joined" in answers[question]


async def test_what_it_saw_can_be_kept_as_evidence(tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    async with exchange_now() as exchange:
        code, _ = await looked_at(exchange, tmp_path, "--record", str(folder))
    assert code == 0
    answers = [json.loads(line) for line in (folder / "rest.jsonl").read_text().splitlines()]
    assert {one["status"] for one in answers} == {200}
    assert any("/klines?" in one["url"] for one in answers)
    listing = next(one for one in answers if one["url"].endswith("/exchangeInfo"))
    assert {"BTCUSDT", "ETHUSDT"} <= {entry["symbol"] for entry in json.loads(listing["body"])["symbols"]}
    messages = [json.loads(line) for line in (folder / "streams.jsonl").read_text().splitlines()]
    assert any(json.loads(one["body"]).get("data", {}).get("e") == "kline" for one in messages)
    (tmp_path / "file").write_text("")
    done = await asyncio.to_thread(
        command, "doctor", "--record", str(tmp_path / "file" / "below"), cwd=tmp_path
    )
    assert done.code == 1
    assert "name a folder to write to" in done.err

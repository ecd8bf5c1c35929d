"""Health, readiness and metrics of a running feeder over real sockets."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commanding import COMMAND, environment
from fake_monitor import FakeMonitor, with_trades
from feed import NOON, configured, until
from msgspec import structs
from places import DOCS, ROOT
from ports import free_port
from preloaded import AsyncProcess, start_process
from prometheus_client.parser import text_string_to_metric_families
from serving import serving

from tui_feeder.commands.status_text import status_text
from tui_feeder.config import Alerts, Kafka, Service
from tui_feeder.engine.core.event_names import event_name
from tui_feeder.engine.core.latency import BOUNDS, Latency
from tui_feeder.engine.sinks.kafka import KafkaSink
from tui_feeder.engine.storage.store import Store
from tui_feeder.live_access import GatewayFigures
from tui_feeder.monitor import Snapshot, SymbolState
from tui_feeder.service.engine_probe import EngineStatus
from tui_feeder.service.host_names import host_matcher
from tui_feeder.service.http import HttpService, ServiceError
from tui_feeder.service.metrics import families
from tui_feeder.service.readiness import checks
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market
from tui_feeder.widgets.color_themes.themes import load_theme
from tui_feeder.widgets.lines import news_line, status_line
from tui_feeder.widgets.palette import GLYPHS, Palette, Part
from tui_feeder.widgets.sources import source_lines

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
METRICS = DOCS / "metrics.md"


def exchange_at(start: int, rate: float = 20.0) -> Exchange:
    market = synthetic_market(SYMBOLS, as_of_ms=NOON)
    return Exchange(market, clock_for(market, start_ms=start, rate=rate))


async def test_it_is_healthy_from_the_start_and_ready_once_history_is_there(tmp_path: Path) -> None:
    async with exchange_at(NOON) as exchange:
        exchange.faults.switch_on("slow-archive", bytes_per_second=20_000.0)
        async with serving(configured(exchange, SYMBOLS, days=10), tmp_path) as feeder:
            health = await feeder.get("/health")
            assert health["status"] == "ok"
            assert health["state"] in ("starting", "backfill")
            await feeder.until_ready(
                False, "history: the engine is backfill: 2 of 2 symbols are not live yet"
            )
            exchange.faults.switch_off()
            await feeder.until_ready(True)
            body = await feeder.get("/ready")
            named = {"history", "streams", "symbols", "parts", "sinks", "disk", "stored days"}
            assert set(body["checks"]) == named
            assert (await feeder.get("/health"))["state"] == "live"


async def test_it_is_not_ready_while_no_frames_come_and_ready_again_after(tmp_path: Path) -> None:
    async with (
        exchange_at(NOON, 60.0) as exchange,
        serving(configured(exchange, SYMBOLS), tmp_path) as feeder,
    ):
        await feeder.until_ready(True)
        exchange.faults.switch_on("refuse-connections")
        await feeder.until_ready(False, "streams: market-1 delivers nothing")
        assert (await feeder.get("/health"))["status"] == "ok", "it lives, and needs no restart"
        exchange.faults.switch_off()
        await feeder.until_ready(True, seconds=80)


async def test_it_is_not_ready_while_the_outbox_is_further_behind_than_allowed(tmp_path: Path) -> None:
    with socket.socket() as taken:  # a broker that never answers
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with exchange_at(NOON, 60.0) as exchange:
            config = structs.replace(
                configured(exchange, SYMBOLS), service=structs.replace(Service(), ready_sink_lag_seconds=1.5)
            )
            kafka = structs.replace(Kafka(), enabled=True, bootstrap_servers=(address,))

            def sinks(store: Store) -> list[KafkaSink]:
                return [KafkaSink(kafka, store.open_outbox(["kafka"], 10))]

            async with serving(config, tmp_path, sinks) as feeder:
                await feeder.until_ready(False, "sinks: kafka is ")
                text = await feeder.get("/metrics")
                assert value_of(text, "feeder_outbox_messages", topic="data", sink="kafka") > 0
                assert value_of(text, "feeder_sink_lag_seconds", sink="kafka") > 1.5
                assert value_of(text, "feeder_ready", check="sinks") == 0


async def test_it_is_not_ready_when_the_disk_has_too_little_room(tmp_path: Path) -> None:
    async with exchange_at(NOON) as exchange:
        config = configured(exchange, SYMBOLS)
        full = structs.replace(config, service=structs.replace(Service(), ready_free_mb=1_000_000))
        async with serving(full, tmp_path) as feeder:
            await feeder.until_ready(False, "disk: ")
            _, reasons = await feeder.ready()
            assert any("less than 1000000 MB" in reason for reason in reasons)


async def test_what_fails_ready_for_the_store_is_in_state_status_and_on_the_screens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theme = load_theme("feeder-dark")
    palette = Palette(theme.styles, theme.background, GLYPHS["ascii"], False)

    def text_of(*lines: list[Part]) -> list[str]:
        return ["".join(text for text, _ in line) for line in lines]

    async with exchange_at(NOON) as exchange, serving(configured(exchange, SYMBOLS), tmp_path) as feeder:
        engine = feeder.engine.engine

        async def shown_everywhere(check: str, label: str, words: str) -> None:
            await feeder.until_ready(False, words)
            monitor = feeder.engine.monitor
            await until(lambda: words in monitor.snapshot().store_troubles.get(check, ""))
            snapshot = monitor.snapshot()
            text = snapshot.store_troubles[check]
            assert snapshot.state == "degraded"  # status: exit code 3
            (top, bottom) = text_of(
                status_line(snapshot, 1, False, "", 160, palette.glyphs),
                news_line(snapshot, None, palette.glyphs),
            )
            assert " DEGRADED" in top
            assert "lmdb degraded!" in top
            assert bottom == f"! {text}"
            told = status_text(snapshot, "head").splitlines()
            assert told[1].startswith("state     degraded")
            assert f"{label:<10}{text}" in told
            assert f"  {text}" in text_of(*source_lines(snapshot, 120, palette, 4.0))

        await feeder.until_ready(True)
        data = engine.store.path / "data.mdb"
        data.rename(data.with_name("elsewhere"))
        await shown_everywhere(
            "stored days", "store", f"{data} was deleted or replaced while the feeder writes"
        )
        data.with_name("elsewhere").rename(data)
        await feeder.until_ready(True)
        with monkeypatch.context() as patched:
            days = tuple(day * 86_400_000 for day in range(5))
            patched.setattr(engine.store, "damaged_days", lambda: {"BTCUSDT": days})
            found = ", ".join(f"BTCUSDT 1970-01-0{day}" for day in (1, 2, 3))
            await shown_everywhere("stored days", "store", f"damaged, being read again: {found} and 2 more")
        await feeder.until_ready(True)
        with monkeypatch.context() as patched:
            patched.setattr(engine.stored_day_check, "_min_free_bytes", 1 << 60)
            await shown_everywhere(
                "disk", "disk", f"MB are free at {engine.store.path}, less than {1 << 40} MB"
            )
        await feeder.until_ready(True)


async def test_an_engine_that_hangs_is_down_and_one_that_goes_on_is_well(tmp_path: Path) -> None:
    async with exchange_at(NOON) as exchange, serving(configured(exchange, SYMBOLS), tmp_path) as feeder:
        await feeder.until_ready(True)
        hangs, goes_on = threading.Event(), threading.Event()

        def hang() -> None:
            hangs.set()
            goes_on.wait(60)

        feeder.engine.call(hang)
        assert await asyncio.to_thread(hangs.wait, 60)
        await asyncio.sleep(0.6)  # the last answer is young enough for so long
        body = await feeder.get("/health", 503)
        goes_on.set()
        assert (body["status"], body["reason"]) == ("down", "the engine did not answer within 2 s")
        for _ in range(200):
            if (await feeder.get("/health", None))["status"] == "ok":
                break
            await asyncio.sleep(0.1)
        else:
            raise AssertionError("it stayed down")


async def test_connections_that_say_nothing_keep_nobody_out(tmp_path: Path) -> None:
    async with exchange_at(NOON) as exchange, serving(configured(exchange, SYMBOLS), tmp_path) as feeder:
        idle = [await asyncio.open_connection(*feeder.service.address) for _ in range(100)]
        for _, writer in idle[:50]:
            writer.write(b"GET /health HTTP/1.1\r\nX-")  # and never the rest
        assert (await feeder.get("/health"))["status"] == "ok"
        for _, writer in idle:
            writer.close()


async def test_it_can_be_served_on_another_address(tmp_path: Path) -> None:
    async with exchange_at(NOON) as exchange, serving(configured(exchange, SYMBOLS), tmp_path) as feeder:
        try:
            service = await asyncio.to_thread(HttpService, feeder.engine, "::1", 0)
        except ServiceError:
            pytest.skip("this machine has no IPv6 loopback")
        try:
            async with feeder.session.get(f"http://[::1]:{service.address[1]}/health") as answer:
                assert answer.status == 200
        finally:
            await asyncio.to_thread(service.close)
        with pytest.raises(ServiceError, match="is not an address of this machine"):
            HttpService(feeder.engine, "nowhere.invalid", 0)


def status_of(snapshot: Snapshot, **more: Any) -> EngineStatus:  # noqa: ANN401
    none = Latency().counted()
    fields: dict[str, Any] = {
        "answer_seconds": 0.0, "uptime_seconds": 1.0, "lags": {}, "outboxes": {}, "ban_until": 0,
        "latencies": dict.fromkeys(("minute", "frame", "loop"), none),
        "disk_free": 10**12,
    }  # fmt: skip
    return EngineStatus(snapshot, **fields | more)


def failing(status: EngineStatus) -> list[tuple[str, str]]:
    return [(check.name, check.text) for check in checks(status, Service()) if not check.ok]


def test_each_check_of_readiness_fails_for_its_own_reason() -> None:
    well = FakeMonitor(8).snapshot()
    assert failing(status_of(well)) == []
    assert failing(status_of(replace(well, state="degraded"))) == []
    for state in ("starting", "backfill", "stopping", "stopped", "failed"):
        assert [name for name, _ in failing(status_of(replace(well, state=state)))] == ["history"]
    assert failing(status_of(replace(well, streams=()))) == [("streams", "no stream is open")]
    old = well.exchange_time - 61_000
    silent = tuple(
        replace(one, state="silent", last_frame=old, reason="no data for 60 s") for one in well.streams
    )
    assert "no data for 60 s" in failing(status_of(replace(well, streams=silent)))[0][1]
    stale = tuple(
        replace(one, state=SymbolState.STALE, reason="no closed minute for 95 s") if n < 5 else one
        for n, one in enumerate(well.symbols)
    )
    assert failing(status_of(replace(well, symbols=stale)))[0][0] == "symbols"
    assert failing(status_of(replace(well, symbols=(*stale[4:], *well.symbols[5:])))) == []
    assert failing(status_of(replace(well, store_pausing="No space left on device"))) == [
        ("disk", "writes wait: No space left on device")
    ]
    for what in ("stored days", "disk"):
        troubled = replace(well, store_troubles={what: "it is gone"})
        assert failing(status_of(troubled)) == [(what, "it is gone")]
    assert failing(status_of(well, lags={"kafka": 120.0, "postgres": 119.0})) == []
    assert failing(status_of(well, lags={"kafka": 121.0}))[0][1].startswith("kafka is 121 s behind")
    for part in ("streams", "closer", "clock"):
        hangs = replace(well, parts=dict(well.parts) | {part: "stalled: nothing done for 93 s"})
        assert failing(status_of(hangs)) == [("parts", f"{part} is stalled: nothing done for 93 s")]
    assert failing(status_of(replace(well, parts={"checkpoints": "stalled: nothing done for 700 s"}))) == []
    hangs = replace(well, sinks={"postgres": "ok", "kafka": "stalled: nothing done for 31 s"})
    assert failing(status_of(hangs)) == [("sinks", "kafka is stalled: nothing done for 31 s")]


def families_of(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def value_of(text: str, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return float(sample.value)
    raise AssertionError(f"{name} {labels} is not served")


async def test_metrics_are_those_of_the_documentation_and_say_what_is_true(tmp_path: Path) -> None:
    async with exchange_at(NOON, 60.0) as exchange:

        def sinks(store: Store) -> list[KafkaSink]:
            kafka = structs.replace(Kafka(), enabled=True, bootstrap_servers=("127.0.0.1:1",))
            return [KafkaSink(kafka, store.open_outbox(["kafka"], 10))]

        receivers = structs.replace(Alerts(), command=("true",))
        config = structs.replace(configured(exchange, SYMBOLS), alerts=receivers)
        async with serving(config, tmp_path, sinks) as feeder:
            await feeder.until_ready(True)
            for _ in range(200):
                text = await feeder.get("/metrics")
                if value_of(text, "feeder_symbol_messages_total", symbol="ETHUSDT") >= 2:
                    break
                await asyncio.sleep(0.1)
            missing_minutes = value_of(text, "feeder_symbol_missing_minutes", symbol="ETHUSDT")
            assert missing_minutes == 0
            assert value_of(text, "feeder_state", state="live") == 1
            assert value_of(text, "feeder_symbol_minute_age_seconds", symbol="ETHUSDT") < 90
            assert value_of(text, "feeder_minute_latency_seconds_count") >= 2
            assert value_of(text, "feeder_loop_lag_seconds_count") >= 10
            assert value_of(text, "feeder_loop_lag_seconds_bucket", le="5.0") >= 10
            assert value_of(text, "feeder_frame_latency_seconds_bucket", le="+Inf") == value_of(
                text, "feeder_frame_latency_seconds_count"
            )
            assert value_of(text, "feeder_rest_weight_limit") == 2400
            assert value_of(text, "feeder_events_total", event="messages") >= 4
            assert value_of(text, "feeder_store_candles") >= 2 * 3 * 1440
    served = {
        (family.name, family.type, ",".join(sorted(set(labels(family)))))
        for family in families_of(text).values()
    }
    documented = {
        (one[1].removesuffix("_total"), one[3], one[2].replace(" ", ""))
        for one in re.finditer(
            r"^\| `(feeder_\w+)` \| ([a-z, ]*) ?\| (\w+) \| .+ \|$", METRICS.read_text(), re.M
        )
    }
    assert served == documented


def test_a_gateway_is_served_as_metrics() -> None:
    figures = GatewayFigures("127.0.0.1:8090", 7, 350, 1_000, 12.5, 3, 20, 45, 99, 1)
    status = status_of(replace(FakeMonitor(8).snapshot(), gateway=figures))
    samples = [s for f in families(status, []) if "gateway" in f.name for s in f.samples]
    assert {s.name.removeprefix("feeder_gateway_"): s.value for s in samples if "created" not in s.name} == {
        "up": 1, "connections": 7, "streams": 350, "requests_total": 1_000, "refused_total": 3,
        "forwarded_total": 20, "forwarded_weight_total": 45, "frames_total": 99, "cut_total": 1,
    }  # fmt: skip


def test_live_trades_are_served_as_metrics() -> None:
    for monitor, wanted in (
        (with_trades(FakeMonitor(8)),
         {"live": 0, "symbols": 3, "symbols_behind": 1, "missing": 1_204, "waiting": 17, "age_seconds": 0.4,
          "reconnects_total": 5, "cuts_total": 3}),
        (FakeMonitor(8),
         {"live": 0, "symbols": 0, "symbols_behind": 0, "missing": 0, "waiting": 0, "reconnects_total": 0,
          "cuts_total": 0}),
    ):  # fmt: skip
        found = families(status_of(monitor.snapshot()), [])
        samples = [s for f in found if f.name.startswith("feeder_trades_") for s in f.samples]
        served = {s.name.removeprefix("feeder_trades_"): s.value for s in samples if "created" not in s.name}
        assert served == wanted


def labels(family: Any) -> list[str]:  # noqa: ANN401
    return [label for sample in family.samples for label in sample.labels if label != "le"]


def test_every_counter_of_the_source_is_in_the_documentation() -> None:
    listed = re.findall(r"^\| `([^`]+)` \| ", METRICS.read_text(), re.M)
    documented = set(listed)
    assert len(documented) == len(listed)
    source = ROOT / "tui_feeder"
    counted: set[str] = set()
    for path in [*source.glob("engine/**/*.py"), source / "runner.py"]:
        for found in re.finditer(r"(?<!handlers)\.(?:count|fault)\(\s*(f?)\"([^\"]+)\"", path.read_text()):
            counted.add(re.sub(r"\{[^}]*\}", "…", found[2]) if found[1] else found[2])
        for found in re.finditer(r"(?<!def )\bevent_name\(([^()]+)\)", path.read_text()):
            parts = [part.strip() for part in found[1].split(",")]
            counted.add("_".join(event_name(part) if part[0] in "\"'" else "…" for part in parts))
    assert {name for name in counted if not re.fullmatch(r"[a-z0-9_…]+", name)} == set()
    assert counted - documented == set()


def test_each_event_is_served_under_its_previous_name_too() -> None:
    counters = {"minutes_skipped": 3, "rest_empty_answer": 2, "kafka_candles_messages": 5, "messages": 7}
    status = status_of(replace(FakeMonitor(8).snapshot(), counters=counters))
    events = {
        sample.labels["event"]: sample.value
        for family in families(status, [])
        if family.name == "feeder_events"
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    assert events == {
        "minutes_skipped": 3, "minutes gone on without": 3, "rest_empty_answer": 2, "REST empty answer": 2,
        "kafka_candles_messages": 5, "Kafka candles": 5, "messages": 7,
    }  # fmt: skip


async def test_one_that_has_stopped_says_that_it_is_down(tmp_path: Path) -> None:
    async with exchange_at(NOON) as exchange, serving(configured(exchange, SYMBOLS), tmp_path) as feeder:
        await feeder.until_ready(True)
        feeder.engine.request_stop()
        assert await asyncio.to_thread(feeder.engine.join, 30)
        await asyncio.sleep(0.6)
        assert (await feeder.get("/health", 503))["status"] == "down"
        assert (await feeder.get("/ready", 503))["ready"] is False
        await feeder.get("/metrics", 503)
        await feeder.get("/api/v1/symbols", 503)


async def test_a_port_that_is_taken_is_told_with_the_remedy(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        engine: Any = None
        with pytest.raises(ServiceError, match=rf"port {port} of 127.0.0.1 is in use.*health_server_port"):
            HttpService(engine, "127.0.0.1", port)


async def test_a_name_that_is_not_ours_is_refused_whatever_it_points_at(tmp_path: Path) -> None:
    async with exchange_at(NOON) as exchange, serving(configured(exchange, SYMBOLS), tmp_path) as feeder:
        host, port = feeder.service.address

        async def status(header: str) -> int:
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"GET /health HTTP/1.1\r\n{header}Connection: close\r\n\r\n".encode())
            line = await asyncio.wait_for(reader.readline(), 20)
            writer.close()
            return int(line.split()[1])

        for good in (
            f"127.0.0.1:{port}",
            "127.0.0.1",
            f"localhost:{port}",
            "LOCALHOST",
            f"[::1]:{port}",
            "127.1.2.3",
        ):
            assert await status(f"Host: {good}\r\n") == 200, good
        for bad in (
            "evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "192.168.1.2", "[::2]",
            "localhost.evil", "user@evil.example", "evil.example/127.0.0.1", "", "[", "0.0.0.0",
        ):  # fmt: skip
            assert await status(f"Host: {bad}\r\n") in (400, 403), bad
        assert await status("Host: evil.example\r\n") == 403
        body = await feeder.get("/api/v1/symbols", 200)
        assert body


async def test_a_name_is_answered_to_where_it_is_allowed_and_the_refusal_says_how(tmp_path: Path) -> None:
    allowed = ["feeder", "Metrics.Example.", "*.cluster.local"]
    async with exchange_at(NOON) as exchange, serving(configured(exchange, SYMBOLS), tmp_path) as feeder:
        service = await asyncio.to_thread(HttpService, feeder.engine, "127.0.0.1", 0, allowed)
        url = f"http://127.0.0.1:{service.address[1]}/metrics"
        try:
            for good in ("feeder", "feeder:8080", "FEEDER", "metrics.example", "a.b.cluster.local:80"):
                async with feeder.session.get(url, headers={"Host": good}) as answer:
                    assert answer.status == 200, good
                    assert "feeder_build_info" in await answer.text()
            for bad in ("feeder.evil", "cluster.local", "xcluster.local", "example"):
                async with feeder.session.get(url, headers={"Host": f"{bad}:9090"}) as answer:
                    assert answer.status == 403
                    assert (await answer.json())["error"] == (
                        f'this server does not answer to the name {bad}: add "{bad}" to service.allowed_hosts'
                    )
            async with feeder.session.get(url, headers={"Host": "<b>x"}) as answer:
                assert "<b>" not in await answer.text()
        finally:
            await asyncio.to_thread(service.close)


@pytest.mark.parametrize(
    ("served_on", "header", "named"),
    [
        ("0.0.0.0", "192.168.1.2:8080", True),
        ("0.0.0.0", "evil.example", False),
        ("0.0.0.0", socket.gethostname(), True),
        ("::", "[2001:db8::1]:8080", True),
        ("feeder.lan", "feeder.lan:8080", True),
        ("feeder.lan", "FEEDER.LAN.", True),
        ("feeder.lan", "other.lan", False),
        ("localhost", "192.168.1.2", False),
        ("localhost", "127.0.0.1", True),
        ("127.0.0.1", "feeder.localhost:80", True),
    ],
)
def test_names_follow_the_address_that_is_served(served_on: str, header: str, named: bool) -> None:
    assert host_matcher(served_on)(header) is named


def test_latencies_are_counted_in_their_classes() -> None:
    latency = Latency()
    for seconds in (-1.0, 0.0, 0.005, 0.0051, 299.0, 300.0, 301.0, 1e9):
        latency.observe(seconds)
    counts = latency.counted().counts
    assert len(counts) == len(BOUNDS) + 1
    assert (counts[0], counts[1], counts[-2], counts[-1]) == (3, 1, 2, 2)
    assert latency.counted().total == pytest.approx(0.005 + 0.0051 + 900.0 + 1e9)


async def test_the_command_serves_where_it_is_told_and_a_second_one_is_refused(tmp_path: Path) -> None:
    port = free_port()
    async with exchange_at(NOON, 10.0) as exchange:
        env = environment(
            exchange, FEEDER_APPLICATION__HEALTH_SERVER_PORT=str(port), FEEDER_APPLICATION__SYMBOLS="BTCUSDT",
            FEEDER_TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS="2",
        )  # fmt: skip

        async def start(storage: str) -> AsyncProcess:
            return await start_process(
                *COMMAND, "--no-ui", "--storage", str(tmp_path / storage), cwd=tmp_path, env=env,
                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip

        process = await start("first")
        assert process.stderr is not None
        while b"serving http://127.0.0.1" not in (
            line := await asyncio.wait_for(process.stderr.readline(), 30)
        ):
            assert line, "it ended"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.0\r\n\r\n")
        assert b'"status":"ok"' in await asyncio.wait_for(reader.read(), 20)
        writer.close()
        second = await start("second")
        _, err = await asyncio.wait_for(second.communicate(), 40)
        assert second.returncode == 1
        assert f"port {port} of 127.0.0.1 is in use" in err.decode()
        assert "Traceback" not in err.decode()
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0


def test_a_run_that_serves_nothing_loads_no_web_server(tmp_path: Path) -> None:
    code = (
        "import sys, tui_feeder.runner as r; "
        "print(sorted({'aiohttp.web', 'prometheus_client', 'tui_feeder.service.http'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        check=True,
    )
    assert done.stdout.strip() == "[]"

"""A part that hangs does not look well: it is shown as stalled, told, and begun again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from feed import configured, feeding, until
from holding import BTC, ETH, exchange_of
from msgspec.structs import replace
from virtual_time import VirtualTimeLoop, in_virtual_time

from tui_feeder.commands.status_text import status_text
from tui_feeder.config import Alerts, Config, Secret
from tui_feeder.engine import engine as engine_module
from tui_feeder.engine import health, snapshots
from tui_feeder.engine.acquisition import checkpoint_writer as numbers_keeper
from tui_feeder.engine.acquisition import stored_day_check as stored_day_check
from tui_feeder.engine.alerts import manager, outputs
from tui_feeder.engine.alerts.rules import Alert
from tui_feeder.engine.core import supervisor
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.supervisor import Supervisor, heartbeat, wait_for_work
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.exchanges.binance import stream_pool

ALERT = Alert("gap", "gap_open", BTC, 0, "late", "3 minutes missing")
#: The parts that run as long as the engine does.
PARTS = {
    "streams", "closer", "trade ids", "clock", "listings", "gap check", "health", "profiles", "checkpoints",
    "stored days", "store files", "stream history", "alerts", "alert webhook", "alert command",
    "alert topic",
}  # fmt: skip


async def for_ever(*_: object) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_TICK", 0.02)
    monkeypatch.setattr(supervisor, "_END_SECONDS", 0.2)
    monkeypatch.setattr(supervisor, "_limit", lambda waits, works: waits + works / 300)


@asynccontextmanager
async def supervised() -> AsyncIterator[tuple[Supervisor, Journal]]:
    journal = Journal(lambda: 0)
    parts = Supervisor(journal)
    try:
        yield parts, journal
    finally:
        await parts.stop()


def told(journal: Journal, word: str = "stalled") -> list[str]:
    return [event.text for event in journal.events if word in event.text]


@pytest.mark.usefixtures("quick")
@in_virtual_time
async def test_a_part_that_waits_for_what_never_comes_is_stalled_told_once_and_begun_again() -> None:
    async with supervised() as (parts, journal):
        begun, comes = 0, asyncio.Event()

        async def part() -> None:
            nonlocal begun
            begun += 1
            while True:
                heartbeat()
                await comes.wait()
                await asyncio.sleep(0.01)

        parts.start("closer", part)
        await until(lambda: begun == 3)
        assert parts.states["closer"].startswith("stalled: nothing done for ")
        assert parts.troubled()
        assert journal.counters["parts_stalled"] == 2
        assert told(journal) == ["closer is stalled: nothing done for 0 s; it is started again"]
        comes.set()
        await until(lambda: parts.states["closer"] == "running")
        assert not parts.troubled()
        assert "closer works again" in told(journal, "again")


@pytest.mark.usefixtures("quick")
@in_virtual_time
async def test_a_part_that_does_not_end_is_left_alone_and_may_do_nothing_more() -> None:
    async with supervised() as (parts, journal):
        comes, woke, ended = asyncio.Event(), 0, 0

        async def part() -> None:
            nonlocal woke, ended
            heartbeat()
            while not comes.is_set():
                try:
                    await comes.wait()
                except asyncio.CancelledError:
                    continue  # as asyncio.wait_for of Python 3.11 may
            woke += 1
            try:
                heartbeat()
                await for_ever()
            finally:
                ended += 1

        parts.start("clock", part)
        asyncio.get_running_loop().call_later(15.0, comes.set)  # so that the loop ends in any case
        await until(lambda: "restart the feeder" in parts.states["clock"], 10)
        assert parts.states["clock"] == "stalled: 3 of its tasks hang: restart the feeder"
        ends = ["it does not end; another is started in its place"] * 2
        assert [text.partition("; ")[2] for text in told(journal)[:-1]] == ends
        assert told(journal)[-1] == "clock is stalled: 3 of its tasks hang: restart the feeder"
        await asyncio.sleep(0.3)
        assert len(told(journal)) == 3
        comes.set()
        await until(lambda: ended >= 3, why="those that were abandoned went on")
        await until(lambda: woke == 4, why="no other was begun although all had ended")


@pytest.mark.usefixtures("quick")
@in_virtual_time
async def test_waiting_for_work_or_for_a_full_disk_is_not_stalling() -> None:
    async with supervised() as (parts, _):
        full = True

        async def idle() -> None:
            wait_for_work()
            await for_ever()

        async def writes() -> None:
            heartbeat(unless=lambda: full)
            await for_ever()

        async def sleeps() -> None:
            heartbeat(60.0)
            await for_ever()

        async def unwatched() -> None:
            await for_ever()

        for part in (idle, writes, sleeps, unwatched):
            parts.start(part.__name__, part)
        await asyncio.sleep(0.6)
        assert set(parts.states.values()) == {"running"}
        full = False
        await until(lambda: parts.states["writes"].startswith("stalled"))


@pytest.mark.usefixtures("quick")
@in_virtual_time
async def test_one_task_that_hangs_is_found_beside_others_that_do_not() -> None:
    async with supervised() as (parts, _):

        async def well() -> None:
            while True:
                heartbeat()
                await asyncio.sleep(0.01)

        async def over() -> None:
            heartbeat()

        async def hangs() -> None:
            heartbeat()
            await for_ever()

        async def part(*tasks: Callable[[], Any]) -> None:
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(task())

        parts.start("sound", lambda: part(well, over, well))
        parts.start("streams", lambda: part(well, hangs))
        await until(lambda: parts.states["streams"].startswith("stalled"))
        await asyncio.sleep(0.4)
        assert parts.states["sound"] == "running"


@pytest.mark.usefixtures("quick")
@in_virtual_time
async def test_a_loop_that_was_held_up_takes_no_part_for_stalled() -> None:
    async with supervised() as (parts, journal):

        async def part() -> None:
            while True:
                heartbeat()
                await asyncio.sleep(0.001)

        parts.start("closer", part)
        await asyncio.sleep(0.1)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.jump(1.0)  # a machine that was suspended
        await asyncio.sleep(0.1)
        assert not told(journal)


@in_virtual_time
async def test_a_cancellation_by_others_ends_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor.Backoff, "next", lambda _: 0.0)
    async with supervised() as (parts, journal):
        begun = 0

        async def part() -> None:
            nonlocal begun
            begun += 1
            commit = asyncio.get_running_loop().create_future()
            if begun == 1:
                commit.cancel()
            await commit

        parts.start("profiles", part)
        await until(lambda: begun == 2)
        assert parts.states == {"profiles": "running"}
        assert journal.counters["part_crashes"] == 1


@pytest.mark.usefixtures("quick")
@in_virtual_time
async def test_a_stop_waits_for_no_part_for_ever() -> None:
    journal = Journal(lambda: 0)
    parts = Supervisor(journal)
    comes = asyncio.Event()

    async def part() -> None:
        while not comes.is_set():
            try:
                await comes.wait()
            except asyncio.CancelledError:
                continue

    parts.start("streams", part)
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5.0):
        await parts.stop()
    assert told(journal, "end") == ["parts that do not end, left alone: streams"]
    comes.set()


# --- the parts of a real engine ------------------------------------------------------------------


def alerting(config: Config) -> Config:
    to_none = Secret("http://127.0.0.1:9/hook")
    alerts = replace(Alerts(), webhook_url=to_none, command=("true",))
    return replace(config, alerts=alerts)


@asynccontextmanager
async def engine_of(tmp_path: Path, rate: float) -> AsyncIterator[Engine]:
    async with exchange_of([BTC, ETH], rate) as exchange:
        config = alerting(configured(exchange, [BTC, ETH]))
        kept = outputs.configured_outputs

        def with_topic(config: Config, store: Any, journal: Journal) -> list[Any]:  # noqa: ANN401
            store.open_outbox(["kafka"], 10.0, "alerts")
            return kept(config, store, journal)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine_module, "configured_outputs", with_topic)
            async with feeding(config, tmp_path) as (engine, _):
                yield engine


def beats(engine: Engine) -> dict[str, int]:
    return {name: part.heart.beats for name, part in engine.supervisor._parts.items()}


@in_virtual_time
async def test_no_part_of_an_engine_goes_stalled_and_each_gives_heartbeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_limit", lambda waits, works: waits + works / 10)
    monkeypatch.setattr(supervisor, "_TICK", 0.1)
    monkeypatch.setattr(numbers_keeper, "_EVERY_SECONDS", 4.0)
    monkeypatch.setattr(stored_day_check, "_ROUND_SECONDS", 2.0)
    async with engine_of(tmp_path, 900.0) as engine:
        await until(lambda: engine.state == "live")
        begun = engine.clock.now()
        engine.subscriptions.add(BTC)  # the list is read now, and not only after 20 s
        seen: set[str] = set()
        while engine.clock.now() < begun + 3 * 60 * MINUTE_MS:
            seen.update(state for state in engine.supervisor.states.values() if "stalled" in state)
            await asyncio.sleep(0.05)
        assert not seen
        assert not engine.journal.counters["parts_stalled"]
        found = beats(engine)
        assert set(found) >= PARTS
        assert not [name for name in found if not found[name] and "USDT" not in name]
        waiting = {"alert webhook", "alert command", "alert topic"}  # for an alert
        assert not [name for name in PARTS - waiting if found[name] < 2], found


class Asleep:
    """``asyncio`` for one module, whose sleep never ends."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self.asleep = module, True

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return for_ever if name == "sleep" and self.asleep else getattr(asyncio, name)


def stalled(engine: Engine, names: set[str]) -> bool:
    return all(engine.supervisor.stalled(name) for name in names)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts work, and are looked at, so often that one that hangs is soon found."""
    monkeypatch.setattr(supervisor, "_limit", lambda waits, works: waits + 1.5)
    monkeypatch.setattr(supervisor, "_TICK", 0.1)
    monkeypatch.setattr(numbers_keeper, "_EVERY_SECONDS", 1.0)
    monkeypatch.setattr(stored_day_check, "_ROUND_SECONDS", 1.0)
    monkeypatch.setattr(stored_day_check, "_FILES_SECONDS", 0.2)


@pytest.mark.usefixtures("soon")
@in_virtual_time
async def test_each_part_of_an_engine_that_never_wakes_is_found_and_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_of(tmp_path, 300.0) as engine:
        await until(lambda: engine.state == "live")

        sleeping = {"closer", "gap check", "listings", "clock"}
        monkeypatch.setattr(engine.clock, "sleep_until", for_ever)
        engine.subscriptions.add(BTC)  # reads the list
        await until(lambda: stalled(engine, sleeping), why=str(engine.supervisor.states))
        snapshot = snapshots.take(engine, 1)
        assert snapshot.state == "degraded"
        assert "part      closer: stalled: nothing done for" in status_text(snapshot, "head", everything=True)
        monkeypatch.delattr(engine.clock, "sleep_until")
        engine.subscriptions.add(BTC)
        await until(lambda: not any(engine.supervisor.stalled(name) for name in sleeping), 60)

        looking = {"health": health, "alerts": manager, "store files": stored_day_check}
        asleep = [Asleep(module) for module in looking.values()]
        for module, one in zip(looking.values(), asleep, strict=True):
            monkeypatch.setattr(module, "asyncio", one)
        await until(lambda: stalled(engine, set(looking)), why=str(engine.supervisor.states))
        for one in asleep:
            one.asleep = False
        await until(lambda: not any(engine.supervisor.stalled(name) for name in looking))


@pytest.mark.usefixtures("soon")
async def test_each_part_of_an_engine_whose_worker_thread_hangs_is_found_and_works_again(
    tmp_path: Path,
) -> None:
    async with engine_of(tmp_path, 300.0) as engine:
        await until(lambda: engine.state == "live")

        free = threading.Event()
        working = {"checkpoints", "profiles", "stored days"}
        engine.workers.submit(free.wait)
        engine.profiles.repaired(BTC)
        await until(lambda: stalled(engine, working), why=str(engine.supervisor.states))
        built = engine.journal.counters["profile_days_built"]
        free.set()
        await until(lambda: not any(engine.supervisor.stalled(name) for name in working))
        assert not engine.profiles._waiting
        assert engine.journal.counters["profile_days_built"] >= built


@in_virtual_time
async def test_a_receiver_of_alerts_that_hangs_is_found_and_gets_the_alert_after_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_TICK", 0.1)
    hanging = True
    got: list[str] = []

    async def post(*_: object) -> tuple[str, bool]:
        if hanging:
            await for_ever()
        got.append("webhook")
        return "", False

    async def execute(*_: object) -> None:
        if hanging:
            await for_ever()
        got.append("command")

    monkeypatch.setattr(outputs.Webhook, "_post", post)
    monkeypatch.setattr(outputs.Program, "_execute", execute)
    monkeypatch.setattr(supervisor, "_limit", lambda waits, works: 1.0 if waits < 60 else waits)
    async with engine_of(tmp_path, 120.0) as engine:
        await until(lambda: "alert topic" in engine.supervisor.states)
        for output in engine.alerts.outputs:
            output.send(ALERT, manager.encode(ALERT))
        # The topic has handed it to the store already, whose writer is watched by itself.
        names = {
            f"alert {output.name}"
            for output in engine.alerts.outputs
            if not isinstance(output, outputs.Topic)
        }
        await until(lambda: stalled(engine, names), why=str(engine.supervisor.states))
        hanging = False
        await until(lambda: not any(engine.supervisor.stalled(name) for name in names))
        await until(lambda: sorted(got) == ["command", "webhook"])
        await until(lambda: engine.journal.counters["alert_topic_queued"] == 1)


@in_virtual_time
async def test_streams_that_hang_before_they_connect_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_limit", lambda waits, works: waits + 1.0)
    monkeypatch.setattr(supervisor, "_TICK", 0.1)
    gate, hanging = stream_pool.MarketStreams._one_a_second, True

    async def hangs(self: stream_pool.MarketStreams) -> None:
        if hanging:
            await for_ever()
        await gate(self)

    monkeypatch.setattr(stream_pool.MarketStreams, "_one_a_second", hangs)
    async with engine_of(tmp_path, 120.0) as engine:
        await until(lambda: engine.supervisor.stalled("streams"))
        hanging = False
        await until(lambda: engine.supervisor.states["streams"] == "running")
        await until(lambda: engine.streams.sockets[0].state == "live")


@in_virtual_time
async def test_progress_that_hangs_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_limit", lambda waits, works: waits + 0.5)
    monkeypatch.setattr(supervisor, "_TICK", 0.1)
    monkeypatch.setattr(engine_module, "asyncio", Asleep(engine_module))
    async with engine_of(tmp_path, 60.0) as engine:
        await until(lambda: told(engine.journal, "progress is stalled"))

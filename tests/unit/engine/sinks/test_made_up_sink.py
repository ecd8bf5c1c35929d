"""A made-up sink: a class, a section and an entry make it run, be checked and known to commands."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import replace
from samples import candle

from tui_feeder.commands import doctor_checks, sinks_run
from tui_feeder.config import Application, Config, LoadedConfig
from tui_feeder.engine.core.candle import Source
from tui_feeder.engine.sinks import registry
from tui_feeder.engine.sinks.configured import check_sinks, configured_sinks, disabled_backlogs
from tui_feeder.engine.sinks.draining import DrainingSink
from tui_feeder.engine.sinks.registry import SINKS, OutboxSinkKind
from tui_feeder.engine.sinks.thread import SinkError
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import UsageError


class MadeUp(Struct, frozen=True):
    enabled: bool = True
    bars: bool = True
    trouble: str = ""


class WithMadeUp(Config, frozen=True):
    made_up: MadeUp = MadeUp()


class MadeUpSink(DrainingSink):
    kind = "heap"

    async def session(self) -> None:
        """Takes what waits."""


def topics(config: Config) -> tuple[str, ...]:
    assert isinstance(config, WithMadeUp)
    return ("data", "candles") if config.made_up.bars else ("data",)


async def check(config: Config, store: Store | None) -> list[str]:
    assert isinstance(config, WithMadeUp)
    if config.made_up.trouble:
        raise SinkError(config.made_up.trouble)
    return ["there" if store is None else f"{len(store.backlogs())} wait"]


def enabled(config: Config) -> bool:
    assert isinstance(config, WithMadeUp)
    return config.made_up.enabled


HEAP = OutboxSinkKind(
    name="heap",
    title="Heap",
    section="made_up",
    enabled=enabled,
    remedy="sweep it up",
    check=check,
    topics=topics,
    make=lambda config, outbox: MadeUpSink(outbox),
)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "SINKS", (*SINKS, HEAP))


@pytest.fixture
def config(tmp_path: Path) -> WithMadeUp:
    return WithMadeUp(application=Application(storage_path=tmp_path / "store"))


def opened(config: WithMadeUp) -> Store:
    return Store(config.application.storage_path, exchange="test", map_size=1 << 24)


def test_it_is_made_with_an_outbox_of_each_topic(config: WithMadeUp) -> None:
    with contextlib.closing(opened(config)) as store:
        assert [sink.name for sink in configured_sinks(config, store)] == ["heap", "heap candles"]
        without = replace(config, made_up=MadeUp(bars=False))
        assert [sink.name for sink in configured_sinks(without, store)] == ["heap"]
        assert configured_sinks(replace(config, made_up=MadeUp(enabled=False)), store) == []


def test_checks_and_doctor_report_it(config: WithMadeUp) -> None:
    assert asyncio.run(check_sinks(config)) == {
        "kafka": None, "postgres": None, "file": None, "heap": ["there"],
    }  # fmt: skip
    troubled = replace(config, made_up=MadeUp(trouble="full to the brim"))
    (finding,) = (found for found in asyncio.run(doctor_checks.sinks(troubled)) if found.check == "Heap")
    assert (finding.state, finding.text, finding.remedy) == ("fail", "full to the brim", "sweep it up")
    names = [found.check for found in asyncio.run(doctor_checks.sinks(troubled, {"made_up"}))]
    assert names == ["Kafka", "PostgreSQL", "file"]


def test_what_waits_for_it_is_reported_and_dropped_once_it_is_disabled(
    config: WithMadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.closing(opened(config)) as store:
        configured_sinks(config, store)
        minute = candle(0, 1.0, 1.0, 1.0, 1.0)
        store.append("XUSDT", minute, Source.REST, payload=b"{}").result()
    off = replace(config, made_up=MadeUp(enabled=False))
    with contextlib.closing(opened(config)) as store:
        backlogs = store.backlogs()
        assert disabled_backlogs(config, backlogs) == []
        (text,) = disabled_backlogs(off, backlogs)
    assert text.startswith("heap is disabled: 1 messages wait for it")
    assert text.endswith("feeder-tui sinks discard heap")
    loaded = LoadedConfig(off, {}, ())
    assert sinks_run.discard(loaded, "heap", confirmed=True) == 0
    assert sinks_run.discard(loaded, "heap", confirmed=True) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["dropped", "nothing waits for heap"]
    with pytest.raises(UsageError, match=r"heep .*one of kafka, file, heap"):
        sinks_run.discard(loaded, "heep", confirmed=True)

"""What waits for a disabled sink: told by a run, info and doctor, and dropped by ``sinks discard``."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from commanding import command
from msgspec.structs import replace
from store_child import candle_of
from stores import BTC, minute

from tui_feeder.commands import doctor_checks
from tui_feeder.config import Config, File, Kafka
from tui_feeder.engine.core.candle import Source
from tui_feeder.engine.sinks.configured import configured_sinks
from tui_feeder.engine.storage.store import Store

TEXT = "kafka is disabled: 7 messages wait for it, the oldest "
REMEDY = "To drop them: feeder-tui sinks discard kafka"


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A store of a run with Kafka, whose broker was away."""
    store = Store(tmp_path / "store", exchange="https://fapi.binance.com")
    store.open_outbox(["kafka"], 64)
    for n in range(7):
        store.append(BTC, candle_of(minute(n), Source.REST), Source.REST, payload=b"{}").result()
    store.close()
    return tmp_path / "store"


def waiting(storage: Path) -> list[tuple[str, int]]:
    store = Store(storage, read_only=True)
    found = [(one.sink, one.messages) for one in store.backlogs()]
    store.close()
    return found


@pytest.mark.parametrize("file", [True, False], ids=["another sink takes the topic", "none does"])
def test_a_run_without_the_sink_says_so_and_keeps_them(
    storage: Path, file: bool, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(storage)
    with caplog.at_level(logging.WARNING):
        configured_sinks(replace(Config(), file=File(enabled=file, path=storage / "out")), store)
    assert [one.message.startswith(TEXT) and one.message.endswith(REMEDY) for one in caplog.records] == [True]
    store.close()
    assert waiting(storage) == [("kafka", 7)]
    caplog.clear()
    store = Store(storage)
    configured_sinks(replace(Config(), kafka=Kafka(enabled=True)), store)
    assert not caplog.records
    assert store.outboxes["data"].status("kafka").depth == 7
    store.close()


async def test_info_and_doctor_say_so(storage: Path) -> None:
    done = command("info", "--storage", storage, cwd=storage)
    assert "waiting   kafka: 7 messages" in done.out
    assert f"note      {TEXT}" in done.out
    assert json.loads(command("info", "--json", "--storage", storage, cwd=storage).out)["waiting"] == [
        {"topic": "data", "sink": "kafka", "messages": 7, "age": pytest.approx(60, abs=60)}
    ]
    done = command("info", "--storage", storage, cwd=storage, FEEDER_KAFKA__ENABLED="true")
    assert "waiting   kafka: 7 messages" in done.out
    assert "is disabled" not in done.out
    config = Config()
    config = replace(config, application=replace(config.application, storage_path=storage))
    (found,) = [one for one in await doctor_checks.sinks(config) if one.check == "outbox"]
    assert found.state == "warn"
    assert found.text.startswith(TEXT)


def test_discard_drops_them_once_confirmed(storage: Path) -> None:
    asked = command("sinks", "discard", "kafka", "--storage", storage, cwd=storage)
    assert asked.code == 2
    assert "this drops them for good: add --yes" in asked.err
    assert waiting(storage) == [("kafka", 7)]
    assert (
        "nothing waits for file" in command("sinks", "discard", "file", "--storage", storage, cwd=storage).out
    )
    done = command("sinks", "discard", "kafka", "--yes", "--storage", storage, cwd=storage)
    assert done.code == 0, done.err
    assert "kafka: 7 messages, the oldest" in done.out
    assert waiting(storage) == []


def test_discard_waits_for_no_running_feeder(storage: Path) -> None:
    store = Store(storage)
    done = command("sinks", "discard", "kafka", "--yes", "--storage", storage, cwd=storage)
    store.close()
    assert done.code == 1
    assert "in use" in done.err
    assert waiting(storage) == [("kafka", 7)]

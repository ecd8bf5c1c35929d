"""A sink is given messages, notified of stored minutes, or neither: its type states which."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from msgspec.structs import replace

from tui_feeder.config import Application, Config, Database, File, Kafka
from tui_feeder.engine.sinks import DirectSink, StoreSink
from tui_feeder.engine.sinks.configured import configured_sinks
from tui_feeder.engine.sinks.lines import LinesSink
from tui_feeder.engine.storage.store import Store


@pytest.mark.parametrize(
    ("name", "direct", "of_store"),
    [("kafka", False, False), ("file", False, False), ("postgres", False, True)],
)
def test_a_sink_takes_what_its_type_states(tmp_path: Path, name: str, direct: bool, of_store: bool) -> None:
    config = replace(
        Config(),
        application=Application(storage_path=tmp_path / "store"),
        kafka=replace(Kafka(), enabled=True),
        file=replace(File(), enabled=True, path=tmp_path / "messages"),
        database=replace(Database(), enabled=True),
    )
    with contextlib.closing(Store(tmp_path / "store", exchange="test", map_size=1 << 24)) as store:
        (sink,) = (sink for sink in configured_sinks(config, store) if sink.name == name)
        assert isinstance(sink, DirectSink) is direct
        assert isinstance(sink, StoreSink) is of_store


def test_lines_on_a_pipe_are_given_each_message() -> None:
    sink = LinesSink(io.BytesIO(), on_broken=lambda: None)
    assert isinstance(sink, DirectSink)
    assert not isinstance(sink, StoreSink)

"""A made-up indicator: one class and one entry put it into messages, checkpoints, documents and screens."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from checkpoints import end_of, keep, made, message_bytes, same
from numpy.typing import NDArray
from places import DOCS
from samples import MIDNIGHT, walk

from tui_feeder.config import Config, TechnicalAnalysis
from tui_feeder.engine.analytics import indicators
from tui_feeder.engine.analytics.indicators import INDICATORS, IndicatorKind
from tui_feeder.engine.analytics.message import encode
from tui_feeder.engine.analytics.message_documents import with_rows, with_schema
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.core.candle import MINUTE_MS, Source, to_candles
from tui_feeder.engine.derived.checkpoint import UnusableCheckpoint, resume
from tui_feeder.engine.snapshots import indicator_views, timeframe_views
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import SymbolState, SymbolView
from tui_feeder.scanner.fields import Subject, field_table
from tui_feeder.scanner.filter_language import parse
from tui_feeder.screens.export import symbols_table
from tui_feeder.screens.glossary import glossary
from tui_feeder.widgets.overview_cells import cell_of
from tui_feeder.widgets.overview_columns import CellContext, ColumnNeeds, columns_for
from tui_feeder.widgets.palette import GLYPHS


class Highest:
    """The highest of the last closes."""

    def __init__(self, period: int) -> None:
        self.period = period
        self.value: float | None = None
        self._closes: list[float] = []
        self._missed = 0

    @property
    def warming(self) -> bool:
        return self._missed > 0

    def add(self, close: float) -> None:
        self._closes = [*self._closes, close][-self.period :]
        self._missed = max(0, self._missed - 1)
        self.value = max(self._closes) if len(self._closes) == self.period else None

    def miss(self, bars: int) -> None:
        self._missed = self.period

    def load(self, closes: NDArray[np.float64], absent: Iterable[tuple[int, int]] = ()) -> list[float]:
        missing = dict(absent)
        for place, close in enumerate(closes.tolist()):
            if place in missing:
                self.miss(missing[place])
            self.add(close)
        return [] if self.value is None else [self.value]

    def state(self) -> tuple[list[float], int]:
        return self._closes, self._missed

    def restore(self, state: tuple[list[float], int]) -> None:
        closes, missed = state
        for close in closes:
            self.add(close)
        self._missed = missed


HIGHEST = IndicatorKind(
    name="top",
    title="Highest",
    make=Highest,
    state=tuple[list[float], int],
    periods=lambda settings: (3,),
    span=lambda period: period,
    on_price=False,
    schema={"type": "number", "minimum": 1},
    description="Highest of the last closes.",
    unit="points",
    absent="before",
    meaning="the highest of the last closes",
    example=("top3_1min", "104.0"),
)
BOTH = (INDICATORS[0], HIGHEST)  # EMA and the made-up one
SETTINGS = PipelineSettings((60, 300), (2,), "closes_vs_ema", 1, None)
CONFIG = Config(
    technical_analysis=TechnicalAnalysis(timeframes=(60, 300), ema_periods=(2, 5), volume_lookback_days=1)
)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indicators, "INDICATORS", BOTH)


def closes_of(messages: list[bytes], name: str) -> list[float | None]:
    return [json.loads(message).get(name) for message in messages]


def test_its_values_are_in_messages_however_they_are_counted(registered: None) -> None:
    rows = walk(40, seed=3)
    counted = SymbolPipeline("XUSDT", SETTINGS)
    messages = [encode(counted.update(candle)) for candle in to_candles(rows)]
    expected = [None, None, *(rows["close"][at - 2 : at + 1].max() for at in range(2, 40))]
    assert closes_of(messages, "top3_1min") == expected
    assert (
        closes_of(messages, "top3_5min")
        == [None] * 14
        + [rows["close"][[end - 10, end - 5, end]].max() for end in range(14, 40, 5) for _ in range(5)][:26]
    )
    assert list(json.loads(messages[-1]))[5:10] == [
        "ema2_1min", "top3_1min", "ema2_5min", "top3_5min", "trend_1min",
    ]  # fmt: skip
    for cut in (0, 1, 3, 14, 40):
        loaded = SymbolPipeline("XUSDT", SETTINGS)
        loaded.load(rows[:cut])
        later = [encode(loaded.update(candle)) for candle in to_candles(rows[cut:])]
        assert later == messages[cut:]
    gap = SymbolPipeline("XUSDT", SETTINGS)
    gap.load(np.delete(rows, slice(30, 32)))
    message = gap.message()
    assert message is not None
    assert "top3_5min" not in message.warming
    gap.load(np.delete(rows, slice(38, 39)))
    message = gap.message()
    assert message is not None
    assert "top3_1min" in message.warming


def test_a_checkpoint_keeps_it_and_is_refused_once_the_registry_is_another(
    registered: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(Store(tmp_path, exchange="test", map_size=1 << 24)) as store:
        store.put("XUSDT", walk(700), Source.STREAM).result()
        keep(store, CONFIG, end_of(store))
        resumed = resume(store, CONFIG, "XUSDT", end_of(store))
        assert resumed is not None
        assert "top3_5min" in json.loads(message_bytes(resumed[0]))
        assert same(store, resumed[0], made(store, CONFIG, end_of(store)))
        keep(store, CONFIG, end_of(store))
        monkeypatch.setattr(indicators, "INDICATORS", BOTH[:1])
        with pytest.raises(UnusableCheckpoint, match="other settings"):
            resume(store, CONFIG, "XUSDT", end_of(store))


def test_the_schema_and_the_page_have_it(registered: None) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    text = (DOCS / "message.schema.json").read_text()
    message = {"symbol": "X", "timestamp": 59_999, "revision": 0, "top3_1h": 2.5, "warming": ["top3_1h"]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(message, json.loads(text))
    made_of_both = with_schema(text, BOTH)
    jsonschema.validate(message | {"ema21_1h": 1.0}, json.loads(made_of_both))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(message | {"top3_1h": 0.5}, json.loads(made_of_both))
    assert with_schema(made_of_both, INDICATORS) == text
    page = (DOCS / "message.md").read_text()
    rows = with_rows(page, BOTH)
    row = "| `top3_1min` | number | points | before | `104.0` | the highest of the last closes |"
    assert row in rows.splitlines()
    assert with_rows(rows, INDICATORS) == page


def test_the_documents_are_those_of_the_registry() -> None:
    for name, made_of in (("message.schema.json", with_schema), ("message.md", with_rows)):
        text = (DOCS / name).read_text()
        assert made_of(text, INDICATORS) == text, "python -m tui_feeder.engine.analytics.message_documents"
    with pytest.raises(ValueError, match="0 times"):
        with_rows("no table", INDICATORS)


def test_screens_show_sort_filter_and_explain_it(registered: None) -> None:
    pipeline = SymbolPipeline("XUSDT", SETTINGS)
    pipeline.load(walk(40, seed=3))
    shown = indicator_views(CONFIG)
    assert [view.name for view in shown] == ["ema2", "ema5", "top3"]
    states = timeframe_views(pipeline.timeframe_states(), [2, 3], MIDNIGHT + 40 * MINUTE_MS)
    view = SymbolView("XUSDT", SymbolState.LIVE, "", 2, timeframes=states)
    # The pipeline's settings have one EMA, so its second value is the made-up one.
    views = (shown[0], shown[2])
    columns = columns_for(200, ColumnNeeds((60, 300), views, 300))
    (column,) = (column for column in columns if column.heading == "TOP3 5m")
    value = states[1].values[1]
    assert value is not None
    text, _ = cell_of(column, Subject(view, 0), CellContext(GLYPHS["ascii"], 300, 0))
    assert text.strip().rstrip("~*") == f"{value:.1f}"
    fields = field_table((60, 300), views)
    assert fields[column.field].title == "Highest 3, 5m"
    assert parse("top3.5m>1 top3.5m<1000", fields).shows(Subject(view, 0))
    assert not parse("top3.5m<1", fields).shows(Subject(view, 0))
    assert ("TOP3 1h", "Highest 3 of closes of that timeframe; [ ] change it") in glossary(
        "overview", GLYPHS["ascii"], views
    )
    table = symbols_table([view], views)
    assert table.rows[0][table.columns.index("top3_5m")] == value

"""Answers that take a while: what there is until then, and who is told when there is more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_monitor import FakeMonitor
from trade_samples import APE_DAY, ape_candles, ape_ladder

from tui_feeder.config import Config
from tui_feeder.engine.core.candle import MINUTE_MS, Source
from tui_feeder.engine.derived.profile_tools import ProfileTools
from tui_feeder.engine.derived.profile_views import ProfileViews
from tui_feeder.engine.derived.stored_ladders import LadderOrigin, put_ladder
from tui_feeder.engine.derived.stored_reads import StoredReads
from tui_feeder.engine.storage.store import Store
from tui_feeder.late_answers import Answering, LateAnswers
from tui_feeder.monitor import Snapshot, unmade_footprint


def changes_of(snapshot: Snapshot, symbol: str) -> int:
    return next(view.stored[0] for view in snapshot.symbols if view.symbol == symbol)


def test_an_answer_that_is_late_makes_its_symbol_look_changed() -> None:
    answers, begun = LateAnswers(4), list[Answering[int]]()
    newest = FakeMonitor(2).snapshot()

    def ask(stamp: int, symbol: str = "BTCUSDT") -> int:
        return answers.ask(("x", symbol), symbol, stamp, begun.append, 0, 0.0)

    assert answers.marked(newest) is newest
    assert [ask(1), ask(1)] == [0, 0]
    assert len(begun) == 1, "one that is under way is not begun again"
    begun[0].give(7)
    marked = answers.marked(newest)
    assert changes_of(marked, "BTCUSDT") != changes_of(newest, "BTCUSDT")
    assert changes_of(marked, "ETHUSDT") == changes_of(newest, "ETHUSDT")
    assert ask(1) == 7
    assert ask(2) == 7, "until there is another one"
    begun[1].keep()
    assert (ask(2), len(begun)) == (7, 2)
    answers.forget()
    assert (ask(2), len(begun)) == (7, 3)


def test_one_that_comes_in_time_is_given_at_once_and_changes_nothing() -> None:
    answers, newest = LateAnswers(4), FakeMonitor(2).snapshot()

    def begin(answering: Answering[int]) -> None:
        answering.give(3)

    assert answers.ask(("x",), "BTCUSDT", 1, begin, 0, 5.0) == 3
    assert answers.marked(newest) is newest


def test_each_part_makes_the_symbol_look_changed_until_it_is_whole() -> None:
    answers, newest, begun = LateAnswers(4), FakeMonitor(2).snapshot(), list[Answering[int]]()
    seen = set()
    for part in range(3):
        assert answers.ask(("x",), "BTCUSDT", 1, begun.append, 0, 0.0) == part
        begun[0].give(part + 1, whole=part == 2)
        assert begun[0].wanted()
        seen.add(changes_of(answers.marked(newest), "BTCUSDT"))
    assert len(seen) == 3
    assert (answers.ask(("x",), "BTCUSDT", 1, begun.append, 0, 0.0), len(begun)) == (3, 1)


def test_no_more_are_kept_than_are_asked_for() -> None:
    answers, begun = LateAnswers(2), list[Answering[int]]()
    for key in (1, 2, 3, 2, 1):
        answers.ask((key,), None, 0, begun.append, 0, None)
    assert len(begun) == 4, "the first was forgotten"


@pytest.mark.parametrize("name", ["profile", "range_profile", "footprint", "naked_pocs", "developing"])
def test_a_screen_goes_on_until_what_takes_long_is_made_and_has_the_whole_of_it_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    store = Store(tmp_path, exchange="a test")
    store.put("APEUSDT", ape_candles(), Source.ARCHIVE_DAY).result()
    put_ladder(store, "APEUSDT", ape_ladder(), LadderOrigin("", "", True, 45_342), APE_DAY).result()
    reads, end = StoredReads(store, Config()), APE_DAY + 600 * MINUTE_MS
    asked: dict[str, Callable[[float | None], object]] = {
        "profile": lambda patience: reads.profile("APEUSDT", None, end, patience),
        "range_profile": lambda patience: reads.range_profile("APEUSDT", ((APE_DAY, end),), end, patience),
        "footprint": lambda patience: reads.footprint("APEUSDT", 3_600, 8, 40, None, end, patience),
        "naked_pocs": lambda patience: reads.naked_pocs("APEUSDT", end, patience),
        "developing": lambda patience: reads.developing("APEUSDT", APE_DAY, 5, end, patience),
    }
    ask = asked[name]
    wanted, go, asking = ask(None), threading.Event(), threading.get_ident()
    owner, method = (ProfileViews, "of") if name == "profile" else (ProfileTools, name)
    made = getattr(owner, method)

    def slow(*args: object) -> object:
        assert threading.get_ident() != asking, "not where the screen is drawn"
        assert go.wait(30)
        return made(*args)

    monkeypatch.setattr(owner, method, slow)
    assert ask(0.0) == (
        unmade_footprint("APEUSDT") if name == "footprint" else () if name == "naked_pocs" else None
    )
    before = dict(reads.answers.late)
    go.set()
    for _ in range(10_000):
        if (found := ask(0.01)) and getattr(found, "whole", True) and reads.answers.late != before:
            break
        threading.Event().wait(0.001)
        if name == "naked_pocs" and reads.answers.late != before:
            break
    assert reads.answers.late != before
    assert ask(0.01) == wanted
    store.close()
    assert ask(0.01) in (None, (), wanted)

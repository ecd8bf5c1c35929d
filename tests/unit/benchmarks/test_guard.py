"""What has become worse is found whichever way is better, and what is no longer measured is reported."""

from __future__ import annotations

import json
from typing import Any

import pytest
from places import DOCS, ROOT

from benchmarks.guard import BASELINE, Baseline, accepted, falls
from benchmarks.table import RESULTS, benchmarks
from tests.unit.test_release_files import script


def measured(**figures: float) -> dict[str, dict[str, Any]]:
    return {"history": {"figures": {name: {"value": value} for name, value in figures.items()}}}


BEFORE: Baseline = {
    "history": {
        "ratio": {"value": 0.5, "more_is_better": True},
        "cost": {"value": 0.5, "more_is_better": False},
    },
    "sinks": {"ratio": {"value": 0.9, "more_is_better": True}},
}


@pytest.mark.parametrize(
    ("ratio", "cost", "fallen"),
    [
        (0.5, 0.5, []),
        (0.401, 0.62, []),
        (0.399, 0.5, ["ratio"]),
        (0.5, 0.63, ["cost"]),
        (9.0, 0.01, []),
        (0.0, 9.0, ["ratio", "cost"]),
        (0.5, 0.0, []),  # a cost of nothing is no fall
    ],
)
def test_a_fifth_worse_is_a_fall_and_less_is_not(ratio: float, cost: float, fallen: list[str]) -> None:
    found = falls(BEFORE, measured(ratio=ratio, cost=cost))
    assert [fall.figure for fall in found] == fallen


def test_a_ratio_that_is_no_longer_measured_is_reported_and_one_that_did_not_run_is_not() -> None:
    (fall,) = falls(BEFORE, measured(ratio=0.5))
    assert str(fall) == "history: cost is no longer measured, was 0.5"


def test_what_is_accepted_replaces_values_and_keeps_what_did_not_run() -> None:
    new = accepted(BEFORE, measured(ratio=0.7, other=3.0))
    assert new["history"] == {
        "ratio": {"value": 0.7, "more_is_better": True},
        "cost": {"value": 0.5, "more_is_better": False},
    }
    assert new["sinks"] == BEFORE["sinks"]


def test_the_baseline_names_benchmarks_and_figures_that_there_are() -> None:
    baseline, results = json.loads(BASELINE.read_text()), json.loads(RESULTS.read_text())
    assert baseline.keys() <= set(benchmarks())
    for name in baseline.keys() & results.keys():
        assert baseline[name].keys() <= results[name]["figures"].keys()
    assert all(held["value"] > 0 for figures in baseline.values() for held in figures.values())


def test_the_page_of_figures_is_what_is_made_from_them() -> None:
    results = json.loads(RESULTS.read_text())
    performance = script("performance")
    assert performance.page(results) == (DOCS / "performance.md").read_text(), "python docs/performance.py"
    for _, name, *figures, _ in performance.LIMITS:
        assert name in benchmarks()
        if name in results:
            assert {figure for figure in figures if figure} <= results[name]["figures"].keys()


def test_every_peer_is_pinned() -> None:
    for path in (ROOT / "benchmarks").glob("peers*.txt"):
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
        assert lines
        assert all(line.count("==") == 1 for line in lines)

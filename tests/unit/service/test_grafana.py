"""The dashboard asks for metrics that are served, by labels they have, and has the shape Grafana imports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from places import DOCS

BOARD: dict[str, Any] = json.loads((DOCS / "grafana.json").read_text())
#: Of functions and of time series that every scrape has.
WORDS = {
    "min", "max", "sum", "by", "rate", "increase", "topk", "histogram_quantile", "label_values", "instance",
    "le",
}  # fmt: skip


def documented() -> dict[str, set[str]]:
    """Every name that a scrape serves, and its labels."""
    found: dict[str, set[str]] = {}
    for one in re.finditer(
        r"^\| `(feeder_\w+)` \| ([a-z, ]*) ?\| (\w+) \|", (DOCS / "metrics.md").read_text(), re.M
    ):
        names = [one[1]] if one[3] != "histogram" else [one[1] + end for end in ("_bucket", "_sum", "_count")]
        for name in names:
            found[name] = {label.strip() for label in one[2].split(",") if label.strip()}
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Every expression with the legend of its lines."""
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]
    for variable in BOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"], ""
    for note in BOARD["annotations"]["list"]:
        yield note["expr"], ""


def test_every_metric_it_asks_for_is_served_with_the_labels_it_uses() -> None:
    known = documented()
    assert len(known) > 25
    for expression, legend in queries():
        asked = re.findall(r"\bfeeder_\w+", expression)
        assert asked, expression
        for name in asked:
            assert name in known, f"{name} in {expression}"
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression)) | set(
            re.findall(r"\{\{(\w+)\}\}", legend)
        )
        assert labels - {"instance"} <= set().union(*(known[name] for name in asked)), expression
        bare = re.sub(r"\{[^}]*\}|\[\w+\]", "", expression)
        assert set(re.findall(r"[a-z_]{2,}", bare)) <= WORDS | set(asked), bare
        assert [expression.count(mark) for mark in "([{"] == [expression.count(mark) for mark in ")]}"]


def test_every_metric_of_the_documentation_is_on_it_but_those_that_say_little_over_time() -> None:
    asked = {name for expression, _ in queries() for name in re.findall(r"\bfeeder_\w+", expression)}
    left_out = {
        "feeder_build_info", "feeder_exchange_time_seconds", "feeder_symbol_frame_age_seconds",
        "feeder_stream_live", "feeder_stream_symbols", "feeder_store_candles", "feeder_store_waiting",
        "feeder_sink_ok", "feeder_outbox_bytes", "feeder_parts_stalled", "feeder_alert_receiver_ok",
    }  # fmt: skip
    rest = {name for name in documented() if not name.endswith(("_seconds_sum", "_seconds_count"))}
    assert rest - asked == left_out


def test_events_it_names_are_in_the_documentation() -> None:
    text = (DOCS / "metrics.md").read_text()
    for expression, _ in queries():
        for event in re.findall(r'event="([^"]+)"', expression):
            assert f"| `{event}` |" in text


def test_it_has_the_shape_that_grafana_imports() -> None:
    assert BOARD["uid"] == "feeder-tui"
    assert BOARD["schemaVersion"] >= 36
    assert {"title", "time", "templating", "annotations", "refresh", "tags", "panels"} <= BOARD.keys()
    assert "id" not in BOARD  # of one Grafana: an import gives its own
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    names = {variable["name"] for variable in BOARD["templating"]["list"]}
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        assert place.keys() == {"h", "w", "x", "y"}
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    for panel in panels():
        assert panel["type"] in ("stat", "timeseries")
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH")[: len(panel["targets"])]
        assert panel["fieldConfig"].keys() == {"defaults", "overrides"}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(BOARD))) <= names

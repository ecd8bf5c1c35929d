"""Rules saved while an engine runs: in force at once, and like hand-written ones after a restart."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tui_feeder.config import Config, load
from tui_feeder.engine.alerts.rule_saving import RuleFile
from tui_feeder.engine.alerts.rules import Rule
from tui_feeder.engine.alerts.settings import alert_rules
from tui_feeder.engine.storage.store import Store
from tui_feeder.engine.thread import EngineThread
from tui_feeder.monitor import RuleView, Snapshot

#: Nothing listens there: the engine waits for its exchange, and its rules are there all the same.
UNREACHABLE = "".join(
    f'{name}_url = "{scheme}://127.0.0.1:1"\n'
    for name, scheme in (("rest", "http"), ("stream", "ws"), ("archive", "http"))
)
WRITTEN = 'line = { kind = "price_cross", symbols = ["BTCUSDT"], price = 100.5, hysteresis_percent = 0.2 }\n'
LINE = {"kind": "price_cross", "symbols": ("BTCUSDT",), "price": 100.5, "hysteresis_percent": 0.2}


@contextlib.contextmanager
def running(path: Path, store: Path) -> Iterator[EngineThread]:
    def read() -> Config:
        return load(path, environ={}).config

    file = RuleFile(path, lambda: load(path, environ={}))
    opened = Store(store, exchange="a test")
    engine = EngineThread(read(), opened, [], on_end=lambda: None, rule_file=file)
    try:
        yield engine
    finally:
        engine.request_stop()
        assert engine.join(20)


def in_force(engine: EngineThread) -> tuple[Rule, ...]:
    return engine.engine.alerts._rules.rules


def seen(engine: EngineThread, count: int) -> Snapshot:
    """A snapshot with so many rules."""
    deadline = time.monotonic() + 60
    while len((snapshot := engine.monitor.snapshot()).alert_rules.rules) != count:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return snapshot


def test_a_rule_saved_in_the_file_or_the_store_is_the_hand_written_one(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"# mine\n[exchange]\n{UNREACHABLE}")
    by_hand = tmp_path / "by_hand.toml"
    by_hand.write_text(f"[alerts.rules]\n{WRITTEN}")
    (wanted,) = alert_rules(load(by_hand, environ={}).config).rules
    with running(path, tmp_path / "store") as engine:
        monitor = engine.monitor
        assert monitor.save_rule(RuleView("line", LINE, "configuration")).result(10) == ""
        assert in_force(engine) == (wanted,)
        assert seen(engine, 1).alert_rules.file == str(path)
        text = path.read_text()
        assert text.startswith(f"# mine\n[exchange]\n{UNREACHABLE}")
        refused = monitor.save_rule(RuleView("line", LINE, "store")).result(10)
        assert refused == "there is a rule line already: choose another name"
        assert monitor.delete_rule(RuleView("line", LINE, "configuration")).result(10) == ""
        assert in_force(engine) == ()
        assert monitor.save_rule(RuleView("line", LINE, "store")).result(10) == ""
        assert in_force(engine) == (wanted,)
        logged = [event.text for event in engine.engine.journal.recent()]
        assert "rule of alerts line saved in the store" in logged
    with running(path, tmp_path / "store") as engine:
        assert in_force(engine) == (wanted,)
        assert seen(engine, 1).alert_rules.rules == (RuleView("line", LINE, "store"),)
    assert monitor.save_rule(RuleView("more", LINE, "store")).result(10) == "the feeder has ended"

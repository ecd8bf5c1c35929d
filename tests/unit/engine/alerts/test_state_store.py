"""What the rules of alerts know over restarts: nothing is told twice, and what happened meanwhile is told."""

from __future__ import annotations

import itertools
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from alerting import minute_message, month_rows, replayed, rules
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from tui_feeder.config import Config
from tui_feeder.engine.alerts.level_history import StoredLevelHistory
from tui_feeder.engine.alerts.manager import AlertManager
from tui_feeder.engine.alerts.rule_checks import AlertRules
from tui_feeder.engine.alerts.rules import Alert, Health, Rule
from tui_feeder.engine.alerts.state_store import AlertStateStore
from tui_feeder.engine.core.candle import MINUTE_MS, to_candles
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import AlertView

POC = Rule("poc", "price_cross", level="poc", cooldown_ms=0)
GAP = Rule("gap", "gap_open", seconds=10, cooldown_ms=60_000)
MUTE = Rule("mute", "stream_stale", seconds=300, cooldown_ms=60_000)
#: So many days of a month are cut at random; the whole month is cut at its alerts.
CUT_DAYS = examples(10)
LAG = Rule("lag", "sink_lag", seconds=120, cooldown_ms=60_000)


class Runs:
    """Runs of a feeder one after the other, as far as its alerts go, on one store."""

    def __init__(self, store: Store, config: Config | None = None) -> None:
        self.store = store
        self.config = config or Config()
        self.journal = Journal(lambda: 0)

    def next(self, wanted: Sequence[Rule], longest: int | None = 89) -> AlertRules:
        self.state_store = AlertStateStore(self.store, self.config, self.journal)
        self.rules = AlertRules(wanted, longest)
        self.shown = self.state_store.resume(self.rules)
        return self.rules

    def keep(self) -> None:
        self.state_store.keep(self.rules, self.shown, shown_changed=True, last=True)
        self.store.put_note("done", b"").result()  # whatever was written before it is on the disk, too

    def told(self) -> str:
        return "\n".join(event.text for event in self.journal.events)


@contextmanager
def kept(config: Config | None = None) -> Iterator[Runs]:
    with tempfile.TemporaryDirectory() as folder, closing(Store(Path(folder), exchange="a test")) as store:
        yield Runs(store, config)


@cache
def month() -> tuple[list[tuple[Any, Any]], list[Alert]]:
    """Minutes of a real month with their messages, and what one run without a stop tells of them."""
    minutes = list(zip(to_candles(month_rows()), replayed()[0], strict=True))
    watched = AlertRules(rules(), 89)
    return minutes, [alert for minute in minutes for alert in watched.minute(*minute)]


@settings(max_examples=examples(15, least=4), deadline=None)
@given(st.lists(st.integers(0, CUT_DAYS * 1440), max_size=12))
def test_days_cut_into_runs_anywhere_give_the_alerts_of_one_run(cuts: list[int]) -> None:
    minutes = month()[0][: CUT_DAYS * 1440]
    wanted = [alert for alert in month()[1] if alert.at <= minutes[-1][1].timestamp]
    assert len(wanted) > 10 * CUT_DAYS
    with kept() as runs:
        told: list[Alert] = []
        for start, end in itertools.pairwise([0, *sorted(cuts), len(minutes)]):
            watched = runs.next(rules())
            for minute in minutes[start:end]:
                told += watched.minute(*minute)
            runs.keep()
    assert told == wanted


def test_a_cut_at_every_alert_of_a_month_changes_nothing() -> None:
    minutes, wanted = month()
    place = {candle.open_time + MINUTE_MS - 1: n for n, (candle, _) in enumerate(minutes)}
    cuts = sorted({place[alert.at] + after for alert in wanted[:150] for after in (0, 1)})
    with kept() as runs:
        told: list[Alert] = []
        for start, end in itertools.pairwise([0, *cuts, len(minutes)]):
            watched = runs.next(rules())
            for minute in minutes[start:end]:
                told += watched.minute(*minute)
            runs.keep()
    assert told == wanted


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.sampled_from([GAP, MUTE, LAG]))
def test_trouble_that_lasts_over_restarts_is_told_once(runs_of: list[int], rule: Rule) -> None:
    """A run counts how long trouble lasts from its own start; of a sink the outbox knows it."""
    step = int(rule.seconds * 1000) // 20
    with kept() as runs:
        told: list[Alert] = []
        now = 0
        for looks in (30, *runs_of):  # the first run is long enough to tell
            watched = runs.next([rule])
            for n in range(looks):
                now += step
                since = n * step / 1000 + (0.5 if rule is not LAG else 400.0)
                told += watched.health(
                    Health(now, gaps={"A": (since, 3)}, silences={"A": since}, lags={"A": since})
                )
            now += 3_600_000
            runs.keep()
    assert [alert.symbol for alert in told] == ["A"]


@pytest.mark.parametrize("rule", [GAP, MUTE, LAG])
def test_trouble_that_ended_while_nobody_looked_is_told_when_it_begins_again(rule: Rule) -> None:
    def look(at: int, seconds: float) -> list[Alert]:
        health = Health(at, {"A": (seconds, int(seconds > 0))}, {"A": seconds}, {"A": seconds})
        return runs.rules.health(health)

    with kept() as runs:
        runs.next([rule])
        assert len(look(0, 1_000.0)) == 1
        runs.keep()
        runs.next([rule])
        # A frame came, or the gap is filled, or nothing waits: that is no trouble of the run before.
        assert not [
            alert for n, seconds in enumerate((2.0, 3.0, 0.0)) for alert in look(3_600_000 + n, seconds)
        ]
        assert len(look(7_200_000, 1_000.0)) == 1


def test_a_cool_down_goes_on_over_a_restart() -> None:
    rule = replace(GAP, cooldown_ms=600_000)
    with kept() as runs:
        runs.next([rule])
        assert len(runs.rules.health(Health(0, gaps={"A": (11.0, 1)}))) == 1
        assert not runs.rules.health(Health(1_000, gaps={"A": (0.0, 0)}))
        runs.keep()
        runs.next([rule])
        assert not runs.rules.health(Health(599_999, gaps={"A": (11.0, 1)})), "ten minutes are not over"
        assert len(runs.rules.health(Health(600_000, gaps={"A": (12.0, 1)}))) == 1


def test_what_a_cool_down_holds_back_is_counted_once_over_a_restart() -> None:
    rule = replace(POC, cooldown_ms=3_600_000)
    with kept() as runs:
        runs.next([rule])
        closes = (99.0, 101.0, 99.0)  # found below, crossed: an alert, crossed back: held back
        assert [len(runs.rules.minute(*minute_message(n, at, 100.0))) for n, at in enumerate(closes)] == [
            0,
            1,
            0,
        ]
        assert runs.rules.held_back == 1
        runs.keep()
        runs.next([rule])
        assert not runs.rules.minute(*minute_message(3, 99.0, 100.0))
        assert runs.rules.held_back == 0, "it is still the same crossing"
        assert not runs.rules.minute(*minute_message(4, 101.0, 100.0))
        assert not runs.rules.minute(*minute_message(5, 99.0, 100.0))
        assert runs.rules.held_back == 1


def test_a_clock_that_was_months_ahead_does_not_silence_a_rule_for_months() -> None:
    with kept() as runs:
        runs.next([GAP])
        assert len(runs.rules.health(Health(10**12, gaps={"A": (11.0, 1)}))) == 1
        runs.rules.health(Health(10**12, gaps={"A": (0.0, 0)}))
        runs.keep()
        runs.next([GAP])
        assert len(runs.rules.health(Health(10**11, gaps={"A": (11.0, 1)}))) == 1


def test_rules_with_other_settings_begin_anew_and_those_that_stay_go_on() -> None:
    with kept() as runs:
        runs.next([POC, GAP])
        runs.rules.minute(*minute_message(0, 99.0, 100.0))
        runs.rules.health(Health(0, gaps={"BTCUSDT": (11.0, 1)}))
        runs.keep()
        runs.next([replace(POC, hysteresis=0.001), GAP])
        assert not runs.rules.minute(*minute_message(1, 101.0, 100.0)), "found above at first is no crossing"
        assert not runs.rules.health(Health(10**6, gaps={"BTCUSDT": (12.0, 1)})), "it was told"
        assert "others than before begin anew: poc" in runs.told()
        runs.keep()
        runs.next([POC, GAP])
        assert not runs.rules.minute(*minute_message(2, 101.0, 100.0)), "what the first rule knew is gone"


def test_rules_whose_numbers_are_made_otherwise_begin_anew() -> None:
    other = structs.replace(Config().volume_profile, value_area_percentage=80.0)
    with kept() as runs:
        runs.next([POC])
        runs.rules.minute(*minute_message(0, 99.0, 100.0))
        runs.keep()
        runs.config = structs.replace(Config(), volume_profile=other)
        runs.next([POC])
        assert not runs.rules.minute(*minute_message(1, 101.0, 100.0))
        assert "begin anew: poc" in runs.told()


def test_symbols_followed_no_longer_and_quiet_rules_leave_nothing_behind() -> None:
    with kept() as runs:
        runs.next([POC, GAP])
        runs.rules.minute(*minute_message(0, 99.0, 100.0))
        runs.rules.health(Health(0, gaps={f"S{n}USDT": (0.0, 0) for n in range(600)}))
        runs.keep()
        assert list(runs.store.notes("alert rules of ")) == ["BTCUSDT"]
        runs.next([POC, GAP])
        runs.rules.forget("BTCUSDT")
        runs.keep()
        assert runs.store.notes("alert rules of ") == {}


def test_what_nobody_has_looked_at_yet_is_kept_by_a_run_that_is_short() -> None:
    with kept() as runs:
        runs.next([POC, GAP])
        runs.rules.minute(*minute_message(0, 99.0, 100.0))
        runs.rules.health(Health(0, gaps={"BTCUSDT": (11.0, 1)}))
        runs.keep()
        runs.next([POC, GAP])
        runs.rules.minute(*minute_message(1, 98.0, 100.0))  # its gaps are looked at once it is live
        runs.rules.changed.add("BTCUSDT")
        runs.keep()
        runs.next([POC, GAP])
        assert not runs.rules.health(Health(10**6, gaps={"BTCUSDT": (12.0, 1)}))
        assert len(runs.rules.minute(*minute_message(2, 101.0, 100.0))) == 1


@pytest.mark.parametrize("spoil", ["a byte", "the end", "all", "another format", "nonsense", "too large"])
def test_a_damaged_note_is_thrown_away_with_a_line_and_harms_no_other(spoil: str) -> None:
    from tui_feeder.engine.core.checksum import with_checksum

    with kept() as runs:
        runs.next([GAP])
        runs.rules.health(Health(0, gaps={"A": (11.0, 1), "B": (11.0, 1)}))
        runs.shown = [AlertView(1, 5, "gap", "gap_open", "A", "text")]
        runs.keep()
        block = runs.store.note("alert rules of A")
        assert block is not None
        form = b"feeder alerts 1\0"
        spoilt = {
            "a byte": block[:-1] + bytes([block[-1] ^ 1]),
            "the end": block[:-3],
            "all": b"",
            "another format": with_checksum(b"feeder alerts 2\0", block[4 + len(form) :]),
            "nonsense": with_checksum(form, b"\x91\x96\xa3gap\xc4\x00\xa5loudly\x00\xc0\xc0"),
            "too large": with_checksum(form, bytes(300 << 10)),
        }[spoil]
        runs.store.put_note("alert rules of A", spoilt)
        runs.store.put_note("alerts shown", spoilt).result()
        runs.next([GAP])
        assert runs.shown == []
        told = [
            alert.symbol for alert in runs.rules.health(Health(10**6, gaps={"A": (11.0, 1), "B": (11.0, 1)}))
        ]
        assert told == ["A"], "A begins anew, B was told before"
        assert "knew of 1 symbols or sinks cannot be used (A: they" in runs.told()
        assert "alerts last shown cannot be shown again: they" in runs.told()


def test_the_alerts_shown_are_shown_again_with_their_numbers_and_who_saw_them(tmp_path: Path) -> None:
    clock = ExchangeClock()
    journal = Journal(clock.now)

    def manager(store: Store) -> AlertManager:
        return AlertManager(
            AlertRules([replace(POC, cooldown_ms=0)], 89), [], journal, clock,
            AlertStateStore(store, Config(), journal), StoredLevelHistory(store, Config()), bell=True,
        )  # fmt: skip

    with closing(Store(tmp_path, exchange="a test")) as store:
        first = manager(store)
        for n in range(70):
            first.minute(*minute_message(n, 99.0 + 2 * (n % 2), 100.0))
        first.acknowledge(first.recent[-1].number)
        first.keep(last=True)
        before = list(first.recent)
    with closing(Store(tmp_path, exchange="a test")) as store:
        second = manager(store)
        assert list(second.recent) == before
        assert [view.acknowledged for view in before[-2:]] == [False, True]
        second.minute(*minute_message(70, 99.0, 100.0))
        assert [view.number for view in second.recent] == list(
            range(before[0].number + 1, before[-1].number + 2)
        )


def test_while_a_writing_is_under_way_nothing_is_added_and_what_changed_follows_it(tmp_path: Path) -> None:
    with closing(Store(tmp_path, exchange="a test")) as store:
        runs = Runs(store)
        runs.next([GAP])
        held, go = threading.Event(), threading.Event()
        # The writer is busy, as with a disk that is full.
        blocked = store._submit(lambda _: (held.set(), go.wait(30)))
        held.wait(30)
        runs.rules.health(Health(0, gaps={"A": (11.0, 1)}))
        runs.state_store.keep(runs.rules, [], shown_changed=False)
        assert not runs.rules.changed
        for n in range(1, 101):  # the gap is filled, there is another, ...
            is_open = n % 2 == 0
            runs.rules.health(Health(n * 100_000, gaps={"A": (11.0 * is_open, int(is_open))}))
            runs.state_store.keep(runs.rules, [], shown_changed=False)
            assert runs.rules.changed == {"A"}
        go.set()
        blocked.result(30)
        runs.keep()
        runs.next([GAP])
        assert not runs.rules.health(Health(10**9, gaps={"A": (11.0, 1)})), "it told of that at last"

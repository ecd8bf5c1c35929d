"""Rules kept in the store beside those of the configuration: in force at once, and after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alerting import minute_message
from examples import examples
from msgspec.structs import replace

from tui_feeder.config import AlertRule, Alerts, Config, load
from tui_feeder.configuration.rule_editing import RuleError, RuleTable
from tui_feeder.engine.alerts import rule_book
from tui_feeder.engine.alerts.rule_book import RuleBook
from tui_feeder.engine.alerts.rule_saving import RuleFile
from tui_feeder.engine.alerts.rules import Rule
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.storage.store import Store

PRICE: RuleTable = {"kind": "price_cross", "symbols": ("BTCUSDT",), "price": 100.0, "hysteresis_percent": 0.0}
HAND_WRITTEN = AlertRule(kind="price_cross", symbols=("BTCUSDT",), price=100.0, hysteresis_percent=0.0)


def configured(**rules: AlertRule) -> Config:
    return replace(Config(), alerts=Alerts(rules=rules))


@contextmanager
def book_at(folder: Path, config: Config) -> Iterator[tuple[RuleBook, Journal]]:
    store, journal = Store(folder, exchange="a test"), Journal(lambda: 0)
    try:
        yield RuleBook(config, store, journal), journal
    finally:
        store.close()


def in_force(book: RuleBook) -> tuple[Rule, ...]:
    return book.rules.rules


async def test_a_rule_kept_in_the_store_equals_a_hand_written_one_also_after_a_restart(
    tmp_path: Path,
) -> None:
    with book_at(tmp_path / "other", configured(line=HAND_WRITTEN)) as (written, _):
        wanted = in_force(written)
    with book_at(tmp_path / "store", configured()) as (book, _):
        rules = await book.keep("line", PRICE)
        assert rules is book.rules
        assert in_force(book) == wanted
        crossed = [rules.minute(*minute_message(n, close, 50.0)) for n, close in enumerate((99.0, 101.0))]
        assert [alert.rule for alerts in crossed for alert in alerts] == ["line"]
        (view,) = book.view.rules
        assert (view.name, view.place, view.keys, view.fault) == ("line", "store", PRICE, "")
        assert view.concerns("BTCUSDT")
        assert not view.concerns("ETHUSDT")
    with book_at(tmp_path / "store", configured()) as (book, _):
        assert in_force(book) == wanted
        await book.keep("renamed", {**PRICE, "price": 5.0}, "line")
        assert [(rule.name, rule.price) for rule in in_force(book)] == [("renamed", 5.0)]
        await book.keep("renamed", None)
        assert in_force(book) == ()
    with book_at(tmp_path / "store", configured()) as (book, journal):
        assert book.view.rules == ()
        assert list(journal.events) == []


async def test_the_configuration_goes_before_the_store_and_a_rule_without_its_timeframe_waits(
    tmp_path: Path,
) -> None:
    with book_at(tmp_path, configured()) as (book, _):
        await book.keep("line", PRICE)
        await book.keep("flip", {"kind": "trend_flip", "timeframe": 300})
    changed = configured(line=replace(HAND_WRITTEN, price=7.0))
    analysis = replace(changed.technical_analysis, timeframes=(60,))
    with book_at(tmp_path, replace(changed, technical_analysis=analysis)) as (book, journal):
        assert [(rule.name, rule.price) for rule in in_force(book)] == [("line", 7.0)]
        faults = {(view.name, view.place): view.fault for view in book.view.rules}
        assert faults["line", "configuration"] == ""
        assert faults["line", "store"] == "the configuration has a rule of this name"
        assert "timeframe 300 is not one of" in faults["flip", "store"]
        assert sum("is not in force" in event.text for event in journal.events) == 2
        book.configure(configured())
        assert {rule.name for rule in in_force(book)} == {"line", "flip"}


async def test_what_cannot_be_kept_is_refused_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = examples(200)
    monkeypatch.setattr(rule_book, "_MOST", most)
    with book_at(tmp_path, configured(line=HAND_WRITTEN)) as (book, _):
        for name, table, replaces, said in (
            ("line", PRICE, "", "there is a rule line already"),
            ("a", {"kind": "trend_flip"}, "", "needs a timeframe"),
            ("a", PRICE, "b", "no rule b any more"),
            ("b", None, "", "no rule b any more"),
        ):
            with pytest.raises(RuleError, match=said):
                await book.keep(name, table, replaces)
        assert [rule.name for rule in in_force(book)] == ["line"]
        for number in range(most):
            await book.keep(f"r{number}", {"kind": "gap_open"})
        with pytest.raises(RuleError, match=f"{most} rules at most"):
            await book.keep("more", {"kind": "gap_open"})


def test_rules_that_were_damaged_in_the_store_are_reported(tmp_path: Path) -> None:
    with book_at(tmp_path, configured()) as (book, _):
        book._store.put_note("rules of alerts kept by the user", b"nonsense").result()
    with book_at(tmp_path, configured(line=HAND_WRITTEN)) as (book, journal):
        assert [rule.name for rule in in_force(book)] == ["line"]
        (event,) = journal.events
        assert "cannot be read (they are damaged): make them again" in event.text


def test_a_rule_written_into_the_file_is_in_force_as_if_it_had_been_there(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[alerts.rules]  # mine\n")
    environ = {"FEEDER_ALERTS__RULES__ENV__KIND": "gap_open"}
    file = RuleFile(path, lambda: load(path, environ=environ))
    config = file.save("line", PRICE)
    assert config.alerts.rules["line"] == HAND_WRITTEN
    assert load(path, environ={}).config.alerts.rules == {"line": HAND_WRITTEN}
    with pytest.raises(
        RuleError, match="is set by environment FEEDER_ALERTS__RULES__ENV__KIND: change it there"
    ):
        file.save("ENV", None)
    with pytest.raises(RuleError, match="needs a timeframe"):
        file.save("flip", {"kind": "trend_flip"})
    path.write_text("[ui]\ncolours = 1\n")
    with pytest.raises(RuleError, match=r"correct the configuration first: .*config.toml:2: ui.colours"):
        file.save("more", PRICE)
    assert path.read_text() == "[ui]\ncolours = 1\n"


def test_screens_are_given_the_cool_down_that_holds_where_a_rule_states_none(tmp_path: Path) -> None:
    with book_at(tmp_path, replace(Config(), alerts=Alerts(cooldown_seconds=45.0))) as (book, _):
        book.set_file(tmp_path / "config.toml")
        assert book.view.cooldown_seconds == 45.0
        book.configure(configured())
        assert (book.view.cooldown_seconds, book.view.file) == (300.0, str(tmp_path / "config.toml"))

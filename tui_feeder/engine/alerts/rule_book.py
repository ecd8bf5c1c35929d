"""The rules of alerts in force: those of the configuration, and those that the user keeps in the store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
from msgspec import structs

from tui_feeder.config import Config
from tui_feeder.configuration.rule_editing import RuleError, RuleTable, checked_rule, rule_table
from tui_feeder.engine.alerts.rule_checks import AlertRules
from tui_feeder.engine.alerts.settings import alert_rules
from tui_feeder.engine.core.checksum import ChecksumError, with_checksum, without_checksum
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import RulePlace, RulesView, RuleValue, RuleView

_FORMAT = b"feeder alert rules 1\0"
_NOTE = "rules of alerts kept by the user"
#: Rules kept in the store, and bytes of all of them.
_MOST, _LARGEST = 200, 256 << 10


class RuleBook:
    """Knows every rule and where it is kept. Used on the engine's loop.

    Of two rules of one name that of the configuration is in force.

    Args:
        config: the configuration the engine was started with.
        store: keeps the user's rules.
        journal: for rules that cannot be used.
    """

    def __init__(self, config: Config, store: Store, journal: Journal) -> None:
        self._config = config
        self._store = store
        self._journal = journal
        self._kept: dict[str, RuleTable] = {}
        self._faults: dict[str, str] = {}  # of kept rules that are not in force
        self.view = RulesView()
        self.rules = AlertRules((), None)
        self._read_kept()
        self.configure(config)
        for name, fault in self._faults.items():
            journal.note("warning", f"the rule of alerts {name} kept in the store is not in force: {fault}")

    def configure(self, config: Config) -> AlertRules:
        """Takes the rules of a configuration in the place of those before.

        Args:
            config: as it is now.

        Returns:
            All rules in force, those of the store among them.
        """
        self._config = config
        stated = dict(config.alerts.rules)
        views = [_view(name, rule_table(rule), "configuration") for name, rule in stated.items()]
        in_force = dict(stated)
        self._faults = {}
        for name, table in self._kept.items():
            try:
                if name in stated:
                    raise RuleError("the configuration has a rule of this name")
                in_force[name] = checked_rule(config, name, table)
            except RuleError as error:
                self._faults[name] = str(error)
            views.append(_view(name, table, "store", self._faults.get(name, "")))
        every = config.alerts.cooldown_seconds
        self.view = replace(self.view, rules=tuple(views), cooldown_seconds=every)
        self.rules = alert_rules(
            structs.replace(config, alerts=structs.replace(config.alerts, rules=in_force))
        )
        return self.rules

    def set_file(self, path: Path) -> None:
        """Names the configuration file that rules can be written into.

        Args:
            path: of the file.
        """
        self.view = replace(self.view, file=str(path))

    async def keep(self, name: str, table: RuleTable | None, replaces: str = "") -> AlertRules:
        """Keeps a rule in the store, and puts it in force.

        Args:
            name: of the rule.
            table: its keys; None deletes it.
            replaces: the kept rule that it takes the place of; "" for a new one.

        Returns:
            All rules in force.

        Raises:
            RuleError: it is not allowed, or cannot be stored.
        """
        kept = dict(self._kept)
        old = replaces or ("" if table is not None else name)
        if old and kept.pop(old, None) is None:
            raise RuleError(f"the store has no rule {old} any more")
        if table is not None:
            if name in kept or name in self._config.alerts.rules:
                raise RuleError(f"there is a rule {name} already: choose another name")
            checked_rule(self._config, name, table)
            kept[name] = dict(table)
        block = with_checksum(_FORMAT, msgspec.msgpack.encode(kept))
        if len(kept) > _MOST or len(block) > _LARGEST:
            raise RuleError(f"the store keeps {_MOST} rules at most: delete some")
        try:
            await asyncio.wrap_future(self._store.put_note(_NOTE, block if kept else None))
        except Exception as error:
            raise RuleError(f"the store did not take the rule: {error}") from error
        self._kept = kept
        return self.configure(self._config)

    def _read_kept(self) -> None:
        block = self._store.note(_NOTE)
        if block is None:
            return
        try:
            if len(block) > _LARGEST:
                raise ChecksumError("they are too large")
            self._kept = msgspec.msgpack.decode(
                without_checksum(_FORMAT, block), type=dict[str, dict[str, RuleValue]]
            )
        except (ChecksumError, msgspec.DecodeError) as error:
            text = f"the rules of alerts that the store kept cannot be read ({error}): make them again"
            self._journal.note("error", text)


def _view(name: str, table: RuleTable, place: RulePlace, fault: str = "") -> RuleView:
    return RuleView(name, dict(table), place, fault)

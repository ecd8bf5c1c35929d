"""Saves rules of alerts in the configuration file or the store, and puts them in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tui_feeder.config import Config, ConfigError, LoadedConfig
from tui_feeder.configuration.rule_editing import RuleError, RuleTable, checked_rule, write_rule
from tui_feeder.engine.alerts.manager import AlertManager
from tui_feeder.engine.alerts.rule_book import RuleBook
from tui_feeder.engine.core.journal import Journal
from tui_feeder.monitor import RulePlace

_APPLY_SECONDS = 5.0
_ENDED = "the feeder has ended"


class RuleFile:
    """The configuration file of the user, as far as rules of alerts are written into it.

    Args:
        path: of the file; it is made if it is not there.
        read: reads the whole configuration again, as the start did.
    """

    def __init__(self, path: Path, read: Callable[[], LoadedConfig]) -> None:
        self.path = path
        self._read = read

    def save(self, name: str, table: RuleTable | None, replaces: str = "") -> Config:
        """Writes a rule into the file, and reads the configuration again. It blocks: not for a loop.

        Args:
            name: of the rule.
            table: its keys; None deletes it.
            replaces: the rule that it takes the place of; "" for a new one.

        Returns:
            The configuration as it is then.

        Raises:
            RuleError: the rule is not allowed or cannot be written.
        """
        config = self._loaded(replaces or ("" if table is not None else name))
        if table is not None:
            checked_rule(config, name, table)
        write_rule(self.path, name, table, replaces)
        return self._loaded("")

    def _loaded(self, changed: str) -> Config:
        """The configuration now; the rule that is to be changed must be of the file.

        Raises:
            RuleError: it cannot be used, or the rule is from elsewhere.
        """
        try:
            loaded = self._read()
        except ConfigError as error:
            raise RuleError(f"correct the configuration first: {error.problems[0]}") from error
        origin = loaded.origins.get(f"alerts.rules.{changed}.kind", "file")
        if changed and not origin.startswith("file"):
            raise RuleError(f"the rule {changed} is set by {origin}: change it there")
        return loaded.config


class RuleSaver:
    """Saves and deletes rules for screens, from any thread; what blocks runs on a thread of its own.

    Args:
        book: the rules there are.
        alerts: evaluates them.
        journal: for what was changed.
        loop: of the engine.
        file: the configuration file; None where rules are not written into one.
    """

    def __init__(
        self,
        book: RuleBook,
        alerts: AlertManager,
        journal: Journal,
        loop: asyncio.AbstractEventLoop,
        file: RuleFile | None,
    ) -> None:
        self._book = book
        self._alerts = alerts
        self._journal = journal
        self._loop = loop
        self._file = file
        self._thread = ThreadPoolExecutor(1, "rules of alerts")
        if file is not None:
            book.set_file(file.path)

    def save(self, place: RulePlace, name: str, table: RuleTable | None, replaces: str = "") -> Future[str]:
        """Saves a rule and puts it in force, or deletes one.

        Args:
            place: where it is kept.
            name: of the rule.
            table: its keys; None deletes it.
            replaces: the rule in the same place that it takes the place of; "" for a new one.

        Returns:
            What is wrong; "" once it is saved.
        """
        if place == "configuration":
            return self._thread.submit(self._write, name, table, replaces)
        work = self._keep(name, table, replaces)
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            over: Future[str] = Future()
            over.set_result(_ENDED)
            return over

    async def _keep(self, name: str, table: RuleTable | None, replaces: str) -> str:
        try:
            rules = await self._book.keep(name, table, replaces)
        except RuleError as error:
            return str(error)
        self._alerts.replace_rules(rules)
        self._note(name, table, "the store")
        return ""

    def _write(self, name: str, table: RuleTable | None, replaces: str) -> str:
        if self._file is None:
            return "rules are not written into a configuration here: keep it in the store"
        try:
            config = self._file.save(name, table, replaces)
        except RuleError as error:
            return str(error)
        applied: Future[None] = Future()

        def apply() -> None:
            self._alerts.replace_rules(self._book.configure(config))
            self._note(name, table, str(self._file and self._file.path))
            applied.set_result(None)

        try:
            self._loop.call_soon_threadsafe(apply)
            applied.result(_APPLY_SECONDS)
        except (RuntimeError, TimeoutError):
            return "written, and in force after the next start: the feeder does not take it now"
        return ""

    def _note(self, name: str, table: RuleTable | None, where: str) -> None:
        text = f"deleted from {where}" if table is None else f"saved in {where}"
        self._journal.note("info", f"rule of alerts {name} {text}")

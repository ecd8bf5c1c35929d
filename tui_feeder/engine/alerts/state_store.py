"""What the rules of alerts know, kept in the store: a start reports nothing twice.

Of each symbol or sink there is a note with what every rule knows of it, written when that changes, and one
with the alerts last shown. A rule goes on with what it knew only if it is the very same one and looks at
numbers made in the same way; else, and where a note is damaged, it begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from hashlib import blake2b
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

from tui_feeder.config import Config
from tui_feeder.engine.alerts.rule_checks import AlertRules
from tui_feeder.engine.alerts.rules import TROUBLES, Condition, Rule, SavedState
from tui_feeder.engine.core.checksum import ChecksumError, with_checksum, without_checksum
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import AlertView

_T = TypeVar("_T")
#: Raised with every change of what a note holds.
_FORMAT = b"feeder alerts 1\0"
_RULES_OF, _SHOWN = "alert rules of ", "alerts shown"
#: Rules kept of one symbol or sink, and bytes of a note that is read.
_MOST_RULES, _LARGEST = 1_000, 256 << 10
_Ms: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class _RuleRecord(msgspec.Struct, frozen=True, array_like=True):
    """What one rule knows of the symbol or sink of its note."""

    rule: str
    made: bytes  # digest of the rule, and of how the numbers are made that it looks at
    reported: Condition | None
    reported_at: _Ms | None
    seen: Condition | None
    day: _Ms | None


class AlertStateStore:
    """Keeps and gives back what rules know. Used on the engine's loop, writes through the store's writer.

    Args:
        store: where it is kept.
        config: of the engine: how the numbers are made that rules look at.
        journal: is reported what could not be used or written.
    """

    def __init__(self, store: Store, config: Config, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._numbers = repr((config.technical_analysis, config.volume_profile)).encode()
        self._digests: dict[Rule, bytes] = {}
        self._under_way: dict[str, Future[None]] = {}  # by the name of the note
        self._shown_waits = False
        self._failing = False

    def resume(self, rules: AlertRules) -> list[AlertView]:
        """Restores the state of rules that have not evaluated anything yet.

        Args:
            rules: the rules.

        Returns:
            The alerts last shown.
        """
        mine = {rule.name: (rule, self._digest(rule)) for rule in rules.rules}
        refused: list[str] = []
        others: set[str] = set()
        for subject, block in self._store.notes(_RULES_OF).items():
            try:
                kept = _decode(block, list[_RuleRecord])
            except ChecksumError as error:
                refused.append(f"{subject}: {error}")
                rules.changed.add(subject)
                continue
            others |= self._resume(rules, subject, kept, mine)
        if refused:
            text = f"what the rules of alerts knew of {len(refused)} symbols or sinks cannot be used"
            self._journal.note("warning", f"{text} ({refused[0]}): there they begin anew")
        if others:
            text = "rules of alerts that are others than before begin anew"
            self._journal.note("info", f"{text}: {', '.join(sorted(others))}")
        return self._shown()

    def _resume(
        self,
        rules: AlertRules,
        subject: str,
        kept: Sequence[_RuleRecord],
        mine: Mapping[str, tuple[Rule, bytes]],
    ) -> set[str]:
        """Give ``rules`` what is kept of a symbol or sink; the names of those that are others now."""
        others: set[str] = set()
        for record in kept:
            rule, made = mine.get(record.rule, (None, b""))
            if rule is not None and made == record.made:
                rules.resume(rule, subject, (record.reported, record.reported_at, record.seen, record.day))
                continue
            rules.changed.add(subject)
            if rule is not None:
                others.add(record.rule)
        return others

    def saved(self, rules: AlertRules, symbol: str) -> bytes | None:
        """Encodes what rules know of a symbol.

        Args:
            rules: as they are now.
            symbol: whose.

        Returns:
            What :meth:`take_over` takes; None where they know nothing.
        """
        kept = [self._record_of(*saved) for saved in rules.known_of(symbol)[:_MOST_RULES]]
        return _encode(kept) if kept else None

    def take_over(self, rules: AlertRules, symbol: str, block: bytes | None) -> None:
        """Gives rules what those of another feeder knew of a symbol, in place of what they know.

        Args:
            rules: of this feeder.
            symbol: whose.
            block: what :meth:`saved` returned there; None: nothing.
        """
        rules.forget(symbol)
        if block is None:
            return
        try:
            kept = _decode(block, list[_RuleRecord])
        except ChecksumError as error:
            text = f"what the rules of alerts knew cannot be used ({error}): they begin anew"
            self._journal.note("warning", text, symbol)
            return
        self._resume(rules, symbol, kept, {rule.name: (rule, self._digest(rule)) for rule in rules.rules})

    def _shown(self) -> list[AlertView]:
        block = self._store.note(_SHOWN)
        try:
            views = [] if block is None else _decode(block, list[AlertView])
        except ChecksumError as error:
            self._journal.note("warning", f"the alerts last shown cannot be shown again: {error}")
            return []
        return sorted(views, key=lambda view: view.number)

    def keep(
        self, rules: AlertRules, shown: Sequence[AlertView], *, shown_changed: bool, last: bool = False
    ) -> None:
        """Write what has changed since; call it about once a second.

        Args:
            rules: whose :attr:`~AlertRules.changed` is written, and emptied.
            shown: the alerts shown, the newest last.
            shown_changed: whether they are others than at the call before.
            last: the store is about to be closed. Before that nothing is added to what waits for a full disk.
        """
        self._shown_waits |= shown_changed
        if not last and not all(future.done() for future in self._under_way.values()):
            return
        self._check_writes(rules)
        if rules.changed:
            known = rules.known()
            for subject in rules.changed:
                kept = [self._record_of(*saved) for saved in known.get(subject, ())[:_MOST_RULES]]
                self._write(_RULES_OF + subject, kept)
            rules.changed.clear()
        if self._shown_waits:
            self._write(_SHOWN, list(shown))
            self._shown_waits = False

    def _write(self, name: str, content: list[Any]) -> None:
        self._under_way[name] = self._store.put_note(name, _encode(content) if content else None)

    def _check_writes(self, rules: AlertRules) -> None:
        """See how the last writings ended: what is not on the disk is written once more."""
        ended = [(name, future) for name, future in self._under_way.items() if future.done()]
        failures = [(name, why) for name, future in ended if (why := future.exception())]
        for name, _ in failures:
            if name == _SHOWN:
                self._shown_waits = True
            else:
                rules.changed.add(name.removeprefix(_RULES_OF))
        if failures and not self._failing:
            self._journal.note("error", f"what the rules of alerts know is not kept: {failures[0][1]!r}")
        self._failing = bool(failures)
        self._under_way.clear()

    def _record_of(self, rule: Rule, saved: SavedState) -> _RuleRecord:
        return _RuleRecord(rule.name, self._digest(rule), *saved)

    def _digest(self, rule: Rule) -> bytes:
        digest = self._digests.get(rule)
        if digest is None:
            depends_on = b"" if rule.kind in TROUBLES else self._numbers
            # Rules without a price have the digest that they had before there were any: their state is kept.
            price = b"" if rule.price is None else repr(rule.price).encode()
            price += b"" if rule.anchor is None else f"anchor {rule.anchor}".encode()
            digest = blake2b(repr(rule).encode() + price + depends_on, digest_size=8).digest()
            self._digests[rule] = digest
        return digest


def _encode(content: list[Any]) -> bytes:
    return with_checksum(_FORMAT, msgspec.msgpack.encode(content))


def _decode(block: bytes, form: type[_T]) -> _T:
    """What :func:`_encode` was given.

    Raises:
        ChecksumError: damaged, of another format, too large, or not what it should be.
    """
    if len(block) > _LARGEST:
        raise ChecksumError("they are too large")
    try:
        return msgspec.msgpack.decode(without_checksum(_FORMAT, block), type=form)
    except msgspec.DecodeError as error:
        raise ChecksumError(f"they cannot be read: {error}") from error

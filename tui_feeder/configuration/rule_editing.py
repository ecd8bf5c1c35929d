"""Single rules of alerts: checked as the configuration checks them, and written into the user's file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from tui_feeder.atomic_write import atomic_write
from tui_feeder.configuration import files, rules
from tui_feeder.configuration.keys import Branch, allowed_names, dotted, kind_at, names_in, section_name_fault
from tui_feeder.configuration.lines import locate
from tui_feeder.configuration.problems import ConfigError
from tui_feeder.configuration.sections import AlertRule, Config
from tui_feeder.configuration.values import UnfitError, allowed, convert
from tui_feeder.errors import InputError
from tui_feeder.monitor import RuleValue
from tui_feeder.safe_text import show

_ABOVE = ("alerts", "rules")

#: The keys of a rule that are stated.
RuleTable: TypeAlias = Mapping[str, RuleValue]


class RuleError(InputError):
    """A rule is not allowed, or cannot be written; the message has the reason and the remedy."""


def checked_rule(config: Config, name: str, table: Mapping[str, object]) -> AlertRule:
    """Checks a rule as if it stood in the configuration.

    Args:
        config: the rest of the configuration.
        name: of the rule.
        table: its keys.

    Returns:
        The rule.

    Raises:
        RuleError: the first thing that is wrong with it.
    """
    above = (*_ABOVE, name)
    if fault := section_name_fault(above):
        raise RuleError(f"the name {show(name)} {fault[0]}; allowed: {fault[1]}")
    values: dict[str, Any] = {}
    for key, raw in table.items():
        kind = kind_at((*above, key))
        if kind is None or isinstance(kind, Branch):
            raise RuleError(f"{key} is not a key of a rule; allowed: {allowed_names(above)}")
        try:
            values[key] = convert(kind, raw)
        except UnfitError as error:
            text = f"{key} = {show(error.value)} {error.message}"
            raise RuleError(f"{text}; {error.hint or f'allowed: {allowed(kind)}'}") from None
    rule = AlertRule(**values)
    for finding in rules.rule_findings(config, name, rule):
        key = finding.keys[0].removeprefix(f"{dotted(above)}.")
        raise RuleError(f"{key} {finding.message}" + (f"; {finding.hint}" if finding.hint else ""))
    return rule


def rule_table(rule: AlertRule) -> dict[str, RuleValue]:
    """Gives the keys of a rule that differ from their defaults.

    Args:
        rule: the rule.

    Returns:
        By key, as the configuration would state them.
    """
    usual = AlertRule()
    found = ((key, getattr(rule, key)) for key in names_in((*_ABOVE, "x")))
    stated = {key: value for key, value in found if value != getattr(usual, key)}
    if rule.anchor is not None:
        stated["anchor"] = rule.anchor.isoformat().replace("+00:00", "Z")
    return stated


def write_rule(path: Path, name: str, table: RuleTable | None, replaces: str = "") -> None:
    """Writes one rule into a configuration file, whole or not at all; everything else stays as it is.

    Args:
        path: of the file; made if it is not there, readable by its owner only.
        name: of the rule.
        table: its keys; None deletes it.
        replaces: the name of the rule that it takes the place of; "" for a new one.

    Raises:
        RuleError: the file cannot be read or written, has no rule of the name to replace, or has one already.
    """
    try:
        text = files.text_of(path) if path.exists() else ""
        before = files.parse(text, path)
    except ConfigError as error:
        raise RuleError(str(error.problems[0])) from error
    wanted = _changed(before, name, table, replaces, path.name)
    text = _edited(text, name, table, replaces)
    try:
        same = _without_empty(tomllib.loads(text)) == _without_empty(wanted)
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise RuleError(f"{path} is written in a way that cannot be changed from here: edit it by hand")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic_write(path, 0o600) as file:
            file.write(text.encode())
    except OSError as fault:
        remedy = "make it writable, or keep the rule in the store"
        raise RuleError(f"{path} cannot be written ({fault.strerror or fault}): {remedy}") from fault


def _changed(
    before: Mapping[str, Any], name: str, table: RuleTable | None, replaces: str, file: str
) -> dict[str, Any]:
    """What the file is to hold.

    Raises:
        RuleError: there is no rule to replace, or one of the name already.
    """
    alerts = before.get("alerts", {})
    there = alerts.get("rules", {}) if isinstance(alerts, dict) else None
    if not isinstance(there, dict):
        raise RuleError(f"{file}: [alerts.rules] is no section; correct it first")
    old = replaces or ("" if table is not None else name)
    if old and old not in there:
        raise RuleError(f"{file} has no rule {old} any more: it was changed by hand meanwhile")
    if table is not None and name != replaces and name in there:
        raise RuleError(f"{file} has a rule {name} already: choose another name")
    kept = {key: value for key, value in there.items() if key != old}
    if table is not None:
        kept[name] = {key: list(v) if isinstance(v, tuple) else v for key, v in table.items()}
    return {**before, "alerts": {**alerts, "rules": kept}}


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    """The same without sections of alerts that hold nothing: dotted keys leave none."""
    alerts = {key: value for key, value in document.get("alerts", {}).items() if value != {}}
    rest = {key: value for key, value in document.items() if key != "alerts"}
    return rest | ({"alerts": alerts} if alerts else {})


def _edited(text: str, name: str, table: RuleTable | None, replaces: str) -> str:
    """The text with the rule added, changed or deleted."""
    if table is None:
        return _without(text, name)
    if replaces and name != replaces:
        renamed = _renamed(text, replaces, name)
        if renamed is None:
            return _with(_without(text, replaces), name, table, new=True)
        text = renamed
    return _with(text, name, table, new=not replaces)


def _without(text: str, name: str) -> str:
    """Delete a rule; a section of its own with the comments in it, but not with those of what follows."""
    import tomlkit  # loaded when something is saved: it would cost every start its time

    lines, place = text.splitlines(keepends=True), (*_ABOVE, name)
    found = locate(text)
    start = found[place] - 1
    if not lines[start].lstrip().startswith("["):
        document = tomlkit.parse(text)
        del cast(Any, document)["alerts"]["rules"][name]
        return tomlkit.dumps(document)
    after = [line - 1 for path, line in found.items() if path[: len(place)] != place and line - 1 > start]
    end = min(after, default=len(lines))
    last = end
    while not lines[last - 1].strip() or lines[last - 1].lstrip().startswith("#"):
        last -= 1
    blank = next((at for at in range(last, end) if not lines[at].strip()), end)
    if start and not lines[start - 1].strip() and blank < end:
        blank += 1  # not two blank lines where there was a rule
    return "".join([*lines[:start], *lines[blank:]])


def _renamed(text: str, old: str, name: str) -> str | None:
    """Give a rule another name, its comments staying with it; None where its name stands on several lines."""
    lines = text.splitlines(keepends=True)
    at = locate(text)[(*_ABOVE, old)] - 1
    lines[at] = re.sub(
        rf"""(^|[.\s\[])["']?{re.escape(old)}["']?(?=\s*[=.\]])""", rf"\g<1>{name}", lines[at], count=1
    )
    text = "".join(lines)
    found = locate(text)
    return text if (*_ABOVE, name) in found and (*_ABOVE, old) not in found else None


def _with(text: str, name: str, table: RuleTable, *, new: bool) -> str:
    """Put the keys of a rule into it; those that stay keep their place and comments."""
    import tomlkit

    document: Any = tomlkit.parse(text)
    if "alerts" not in document:
        document["alerts"] = tomlkit.table(is_super_table=True)
    alerts = document["alerts"]
    if "rules" not in alerts:
        is_section = isinstance(alerts, tomlkit.items.Table)
        _insert(alerts, "rules", tomlkit.table() if is_section else tomlkit.inline_table())
    rules_there = alerts["rules"]
    if new:
        made = tomlkit.inline_table()
        for key, value in table.items():
            made.append(key, _plain(value))
        _insert(rules_there, name, made)
        return tomlkit.dumps(document)
    rule = rules_there[name]
    for key in [key for key in rule if key not in table]:
        del rule[key]
    for key, value in table.items():
        if key not in rule:
            _insert(rule, key, _plain(value))
        elif rule[key] != _plain(value):
            rule[key] = _plain(value)
    return tomlkit.dumps(document)


def _plain(value: RuleValue) -> object:
    return list(value) if isinstance(value, tuple) else value


def _insert(table: Any, key: str, value: object) -> None:  # noqa: ANN401
    """Add a key behind the others, before the blank line and the comments that belong to what follows."""
    from tomlkit.items import Comment, Table, Whitespace

    if not isinstance(table, Table):
        table[key] = value
        return
    body = table.value.body
    end = len(body)
    while end and isinstance(body[end - 1][1], Comment | Whitespace):
        end -= 1
    blank = next((at for at in range(end, len(body)) if isinstance(body[at][1], Whitespace)), len(body))
    trailing: list[Any] = [item for _, item in body[blank:]]
    del body[blank:]  # they have no key, so that nothing else of the table knows them
    table.append(key, value)
    last = table[key] if isinstance(value, Table) else table
    for item in trailing:
        last.add(item)

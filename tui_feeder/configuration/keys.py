"""The keys there are, read off the annotations of the sections."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from msgspec import Struct

from tui_feeder.configuration.sections import AlertRule, Config
from tui_feeder.configuration.text import closest, did_you_mean, printable
from tui_feeder.configuration.values import (
    Kind,
    Symbol,
    UnfitError,
    convert,
)

#: A key from the outermost section inwards: ``("kafka", "security", "protocol")``.
KeyName: TypeAlias = tuple[str, ...]
_Section = TypeVar("_Section")
_RULE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Branch:
    """A section: a struct, or where ``named`` a table of sections by name: of a symbol, or of a rule."""

    section: type
    named: bool = False


def dotted(key: KeyName) -> str:
    """The key as it is written: ``kafka.security.protocol``."""
    return ".".join(map(printable, key))


@cache
def _children(section: Kind) -> dict[str, Kind]:
    kinds: dict[str, Kind] = {}
    for name, kind in get_type_hints(section, include_extras=True).items():
        if get_origin(kind) is Mapping:
            kinds[name] = Branch(get_args(kind)[1], named=True)
        else:
            is_section = isinstance(kind, type) and issubclass(kind, Struct)
            kinds[name] = Branch(kind) if is_section else kind
    return kinds


def kind_at(key: KeyName) -> Kind:
    """The kind of value at ``key``, a :class:`Branch` for a section, None where there is no such key."""
    kind: Kind = Branch(Config)
    for name in key:
        if not isinstance(kind, Branch):
            return None
        kind = Branch(kind.section) if kind.named else _children(kind.section).get(name)
    return kind


def leaf_names(section: type = Config, above: KeyName = ()) -> Iterator[KeyName]:
    """Every key that holds a value, in the order of the file; the tables of sections by name left out."""
    for name, kind in _children(section).items():
        if not isinstance(kind, Branch):
            yield (*above, name)
        elif not kind.named:
            yield from leaf_names(kind.section, (*above, name))


def default_of(key: KeyName) -> object:
    """The default of a key; None for one in a table of sections by name."""
    value: object = Config()
    for name in key:
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value


def names_in(section: KeyName) -> tuple[str, ...]:
    """The names directly below ``section``; none where there is no such section."""
    branch = kind_at(section)
    return tuple(_children(branch.section)) if isinstance(branch, Branch) else ()


def allowed_names(section: KeyName) -> str:
    """In words, the keys that a section may hold."""
    names = names_in(section)
    what = f"the keys of [{dotted(section)}]" if section else "the sections"
    return f"{what}: {', '.join(names)}" if names else f"[{dotted(section)}] has no keys so far"


def likely_name(key: KeyName) -> str | None:
    """Which key the unknown ``key`` may have been meant to be: one like it beside it, or it elsewhere."""
    *above, name = key
    if meant := closest(name, names_in(tuple(above))):
        return did_you_mean(meant)
    homes = [dotted(leaf[:-1]) for leaf in leaf_names() if leaf[-1] == name]
    return f"did you mean the key of [{'] or ['.join(homes)}]?" if homes else None


def section_name_fault(section: KeyName) -> tuple[str, str] | None:
    """What is wrong with the name of a section in a table of them, and what is allowed.

    None where nothing is wrong, or the section is in no such table.
    """
    parent = kind_at(section[:-1]) if section else None
    if not isinstance(parent, Branch) or not parent.named:
        return None
    if parent.section is AlertRule:
        allowed = "letters, digits, dashes and underscores, at most 64"
        return None if _RULE_NAME.fullmatch(section[-1]) else ("is no name of a rule", allowed)
    fault = _symbol_fault(section[-1])
    return (fault, "the name of one symbol") if fault else None


def _symbol_fault(symbol: str) -> str | None:
    try:
        convert(Symbol, symbol)
    except UnfitError as fault:
        return f"is not the name of a symbol{'; ' + fault.hint if fault.hint else ''}"
    return "is not one symbol" if symbol == "ALL" or set("*?[]!") & set(symbol) else None


def build(section: type[_Section], values: Mapping[KeyName, object], above: KeyName = ()) -> _Section:
    """The section with the ``values`` that lie in it, and defaults for the rest."""
    fields: dict[str, Any] = {}
    described: Kind = section
    for name, kind in _children(described).items():
        key = (*above, name)
        if not isinstance(kind, Branch):
            if key in values:
                fields[name] = values[key]
        elif kind.named:
            depth = len(key)
            names = dict.fromkeys(stated[depth] for stated in values if stated[:depth] == key)
            fields[name] = {one: build(kind.section, values, (*key, one)) for one in names}
        else:
            fields[name] = build(kind.section, values, key)
    return section(**fields)

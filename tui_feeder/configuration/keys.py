"""The keys there are, read off the annotations of the sections."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from tui_feeder.configuration.sections import Config
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


@dataclass(frozen=True, slots=True)
class Branch:
    """A section: a dataclass, or for ``by_symbol`` a table that holds one section a symbol."""

    section: type
    by_symbol: bool = False


def dotted(key: KeyName) -> str:
    """The key as it is written: ``kafka.security.protocol``."""
    return ".".join(map(printable, key))


@cache
def _children(section: Kind) -> dict[str, Kind]:
    kinds: dict[str, Kind] = {}
    for name, kind in get_type_hints(section, include_extras=True).items():
        if get_origin(kind) is Mapping:
            kinds[name] = Branch(get_args(kind)[1], by_symbol=True)
        else:
            is_section = isinstance(kind, type) and dataclasses.is_dataclass(kind)
            kinds[name] = Branch(kind) if is_section else kind
    return kinds


def kind_at(key: KeyName) -> Kind:
    """The kind of value at ``key``, a :class:`Branch` for a section, None where there is no such key."""
    kind: Kind = Branch(Config)
    for name in key:
        if not isinstance(kind, Branch):
            return None
        kind = Branch(kind.section) if kind.by_symbol else _children(kind.section).get(name)
    return kind


def leaf_names(section: type = Config, above: KeyName = ()) -> Iterator[KeyName]:
    """Every key that holds a value, in the order of the file; the overrides of single symbols left out."""
    for name, kind in _children(section).items():
        if not isinstance(kind, Branch):
            yield (*above, name)
        elif not kind.by_symbol:
            yield from leaf_names(kind.section, (*above, name))


def default_of(key: KeyName) -> object:
    """The default of a key; None for one of a symbol's overrides."""
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


def override_symbol_fault(section: KeyName) -> str | None:
    """What is wrong with the name of a symbol's section of overrides; None if nothing, or it is no such."""
    parent = kind_at(section[:-1]) if section else None
    if not isinstance(parent, Branch) or not parent.by_symbol:
        return None
    symbol = section[-1]
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
        elif kind.by_symbol:
            depth = len(key)
            symbols = dict.fromkeys(stated[depth] for stated in values if stated[:depth] == key)
            fields[name] = {symbol: build(kind.section, values, (*key, symbol)) for symbol in symbols}
        else:
            fields[name] = build(kind.section, values, key)
    return section(**fields)

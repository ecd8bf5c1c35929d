"""The keys there are, read off the sections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias, TypeVar, get_args, get_origin

from msgspec import Struct
from msgspec.structs import fields

from tui_feeder.configuration.sections import Config
from tui_feeder.configuration.values import Kind, UnfitError, allowed, convert, key_of, type_of
from tui_feeder.safe_text import printable
from tui_feeder.spelling import closest, did_you_mean

#: A key from the outermost section inwards: ``("kafka", "security", "protocol")``.
KeyName: TypeAlias = tuple[str, ...]
_Section = TypeVar("_Section", bound=Struct)


@dataclass(frozen=True, slots=True)
class Branch:
    """A section, or a table of sections by name.

    Args:
        section: the struct of one.
        names: of a table, the kind of value that a name is.
        kind: of a table, its annotation.
    """

    section: type[Struct]
    names: Kind = None
    kind: Kind = None

    @property
    def named(self) -> bool:
        """Whether it is a table of sections by name: of a symbol, or of a rule."""
        return self.names is not None


def dotted(key: KeyName) -> str:
    """The key as it is written: ``kafka.security.protocol``.

    Args:
        key: its names; what a terminal could not show is escaped.

    Returns:
        The names, joined by dots.
    """
    return ".".join(map(printable, key))


@cache
def _children(section: type[Struct]) -> dict[str, Kind]:
    kinds: dict[str, Kind] = {}
    for entry in fields(section):
        bare = type_of(entry.type)
        if get_origin(bare) is Mapping:
            names, below = get_args(bare)
            kinds[entry.name] = Branch(below, names, entry.type)
        elif isinstance(bare, type) and issubclass(bare, Struct):
            kinds[entry.name] = Branch(bare)
        else:
            kinds[entry.name] = entry.type
    return kinds


def kind_at(key: KeyName) -> Kind:
    """What kind of value a key has.

    Args:
        key: its names, or those of a section.

    Returns:
        The annotation of the key; a :class:`Branch` for a section; None where there is no such key.
    """
    kind: Kind = Branch(Config)
    for name in key:
        if not isinstance(kind, Branch):
            return None
        kind = Branch(kind.section) if kind.named else _children(kind.section).get(name)
    return kind


def leaf_names() -> Iterator[KeyName]:
    """Every key that holds a value, in the order of the file, but for those in tables of sections by name."""
    return (key for key, kind in _walk(Config, ()) if not isinstance(kind, Branch))


def _walk(section: type[Struct], above: KeyName) -> Iterator[tuple[KeyName, Kind]]:
    """The keys below a section, and the tables of sections by name."""
    for name, kind in _children(section).items():
        if isinstance(kind, Branch) and not kind.named:
            yield from _walk(kind.section, (*above, name))
        else:
            yield (*above, name), kind


def names_in(section: KeyName) -> tuple[str, ...]:
    """The names directly below a section.

    Args:
        section: its names.

    Returns:
        In the order of the file; none where there is no such section.
    """
    branch = kind_at(section)
    return tuple(_children(branch.section)) if isinstance(branch, Branch) else ()


def value_at(config: Config, key: KeyName) -> object:
    """The value of a key, or a section.

    Args:
        config: the whole configuration.
        key: its names.

    Returns:
        The value; None where a table of sections by name has no such name.
    """
    value: object = config
    for name in key:
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value


def needing_restart(running: Config, changed: Config) -> list[str]:
    """The keys that a running feeder does not take over from a changed configuration.

    Args:
        running: what it was started with.
        changed: what the file has now.

    Returns:
        The dotted names of those whose values differ; a table of sections by name is one key.
    """
    left = []
    for name, kind in _walk(Config, ()):
        key = key_of(kind.kind if isinstance(kind, Branch) else kind)
        if not key.reload and value_at(running, name) != value_at(changed, name):
            left.append(dotted(name))
    return left


def allowed_names(section: KeyName) -> str:
    """In words, the keys that a section may hold.

    Args:
        section: its names.

    Returns:
        Part of a sentence.
    """
    what = f"the keys of [{dotted(section)}]" if section else "the sections"
    return f"{what}: {', '.join(names_in(section))}"


def likely_name(key: KeyName) -> str | None:
    """Which key an unknown one may have been meant to be.

    Args:
        key: the names of the unknown one.

    Returns:
        A question that names a key like it beside it, or the sections that have it; None where there is none.
    """
    *above, name = key
    if meant := closest(name, names_in(tuple(above))):
        return did_you_mean(meant)
    homes = [dotted(leaf[:-1]) for leaf in leaf_names() if leaf[-1] == name]
    return f"did you mean the key of [{'] or ['.join(homes)}]?" if homes else None


def section_name_fault(section: KeyName) -> tuple[str, str, str | None] | None:
    """What is wrong with the name of a section in a table of them.

    Args:
        section: its names; the last is checked.

    Returns:
        What is wrong, what is allowed, and a hint; None where nothing is wrong or the section is in no table.
    """
    parent = kind_at(section[:-1]) if section else None
    if not isinstance(parent, Branch) or not parent.named:
        return None
    try:
        convert(parent.names, section[-1])
    except UnfitError as fault:
        return fault.message, allowed(parent.names), fault.hint
    return None


def build(section: type[_Section], values: Mapping[KeyName, object], above: KeyName = ()) -> _Section:
    """Make a section of checked values.

    Args:
        section: its struct.
        values: by key; what lies in other sections is left alone.
        above: the names of the section.

    Returns:
        The section with the values that lie in it, and defaults for the rest.
    """
    chosen: dict[str, Any] = {}
    for name, kind in _children(section).items():
        key = (*above, name)
        if not isinstance(kind, Branch):
            if key in values:
                chosen[name] = values[key]
        elif kind.named:
            depth = len(key)
            names = dict.fromkeys(stated[depth] for stated in values if stated[:depth] == key)
            chosen[name] = {entry: build(kind.section, values, (*key, entry)) for entry in names}
        else:
            chosen[name] = build(kind.section, values, key)
    return section(**chosen)

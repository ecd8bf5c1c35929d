"""What can follow in a filter that is being typed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tui_feeder.scanner.fields import Field, Kind
from tui_feeder.scanner.filter_language import FIELD_NAME, OPERATORS, YES_NO, expected, field_named

_VALUE = re.compile(rf'(?:^|[\s(!])({FIELD_NAME})\s*(<=|>=|!=|!~|<|>|=|~)\s*([^\s"()]*)$')
_BEGUN = re.compile(r"(?:^|[\s(!])([A-Za-z0-9_.]*(?:\([A-Za-z0-9_]*\)?)?)$")
_WORDS = ("and", "or", "not")


@dataclass(frozen=True, slots=True)
class Completion:
    """One way on."""

    start: int  # the text from here on is replaced
    text: str
    help: str  # what it is

    def applied_to(self, text: str) -> str:
        """Applies the completion.

        Args:
            text: that the completion was made for.

        Returns:
            The completed text.
        """
        return text[: self.start] + self.text


def completions(text: str, fields: Mapping[str, Field]) -> list[Completion]:
    """The ways on from the end of a text, the likeliest first.

    Args:
        text: of a filter, up to the cursor.
        fields: that can be named.

    Returns:
        None of them leaves the text as it is; the list is empty where anything may follow, as in a number.
    """
    return [found for found in _completions(text, fields) if found.applied_to(text) != text]


def hint(text: str, fields: Mapping[str, Field], width: int = 1_000) -> str:
    """Describes what is expected at the end of a text.

    Args:
        text: of a filter, up to the cursor.
        fields: that can be named.
        width: cells there are; what can be typed is not left out.

    Returns:
        A few words; empty where nothing is known.
    """
    found = _VALUE.search(text)
    field = None if found is None else field_named(found[1], fields)
    if field is not None:
        unit = field.unit if field.kind is not Kind.DURATION else ""
        return _titled(field.title, unit, expected(field), width)
    begun = _BEGUN.search(text)
    field = None if begun is None else fields.get(begun[1].lower())
    if field is None:
        return ""
    return _titled(field.title, field.unit, " ".join(OPERATORS[field.kind]), width)


def _titled(title: str, unit: str, follows: str, width: int) -> str:
    """What can follow after what it is of, as far as there is room for that."""
    longest = f"{title}, {unit}: {follows}" if unit else f"{title}: {follows}"
    return next((text for text in (longest, f"{title}: {follows}") if len(text) <= width), follows)


def _completions(text: str, fields: Mapping[str, Field]) -> Iterator[Completion]:
    value = _VALUE.search(text)
    if value is not None:
        field = field_named(value[1], fields)
        if field is not None:
            words = YES_NO if field.kind is Kind.FLAG else field.words
            begun = value[3].lower()
            yield from (
                Completion(value.start(3), word, field.title) for word in words if word.startswith(begun)
            )
        return
    found = _BEGUN.search(text)
    if found is None:
        return
    begun, start = found[1].lower(), found.start(1)
    exact = fields.get(begun)
    if exact is not None and exact.kind is not Kind.FLAG:
        for sign in OPERATORS[exact.kind]:
            yield Completion(start, exact.name + sign, exact.title)
    if not begun and text.strip() and text[-1] not in "(!":
        return  # after a condition: blanks mean "and", so a letter is needed to know more
    by_name = [field for field in fields.values() if field.name.startswith(begun) and field is not exact]
    for field in by_name:
        yield Completion(start, field.name, field.title)
    if begun:
        if text[:start].strip():
            yield from (Completion(start, word, "") for word in _WORDS if word.startswith(begun))
        named = {field.name for field in by_name}
        for field in fields.values():
            if field.name not in named and field is not exact and _word_begins(field, begun):
                yield Completion(start, field.name, field.title)


def _word_begins(field: Field, begun: str) -> bool:
    words = re.findall(r"[a-z0-9]+", " ".join((field.title, *field.aliases)).lower())
    return any(word.startswith(begun) for word in words)

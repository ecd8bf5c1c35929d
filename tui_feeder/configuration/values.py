"""How a key of the configuration is declared, and how TOML, text or a flag becomes its value.

A key is a field of a section with an annotation, ``Annotated[type, Key("what it does", low, high)]``: a
:class:`Key` and any :class:`Rule` state what a value must be beside its type. Error messages,
``config.toml.example`` and ``docs/configuration.md`` are made from them.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
import types
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

import msgspec

from tui_feeder.addresses import PROXY_FORMS, ProxyAddress, masked
from tui_feeder.errors import InputError
from tui_feeder.paths import FolderError, expand_user
from tui_feeder.safe_text import Secret, show
from tui_feeder.spelling import closest, did_you_mean
from tui_feeder.time_format import parse_time

#: The annotation of a key; Python has no type for such forms.
Kind: TypeAlias = object

_INTEGER = re.compile(r"[+-]?\d{1,30}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_FORMS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    Secret: "a string",
    Path: "a path",
    ProxyAddress: PROXY_FORMS,
    datetime: 'a time, as "2024-01-01" or "2024-01-01T00:00:00Z" (without a zone UTC)',
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must fulfil beyond its type.

    Args:
        allowed: the rule in words, as it follows the name of the type: ``, each once``.
        holds: whether a value fulfils it.
        remedy: given a value that does not, what to write instead, where that is known.
        tidy: brings a value that does to its one form.
        message: what is wrong with a value that does not, as it follows the value.
    """

    allowed: str
    holds: Callable[[Any], bool]
    remedy: Callable[[Any], str | None] | None = None
    tidy: Callable[[Any], Any] | None = None
    message: str = "is not allowed"


@dataclass(frozen=True, slots=True)
class Key:
    """What a key of the configuration is beside its type and default.

    Args:
        sentence: what it does, without a full stop; empty where ``ignored`` states it.
        low: the least number allowed; None where it is no number.
        high: the greatest number allowed.
        unit: of the number, where the key's name does not end with it.
        example: as TOML; the value of a key without a default, or the lines of a table by name.
        flag: the option of a run that sets it.
        reload: whether SIGHUP takes a new value over.
        needs: another key of the section, and the values it must have for this one to have an effect; none:
            any value.
        ignored: what is done instead, of a key of the older program that is accepted without effect.
    """

    sentence: str = ""
    low: float | None = None
    high: float | None = None
    unit: str = ""
    example: str = ""
    flag: str = ""
    reload: bool = False
    needs: tuple[str, tuple[str, ...]] | None = None
    ignored: str = ""


class UnfitError(InputError):
    """A value is not of its kind.

    Args:
        message: what is wrong, as it follows the value.
        value: the part of the value that is wrong.
        hint: what to do.
        form: the type itself is wrong, not just the value.
    """

    def __init__(self, message: str, value: object, *, hint: str | None = None, form: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.value = value
        self.hint = hint
        self.form = form
        self.index: int | None = None
        """The place in a list of the first wrong element."""


def between(low: float, high: float) -> Rule:
    """That a number lies in a range.

    Args:
        low: the least number allowed.
        high: the greatest number allowed.

    Returns:
        The rule.
    """
    return Rule(f", {low:.10g} to {high:.10g}", lambda number: low <= number <= high)


def _parts(kind: Kind) -> tuple[Kind, tuple[object, ...]]:
    """The bare type of ``kind`` and what it is annotated with; an optional kind is that of its value."""
    origin = get_origin(kind)
    if origin is Union or origin is types.UnionType:
        return _parts(next(part for part in get_args(kind) if part is not types.NoneType))
    if origin is Annotated:
        inner, *metadata = get_args(kind)
        bare, own = _parts(inner)
        return bare, (*own, *metadata)
    return kind, ()


def _rules(metadata: tuple[object, ...]) -> list[Rule]:
    stated = [
        between(part.low, part.high)
        for part in metadata
        if isinstance(part, Key) and part.low is not None and part.high is not None
    ]
    return [part for part in metadata if isinstance(part, Rule)] + stated


def type_of(kind: Kind) -> Kind:
    """The type of a key's value.

    Args:
        kind: the annotation of the key.

    Returns:
        The type without what it is annotated with; of an optional key that of a value.
    """
    return _parts(kind)[0]


def key_of(kind: Kind) -> Key:
    """What is declared of a key.

    Args:
        kind: its annotation.

    Returns:
        The :class:`Key` in the annotation.

    Raises:
        TypeError: there is none.
    """
    found = next((part for part in _parts(kind)[1] if isinstance(part, Key)), None)
    if found is None:
        raise TypeError(f"{kind} has no Key")
    return found


def is_secret(kind: Kind) -> bool:
    """Whether values of a key must never be shown.

    Args:
        kind: the annotation of the key.

    Returns:
        True for a password and the like.
    """
    return type_of(kind) is Secret


def allowed(kind: Kind) -> str:
    """What a value of a key may be.

    Args:
        kind: the annotation of the key.

    Returns:
        Words that name the type and the rules.
    """
    bare, metadata = _parts(kind)
    words = "".join(rule.allowed for rule in _rules(metadata))
    if get_origin(bare) is tuple:
        return f"a list{words}; in it {allowed(get_args(bare)[0])}"
    if get_origin(bare) is Literal:
        return "one of " + ", ".join(f'"{choice}"' for choice in get_args(bare))
    return _FORMS[bare] + words


def form_of(raw: object) -> str:
    """The type of a value from a file.

    Args:
        raw: the value.

    Returns:
        Words that name the type.
    """
    if isinstance(raw, dict):
        return "a section"
    if isinstance(raw, list | tuple):
        return "a list"
    if isinstance(raw, date | time):  # a datetime is a date
        return "a date or time"
    return _FORMS.get(type(raw), type(raw).__name__)


def convert(kind: Kind, raw: object) -> object:
    """The value of ``kind`` that ``raw`` states.

    Args:
        kind: the annotation of a key.
        raw: from TOML, from :func:`from_text`, or from a flag.

    Returns:
        The value as the program uses it.

    Raises:
        UnfitError: ``raw`` has another type or breaks a rule of the kind.
    """
    bare, metadata = _parts(kind)
    value = _convert_list(get_args(bare)[0], raw) if get_origin(bare) is tuple else _convert_single(bare, raw)
    for rule in _rules(metadata):
        if not rule.holds(value):
            raise UnfitError(rule.message, raw, hint=rule.remedy(value) if rule.remedy else None)
        if rule.tidy is not None:
            value = rule.tidy(value)
    return value


def _convert_list(kind: Kind, raw: object) -> tuple[object, ...]:
    if not isinstance(raw, list | tuple):
        raise UnfitError(f"is {form_of(raw)}, not a list", raw, form=True)
    values, faults = [], []
    for index, item in enumerate(raw):
        try:
            values.append(convert(kind, item))
        except UnfitError as fault:
            fault.index = index
            faults.append(fault)
    if faults:
        first = faults[0]
        if len(faults) > 1:
            first.message, first.value = "are not allowed in the list", [fault.value for fault in faults]
        first.form = False
        raise first
    return tuple(values)


def _convert_single(bare: Kind, raw: object) -> object:
    """A value of a choice, or of one of the types in ``_FORMS``."""
    if bare is datetime:
        return _convert_time(raw)
    if bare in (Path, Secret, ProxyAddress) and isinstance(raw, bare):
        return raw
    is_text = bare not in (bool, int, float)
    try:
        value = msgspec.convert(raw, str if is_text else bare)
    except msgspec.ValidationError:
        if type(raw) in (int, float) and bare is float:  # more than any float
            raise UnfitError("is not a finite number", raw) from None
        form = "a string" if get_origin(bare) is Literal else _FORMS[bare]
        hint = f'write it in quotes: "{raw}"' if str(raw) in get_args(bare) else None
        raise UnfitError(f"is {form_of(raw)}, not {form}", raw, hint=hint, form=True) from None
    if bare is float and not math.isfinite(value):
        raise UnfitError("is not a finite number", raw)
    return _convert_text(bare, value) if is_text else value


def _convert_text(bare: Kind, text: str) -> object:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UnfitError("is not valid UTF-8", text)
    if get_origin(bare) is Literal:
        if text not in get_args(bare):
            hint = did_you_mean(closest(text, get_args(bare)))
            raise UnfitError("is not one of the choices", text, hint=hint)
    elif bare is Path:
        if not text or "\0" in text:
            raise UnfitError("is not a path", text)
        try:
            return expand_user(text)
        except FolderError:
            raise UnfitError("names a home directory that is not known", text) from None
    elif bare is ProxyAddress and text != "none":
        try:
            return ProxyAddress(text)
        except ValueError as error:
            raise UnfitError(str(error), masked(text)) from None
    return Secret(text) if bare is Secret else text


def _convert_time(raw: object) -> datetime:
    if not isinstance(raw, str | date):
        raise UnfitError(f"is {form_of(raw)}, not a time", raw, form=True)
    try:
        moment = datetime.fromtimestamp(parse_time(raw) / 1000, UTC)
    except ValueError:
        raise UnfitError("is not such a time", raw) from None
    if moment.year < 1971:
        raise UnfitError("lies outside the years 1971 to 2199", raw)
    return moment


def writing_hint(kind: Kind, raw: object) -> str | None:
    """How a value of the wrong type would be written right in a TOML file.

    Args:
        kind: the annotation of the key.
        raw: the value from the file.

    Returns:
        What to write; None where that is not known.
    """
    bare, _ = _parts(kind)
    if bare is Secret:
        return "write it in quotes"
    if get_origin(bare) is tuple and not isinstance(raw, dict):
        return f"write it in brackets: [{show(raw)}]"
    if isinstance(raw, str) and bare in (bool, int, float) and not isinstance(from_text(kind, raw), str):
        return f"write it without quotes: {raw.strip()}"
    if bare in (str, Path) and isinstance(raw, int | float) and not isinstance(raw, bool):
        return f'write it in quotes: "{raw}"'
    return None


def from_text(kind: Kind, text: str) -> object:
    """The value that the text of an environment variable or a flag states.

    Args:
        kind: the annotation of the key.
        text: a list is separated by commas, or written as a JSON or TOML array.

    Returns:
        A value for :func:`convert`; the text itself where it states none of the type.
    """
    bare, _ = _parts(kind)
    word = text.strip()
    if get_origin(bare) is tuple:
        element = get_args(bare)[0]
        if not word.startswith("["):
            return [from_text(element, part.strip()) for part in word.split(",")] if word else []
        for read in (json.loads, lambda array: tomllib.loads(f"array = {array}")["array"]):
            try:
                return read(word)
            except (ValueError, RecursionError):
                continue
        return text
    if bare is bool:
        return {"true": True, "false": False}.get(word.lower(), text)
    if bare is int:
        return int(word) if _INTEGER.fullmatch(word) else text
    if bare is float:
        return float(word) if len(word) < 400 and _NUMBER.fullmatch(word) else text
    return text

"""The kinds of values a configuration key can have: their types, their rules, and how text becomes one.

A kind is an annotation, ``Annotated[type, Rule, ...]``: :func:`convert` checks a value of a TOML file or a
flag against it, :func:`from_text` reads the text of an environment variable.
"""

from __future__ import annotations

import ipaddress
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
from urllib.parse import urlsplit

from tui_feeder.configuration.proxy import ALLOWED, ProxyAddress, masked
from tui_feeder.configuration.text import Secret, closest, did_you_mean, show, to_toml
from tui_feeder.paths import FolderError, expand_user
from tui_feeder.time_format import parse_time

#: The type a key is annotated with; Python has no type for such forms.
Kind: TypeAlias = Any

_INTEGER = re.compile(r"[+-]?\d{1,30}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_HOST_AND_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")
_HOST_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*\.?")
_TOPIC_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,200}")
_SYMBOL = re.compile(r"[^\s,;:\"'`\\/#=.a-z\x00-\x1f\x7f]{1,64}")
_LOGGER_LEVEL = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*=(debug|info|warning|error)")
_FORMS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    Secret: "a string",
    Path: "a path",
    ProxyAddress: ALLOWED,
    datetime: 'a time, as "2024-01-01" or "2024-01-01T00:00:00Z" (without a zone UTC)',
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must fulfil beyond its type."""

    allowed: str
    """The rule in words, as it follows the name of the type: ``, 1 to 65535``."""
    holds: Callable[[Any], bool]
    remedy: Callable[[Any], str | None] | None = None
    tidy: Callable[[Any], Any] | None = None
    """Brings a value that holds to its one form."""


class UnfitError(Exception):
    """A value is not of its kind.

    ``value`` is the part of it that is wrong, ``index`` the place in a list of the first wrong element.
    """

    def __init__(
        self,
        message: str,
        value: object,
        *,
        hint: str | None = None,
        index: int | None = None,
        form: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.value = value
        self.hint = hint
        self.index = index
        self.form = form
        """The type itself is wrong, not just the value."""


def _between(low: float, high: float) -> Rule:
    return Rule(f", {low:.10g} to {high:.10g}", lambda number: low <= number <= high)


def _is_one_line(text: str) -> bool:
    return text.strip() == text and text != "" and text.isprintable()


def _first_repeated(values: tuple[object, ...]) -> str | None:
    repeated = next((value for n, value in enumerate(values) if value in values[:n]), None)
    return None if repeated is None else f"{to_toml(repeated)} is there twice: take one out"


def _symbol_in_capitals(text: str) -> str | None:
    capitals = text.strip().upper()
    return did_you_mean(capitals) if _SYMBOL.fullmatch(capitals) else None


def _is_host_and_port(text: str) -> bool:
    match = _HOST_AND_PORT.fullmatch(text)
    return match is not None and 1 <= int(match[1]) <= 65_535


def _url(*schemes: str) -> Rule:
    def holds(text: str) -> bool:
        try:
            url = urlsplit(text)
            port = url.port
        except ValueError:
            return False
        plain = not url.query and not url.fragment and url.username is None and url.password is None
        return url.scheme in schemes and bool(url.hostname) and port != 0 and plain and _is_one_line(text)

    return Rule(
        f' with an address of the form "{schemes[-1]}://host" or "{schemes[0]}://host:port"',
        holds,
        tidy=lambda text: text.rstrip("/"),
    )


def is_loopback(url: str) -> bool:
    """Whether the host of ``url`` is this machine, by its name or address alone."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_web_address(text: str) -> bool:
    """Whether ``text`` is an http or https address with a host, whatever follows."""
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and _is_one_line(text)
    except ValueError:
        return False


_SOME = Rule(", at least one", lambda values: len(values) > 0)
_UNIQUE = Rule(", each once", lambda values: len(set(values)) == len(values), remedy=_first_repeated)
_MINUTE_PARTS_OF_A_DAY = Rule(
    ": multiples of 60 seconds that divide a day",
    lambda s: 0 < s <= 86_400 and s % 60 == 0 and 86_400 % s == 0,
)

Port: TypeAlias = Annotated[int, _between(1, 65_535)]
ServedPort: TypeAlias = Annotated[int, _between(0, 65_535)]
"""Of a server of ours; 0 is none."""
Count: TypeAlias = Annotated[int, _between(1, 1_000_000)]
Few: TypeAlias = Annotated[int, _between(1, 100)]
Levels: TypeAlias = Annotated[int, _between(2, 100_000)]
ZeroOrMore: TypeAlias = Annotated[int, _between(0, 2_147_483_647)]
Milliseconds: TypeAlias = Annotated[int, _between(1, 86_400_000)]
WaitMilliseconds: TypeAlias = Annotated[int, _between(0, 86_400_000)]
Minutes: TypeAlias = Annotated[int, _between(1, 525_600)]
Days: TypeAlias = Annotated[int, _between(1, 3_650)]
Months: TypeAlias = Annotated[int, _between(1, 1_200)]
Seconds: TypeAlias = Annotated[float, _between(0.001, 86_400)]
WaitSeconds: TypeAlias = Annotated[float, _between(0, 86_400)]
Percentage: TypeAlias = Annotated[float, _between(1, 100)]
BandPercent: TypeAlias = Annotated[float, _between(0, 50)]
Factor: TypeAlias = Annotated[float, _between(1e-6, 1e6)]
Increment: TypeAlias = Annotated[float, _between(1e-12, 1e9)]
Speed: TypeAlias = Annotated[float, _between(1e-3, 1e6)]
RefreshRate: TypeAlias = Annotated[float, _between(0.2, 20)]
Line: TypeAlias = Annotated[str, Rule(", one line, not empty", _is_one_line)]
TopicPrefix: TypeAlias = Annotated[
    str,
    Rule(
        " of at most 200 letters, digits, dots, underscores and dashes",
        lambda text: _TOPIC_PREFIX.fullmatch(text) is not None,
    ),
]
ProxyRoute: TypeAlias = ProxyAddress | Literal["none"]
"""A proxy, or that there is none."""
HttpUrl: TypeAlias = Annotated[str, _url("http", "https")]
WebSocketUrl: TypeAlias = Annotated[str, _url("ws", "wss")]
Symbol: TypeAlias = Annotated[
    str,
    Rule(
        ' like "BTCUSDT", "ALL", or a pattern like "*USDT"',
        lambda text: _SYMBOL.fullmatch(text) is not None and text.isprintable(),
        remedy=lambda text: did_you_mean(
            text.strip().upper() if _SYMBOL.fullmatch(text.strip().upper()) else None
        ),
    ),
]
Symbols: TypeAlias = Annotated[tuple[Symbol, ...], _SOME, _UNIQUE]
Timeframe: TypeAlias = Annotated[int, _MINUTE_PARTS_OF_A_DAY]
Timeframes: TypeAlias = Annotated[tuple[Timeframe, ...], _SOME, _UNIQUE]
Arguments: TypeAlias = Annotated[tuple[Line, ...], Rule("", lambda values: len(values) <= 64)]
HostNames: TypeAlias = Annotated[
    tuple[
        Annotated[
            str,
            Rule(
                ' with the name of a host, as "feeder" or "feeder.example", or "*.example" for all below it',
                lambda text: _HOST_NAME.fullmatch(text.lower()) is not None,
            ),
        ],
        ...,
    ],
    _UNIQUE,
]
LogLevels: TypeAlias = Annotated[
    tuple[
        Annotated[
            str,
            Rule(
                ' of the form "module=level", as "tui_feeder.engine.exchanges=debug"',
                lambda text: _LOGGER_LEVEL.fullmatch(text) is not None,
            ),
        ],
        ...,
    ],
    _UNIQUE,
]
EmaPeriods: TypeAlias = Annotated[tuple[Annotated[int, _between(1, 10_000)], ...], _SOME, _UNIQUE]
Servers: TypeAlias = Annotated[
    tuple[Annotated[str, Rule(' of the form "host:port"', _is_host_and_port)], ...], _SOME, _UNIQUE
]


def _parts(kind: Kind) -> tuple[Kind, tuple[Rule, ...]]:
    """The bare type of ``kind`` and its rules; an optional kind is that of the value it may hold."""
    origin: object = get_origin(kind)
    if origin is Union or origin is types.UnionType:
        kind = next(part for part in get_args(kind) if part is not types.NoneType)
        origin = get_origin(kind)
    if origin is Annotated:
        bare, *rules = get_args(kind)
        return bare, tuple(rule for rule in rules if isinstance(rule, Rule))
    return kind, ()


def _origin(kind: Kind) -> object:
    return get_origin(kind)


def is_secret(kind: Kind) -> bool:
    """Whether values of ``kind`` must never be shown."""
    return _parts(kind)[0] is Secret


def allowed(kind: Kind) -> str:
    """In words, what a value of ``kind`` may be."""
    bare, rules = _parts(kind)
    words = "".join(rule.allowed for rule in rules)
    if _origin(bare) is tuple:
        return f"a list{words}; in it {allowed(get_args(bare)[0])}"
    if _origin(bare) is Literal:
        return "one of " + ", ".join(f'"{choice}"' for choice in get_args(bare))
    return _FORMS[bare] + words


def form_of(raw: object) -> str:
    """The type of a value from a file, in words."""
    if isinstance(raw, dict):
        return "a section"
    if isinstance(raw, list | tuple):
        return "a list"
    if isinstance(raw, datetime | date | time):
        return "a date or time"
    return _FORMS.get(type(raw), type(raw).__name__)


def convert(kind: Kind, raw: object) -> object:
    """The value of ``kind`` that ``raw`` states.

    Raises:
        UnfitError: ``raw`` has another type or breaks a rule of the kind.
    """
    bare, rules = _parts(kind)
    if _origin(bare) is tuple:
        value: object = _convert_list(get_args(bare)[0], raw)
    elif _origin(bare) is Literal:
        value = _convert_choice(get_args(bare), raw)
    else:
        value = _convert_single(bare, raw)
    for rule in rules:
        if not rule.holds(value):
            raise UnfitError("is not allowed", raw, hint=rule.remedy(value) if rule.remedy else None)
        if rule.tidy is not None:
            value = rule.tidy(value)
    return value


def _convert_list(kind: Kind, raw: object) -> tuple[Any, ...]:
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


def _convert_choice(choices: tuple[str, ...], raw: object) -> str:
    if not isinstance(raw, str):
        hint = f'write it in quotes: "{raw}"' if str(raw) in choices else None
        raise UnfitError(f"is {form_of(raw)}, not a string", raw, hint=hint, form=True)
    if raw not in choices:
        raise UnfitError("is not one of the choices", raw, hint=did_you_mean(closest(raw, choices)))
    return raw


def _convert_single(bare: Kind, raw: object) -> object:
    """A value of one of the plain types in ``_FORMS``."""
    wrong = UnfitError(f"is {form_of(raw)}, not {_FORMS[bare]}", raw, form=True)
    if bare is datetime:
        return _convert_time(raw)
    if bare is bool or bare is int:
        if type(raw) is not bare:
            raise wrong
        return raw
    if bare is float:
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise wrong
        try:
            number = float(raw)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise UnfitError("is not a finite number", raw)
        return number
    if bare is ProxyAddress:
        return _convert_proxy(raw, wrong)
    if bare is Path and isinstance(raw, Path):
        return raw
    if isinstance(raw, Secret) and bare is Secret:
        return raw
    if not isinstance(raw, str):
        raise wrong
    if not raw.isascii() and any("\ud800" <= character <= "\udfff" for character in raw):
        raise UnfitError("is not valid UTF-8", raw)
    return _convert_path(raw) if bare is Path else Secret(raw) if bare is Secret else raw


def _convert_proxy(raw: object, wrong: UnfitError) -> ProxyAddress | str:
    if isinstance(raw, ProxyAddress):
        return raw
    if not isinstance(raw, str):
        raise wrong
    if raw == "none":
        return raw
    try:
        return ProxyAddress(raw)
    except ValueError as error:
        raise UnfitError(str(error), masked(raw)) from None


def _convert_path(text: str) -> Path:
    if not text or "\0" in text:
        raise UnfitError("is not a path", text)
    try:
        return expand_user(text)
    except FolderError:
        raise UnfitError("names a home directory that is not known", text) from None


def _convert_time(raw: object) -> datetime:
    if not isinstance(raw, str | date):  # a datetime is a date
        raise UnfitError(f"is {form_of(raw)}, not a time", raw, form=True)
    try:
        moment = datetime.fromtimestamp(parse_time(raw) / 1000, UTC)
    except ValueError:
        raise UnfitError("is not such a time", raw) from None
    if moment.year < 1971:
        raise UnfitError("lies outside the years 1971 to 2199", raw)
    return moment


def writing_hint(kind: Kind, raw: object) -> str | None:
    """How a value of the wrong type would be written right in a TOML file, where that can be told."""
    bare, _ = _parts(kind)
    if bare is Secret:
        return "write it in quotes"
    if _origin(bare) is tuple and not isinstance(raw, dict):
        return f"write it in brackets: [{show(raw)}]"
    if isinstance(raw, str) and bare in (bool, int, float) and not isinstance(from_text(kind, raw), str):
        return f"write it without quotes: {raw.strip()}"
    if bare in (str, Path) and isinstance(raw, int | float) and not isinstance(raw, bool):
        return f'write it in quotes: "{raw}"'
    return None


def from_text(kind: Kind, text: str) -> object:
    """The value that the text of an environment variable states; the text itself where it states none.

    A list is separated by commas, or written as a JSON or TOML array.
    """
    bare, _ = _parts(kind)
    word = text.strip()
    if _origin(bare) is tuple:
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

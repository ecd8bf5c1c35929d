"""The filter language of the scanner: one line of text to a condition on a symbol. Pure.

::

    filter     = [ either ]
    either     = all { ( "or" | "||" ) all }
    all        = condition { [ "and" | "&&" ] condition }
    condition  = ( "not" | "!" ) condition | "(" either ")" | comparison | flag | pattern
    comparison = field operator value          blanks around the operator are allowed
    field      = one of the field table: 24h, vol, trend.1h, near(poc), ...
    operator   = "<" | "<=" | ">" | ">=" | "=" | "!=" | "~" | "!~"
    value      = number [ "k" | "M" | "B" | "T" | "%" ]        numbers and percentages
               | number [ "s" | "m" | "h" | "d" ]              durations
               | word | name | '"' text '"'
    number     = digits with or without commas before thousands: 3, -0.5, 108,183.7, 1e6
    flag       = pinned | noted
    pattern    = text without blanks: a regular expression the name has a match of

A condition on a value that is unknown is neither true nor false: the symbol is shown neither by the condition
nor by its opposite. ``docs/scanner.md`` has this grammar with examples.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tui_feeder.errors import InputError
from tui_feeder.scanner.fields import Field, FieldValue, Kind, Subject

#: Characters of a filter.
MAX_LENGTH = 400
#: Brackets and negations within each other.
MAX_DEPTH = 20

#: True, False, or None where a value it needs is unknown.
Verdict: TypeAlias = bool | None
Condition: TypeAlias = Callable[[Subject], Verdict]

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "=": operator.eq, "!=": operator.ne,
}  # fmt: skip
#: The operators of each kind of field.
OPERATORS: Mapping[Kind, tuple[str, ...]] = {
    Kind.NUMBER: (">", ">=", "<", "<=", "=", "!="),
    Kind.PERCENT: (">", ">=", "<", "<=", "=", "!="),
    Kind.DURATION: (">", ">=", "<", "<=", "=", "!="),
    Kind.WORD: ("=", "!="),
    Kind.NAME: ("~", "!~", "=", "!="),
    Kind.FLAG: ("=", "!="),
}
YES_NO = ("yes", "no")
_SIZES = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12, "%": 1.0}
_DURATIONS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
#: What stands before and after an operator of a comparison.
FIELD_NAME = r"[A-Za-z0-9_.]+(?:\([A-Za-z0-9_]*\))?"
_COMPARISON = re.compile(rf"({FIELD_NAME})\s*(<=|>=|!=|!~|<|>|=|~)\s*")
_NUMBER = re.compile(r"([+-]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([A-Za-z%]*)")
_NUMBER_BEGUN = re.compile(r"[+-]?\d*(?:,\d*)*\.?\d*(?:[eE][+-]?)?")
#: What a condition must follow, where it is the last of a text.
_AWAITING = re.compile(r"((?:(?<![^\s()])(?:and|or|not))|\|\||&&|!|\()\s*$", re.IGNORECASE)
_WORD_OPERATOR = re.compile(r"(and|or|not)(?=[\s()]|$)|(\|\||&&)", re.IGNORECASE)


class FilterError(InputError, ValueError):
    """A filter that cannot be understood.

    Args:
        text: what is wrong and what to write instead.
        start: first character it is about, from 0.
        end: the one after the last.
        unfinished: something is missing at the end only, as while it is being typed.
    """

    def __init__(self, text: str, start: int, end: int, *, unfinished: bool = False) -> None:
        super().__init__(text)
        self.start, self.end, self.unfinished = start, end, unfinished


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition that was understood."""

    text: str
    condition: Condition
    fields: tuple[str, ...]  # the fields it rests on, in their order
    live: bool  # whether it can change from one snapshot to the next: it rests on more than names

    def shows(self, subject: Subject) -> bool:
        """Finds whether a symbol passes.

        Args:
            subject: the symbol.

        Returns:
            True where the condition is true; False where it is false or unknown.
        """
        return self.condition(subject) is True


def parse(text: str, fields: Mapping[str, Field]) -> Filter:
    """Reads a filter.

    Args:
        text: empty for one that everything passes.
        fields: that can be named.

    Returns:
        The condition that the text states.

    Raises:
        FilterError: it cannot be understood; the text has the place, the reason and what to write.
    """
    return _Parser(text, fields).filter()


class _Parser:
    """Recursive descent over one text."""

    def __init__(self, text: str, fields: Mapping[str, Field]) -> None:
        self._text, self._fields = text, fields
        self._at = 0
        self._depth = 0
        self._used: dict[str, None] = {}

    def filter(self) -> Filter:
        text = self._text
        if len(text) > MAX_LENGTH:
            raise FilterError(
                f"{len(text)} characters; a filter has at most {MAX_LENGTH}", MAX_LENGTH, len(text)
            )
        condition: Condition = lambda subject: True  # noqa: E731
        if self._more():
            condition = self._either()
            if self._more():
                raise FilterError('")" without "(" before it: remove it', self._at, self._at + 1)
        used = tuple(self._used)
        live = any(self._fields[name].kind not in (Kind.NAME, Kind.FLAG) for name in used)
        return Filter(text, condition, used, live)

    # Reading

    def _more(self) -> bool:
        """Skip blanks; whether anything follows."""
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._at < len(self._text)

    def _take(self, *words: str) -> str | None:
        """Takes one of the given word operators if it is next."""
        if self._more() and (found := _WORD_OPERATOR.match(self._text, self._at)):
            word = found[0].lower()
            if word in words:
                self._at = found.end()
                return word
        return None

    # Structure

    def _either(self) -> Condition:
        parts = [self._all()]
        while self._take("or", "||"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else _any_of(parts)

    def _all(self) -> Condition:
        parts = [self._condition()]
        while True:
            if self._take("and", "&&"):
                parts.append(self._condition())
                continue
            if not self._more() or self._text[self._at] == ")" or self._next_is_or():
                return parts[0] if len(parts) == 1 else _all_of(parts)
            parts.append(self._condition())

    def _next_is_or(self) -> bool:
        found = _WORD_OPERATOR.match(self._text, self._at)
        return found is not None and found[0].lower() in ("or", "||")

    def _condition(self) -> Condition:
        if not self._more():
            end = len(self._text)
            last = _AWAITING.search(self._text)
            place = f'after "{last[1]}"' if last is not None else "at the end"
            raise FilterError(f"a condition is missing {place}", end, end, unfinished=True)
        start, sign = self._at, self._text[self._at]
        if self._take("not"):
            return self._nested(start, self._negated)
        if sign == "!":
            self._at += 1
            return self._nested(start, self._negated)
        if sign == "(":
            self._at += 1
            return self._nested(start, self._bracketed)
        if sign == ")":
            raise FilterError('a condition is missing before ")"', start, start + 1)
        if (word := _WORD_OPERATOR.match(self._text, start)) is not None:
            raise FilterError(f'a condition is missing before "{word[0]}"', start, word.end())
        comparison = _COMPARISON.match(self._text, start)
        if comparison is not None:
            self._at = comparison.end()
            return self._comparison(comparison)
        return self._pattern(start)

    def _nested(self, start: int, read: Callable[[int], Condition]) -> Condition:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FilterError(f"more than {MAX_DEPTH} brackets within each other", start, start + 1)
        condition = read(start)
        self._depth -= 1
        return condition

    def _negated(self, start: int) -> Condition:
        return _opposite(self._condition())

    def _bracketed(self, start: int) -> Condition:
        condition = self._either()
        if not self._more():
            raise FilterError('")" is missing', start, len(self._text), unfinished=True)
        self._at += 1  # only a bracket ends a condition before the end
        return condition

    # Conditions

    def _value(self) -> tuple[str, int, int]:
        """The value at this place, and from where to where it reaches."""
        text, start = self._text, self._at
        if start < len(text) and text[start] == '"':
            end = text.find('"', start + 1)
            if end < 0:
                raise FilterError('the closing " is missing', start, len(text), unfinished=True)
            self._at = end + 1
            return text[start + 1 : end], start, end + 1
        self._at = _end_of_word(text, start)
        return text[start : self._at], start, self._at

    def _pattern(self, start: int) -> Condition:
        value, _, end = self._value()
        field = self._fields.get(value.lower().removesuffix("!"))
        if field is not None and field.kind is Kind.FLAG and not value.endswith("!"):
            self._used[field.name] = None
            return lambda subject: field.value(subject) is True
        if field is not None:
            raise FilterError(
                f"{field.name} needs one of {' '.join(OPERATORS[field.kind])} and a value; "
                f"for symbols of that name: name~{field.name}",
                start, end, unfinished=end == len(self._text),
            )  # fmt: skip
        self._used["name"] = None
        found = self._searched(value, start, end)
        return lambda subject: found(subject.view.symbol) is not None

    def _searched(self, pattern: str, start: int, end: int) -> Callable[[str], object]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # of "[[", which is meant as it stands
                return re.compile(pattern, re.IGNORECASE).search
        except (re.error, RecursionError, OverflowError) as fault:
            typing = end == len(self._text) and str(fault).startswith(("missing )", "unterminated"))
            raise FilterError(f"not a regular expression: {fault}", start, end, unfinished=typing) from fault

    def _comparison(self, found: re.Match[str]) -> Condition:
        name, sign = found[1], found[2]
        field = field_named(name, self._fields)
        if field is None:
            raise FilterError(unknown_field(name, self._fields), found.start(1), found.end(1))
        if sign not in OPERATORS[field.kind]:
            allowed = " ".join(OPERATORS[field.kind])
            raise FilterError(
                f'{field.name} is compared with {allowed}, not "{sign}"', found.start(2), found.end(2)
            )
        self._used[field.name] = None
        value, start, end = self._value()
        if start == end:
            raise FilterError(
                f"a value is missing: {expected(field)}", start, end, unfinished=start == len(self._text)
            )
        match field.kind:
            case Kind.NAME:
                return self._name(field, sign, value, start, end)
            case Kind.WORD | Kind.FLAG:
                return self._word(field, sign, value, start, end)
            case _:
                return _numeric(field.value, _COMPARE[sign], self._number(field, value, start, end))

    def _name(self, field: Field, sign: str, value: str, start: int, end: int) -> Condition:
        if sign in ("=", "!="):
            name = value.upper()
            same: Condition = lambda subject: str(field.value(subject)).upper() == name  # noqa: E731
        else:
            found = self._searched(value, start, end)
            same = lambda subject: found(str(field.value(subject))) is not None  # noqa: E731
        return same if sign in ("=", "~") else _opposite(same)

    def _word(self, field: Field, sign: str, value: str, start: int, end: int) -> Condition:
        allowed = YES_NO if field.kind is Kind.FLAG else field.words
        word = value.lower()
        if word not in allowed:
            typing = end == len(self._text) and any(known.startswith(word) for known in allowed)
            raise FilterError(
                f'{field.name} is one of {", ".join(allowed)}, not "{value}"', start, end, unfinished=typing
            )
        wanted: FieldValue = word == "yes" if field.kind is Kind.FLAG else word
        positive = sign == "="

        def condition(subject: Subject) -> Verdict:
            known = field.value(subject)
            return None if known is None else (known == wanted) is positive

        return condition

    def _number(self, field: Field, value: str, start: int, end: int) -> float:
        found = _NUMBER.fullmatch(value)
        units = _DURATIONS if field.kind is Kind.DURATION else _SIZES
        typing = end == len(self._text) and _NUMBER_BEGUN.fullmatch(value) is not None
        if found is None or found[2].lower() not in units:
            commas = "; commas separate thousands, as in 108,183.7" if "," in value else ""
            raise FilterError(
                f'"{value}" is not understood: {expected(field)}{commas}', start, end, unfinished=typing
            )
        number = float(found[1].replace(",", "")) * units[found[2].lower()]
        if not math.isfinite(number):
            raise FilterError(f'"{value}" is too large', start, end)
        return number


def expected(field: Field) -> str:
    """Describes the values of a field.

    Args:
        field: of the table.

    Returns:
        A few words with examples.
    """
    match field.kind:
        case Kind.WORD:
            return f"one of {', '.join(field.words)}"
        case Kind.FLAG:
            return "yes or no"
        case Kind.NAME:
            return "a regular expression, or after = a whole name"
        case Kind.DURATION:
            return "a time such as 90s, 5m, 2h, 1d"
        case Kind.PERCENT:
            return "a percentage such as 3 or -0.5"
        case _:
            return "a number such as 3, 0.5, 250k, 100M, 1.5B"


def unknown_field(name: str, fields: Mapping[str, Field]) -> str:
    """Words the error of a name that is no field.

    Args:
        name: as it was typed.
        fields: there are.

    Returns:
        That there is none, and which may be meant.
    """
    group = re.split(r"[.(]", name.lower())[0]
    same = [known for known in fields if re.split(r"[.(]", known)[0] == group]
    near = same or difflib.get_close_matches(name.lower(), fields, 3, 0.6)
    hint = (
        f": {', '.join(near[:6])}?" if near else "; docs/scanner.md and the list that s opens have the fields"
    )
    return f'no field "{name}"{hint}'


def field_named(name: str, fields: Mapping[str, Field]) -> Field | None:
    """Finds a field by its name, or by an alias that only one field has.

    Args:
        name: in any case.
        fields: there are.

    Returns:
        The field, or None.
    """
    name = name.lower()
    if name in fields:
        return fields[name]
    others = [field for field in fields.values() if name in field.aliases]
    return others[0] if len(others) == 1 else None


def _end_of_word(text: str, start: int) -> int:
    """Where a text without blanks, "||" and "&&" ends; what is in brackets that it opens belongs to it."""
    depth = 0
    for at in range(start, len(text)):
        sign = text[at]
        if sign.isspace() or (not depth and (sign == ")" or text[at : at + 2] in ("||", "&&"))):
            return at
        depth += (sign == "(") - (sign == ")")
    return len(text)


def _numeric(
    value: Callable[[Subject], FieldValue], compare: Callable[[float, float], bool], limit: float
) -> Condition:
    def condition(subject: Subject) -> Verdict:
        known = value(subject)
        return compare(known, limit) if isinstance(known, float | int) else None

    return condition


def _opposite(condition: Condition) -> Condition:
    def opposite(subject: Subject) -> Verdict:
        verdict = condition(subject)
        return None if verdict is None else not verdict

    return opposite


def _all_of(parts: list[Condition]) -> Condition:
    def condition(subject: Subject) -> Verdict:
        unknown = False
        for part in parts:
            verdict = part(subject)
            if verdict is False:
                return False
            unknown = unknown or verdict is None
        return None if unknown else True

    return condition


def _any_of(parts: list[Condition]) -> Condition:
    def condition(subject: Subject) -> Verdict:
        unknown = False
        for part in parts:
            verdict = part(subject)
            if verdict is True:
                return True
            unknown = unknown or verdict is None
        return None if unknown else False

    return condition

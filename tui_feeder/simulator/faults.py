"""Which faults are switched on: the one place that rest, stream, archive and market consult.

A fault has a name, and optionally a symbol or target it is confined to, a duration in exchange seconds, a
number of strikes after which it ends, and parameters; see :mod:`tui_feeder.simulator.fault_kinds`.
"""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal

from tui_feeder.simulator.fault_kinds import KINDS, Kind, Value

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

Event = Literal["begin", "end"]


class Fault:
    """One fault that is or was on.

    Attributes:
        kind: what sort.
        symbol: the symbol it is confined to, or None.
        target: text that must occur in a REST endpoint's name or an archive file's path, or None.
        begins: exchange ms.
        ends: exchange ms at which it ends by itself, or None.
        left: strikes left, or None.
        parameters: all of them, defaults filled in.
        why_ended: "" while on; "time", "spent" or "off".
        ended: exchange ms at which it did end.
    """

    def __init__(
        self,
        kind: Kind,
        symbol: str | None,
        target: str | None,
        duration: float | None,
        count: int | None,
        parameters: Mapping[str, Value],
    ) -> None:
        self.kind = kind
        self.name = kind.name
        self.symbol = symbol
        self.target = target
        self.duration = duration
        self.left = count
        self.parameters = parameters
        self.begins = 0
        self.ends: int | None = None
        self.why_ended = ""
        self.ended = 0

    def number(self, name: str) -> float:
        """Reads a numeric parameter.

        Args:
            name: name of the parameter.

        Returns:
            Its value.
        """
        return float(self.parameters[name])

    def text(self, name: str) -> str:
        """Reads a text parameter.

        Args:
            name: name of the parameter.

        Returns:
            Its value.
        """
        return str(self.parameters[name])

    def flag(self, name: str) -> bool:
        """Reads a boolean parameter.

        Args:
            name: name of the parameter.

        Returns:
            Its value.
        """
        return bool(self.parameters[name])

    def begin(self, moment: int) -> None:
        """Sets when it begins, and with its duration when it ends.

        Args:
            moment: exchange time, ms.
        """
        self.begins = moment
        self.ends = None if self.duration is None else moment + round(self.duration * 1000)

    def shape(self) -> dict[str, Any]:
        """What JSON shows of it."""
        return {
            "name": self.name,
            "symbol": self.symbol,
            "target": self.target,
            "begins_ms": self.begins,
            "ends_ms": self.ends,
            "left": self.left,
            "parameters": dict(self.parameters),
        }


class Faults:
    """The faults that are on. False while there are none, so that asking costs nothing.

    Without a clock the faults wait; they begin when an exchange attaches its own.
    """

    def __init__(self) -> None:
        #: How often each fault took effect, by name; kept after its end.
        self.struck: Counter[str] = Counter()
        self._on: dict[str, list[Fault]] = {}
        self._now: Callable[[], int] = lambda: 0
        self._symbols: Collection[str] | None = None
        self._listeners: list[Callable[[Event, Fault], None]] = []

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Faults:
        """Faults written ``NAME[:SYMBOL][:DURATION]``, also with ``:parameter=value`` parts.

        A duration is a number of exchange seconds or has a unit: ``90``, ``500ms``, ``5m``, ``2h``, ``1d``.
        ``count=N``, ``target=TEXT``, ``symbol=`` and ``duration=`` can be given as parameters too.

        Args:
            texts: the faults.

        Returns:
            A new set of faults with all of them.

        Raises:
            ValueError: for a text that is not understood; the message is for the user.
        """
        faults = cls()
        for text in texts:
            faults.add(read_fault(text))
        return faults

    def __bool__(self) -> bool:
        return bool(self._on)

    def listen(self, listener: Callable[[Event, Fault], None]) -> None:
        """Registers a callback for the beginning and end of every fault.

        Args:
            listener: called with "begin" or "end", and the fault.
        """
        self._listeners.append(listener)

    def attach(self, now: Callable[[], int], symbols: Collection[str]) -> None:
        """Connects to an exchange's time and listings; faults that waited begin.

        Args:
            now: gives exchange time, ms.
            symbols: the symbols listed.

        Raises:
            ValueError: if a fault that waited names a symbol that is not listed.
        """
        waiting = [fault for faults in self._on.values() for fault in faults]
        for fault in waiting:
            _check_symbol(fault.symbol, symbols)
        self._now, self._symbols = now, symbols
        for fault in waiting:
            fault.begin(now())
            self._notify("begin", fault)

    # -- switching

    def switch_on(
        self,
        name: str,
        symbol: str | None = None,
        *,
        target: str | None = None,
        duration: float | None = None,
        count: int | None = None,
        **parameters: Value,
    ) -> Fault:
        """Switches a fault on, in place of one of the same name, symbol and target.

        Args:
            name: one of :data:`~tui_feeder.simulator.fault_kinds.KINDS`.
            symbol: confines it to a symbol.
            target: confines it to a REST endpoint ("klines", "time", ...) or to the archive files in whose
                path this text occurs ("monthly", "2026-03-09", "-1m-2026-02.zip").
            duration: exchange seconds; None until it is switched off.
            count: ends it after so many strikes. Of a fault in the rows or the zip of an archive file, only
                requests of the zip itself count.
            parameters: of this kind of fault.

        Returns:
            The fault that is now on.

        Raises:
            ValueError: for what is not known or cannot be; the message is for the user.
        """
        fault = make_fault(name, symbol, target=target, duration=duration, count=count, parameters=parameters)
        return self.add(fault)

    def add(self, fault: Fault, begins: int | None = None) -> Fault:
        """Switches on a fault that is already made.

        Args:
            fault: the fault.
            begins: exchange time it begins at, ms; None for now.

        Returns:
            The same fault.

        Raises:
            ValueError: if its symbol is not listed.
        """
        if self._symbols is not None:
            _check_symbol(fault.symbol, self._symbols)
        for other in self.all(fault.name):
            if (other.symbol, other.target) == (fault.symbol, fault.target):
                self._end(other, "off")
        fault.begin(self._now() if begins is None else begins)
        self._on.setdefault(fault.name, []).append(fault)
        if self._symbols is not None:
            self._notify("begin", fault)
        return fault

    def switch_off(self, name: str | None = None, symbol: str | None = None) -> int:
        """Ends faults: all, those of a name, or those of a name or any name that are confined to a symbol.

        Args:
            name: kind of the faults to end; None for any.
            symbol: symbol the faults to end are confined to; None for any.

        Returns:
            How many ended.

        Raises:
            ValueError: for a name no fault has.
        """
        if name is not None:
            _kind(name)
        chosen = [
            fault
            for fault in self.active()
            if name in (None, fault.name) and (symbol is None or symbol == fault.symbol)
        ]
        for fault in chosen:
            self._end(fault, "off")
        return len(chosen)

    # -- asking

    def active(self) -> list[Fault]:
        """All faults that are on."""
        return [fault for name in list(self._on) for fault in self.all(name)]

    def all(self, name: str) -> list[Fault]:
        """Lists the active faults of a kind; those whose time is over end here.

        Args:
            name: kind of the faults.

        Returns:
            Active faults, oldest first.
        """
        faults = self._on.get(name)
        if not faults:
            return []
        now = self._now()
        for fault in [f for f in faults if f.ends is not None and now >= f.ends]:
            self._end(fault, "time")
        return list(self._on.get(name, ()))

    def find(self, name: str, symbol: str | None = None, target: str = "") -> Fault | None:
        """Finds the active fault of a kind that applies to a symbol and target.

        Args:
            name: kind of the fault.
            symbol: the symbol asked about; None for none in particular.
            target: the endpoint or file path asked about.

        Returns:
            The fault, or None.
        """
        if name not in self._on:
            return None
        for fault in self.all(name):
            if fault.symbol in (None, symbol) and (fault.target is None or fault.target in target):
                return fault
        return None

    def strike(self, name: str, symbol: str | None = None, target: str = "") -> Fault | None:
        """Like :meth:`find`, and counts that the fault takes effect.

        Args:
            name: kind of the fault.
            symbol: the symbol asked about; None for none in particular.
            target: the endpoint or file path asked about.

        Returns:
            The fault, or None.
        """
        fault = self.find(name, symbol, target)
        if fault is not None:
            self.count(fault)
        return fault

    def count(self, fault: Fault) -> None:
        """Counts one strike of a fault, and ends it if its count is used up.

        Args:
            fault: the fault that took effect.
        """
        self.struck[fault.name] += 1
        if fault.left is not None and not fault.why_ended:
            fault.left -= 1
            if fault.left <= 0:
                self._end(fault, "spent")

    def outlasted(self, fault: Fault) -> bool:
        """Checks whether what a strike of a fault holds up may go on.

        Args:
            fault: the fault.

        Returns:
            True if its time is over or it was switched off.
        """
        return fault.why_ended in ("time", "off") or (fault.ends is not None and self._now() >= fault.ends)

    def _end(self, fault: Fault, why: str) -> None:
        faults = self._on.get(fault.name, [])
        if fault not in faults:
            return
        faults.remove(fault)
        if not faults:
            del self._on[fault.name]
        fault.why_ended = why
        fault.ended = fault.ends if why == "time" and fault.ends is not None else self._now()
        self._notify("end", fault)

    def _notify(self, event: Event, fault: Fault) -> None:
        for listener in self._listeners:
            listener(event, fault)


def make_fault(
    name: str,
    symbol: str | None = None,
    *,
    target: str | None = None,
    duration: float | None = None,
    count: int | None = None,
    parameters: Mapping[str, Value] | None = None,
) -> Fault:
    """Makes a fault that is not on yet.

    Args:
        name: see :meth:`Faults.switch_on`, also for the others.
        symbol: confines it to a symbol.
        target: confines it to an endpoint or to files.
        duration: exchange seconds; None until it is switched off.
        count: ends it after so many strikes.
        parameters: of this kind of fault.

    Returns:
        The fault.

    Raises:
        ValueError: for what is not known or cannot be; the message is for the user.
    """
    kind = _kind(name)
    if kind.symbol == "none" and symbol is not None:
        raise ValueError(f"the fault {name} cannot be confined to a symbol, {symbol!r} was given")
    if kind.symbol == "needed" and symbol is None:
        raise ValueError(f"the fault {name} needs a symbol, as in {name}:BTCUSDT")
    if target is not None and not kind.target:
        raise ValueError(f"the fault {name} takes no target, {target!r} was given")
    if duration is None:
        duration = kind.lasts
    elif isinstance(duration, bool) or not (math.isfinite(duration) and duration > 0):
        raise ValueError(f"the duration of a fault is a number of seconds above 0, not {duration!r}")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise ValueError(f"the count of a fault is a whole number above 0, not {count!r}")
    if kind.once and duration is None and count is None:
        count = 1
    values = {key: parameter.default for key, parameter in kind.parameters.items()}
    for key, value in (parameters or {}).items():
        if key not in kind.parameters:
            offered = ", ".join(kind.parameters) or "none"
            guess = did_you_mean(key, kind.parameters)
            raise ValueError(f"the fault {name} has no parameter {key!r}{guess}. Its parameters: {offered}")
        values[key] = _value(kind, key, value)
    return Fault(kind, symbol, target, duration, count, values)


def read_fault(text: str) -> Fault:
    """Parses a fault written ``NAME[:SYMBOL][:DURATION][:parameter=value]...``.

    Args:
        text: the fault as a user writes it.

    Returns:
        The fault, not on yet.

    Raises:
        ValueError: for a text that is not understood; the message is for the user.
    """
    name, *parts = text.split(":")
    _kind(name)
    symbol: str | None = None
    duration: float | None = None
    options: dict[str, str] = {}
    for place, part in enumerate(parts):
        key, mark, value = part.partition("=")
        if mark:
            options[key] = value
        elif (seconds := _seconds(part)) is not None and duration is None:
            duration = seconds
        elif place == 0:
            symbol = part or None
        elif part or place > 1:
            raise ValueError(f"{text!r}: {part!r} is not a duration such as 90, 5m or 2h")
    symbol = options.pop("symbol", symbol)
    target = options.pop("target", None)
    if (given := options.pop("duration", None)) is not None:
        duration = _seconds(given)
        if duration is None:
            raise ValueError(f"{text!r}: {given!r} is not a duration such as 90, 5m or 2h")
    number = options.pop("count", None)
    if number is not None and not (number.isascii() and number.isdigit()):
        raise ValueError(f"{text!r}: count={number!r} is not a whole number above 0")
    count = None if number is None else int(number)
    return make_fault(name, symbol, target=target, duration=duration, count=count, parameters=options)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggests the nearest known word.

    Args:
        word: the word as given.
        known: the words that are valid.

    Returns:
        ``: did you mean X?``, or an empty text.
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f": did you mean {near[0]}?" if near else ""


def _kind(name: str) -> Kind:
    kind = KINDS.get(name)
    if kind is None:
        guess = did_you_mean(name, KINDS) or "."
        raise ValueError(f"there is no fault {name!r}{guess} The faults are: {', '.join(KINDS)}")
    return kind


def _check_symbol(symbol: str | None, symbols: Collection[str]) -> None:
    if symbol is not None and symbol not in symbols:
        raise ValueError(f"the exchange lists no symbol {symbol!r}{did_you_mean(symbol, symbols)}")


def _seconds(text: str) -> float | None:
    match = _DURATION.fullmatch(text)
    return float(match["number"]) * _UNITS[match["unit"]] if match else None


def _value(kind: Kind, key: str, value: Value) -> Value:
    """A parameter's value in the type of its default."""
    parameter = kind.parameters[key]
    where = f"{key} of the fault {kind.name}"
    if isinstance(parameter.default, bool):
        truth = value if isinstance(value, bool) else _TRUTHS.get(str(value).lower())
        if truth is None:
            raise ValueError(f"{where} is true or false, not {value!r}")
        return truth
    if isinstance(parameter.default, float):
        try:
            number = float(value) if not isinstance(value, bool) else math.nan
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"{where} is a number, not {value!r}")
        return number
    if parameter.choices and str(value) not in parameter.choices:
        raise ValueError(f"{where} is one of {', '.join(parameter.choices)}, not {value!r}")
    return str(value)

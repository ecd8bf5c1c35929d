"""Faults drawn at random: the same seed gives the same faults at the same exchange times."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tui_feeder.simulator.fault_kinds import KINDS, Kind, Value
from tui_feeder.simulator.faults import Fault, make_fault

#: Mean exchange seconds between two faults.
GAP = 600.0
#: Exchange seconds a fault lasts: at least, at most.
SHORTEST, LONGEST = 5.0, 900.0
#: Exchange seconds after which a clock that steps there and back does so.
STEPS = 20.0
#: Share of faults confined to one symbol, where they can be.
_CONFINED = 0.6

#: Where the default is not what is drawn. A row that REST shows unfinished any later than this could
#: not be distinguished from a final one when a minute is closed by REST at 3 s, and would never heal.
_DRAWN: Mapping[str, Mapping[str, tuple[Value, ...]]] = {
    "late-close": {"seconds": (3.0, 35.0)},
    "rest-429": {"retry_after": (0.0, 5.0)},
    "unfinished-row": {"seconds": (2.5,)},
    "clock-skew": {"seconds": (-90.0, -5.0, 5.0, 90.0), "every": (0.0, STEPS)},
    "corrupt-zip": {"signed": (True, False)},
    "zip-bomb": {"lying": (True, False)},
    "rest-418": {"header": (True, False)},
    "bad-values": {"closes": (True, False)},
}


class Draw(NamedTuple):
    """A fault to come, and the exchange ms at which it begins."""

    begins: int
    fault: Fault


def draws(
    seed: int,
    symbols: Sequence[str],
    start: int,
    gap: float = GAP,
    longest: float = LONGEST,
    steps: float = STEPS,
    market: str = "usdm",
    *,
    clock: bool = True,
) -> Iterator[Draw]:
    """An endless sequence of faults.

    Each ends by itself, so what it withholds can be had later. ``delist``, which does not heal, is not drawn.

    Args:
        seed: another seed, another sequence.
        symbols: those a fault may be confined to.
        start: exchange ms from which gaps are counted.
        gap: mean exchange seconds between two beginnings; the gaps are exponential.
        longest: exchange seconds a fault lasts at most.
        steps: exchange seconds between the steps of a clock that steps. Where frames are rarer than the
            exchange's own, so must be the steps that nothing but frames could show.
        market: which one; a kind of fault may be of one market alone.
        clock: whether the time may be wrong; it is not drawn for a market that has the clock of another.

    Returns:
        An infinite iterator of faults in order of their beginning.

    Raises:
        ValueError: for a gap or a longest duration that is not above 0.
    """
    if not gap > 0 or not longest > 0:
        raise ValueError(f"gap and longest duration of random faults must be above 0, not {gap}, {longest}")
    kinds = [kind for kind in KINDS.values() if kind.drawn and kind.drawn_in in (None, market)]
    if not clock:
        kinds = [kind for kind in kinds if kind.name != "clock-skew"]
    return _draws(seed, symbols, start, gap, longest, steps, kinds)


def _draws(
    seed: int,
    symbols: Sequence[str],
    start: int,
    gap: float,
    longest: float,
    steps: float,
    kinds: Sequence[Kind],
) -> Iterator[Draw]:
    dice = random.Random(seed)
    shortest = min(SHORTEST, longest)
    moment = float(start)
    while True:
        moment += dice.expovariate(1 / gap) * 1000
        kind = dice.choice(kinds)
        confined = kind.symbol == "optional" and bool(symbols) and dice.random() < _CONFINED
        symbol = dice.choice(symbols) if confined else None
        duration = round(math.exp(dice.uniform(math.log(shortest), math.log(longest))), 1)
        parameters = {
            name: value for name in kind.parameters if (value := _drawn(dice, kind, name)) is not None
        }
        if parameters.get("every") == STEPS and kind.name == "clock-skew":
            parameters["every"] = steps
        yield Draw(int(moment), make_fault(kind.name, symbol, duration=duration, parameters=parameters))


def _drawn(dice: random.Random, kind: Kind, name: str) -> Value | None:
    choices: Sequence[Value] = _DRAWN.get(kind.name, {}).get(name, ()) or kind.parameters[name].choices
    return dice.choice(choices) if choices else None


class RandomFaults(NamedTuple):
    """Random faults for an exchange, see :func:`draws`."""

    seed: int
    gap: float = GAP
    longest: float = LONGEST
    steps: float = STEPS

    def drawer(
        self, symbols: Sequence[str], start: int, market: str = "usdm", *, clock: bool = True
    ) -> Drawer:
        """Makes the object that hands them out when they are due.

        Args:
            symbols: symbols a fault may be confined to.
            start: exchange time from which gaps are counted, ms.
            market: which one.
            clock: whether the time may be wrong.

        Returns:
            A new drawer at the beginning of the sequence.
        """
        return Drawer(
            draws(self.seed, symbols, start, self.gap, self.longest, self.steps, market, clock=clock)
        )


class Drawer:
    """Gives each of the faults that are ``coming`` once, when its time has come."""

    def __init__(self, coming: Iterator[Draw]) -> None:
        self._coming = coming
        self._waiting = next(coming)

    @property
    def begins(self) -> int:
        """When the next one begins, exchange ms."""
        return self._waiting.begins

    def due(self, now: int) -> list[Draw]:
        """Takes the faults that have begun.

        Args:
            now: exchange time, ms.

        Returns:
            Faults not returned before, in order of their beginning.
        """
        found = []
        while self._waiting.begins <= now:
            found.append(self._waiting)
            self._waiting = next(self._coming)
        return found

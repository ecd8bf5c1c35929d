"""What the store knows of a symbol besides its rows: what is there, certified, passed on, hopeless."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np

from tui_feeder.engine.coverage import EMPTY, Coverage

#: Names under which the parts of a state are kept.
NAMES = (
    b"present", b"certified", b"outages", b"overruled", b"altered", b"listed", b"watermark", b"unavailable",
    b"untold", b"mistold", b"early", b"edition",
    b"lost",
)  # fmt: skip


class Unavailable(msgspec.Struct, frozen=True):
    """Minutes no source could give: recorded with the reason, asked for again at ``next_try``."""

    start: int
    end: int
    reason: str
    tries: int
    next_try: int


@dataclass(slots=True)
class SymbolState:
    """In-memory copy of a symbol's committed state. Never changed once it is shared."""

    present: Coverage = EMPTY
    certified: Coverage = EMPTY
    outages: Coverage = EMPTY  # minutes without a trade, confirmed by REST
    overruled: Coverage = EMPTY  # minutes that REST has shown archives to be wrong about
    altered: Coverage = EMPTY  # minutes replaced by other values since a mirror last took them
    untold: Coverage = EMPTY  # minutes up to the watermark that were stored later, without a message
    early: Coverage = EMPTY  # minutes that REST gave so soon after their end that they may have changed since
    mistold: Coverage = EMPTY  # minutes up to the watermark whose messages were made of other values
    edition: int = 0  # rises with every replacement of stored values
    listed: int | None = None
    watermark: int | None = None
    unavailable: tuple[Unavailable, ...] = ()
    lost: Coverage = EMPTY  # minutes up to the watermark whose day was damaged after their message was made
    tail_days: set[int] = field(default_factory=set)  # midnights of the days with rows in the tail

    def copy(self) -> SymbolState:
        """One to be changed, while readers go on with this one."""
        return SymbolState(
            self.present, self.certified, self.outages, self.overruled, self.altered,
            self.untold, self.early, self.mistold, self.edition, self.listed,
            self.watermark, self.unavailable, self.lost, set(self.tail_days),
        )  # fmt: skip


def state_of(raw: Mapping[bytes, bytes | None], tail_days: set[int]) -> SymbolState:
    """The state from its parts as they are kept; parts that are absent are empty."""
    return SymbolState(
        present=_coverage(raw[b"present"]),
        certified=_coverage(raw[b"certified"]),
        outages=_coverage(raw[b"outages"]),
        overruled=_coverage(raw[b"overruled"]),
        altered=_coverage(raw[b"altered"]),
        untold=_coverage(raw[b"untold"]),
        early=_coverage(raw[b"early"]),
        mistold=_coverage(raw[b"mistold"]),
        edition=_number(raw[b"edition"]) or 0,
        listed=_number(raw[b"listed"]),
        watermark=_number(raw[b"watermark"]),
        unavailable=tuple(msgspec.json.decode(raw[b"unavailable"] or b"[]", type=list[Unavailable])),
        lost=_coverage(raw[b"lost"]),
        tail_days=tail_days,
    )


def intervals(coverage: Coverage) -> bytes:
    """A set of minutes as it is kept: pairs of int64, little-endian."""
    return np.array(coverage.intervals, dtype="<i8").tobytes()


def number(value: int) -> bytes:
    """An instant as it is kept."""
    return value.to_bytes(8, "big")


def _coverage(raw: bytes | None) -> Coverage:
    return Coverage((a, b) for a, b in np.frombuffer(raw or b"", "<i8").reshape(-1, 2).tolist())


def _number(raw: bytes | None) -> int | None:
    return None if raw is None else int.from_bytes(raw, "big")

"""What the store knows of a symbol besides its rows: what is there, certified, passed on, hopeless."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import EMPTY, Coverage
from tui_feeder.engine.core.decoding import UNREADABLE

#: The sets of minutes of a state, and the name under which each is stored. Names on disk stay as they are, so
#: that stores of every version can be read; names in code may change.
STORED_AS = {
    "present": b"present",
    "certified": b"certified",
    "outages": b"outages",
    "archive_rejected": b"overruled",
    "altered": b"altered",
    "unpublished": b"untold",
    "stale_published": b"mistold",
    "unconfirmed": b"early",
    "lost_published": b"lost",
    "damaged_missing": b"gone",
    "inherited": b"inherited",
    "omitted": b"omitted",
}
#: Names under which all parts of a state are stored.
NAMES = (
    *STORED_AS.values(),
    b"listed",
    b"watermark",
    b"unavailable",
    b"edition",
    b"contract_size",
    b"delivery",
)
#: Those of them that :func:`summary_of` needs.
SUMMARY_NAMES = (
    b"present", b"edition", b"listed", b"delivery", STORED_AS["unconfirmed"], STORED_AS["omitted"],
)  # fmt: skip
_SIZE = struct.Struct(">d")
#: No minute is later, and no number of replacements as high as that which stands for an unknown one.
_LAST_MS, _NO_EDITION = 1 << 53, 1 << 60


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
    archive_rejected: Coverage = EMPTY  # minutes that REST has shown archives to be wrong about
    altered: Coverage = EMPTY  # minutes replaced by other values since a mirror last took them
    unpublished: Coverage = EMPTY  # minutes up to the watermark that were stored later, without a message
    unconfirmed: Coverage = (
        EMPTY  # minutes that REST gave so soon after their end that they may have changed since
    )
    stale_published: Coverage = EMPTY  # minutes up to the watermark whose messages were made of other values
    edition: int = 0  # rises with every replacement of stored values
    listed: int | None = None
    contract_size: float | None = None  # in the quote asset, where trades are counted in contracts
    delivery: int | None = None  # ms: from this minute on there is none, as its contract has ended
    watermark: int | None = None
    unavailable: tuple[Unavailable, ...] = ()
    lost_published: Coverage = (
        EMPTY  # minutes up to the watermark whose day was damaged after their message was made
    )
    damaged_missing: Coverage = EMPTY  # minutes that went with a damaged day and were not read again since
    inherited: Coverage = EMPTY  # minutes that numbers rest on which were made elsewhere, not stored here yet
    omitted: Coverage = EMPTY  # minutes of which the exchange has no candle, for good
    tail_days: set[int] = field(default_factory=set)  # midnights of the days with rows in the tail

    def copy(self) -> SymbolState:
        """One to be changed, while readers go on with this one."""
        return SymbolState(
            self.present, self.certified, self.outages, self.archive_rejected, self.altered,
            self.unpublished, self.unconfirmed, self.stale_published, self.edition, self.listed,
            self.contract_size, self.delivery, self.watermark, self.unavailable, self.lost_published,
            self.damaged_missing, self.inherited, self.omitted, set(self.tail_days),
        )  # fmt: skip


def state_of(
    raw: Mapping[bytes, bytes | None],
    tail_days: set[int],
    unusable: Callable[[str, str], None],
    stored: Callable[[], Coverage],
) -> SymbolState:
    """Decodes a symbol's state; absent and damaged parts are empty.

    Args:
        raw: the parts by name.
        tail_days: midnights of the days with rows in the tail.
        unusable: called with the name of a part that cannot be used, and what is done without it.
        stored: finds the minutes that are there, which takes longer than to know them.

    Returns:
        The state.
    """

    def minutes(name: str, fallback: Callable[[], Coverage] = lambda: EMPTY) -> Coverage:
        try:
            return _coverage(raw[STORED_AS[name]])
        except ValueError as error:
            unusable(STORED_AS[name].decode(), str(error))
            return fallback()

    def moment(name: bytes, most: int = _LAST_MS) -> int | None:
        kept = raw[name]
        at = None if kept is None else int.from_bytes(kept, "big")
        if at is None or (kept is not None and len(kept) == 8 and at % MINUTE_MS == 0 and at <= most):
            return at
        unusable(name.decode(), f"{at} is no minute it can be")
        return None

    present, lost, inherited = minutes("present", stored), minutes("lost_published"), minutes("inherited")
    # What was made is made of minutes that are there, or were, or are elsewhere.
    newest = max((coverage.end for coverage in (present, lost, inherited) if coverage), default=_LAST_MS)
    return SymbolState(
        present=present,
        certified=minutes("certified"),
        outages=minutes("outages"),
        archive_rejected=minutes("archive_rejected"),
        altered=minutes("altered"),
        unpublished=minutes("unpublished"),
        unconfirmed=minutes("unconfirmed"),
        stale_published=minutes("stale_published"),
        edition=_edition(raw[b"edition"], unusable),
        listed=moment(b"listed"),
        contract_size=_contract_size(raw[b"contract_size"], unusable),
        delivery=moment(b"delivery"),
        watermark=moment(b"watermark", min(_LAST_MS, newest + DAY_MS)),
        unavailable=_unavailable(raw[b"unavailable"], unusable),
        lost_published=lost,
        damaged_missing=minutes("damaged_missing"),
        inherited=inherited,
        omitted=minutes("omitted"),
        tail_days=tail_days,
    )


def summary_of(
    raw: Mapping[bytes, bytes | None],
) -> tuple[Coverage, int, int | None, Coverage, Coverage, int | None] | None:
    """Decodes the summary of a symbol.

    Args:
        raw: the records of :data:`SUMMARY_NAMES`.

    Returns:
        Minutes stored, edition, first listed minute, unconfirmed minutes, those that the exchange omits, and
        the first minute after its delivery; None if a record is damaged.
    """
    edition, listed, delivery = raw[b"edition"], raw[b"listed"], raw[b"delivery"]
    damaged = any(kept is not None and len(kept) != 8 for kept in (edition, listed, delivery))
    try:
        present = _coverage(raw[b"present"])
        unconfirmed, omitted = (_coverage(raw[STORED_AS[name]]) for name in ("unconfirmed", "omitted"))
    except ValueError:
        damaged = True
    if damaged:
        return None
    first, end = (None if at is None else int.from_bytes(at, "big") for at in (listed, delivery))
    return present, 0 if edition is None else int.from_bytes(edition, "big"), first, unconfirmed, omitted, end


def _edition(raw: bytes | None, unusable: Callable[[str, str], None]) -> int:
    if raw is None or (len(raw) == 8 and int.from_bytes(raw, "big") < _NO_EDITION):
        return 0 if raw is None else int.from_bytes(raw, "big")
    unusable("edition", "it is no number")
    return _NO_EDITION  # none that anything was kept with


def _contract_size(raw: bytes | None, unusable: Callable[[str, str], None]) -> float | None:
    if raw is None:
        return None
    if len(raw) == _SIZE.size and 0 < (size := _SIZE.unpack(raw)[0]) < 1e12:
        return float(size)
    unusable("contract_size", "it is no size of a contract")
    return None


def stored_size(size: float) -> bytes:
    """Encodes the size of a contract for the store.

    Args:
        size: in the quote asset.

    Returns:
        What :func:`state_of` reads.
    """
    return _SIZE.pack(size)


def _unavailable(raw: bytes | None, unusable: Callable[[str, str], None]) -> tuple[Unavailable, ...]:
    """The ranges that can be read; one that cannot is asked for as if it were new."""
    found = []
    try:
        for entry in msgspec.json.decode(raw or b"[]", type=list[msgspec.Raw]):
            try:
                known = msgspec.json.decode(entry, type=Unavailable)
                if not (0 <= known.start < known.end <= _LAST_MS and known.tries >= 0):
                    raise ValueError(f"{known.start} to {known.end} is no range of minutes")
                found.append(known)
            except (*UNREADABLE, ValueError) as error:
                unusable("unavailable", str(error))
    except UNREADABLE as error:
        unusable("unavailable", str(error))
    return tuple(found)


def intervals(coverage: Coverage) -> bytes:
    """Encodes a set of minutes.

    Args:
        coverage: the minutes.

    Returns:
        Pairs of int64, little-endian, ms.
    """
    return np.array(coverage.intervals, dtype="<i8").tobytes()


def number(value: int) -> bytes:
    """Encodes a moment.

    Args:
        value: ms.

    Returns:
        Eight bytes, big-endian.
    """
    return value.to_bytes(8, "big")


def _coverage(raw: bytes | None) -> Coverage:
    """The minutes that :func:`intervals` wrote; ValueError if it did not."""
    pairs = np.frombuffer(raw or b"", "<i8").reshape(-1, 2)
    flat = pairs.ravel()
    if (flat % MINUTE_MS).any() or (np.diff(flat, prepend=-1) <= 0).any() or (flat > _LAST_MS).any():
        raise ValueError("its ranges are none")
    return Coverage((a, b) for a, b in pairs.tolist())

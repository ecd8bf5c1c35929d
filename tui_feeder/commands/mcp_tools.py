"""What a program may ask over MCP: candles, profiles, coverage, minutes, incidents, gaps. All read-only."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tui_feeder.attach.client import AttachedMonitor, AttachError
from tui_feeder.attach.sockets import SocketError, choose_socket
from tui_feeder.config import Config
from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.derived.stored_reads import StoredReads
from tui_feeder.engine.proof.folder import ProofFolder, ProofFolderError, leaf_name
from tui_feeder.engine.storage.day_evidence import MOST_DAYS, days_of, incidents_of, minute_of
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import UsageError
from tui_feeder.time_format import parse_time, parse_timeframe

#: Bars, rows and incidents of an answer, at most: what reads them pays for every number.
MOST = 500


class Tools:
    """Answers questions from a store, and from a running feeder where one is.

    Args:
        config: whose analysis settings count for profiles.
        store: opened read-only.
        socket: of a running feeder; None for the only one that runs.

    Raises:
        UsageError: from every method: the question cannot be answered; the text has the reason.
    """

    def __init__(self, config: Config, store: Store, socket: Path | None) -> None:
        self._config = config
        self._store = store
        self._socket = socket
        self._reads = StoredReads(store, config)

    def list_symbols(self) -> dict[str, Any]:
        """List the stored symbols with the range and number of their minutes. Times are ms since 1970."""
        found = []
        for symbol in self._symbols():
            present, certified = self._store.present(symbol), self._store.certified(symbol)
            found.append(
                {"symbol": symbol, "start": present.start, "end": present.end, "minutes": present.minutes,
                 "certified": certified.intersect(present).minutes}
            )  # fmt: skip
        return {"exchange": self._store.exchange, "symbols": found}

    def get_candles(
        self, symbol: str, timeframe: str = "1m", start: str = "", end: str = "", limit: int = 100
    ) -> dict[str, Any]:
        """Read stored bars; without a start the last ones before the end. Bars that lack minutes are absent.

        Args:
            symbol: such as BTCUSDT, spot:BTCUSDT or coinm:BTCUSD_PERP.
            timeframe: 1m, 5m, 15m, 1h, 4h, 1d: what divides a day.
            start: such as 2026-02-21T12:00:00Z; empty for the last ones.
            end: exclusive; empty for the newest.
            limit: bars, 1 to 500.

        Returns:
            The bars, ascending.

        Raises:
            UsageError: a parameter makes no sense, or nothing is stored of it.
        """
        self._known(symbol)
        count = _bounded("limit", limit)
        seconds = _timeframe(timeframe)
        present = self._store.present(symbol)
        high = present.end if not end else min(_moment("end", end), present.end)
        low = _moment("start", start) if start else high - (count + 1) * seconds * 1000
        if low >= high:
            return {"symbol": symbol, "timeframe": timeframe, "candles": []}
        high = min(high, low + (count + 1) * seconds * 1000)
        frame = seconds * 1000
        low, high = -(-low // frame) * frame, high // frame * frame
        store = self._store
        made = aggregate(
            store.read(symbol, low, high), seconds, listed=store.listed(symbol), omitted=store.omitted(symbol)
        )
        whole = made.rows[~made.partial]
        bars = whole[:count] if start else whole[-count:]
        names = bars.dtype.names or ()
        rows = [dict(zip(names, row, strict=True)) for row in bars.tolist()]
        return {"symbol": symbol, "timeframe": timeframe, "candles": rows}

    def get_profile(self, symbol: str, date: str = "", rows: int = 40) -> dict[str, Any]:
        """Volume profile of a UTC day: POC, value area, VWAP, and the rows of the largest volume.

        Args:
            symbol: such as BTCUSDT.
            date: such as 2026-02-21; empty for the newest day.
            rows: rows of the largest volume to list, 1 to 500.

        Returns:
            The profile.

        Raises:
            UsageError: a parameter makes no sense, or nothing is stored of it.
        """
        self._known(symbol)
        day = None if not date else _moment("date", date) // DAY_MS * DAY_MS
        view = self._reads.profile(symbol, day, self._store.present(symbol).end)
        if view is None:
            raise UsageError(f"there is no profile of {symbol} on {date or 'its newest day'}")
        weighted = sorted(zip(view.weights, view.prices.tolist(), strict=True), reverse=True)
        largest = [[price, weight] for weight, price in weighted[: _bounded("rows", rows)] if weight]
        return {
            "symbol": symbol, "date": _date(view.day), "price_increment": view.increment, "poc": view.poc,
            "vah": view.vah, "val": view.val, "vwap": view.vwap, "total_volume": view.total_volume,
            "candle_count": view.candles, "largest_rows": sorted(largest, reverse=True),
        }  # fmt: skip

    def get_coverage(self, symbol: str, start: str = "", end: str = "") -> dict[str, Any]:
        """Count the minutes of each UTC day: present, certified, missing, published live, corrected, late.

        Args:
            symbol: such as BTCUSDT.
            start: first day, such as 2026-02-01; empty for 31 days before the end.
            end: exclusive; empty for the end of what is stored. At most 380 days.

        Returns:
            A row a day.

        Raises:
            UsageError: a parameter makes no sense, or nothing is stored of it.
        """
        present = self._known(symbol)
        last = -(-(_moment("end", end) if end else present.end) // DAY_MS) * DAY_MS
        first = (_moment("start", start) if start else last - 31 * DAY_MS) // DAY_MS * DAY_MS
        if not first < last <= first + MOST_DAYS * DAY_MS:
            raise UsageError(f"start is before end, at most {MOST_DAYS} days: {start!r}, {end!r}")
        days = days_of(self._store, symbol, first, last, int(time.time() * 1000))
        return {"symbol": symbol, "days": [{"date": _date(view.day), **view._asdict()} for view in days]}

    def get_minute(self, symbol: str, time: str) -> dict[str, Any]:
        """Show a minute with every value it had, from which source and until when, and how it is proved.

        Args:
            symbol: such as BTCUSDT.
            time: any moment of the minute, such as 2026-02-21T12:34:00Z.

        Returns:
            What is known of the minute.

        Raises:
            UsageError: a parameter makes no sense, or nothing is stored of it.
        """
        self._known(symbol)
        view = minute_of(self._store, symbol, _moment("time", time) // MINUTE_MS * MINUTE_MS)
        return {"symbol": symbol, **view._asdict(), "values": [value._asdict() for value in view.values]}

    def list_incidents(self, symbol: str = "", start: str = "", end: str = "") -> dict[str, Any]:
        """List what happened to minutes: corrections, outages, broken trade ids, minutes no source has.

        Args:
            symbol: such as BTCUSDT; empty for all.
            start: such as 2026-02-21T00:00:00Z; empty for seven days before the end.
            end: exclusive; empty for the end of what is stored.

        Returns:
            By time; the newest 500 of them.

        Raises:
            UsageError: a parameter makes no sense, or nothing is stored of it.
        """
        names = [symbol] if symbol else self._symbols()
        last = max((self._known(name).end for name in names), default=0)
        high = _moment("end", end) if end else last
        low = _moment("start", start) if start else high - 7 * DAY_MS
        found = [incident for name in names for incident in incidents_of(self._store, name, low, high)]
        found.sort(key=lambda incident: (incident.start, incident.symbol, incident.kind))
        return {
            "symbol": symbol, "total": len(found),
            "incidents": [incident._asdict() for incident in found[-MOST:]],
        }  # fmt: skip

    def get_proof(self, symbol: str = "", day: str = "") -> dict[str, Any]:
        """Give the signed record of a symbol's UTC day: digests, counts, sources, live agreement.

        Args:
            symbol: such as BTCUSDT; empty for all leaves of the day.
            day: such as 2026-02-21; empty, with no symbol either, for the newest 500 heads.

        Returns:
            The newest leaf of the day as it is signed, and its hash; or leaves; or heads.

        Raises:
            UsageError: the day is not signed, or the folder of signed days cannot be read.
        """
        folder = ProofFolder(self._config.proof.folder)
        try:
            if not day:
                if symbol:
                    raise UsageError("symbol needs day, such as 2026-02-21")
                heads = folder.heads()
                return {"total": len(heads), "heads": [place.described() for place in heads[-MOST:]]}
            date = _date(_moment("day", day))
            if symbol:
                leaf = folder.last_leaf(date, leaf_name(symbol))
                if leaf is None:
                    raise UsageError(f"{symbol} is not signed on {date}")
                return {"hash": leaf.hash, "leaf": leaf.fields}
            leaves = [{"hash": leaf.hash, "leaf": leaf.fields} for leaf in folder.of_day(date).values()]
        except ProofFolderError as error:
            raise UsageError(str(error)) from error
        if not leaves:
            raise UsageError(f"{date} is not signed")
        return {"day": date, "total": len(leaves), "leaves": leaves[:MOST]}

    def list_gaps(self, symbol: str = "") -> dict[str, Any]:
        """List missing minutes; where a feeder runs, also what it does about them, and its state.

        Args:
            symbol: such as BTCUSDT; empty for all.

        Returns:
            Missing minutes, and the open gaps of a running feeder.

        Raises:
            UsageError: a parameter makes no sense, or nothing is stored of it.
        """
        if symbol:
            self._known(symbol)
        names = [symbol] if symbol else self._symbols()
        missing = []
        for name in names:
            settled = self._store.settled(name)
            for a, b in settled.missing(settled.start, settled.end) if settled else ():
                missing.append({"symbol": name, "start": a, "end": b, "minutes": (b - a) // MINUTE_MS})
        answer: dict[str, Any] = {"total": len(missing), "missing": missing[:MOST]}
        try:
            with contextlib.closing(AttachedMonitor(choose_socket(self._socket))) as monitor:
                snapshot = monitor.snapshot()
        except (SocketError, AttachError) as error:
            return answer | {"feeder": {"state": "not running", "reason": str(error)}}
        gaps = [gap for gap in snapshot.gaps if not symbol or gap.symbol == symbol]
        named = ("symbol", "start", "end", "missing", "state", "tries", "source", "reason", "next_try")
        described = [{name: getattr(gap, name) for name in named} for gap in gaps[:MOST]]
        return answer | {"feeder": {"state": snapshot.state, "gaps": described}}

    def _symbols(self) -> list[str]:
        return [symbol for symbol in self._store.symbols() if self._store.present(symbol)]

    def _known(self, symbol: str) -> Coverage:
        present = self._store.present(symbol)
        if not present:
            stored = ", ".join(self._symbols()[:20]) or "nothing"
            raise UsageError(f"nothing of {symbol!r} is stored; there is: {stored}")
        return present


def _bounded(name: str, value: int) -> int:
    if not 1 <= value <= MOST:
        raise UsageError(f"{name} is {value}: it must be 1 to {MOST}")
    return value


def _moment(name: str, text: str) -> int:
    try:
        return parse_time(int(text) if text.isascii() and text.isdigit() else text)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{name} is no time: {text!r}; write 2026-02-21T12:00:00Z ({error})") from None


def _timeframe(text: str) -> int:
    try:
        return parse_timeframe(text)
    except ValueError:
        raise UsageError(f"timeframe is {text!r}: 1m, 5m, 15m, 1h, 4h, 1d, what divides a day") from None


def _date(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")

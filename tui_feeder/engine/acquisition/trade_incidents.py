"""Minutes of live trades that were incomplete: a line of the log for each symbol and incident, not minute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.journal import Journal, shortened
from tui_feeder.time_format import format_minute

#: An incident is over when nothing of it was open or has changed for so long; then it is logged.
_QUIET_MS = MINUTE_MS
#: One that goes on for longer is logged as far as it is, and goes on as another.
_LONGEST_MS = 60 * MINUTE_MS
#: Of so many symbols whose incidents end together each has a line of its own; of more there is one.
_LINES = 3


@dataclass(slots=True)
class _Incident:
    begun: int  # when it was noticed, exchange ms
    changed: int  # when anything was noticed last, exchange ms
    open: set[int] = field(default_factory=set)  # minutes (ms) that may become exact
    minutes: set[int] = field(default_factory=set)  # all that are its own, ms
    exact: int = 0  # minutes that became exact
    partial: int = 0  # minutes that stay partial
    least: float = 1.0  # share of the volume that is there of the worst of them
    left: int = 0  # trades that did not come and are left to the archive
    published: int = 0  # minutes published again

    @property
    def grave(self) -> bool:
        return bool(self.partial or self.left or self.open)


class TradeIncidents:
    """Collects what befalls minutes of live trades, and logs it once it is over.

    Args:
        journal: where it is logged.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._incidents: dict[str, _Incident] = {}
        self._next = 0  # when it is looked what is over, exchange ms

    def incomplete(self, symbol: str, minute: int, now: int) -> None:
        """Notes a minute that lacks trades, which may come yet.

        Args:
            symbol: whose.
            minute: open time, ms.
            now: exchange ms.
        """
        known = self._incidents.get(symbol)
        if known is None or minute not in known.open:
            known = self._of(symbol, now)
            known.open.add(minute)
            known.minutes.add(minute)

    def final(self, symbol: str, minute: int, share: float | None, now: int) -> None:
        """Notes a minute that stays as it is.

        Args:
            symbol: whose.
            minute: open time, ms.
            share: of its volume that is there; None where its trades are all there.
            now: exchange ms.
        """
        known = self._incidents.get(symbol)
        if share is None and (known is None or minute not in known.open):
            return
        known = self._of(symbol, now)
        known.open.discard(minute)
        known.minutes.add(minute)
        if share is None:
            known.exact += 1
        else:
            known.partial, known.least = known.partial + 1, min(known.least, share)

    def left_to_archive(self, symbol: str, trades: int, minute: int, now: int) -> None:
        """Notes trades that did not come and that nobody is asked for any more.

        Args:
            symbol: whose.
            trades: how many.
            minute: open time (ms) of the one in which they begin.
            now: exchange ms.
        """
        known = self._of(symbol, now)
        known.left += trades
        known.minutes.add(minute)

    def published_again(self, symbol: str, minutes: int, since: int, now: int) -> None:
        """Notes messages that were made again for trades that came late.

        Args:
            symbol: whose.
            minutes: how many.
            since: open time (ms) of the first minute whose trades changed.
            now: exchange ms.
        """
        if minutes:
            known = self._of(symbol, now)
            known.published += minutes
            known.minutes.add(since)

    def _of(self, symbol: str, now: int) -> _Incident:
        known = self._incidents.setdefault(symbol, _Incident(now, now))
        known.changed = now
        return known

    def forget(self, symbol: str) -> None:
        """Drops what is known of a symbol that is followed no longer.

        Args:
            symbol: which.
        """
        self._incidents.pop(symbol, None)

    def report(self, now: int) -> None:
        """Logs the incidents that are over; at most once a minute of the exchange.

        Args:
            now: exchange ms.
        """
        if now < self._next:
            return
        self._next = now + MINUTE_MS
        ended: dict[str, _Incident] = {}
        for symbol, known in list(self._incidents.items()):
            quiet = not known.open and now - known.changed >= _QUIET_MS
            if quiet or now - known.begun >= _LONGEST_MS:
                ended[symbol] = self._incidents.pop(symbol)
                if known.open:
                    self._incidents[symbol] = _Incident(now, now, set(known.open), set(known.open))
        if len(ended) <= _LINES:
            for symbol, known in ended.items():
                self._journal.note(_level({symbol: known}), _text({symbol: known}), symbol)
        else:
            self._journal.note(_level(ended), f"{_text(ended)}: {shortened(list(ended))}")


def _level(ended: Mapping[str, _Incident]) -> str:
    return "warning" if any(known.grave for known in ended.values()) else "info"


def _text(ended: Mapping[str, _Incident]) -> str:
    all_of = list(ended.values())
    minutes = [minute for known in all_of for minute in known.minutes]
    first, last = min(minutes), max(minutes)
    during = format_minute(first) if first == last else f"{format_minute(first)} .. {format_minute(last)}"
    whose = f"live trades of {len(ended)} symbols" if len(ended) > 1 else "live trades"
    exact, partial = sum(known.exact for known in all_of), sum(known.partial for known in all_of)
    still, left = sum(len(known.open) for known in all_of), sum(known.left for known in all_of)
    published, least = sum(known.published for known in all_of), min(known.least for known in all_of)
    facts = (
        (exact, f"incomplete minutes exact again: {exact:,}"),
        (partial, f"partial: {partial:,}, with at least {least:.1%} of the volume"),
        (still, f"incomplete still: {still:,}"),
        (left, f"trades left to the day's archive: {left:,}"),
        (published, f"minutes published again: {published:,}"),
    )
    return f"{whose}, {during}: " + "; ".join(text for count, text in facts if count)

"""What befalls minutes of live trades is a line of the log for each symbol and incident, not each minute."""

from __future__ import annotations

from tui_feeder.engine.acquisition.trade_incidents import TradeIncidents
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.journal import Journal

NOON = 1_773_144_000_000  # 2026-03-10T12:00Z


def minute(number: int) -> int:
    return NOON + number * MINUTE_MS


class Told:
    """Incidents, and the lines that were logged of them."""

    def __init__(self) -> None:
        self._journal = Journal(lambda: NOON)
        self.incidents = TradeIncidents(self._journal)

    def lines(self, now: int) -> list[tuple[str, str | None, str]]:
        self.incidents.report(now)
        found = [(event.level, event.symbol, event.text) for event in self._journal.recent()]
        self._journal.events.clear()
        return found


def test_minutes_that_become_exact_again_are_one_line_when_it_is_over() -> None:
    told = Told()
    for number in range(5):
        told.incidents.incomplete("BTCUSDT", minute(number), minute(number + 1))
    assert told.lines(minute(6)) == [], "it is not over"
    for number in range(5):
        told.incidents.final("BTCUSDT", minute(number), None, minute(6))
    told.incidents.published_again("BTCUSDT", 5, minute(0), minute(6))
    assert told.lines(minute(6) + 1) == []
    text = "live trades, 2026-03-10T12:00Z .. 2026-03-10T12:04Z: incomplete minutes exact again: 5; "
    assert told.lines(minute(7)) == [("info", "BTCUSDT", text + "minutes published again: 5")]
    assert told.lines(minute(60)) == []


def test_what_stays_partial_is_a_warning_with_the_worst_share() -> None:
    told = Told()
    told.incidents.final("BTCUSDT", minute(0), None, minute(1))
    assert told.lines(minute(3)) == [], "a minute that was exact at once is nothing to log"
    told.incidents.incomplete("BTCUSDT", minute(3), minute(4))
    told.incidents.final("BTCUSDT", minute(3), 0.25, minute(4))
    told.incidents.final("BTCUSDT", minute(4), 0.5, minute(5))
    told.incidents.left_to_archive("BTCUSDT", 12_345, minute(3), minute(5))
    ((level, symbol, text),) = told.lines(minute(6))
    assert (level, symbol) == ("warning", "BTCUSDT")
    assert text.endswith(
        "12:04Z: partial: 2, with at least 25.0% of the volume; trades left to the day's archive: 12,345"
    )


def test_one_that_does_not_end_is_a_line_an_hour() -> None:
    told, lines = Told(), []
    for number in range(180):
        told.incidents.incomplete("BTCUSDT", minute(number), minute(number + 1))
        told.incidents.final("BTCUSDT", minute(number - 1), 0.9, minute(number + 1))
        lines += told.lines(minute(number + 1))
    assert len(lines) == 2
    assert "incomplete still: 1" in lines[0][2]
    told.incidents.final("BTCUSDT", minute(179), 0.9, minute(181))
    assert len(told.lines(minute(190))) == 1


def test_many_symbols_that_were_cut_together_are_one_line() -> None:
    told = Told()
    for number in range(200):
        told.incidents.incomplete(f"C{number}USDT", minute(0), minute(1))
        told.incidents.final(f"C{number}USDT", minute(0), None if number else 0.5, minute(1))
    ((level, symbol, text),) = told.lines(minute(2))
    assert (level, symbol) == ("warning", None)
    assert text == (
        "live trades of 200 symbols, 2026-03-10T12:00Z: incomplete minutes exact again: 199; "
        "partial: 1, with at least 50.0% of the volume: C0USDT, C1USDT, C2USDT, C3USDT, C4USDT and 195 more"
    )


def test_a_symbol_that_is_followed_no_longer_is_forgotten() -> None:
    told = Told()
    told.incidents.incomplete("BTCUSDT", minute(0), minute(1))
    told.incidents.forget("BTCUSDT")
    assert told.lines(minute(120)) == []

"""Frames that are lost, late, doubled, out of order, wrong, or no events at all."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import orjson

from tui_feeder.simulator.faults import Fault, Faults
from tui_feeder.simulator.klines import Frame, text_frame
from tui_feeder.simulator.market import HOUR

#: A doubled closing frame comes again so many ms later.
_AGAIN_AFTER = 5_000
_HUGE = (1 << 20) + 4_096

_SPOILS = ("high-below-low", "nan", "negative-volume", "interval", "future")
#: The two that end the connection, or make most clients end it, come last.
_JUNK = ("json", "binary", "truncated", "event", "product", "huge", "cut")


class FrameFaults:
    """Stands between the streams and those who listen.

    Args:
        faults: which are on.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._held: dict[str, list[tuple[int, Frame]]] = {}  # by stream: due (ms), frame
        self._overtaken: dict[str, Frame] = {}
        self._spoiled = 0

    @property
    def busy(self) -> bool:
        """Whether there is a fault, or a frame held back by a former one."""
        return bool(self._faults) or bool(self._held) or bool(self._overtaken)

    def due(self) -> Iterator[int]:
        """When (ms) frames that are held back go out."""
        return (moment for held in self._held.values() for moment, _ in held)

    def forget(self, name: str) -> None:
        """Drops what is held back of a stream that nobody subscribes to.

        Args:
            name: name of the stream.
        """
        self._held.pop(name, None)
        self._overtaken.pop(name, None)

    def pass_on(self, name: str, symbol: str, frames: Iterator[Frame], now: int) -> list[Frame]:
        """Applies faults to the frames of one stream.

        Args:
            name: name of the stream.
            symbol: its symbol.
            frames: the right frames, in order.
            now: exchange time, ms.

        Returns:
            The frames to send now.
        """
        faults = self._faults
        passed: list[Frame] = []
        for frame in (*frames, *self._released(name, now)):
            if faults.strike("silence", symbol):
                continue
            if frame.closed and not frame.held_back:
                if faults.strike("no-close-frame", symbol):
                    continue
                if late := faults.strike("late-close", symbol):
                    due = frame.minute_end + round(late.number("seconds") * 1000)
                    self._held.setdefault(name, []).append((max(due, now), frame))
                    continue
            wrong = faults.find("bad-values", symbol)
            if wrong is not None and (frame.closed or not wrong.flag("closes")):
                faults.count(wrong)
                frame = self._spoiled_frame(frame, wrong)
            if frame.closed and not frame.held_back and faults.strike("hasty-close", symbol):
                frame = _with_values(frame, _before_last_trades(frame))
            if not frame.closed and not frame.trade and faults.strike("early-close", symbol):
                frame = _with_values(frame, {"x": True})
            closes = frame.closed and not frame.held_back
            if closes and (twice := faults.strike("two-closes", symbol)):
                other = _with_values(frame, _other_values(frame))
                passed += (other, frame) if twice.text("wrong") == "first" else (frame, other)
                continue
            passed.append(frame)
            if not frame.held_back and faults.strike("duplicate-frames", symbol):
                passed.append(frame)
                if frame.closed:
                    self._held.setdefault(name, []).append((now + _AGAIN_AFTER, frame))
        return self._reordered(name, symbol, passed)

    def _released(self, name: str, now: int) -> list[Frame]:
        held = self._held.get(name)
        if not held:
            return []
        due = [frame for moment, frame in held if moment <= now]
        rest = [(moment, frame) for moment, frame in held if moment > now]
        if rest:
            self._held[name] = rest
        else:
            del self._held[name]
        return [_sent_at(frame, now) for frame in due]

    def _reordered(self, name: str, symbol: str, frames: list[Frame]) -> list[Frame]:
        overtaken = self._overtaken.pop(name, None)
        if not self._faults.find("out-of-order", symbol):
            return frames if overtaken is None else [overtaken, *frames]
        sent: list[Frame] = []
        for frame in frames:
            if overtaken is None:
                overtaken = frame
            else:
                sent += (frame, overtaken)
                overtaken = None
                self._faults.strike("out-of-order", symbol)
        if overtaken is not None:
            self._overtaken[name] = overtaken
        return sent

    def _spoiled_frame(self, frame: Frame, fault: Fault) -> Frame:
        event = orjson.loads(frame.body)
        only = fault.text("only")
        how = _SPOILS[self._spoiled % len(_SPOILS)] if only == "all" else only
        if frame.trade:
            _spoil_trade(event, how)
        else:
            _spoil(event["k"], how)
        self._spoiled += 1
        return frame.changed(orjson.dumps(event))


def _sent_at(frame: Frame, now: int) -> Frame:
    """A frame that was held back, with the time at which it goes out as its event time."""
    event = orjson.loads(frame.body)
    event["E"] = now
    later = frame.changed(orjson.dumps(event))
    later.held_back = True
    return later


def _with_values(frame: Frame, values: dict[str, Any]) -> Frame:
    """A frame with other values of its candle."""
    event = orjson.loads(frame.body)
    event["k"] |= values
    return frame.changed(orjson.dumps(event))


def _other_values(frame: Frame) -> dict[str, Any]:
    """What a close without the last trades would have shown: sound, and not what the minute came to."""
    kline = orjson.loads(frame.body)["k"]
    if not kline["n"]:  # somebody else's trade, in a minute that had none
        price = kline["c"]
        return {"v": "1", "q": price, "n": 1, "V": "0", "Q": "0", "f": 1, "L": 1}
    return {name: f"{float(kline[name]) / 2:.10f}" for name in ("v", "q", "V", "Q")}


def _before_last_trades(frame: Frame) -> dict[str, Any]:
    """A closing frame as it would be had it been sent before half of its trades were booked."""
    kline = orjson.loads(frame.body)["k"]
    if kline["n"] < 2:
        return {}
    trades = kline["n"] // 2
    halves = {}
    for name in ("v", "q", "V", "Q"):  # with the decimals that the exchange prints
        decimals = len(kline[name].partition(".")[2])
        halves[name] = f"{float(kline[name]) / 2:.{decimals}f}"
    return {**halves, "n": trades, "L": kline["f"] + trades - 1}


def _spoil(kline: dict[str, Any], how: str) -> None:
    if how == "high-below-low":
        kline["h"] = f"{float(kline['l']) / 2:.10f}"
    elif how == "nan":
        kline["c"] = "NaN"
    elif how == "negative-volume":
        kline["v"] = f"-{kline['v']}"
    elif how == "interval":
        kline["i"] = "5m" if kline["i"] != "5m" else "1m"
    else:
        kline["t"] += HOUR
        kline["T"] += HOUR


def _spoil_trade(event: dict[str, Any], how: str) -> None:
    if how == "nan":
        event["p"] = "NaN"
    elif how == "negative-volume":
        event["q"] = f"-{event['q']}"
    elif how == "future":
        event["T"] += HOUR
    elif how == "interval":
        event["m"] = "no"
    else:
        event["l"] = event["f"] - 1


class Junk:
    """What the fault garbage has sent on one connection."""

    def __init__(self) -> None:
        self._next = 0
        self._sent = 0

    def due(self, fault: Fault, now: int, example: str) -> tuple[bytes, bool] | None:
        """Makes the next piece of garbage if it is time.

        Args:
            fault: the garbage fault that is on.
            now: exchange time, ms.
            example: name of a stream the connection has.

        Returns:
            Bytes for the socket and whether it ends after them; None if it is not yet time.
        """
        if fault.begins > self._next:
            self._next = fault.begins
        if now < self._next:
            return None
        self._next = now + round(fault.number("every") * 1000)
        only = fault.text("only")
        how = _JUNK[self._sent % len(_JUNK)] if only == "all" else only
        self._sent += 1
        return _junk(how, now, example), how == "cut"


def _junk(how: str, now: int, example: str) -> bytes:
    symbol = example.partition("@")[0].upper()
    if how == "json":
        return text_frame(b'{"stream":"%b","data":{]"e":kline' % example.encode())
    if how == "binary":
        body = bytes(range(256)) * 4
        return b"\x82\x7e" + struct.pack("!H", len(body)) + body
    if how == "event":
        event: dict[str, Any] = {"e": "riskLevelChange", "E": now, "s": symbol, "u": "9", "l": [[], None]}
        return text_frame(orjson.dumps({"stream": example, "data": event}))
    begin = now - now % 60_000
    kline = {
        "t": begin, "T": begin + 59_999, "s": "BTCUSD_PERP", "i": "1m", "f": 1, "L": 3, "o": "1.0",
        "c": "1.0", "h": "1.0", "l": "1.0", "v": "3", "n": 3, "x": True,
        "q": "0.5", "V": "1", "Q": "0.2", "B": "0",
    }  # fmt: skip
    event = {"e": "kline", "E": now, "s": "BTCUSD_PERP", "st": 2, "ps": "BTCUSD", "k": kline}
    whole = orjson.dumps({"stream": "btcusd_perp@kline_1m", "data": event})
    if how == "product":
        return text_frame(whole)
    if how == "truncated":
        return text_frame(whole[: len(whole) * 2 // 3])
    if how == "huge":
        return text_frame(orjson.dumps({"stream": example, "data": {"e": "kline", "pad": "x" * _HUGE}}))
    return text_frame(whole)[: len(whole) // 2]

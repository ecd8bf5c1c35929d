"""The faults the exchange can have: names, parameters, and what each does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

#: A value of a parameter. Numbers of seconds are of exchange time unless the parameter states otherwise.
Value = float | str | bool

_NONE: Mapping[str, Parameter] = MappingProxyType({})


@dataclass(frozen=True)
class Parameter:
    """A knob of a fault; its default sets its type, ``choices`` the texts allowed."""

    default: Value
    what: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """One sort of fault.

    ``symbol`` is whether it can or must be confined to a symbol, ``target`` whether to a REST endpoint or
    to archive files. ``once``: without duration and count it strikes one time. ``lasts``: its duration (s)
    if none is given. ``drawn``: whether random faults contain it, ``drawn_in``: of that market alone.
    """

    name: str
    what: str
    parameters: Mapping[str, Parameter] = field(default_factory=lambda: _NONE)
    symbol: Literal["optional", "none", "needed"] = "optional"
    target: bool = False
    once: bool = False
    lasts: float | None = None
    drawn: bool = True
    drawn_in: str | None = None


_AFTER = Parameter(5.0, "seconds a connection opened meanwhile may live")
_ANY = "all"

_STREAM = (
    Kind(
        "ack-without-data",
        "new subscriptions are acknowledged and stay empty for as long as their connection lives",
    ),
    Kind("silence", "no frames of candles and trades; pings and control messages go on"),
    Kind(
        "server-shutdown",
        "connections opened before it get notice that they will end, and then end",
        {"seconds": Parameter(600.0, "from the announcement to the end")},
        symbol="none",
        drawn_in="spot",
    ),
    Kind("no-close-frame", "closing frames are never sent"),
    Kind(
        "late-close",
        "closing frames come late",
        {"seconds": Parameter(3.0, "after the end of the minute")},
    ),
    Kind("duplicate-frames", "every frame comes twice, and a closing frame once more 5 s later"),
    Kind("out-of-order", "a frame comes after the one that follows it"),
    Kind(
        "disconnect",
        "connections are ended: the open ones, and with a duration also those opened meanwhile",
        {
            "code": Parameter(
                "1001", "close code; 1006 ends TCP without a close frame", ("1001", "1006", "1008", "reset")
            ),
            "after": _AFTER,
        },
        once=True,
    ),
    Kind(
        "half-open",
        "connections, chosen as by disconnect, stay open and nothing flows: no pong, no FIN",
        {"after": _AFTER},
        once=True,
    ),
    Kind(
        "garbage",
        "frames that are no events come between the others",
        {
            "only": Parameter(
                _ANY,
                "one sort instead of all in turn",
                (_ANY, "json", "truncated", "binary", "event", "product", "huge", "cut"),
            ),
            "every": Parameter(1.0, "seconds between them on a connection"),
        },
    ),
    Kind(
        "bad-values",
        "frames have values that cannot be",
        {
            "only": Parameter(
                _ANY,
                "one sort instead of all in turn",
                (_ANY, "high-below-low", "nan", "negative-volume", "interval", "future"),
            ),
            "closes": Parameter(False, "closing frames alone"),
        },
    ),
    Kind(
        "hasty-close",
        "a closing frame lacks the last trades of its minute, as its last trade id shows; REST has them",
        drawn=False,  # if the next minute's frames are lost too, nothing shows it
    ),
    Kind("early-close", "updates of the minute in progress claim that it is closed"),
    Kind(
        "two-closes",
        "a minute is closed twice, with other values the one time; REST has the right ones",
        {"wrong": Parameter("first", "which of them is wrong", ("first", "last"))},
        drawn=False,  # if the right one is lost too, it never heals
    ),
)

# Not drawn at random: who follows trades switches them on, and whose candles alone are followed sees nothing.
_TRADES = (
    Kind(
        "missing-trades",
        "aggregate trades are absent, and their ids with them: in stream, rest or archive by the target",
        {"share": Parameter(0.05, "of the rows")},
        target=True,
        drawn=False,
    ),
    Kind(
        "zero-trade",
        "a row of an aggregate trade has price and quantity zero, and its id counts",
        {
            "every": Parameter(1.0, "minutes from one to the next"),
            "shown": Parameter(True, "else the id is used and there is no row"),
        },
        drawn=False,
    ),
    Kind(
        "insurance-fills",
        "aggregate trades lack what candles count: fills of the insurance fund and of deleveraging",
        {"share": Parameter(0.02, "of the rows that lack about half")},
        drawn=False,
    ),
    Kind(
        "straddling-trades",
        "the last trade that a candle counts bears a time in the next minute",
        {"ms": Parameter(2.0, "after the end of the minute")},
        drawn=False,
    ),
)

_LINK = (
    Kind(
        "refuse-connections",
        "the link is down: every connection is cut, and none can be made, REST and archive included",
        {"how": Parameter("reset", "answer of the network", ("reset", "blackhole"))},
        symbol="none",
    ),
)

_REST = (
    Kind(
        "rest-429",
        "too many requests",
        {"retry_after": Parameter(10.0, "seconds in the Retry-After header; 0 leaves it out")},
        target=True,
    ),
    Kind(
        "rest-418",
        "the address is banned until the fault ends",
        {"header": Parameter(True, "send Retry-After")},
        symbol="none",
        target=True,
        lasts=120.0,
    ),
    Kind("rest-403", "the firewall answers, in HTML", target=True),
    Kind("rest-451", "refused by country", target=True),
    Kind(
        "rest-5xx",
        "the exchange fails",
        {"status": Parameter("503", "of the answer", ("408", "500", "502", "503", "504"))},
        target=True,
    ),
    Kind(
        "rest-timeout",
        "no answer comes",
        {"seconds": Parameter(600.0, "until it comes after all; sooner if the fault ends")},
        target=True,
    ),
    Kind(
        "rest-truncated",
        "the answer is cut in the middle",
        {
            "how": Parameter(
                "json", "half the body as if it were all, or a broken transfer", ("json", "transfer")
            )
        },
        target=True,
    ),
    Kind("rest-empty", "klines answers with an empty list"),
    Kind("odd-rows", "rows of klines are out of order, there twice, cut short, or no rows"),
    Kind(
        "odd-listing",
        "exchangeInfo has entries that make no sense: of a symbol, or of others beside the right ones",
        {
            "only": Parameter(
                _ANY,
                "one sort instead of all in turn",
                (_ANY, "filters", "contract", "tick", "status", "name", "type"),
            )
        },
        drawn=False,
    ),
    Kind(
        "short-listing",
        "exchangeInfo lists hardly anything",
        {"left": Parameter(0.0, "symbols that it lists still")},
        symbol="none",
        drawn=False,
    ),
    Kind(
        "weight-jump",
        "another process at the same address uses the weight",
        {"used": Parameter(2300.0, "weight already used in every minute")},
        symbol="none",
    ),
    Kind(
        "unfinished-row",
        "a minute that has ended lacks its last trades for longer",
        {"seconds": Parameter(10.0, "after the end of the minute until REST shows it final")},
    ),
)

_DAY_OF_MONTH = Parameter(17.0, "day of a monthly file")
_ARCHIVE = (
    Kind(
        "bad-checksum",
        "the .CHECKSUM does not fit the zip",
        {"how": Parameter("hash", "another hash, an empty file, or a web page", ("hash", "empty", "html"))},
        target=True,
    ),
    Kind("no-checksum", "the .CHECKSUM is missing", target=True),
    Kind(
        "corrupt-zip",
        "the zip cannot be read",
        {
            "how": Parameter(
                "bytes", "changed bytes, a missing end, or another file", ("bytes", "end", "html")
            ),
            "signed": Parameter(True, "the .CHECKSUM is of the corrupt zip"),
        },
        target=True,
    ),
    Kind("missing-file", "404 for zip and .CHECKSUM", target=True),
    Kind("forbidden-file", "403 for zip and .CHECKSUM", target=True),
    Kind(
        "zip-bomb",
        "the zip unpacks to more than 64 MiB",
        {
            "mebibytes": Parameter(65.0, "size of the member"),
            "lying": Parameter(False, "the zip states a small size"),
        },
        target=True,
    ),
    Kind(
        "zip-path",
        "the member has a path",
        {"prefix": Parameter("../", "what stands before the name")},
        target=True,
    ),
    Kind("two-members", "the zip holds a second file", target=True),
    Kind("csv-long-header", "the header has the longer names", target=True),
    Kind("csv-no-header", "there is no header", target=True),
    Kind("csv-crlf", "lines end in CR LF", target=True),
    Kind("csv-microseconds", "times are in microseconds", target=True),
    Kind(
        "missing-rows",
        "a monthly file lacks a day, a daily file some minutes",
        {
            "day": _DAY_OF_MONTH,
            "minute": Parameter(720.0, "first minute of the day that a daily file lacks"),
            "minutes": Parameter(30.0, "how many a daily file lacks"),
        },
        target=True,
    ),
    Kind("duplicate-rows", "rows are there twice, next to each other and again at the end", target=True),
    Kind("unsorted-rows", "rows are out of order", target=True),
    Kind(
        "zero-rows",
        "rows are zero though there was trade; REST shows the truth",
        {
            "day": _DAY_OF_MONTH,
            "minute": Parameter(1200.0, "first minute of the day"),
            "minutes": Parameter(74.0, "how many"),
        },
        target=True,
    ),
    Kind(
        "slow-archive",
        "files trickle",
        {"bytes_per_second": Parameter(4096.0, "of real time")},
        target=True,
    ),
    Kind("cut-file", "the transfer breaks off in the middle", target=True),
    Kind(
        "late-archive",
        "files appear later than they usually do",
        {"hours": Parameter(24.0, "later")},
        target=True,
        drawn=False,
    ),
)

_MARKET = (
    Kind(
        "outage",
        "nothing is traded from the next minute on: flat zero rows everywhere, no frames",
        {"begin": Parameter(0.0, "first minute (ms since the epoch) instead of the next one")},
    ),
    Kind(
        "delist",
        "the symbol ceases to trade, is SETTLING in exchangeInfo, then gone from it and unknown to klines",
        {"gone": Parameter(60.0, "seconds until it is gone")},
        symbol="needed",
        drawn=False,
    ),
    Kind(
        "clock-skew",
        "the time of the exchange is another than it was",
        {
            "seconds": Parameter(90.0, "how far ahead; negative for behind"),
            "every": Parameter(0.0, "step there and back every so many seconds"),
            "stated": Parameter(False, "only the time that /time and exchangeInfo state is wrong"),
        },
        symbol="none",
    ),
)

#: Every kind of fault by name.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {kind.name: kind for kind in (*_LINK, *_STREAM, *_TRADES, *_REST, *_ARCHIVE, *_MARKET)}
)

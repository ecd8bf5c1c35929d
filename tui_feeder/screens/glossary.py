"""What the abbreviations and signs of each screen mean, with their units; ``?`` shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tui_feeder.monitor import IndicatorView
from tui_feeder.scanner.measures import IndicatorMeasure, indicator_measures
from tui_feeder.widgets.palette import Glyphs

#: A term as it stands on the screen, and what it means.
Entry = tuple[str, str]

_HEADER: tuple[Entry, ...] = (
    ("LIVE", "state of the feeder: STARTING, BACKFILL (history is read), LIVE, DEGRADED (something is "
             "wrong), LOST (it does not answer), REPLAY"),
    ("sym", "symbols: those that pass the filter / all"),
    ("ws 2/2 41ms", "WebSocket streams: live ones of all; slowest way of a frame to here"),
    ("lmdb ok", "LMDB, the store on disk"),
    ("kfk pg file", "sinks, where messages go: Kafka, PostgreSQL, files; screen 5"),
    ("gaps 3!", "open gaps in the candles: screen 4"),
    ("alerts 2!", "alerts nobody has acknowledged: a lists them"),
    ("BNB +1.70", "movers: the largest changes in 24 h, in %, up and down, without the quote asset"),
    ("rest 61/2400", "weight of this minute's REST requests, and the exchange's limit"),
    ("10x", "exchange seconds in a second here, of a demo or a replay"),
    ("14:03:22Z", "time of the exchange; Z: UTC, else as ui.timezone has it"),
)  # fmt: skip
_KNOWN = (
    "exact 97 % ~",
    "of a profile: how much of its volume is known by price; ~ all is guessed of candles",
)
_REST: Entry = ("REST", "requests over HTTP, for minutes the stream does not give")
_TREND: tuple[Entry, ...] = (
    ("~", "warming up: too few bars, or bars missing, for an indicator to be settled"),
    ("*", "the last bar that was due is missing, or lacks minutes"),
    ("?", "not known yet"),
)
_COLUMNS: tuple[Entry, ...] = (
    ("PRICE", "last price, in the quote asset"),
    ("1m% 24h%", "change against the close a minute, a day ago, in %"),
    ("LAST 24h", "closes of the last 48 half hours"),
    ("VOL", "traded in 24 h, in the quote asset; k M B T: 10^3 10^6 10^9 10^12"),
    ("RVOL", "relative volume: the last 15 min in times of the median at that time of day, 14 days"),
    ("DLT 1h", "delta: what takers bought less what they sold in the last bar, in % of its volume"),
    ("CVD%", "cumulative volume delta: the same of the UTC day, in % of its volume"),
    ("RNG%", "from the low to the high of 24 h, in % of the low"),
    ("ALGN", "alignment: timeframes with trend Buy less those with Sell; ? some are not known"),
    ("HELD", "since when no trend has changed: minutes, hours, days"),
    ("1m .. 4h", "trend of each timeframe after its last closed bar"),
)
_LEVELS: tuple[Entry, ...] = (
    ("VA hi in lo", "price against the day's value area: above, inside, below"),
    ("POC% VWAP% VAH% VAL%", "distance of the price from that level of the day, in % of the level"),
    ("POC", "point of control: the price of most volume of the UTC day"),
    ("VWAP", "volume-weighted average price of the UTC day"),
    ("VAH VAL", "value area high and low: 70 % of the day's volume lies between, unless configured"),
    ("GAPS", "missing minutes of the wanted range"),
    ("AGE", "since the last frame: seconds, m minutes, h hours, d days; ! late or stale"),
    ("e21 e89", "in the charts: EMA of so many closes, by default 21 and 89"),
    ("vol, V", "in charts and profile: volume in the base asset"),
    ("min", "minutes counted in the profile"),
    _KNOWN,
    _REST,
    ("eta", "time until history is read, or a gap is filled"),
)
_CHART: tuple[Entry, ...] = (
    ("e21 e89", "EMA of so many closes, by default 21 and 89"),
    ("O H L C", "open, high, low, close of the bar"),
    ("V, vol", "volume of the bar, in the base asset"),
    ("range", "from the low to the high of the bar, in % of the low"),
    ("quote", "traded in the bar, in the quote asset"),
    ("trades", "trades of the bar"),
    ("buy", "share of the volume that takers bought, in %"),
    ("to now", "last price against the close of the bar, in %"),
    ("since left, vs", "C compares: change of both symbols since the first bar in sight, in %; the axis too"),
    ("basis", "future / spot - 1 of the same bar, in basis points (bp); b hides it"),
    ("partial*", "minutes of the bar are missing"),
    ("delta, +-", "d: what takers bought less what they sold, in the base asset; +- the largest in sight"),
    ("CVD", "cumulative volume delta: the sum of deltas since midnight UTC, in the base asset"),
    ("naked", "n: POC of that day, at which nothing was traded since"),
    ("dPC dVH dVL, dev", "n: POC, VAH and VAL as they developed over the day"),
    ("aVW +1s -2s", "m: VWAP since mark 1, and one and two standard deviations from it"),
    ("min", "minutes counted in the profile between two marks"),
    _KNOWN,
    ("POC VAH VAL VWAP", "levels of the day's profile: point of control, value area high and low, "
                         "volume-weighted average price"),
)  # fmt: skip
_PROFILE: tuple[Entry, ...] = (
    ("POC", "point of control: the price of most volume"),
    ("VAH VAL", "value area high and low: 70 % of the volume lies between"),
    ("VWAP", "volume-weighted average price"),
    ("vol", "volume of the day, in the base asset"),
    ("min", "minutes counted"),
    ("bought sold", "by takers, in a bar as long as the line's heaviest row; behind it the delta, bought "
                    "less sold, of all rows that the line covers"),
    ("delta", "of the day: what takers bought less what they sold, in the base asset"),
    _KNOWN,
    ("row", "height of a row of the profile, in the quote asset"),
)  # fmt: skip
_FOOTPRINT: tuple[Entry, ...] = (
    ("bought x sold", "by takers, in the base asset; > more was bought, < more was sold; the sign of a trend "
                      "instead: three times as much as the other side diagonally"),
    ("[ ]", "the price of most volume of the bar (POC)"),
    ("delta", "what takers bought less what they sold"),
    ("vol", "volume of the bar, in the base asset"),
    ("POC VAH VAL VWAP", "levels of the day's profile beside: point of control, value area high and low, "
                         "volume-weighted average price"),
    ("known", "volume that is known by price: exact, 97 %, or ~ where it is guessed of candles"),
    ("row", "height of a row, in the quote asset"),
)  # fmt: skip
_GAPS: tuple[Entry, ...] = (
    ("MISSING", "minutes of the wanted range that are not stored; ! there are some"),
    ("live stored", "in the strips: minutes as the stream gave them; from an archive or REST"),
    ("missing", "in the strips: not stored yet; reading: being read now"),
    ("unavailable", "in the strips: no source has them, asked for again now and then"),
    ("none", "in the strips: the exchange has no candle of them, never asked for again"),
    ("FROM→TO", "the gap's first missing minute, and the first one that is there again"),
    ("MIN", "minutes of the gap"),
    ("FILLED", "share of its minutes that are stored by now, or its state"),
    ("WHY", "why it opened or why the last try failed, and the source asked"),
    _REST,
    ("TRIES", "how often it was asked for"),
    ("NEXT/ETA", "time until the next try, or until it is filled"),
)
_DATA: tuple[Entry, ...] = (
    ("proved", "every minute is from a checked archive, or was read by REST once it was final"),
    ("live only", "all minutes are there, some as the stream alone gave them"),
    ("corrected", "of a day: some minutes were published live with other values than stand now"),
    ("lacking", "minutes are missing, unavailable, or damaged on disk"),
    ("unknown", "nothing of the day is stored"),
    ("minutes of the day", "in a high terminal: where each minute is from, as in the strips of screen 4"),
    ("none there", "no minute at the exchange: before the listing, after the delivery, or skipped for good"),
    ("published", "minutes whose message went out within 60 s of their end, and what became of them"),
    (
        "trade ids",
        "joined: the next minute's first trade follows on this one's last, so nothing lies between",
    ),
    ("exact since", "ids did not join; REST or an archive has confirmed the minute"),
    ("SOURCE UNTIL", "where a value of the minute came from, and when another took its place"),
    ("OPEN HIGH LOW CLOSE", "prices of the minute, in the quote asset"),
    ("VOLUME TRADES", "traded in the minute, in the base asset; number of trades"),
    _REST,
)
_SOURCES: tuple[Entry, ...] = (
    ("SYM", "symbols of the stream"),
    ("AGE", "since the last frame: seconds, m minutes, h hours"),
    ("WHY", "why a stream or symbol is not live, or was renewed"),
    ("MISSING", "minutes of the symbol's open gaps"),
    ("LAST MINUTE", "its newest closed minute"),
    ("MESSAGES", "published for it since the start"),
    ("FRAMES/s", "messages of the stream in a second"),
    ("ms", "milliseconds"),
    ("kB MB GB", "10^3, 10^6, 10^9 bytes"),
    ("LATENCY", "from the exchange's stamp of a frame to its arrival"),
    ("last hour", "a cell a minute, or several minutes: the lowest rate and the greatest latency of them"),
    ("RENEWED", "how often the connection was made again"),
    _REST,
    ("weight", "what requests cost of the exchange's limit a minute"),
)
_MAP: tuple[Entry, ...] = (
    ("size", "volume traded in 24 h, in the quote asset; placed anew every 5 minutes"),
    ("24h change", "in %: coloured from 0.25, more strongly from 2 and from 5"),
    ("trend alignment", "timeframes with trend Buy less those with Sell; ? some are not known"),
    ("freshness", "whether candles of it arrive: live, late, stale, or what it waits for"),
    ("vol", "traded in 24 h, in the quote asset; k M B T: 10^3 10^6 10^9 10^12"),
    ("RVOL", "relative volume: the last 15 min in times of the median at that time of day, 14 days"),
    ("1m .. 4h", "in large tiles: trend of each timeframe after its last closed bar, and their alignment"),
    ("POC", "distance of the price from the price of most volume of the UTC day, in %"),
    ("VA hi in lo", "price against the day's value area: above, inside, below"),
    ("RNG", "from the low to the high of 24 h, in % of the low; bars below: closes of the last 24 h"),
)
_LOG: tuple[Entry, ...] = (
    ("!", "warning or error"),
    ("02-03 14:03:22", "exchange time of the line, as in the first line"),
    _REST,
)
_CLUSTER: tuple[Entry, ...] = (
    ("heartbeat", "how long ago the group answered this worker; after 6 s it publishes nothing"),
    ("given", "partitions that the group has given to this worker"),
    ("SYMBOLS", "wanted symbols in the partitions"),
    ("EPOCH", "how often a partition's producer was begun; it rises with every owner"),
    ("SECONDS", "from the assignment of a partition to its first transaction"),
    ("BEFORE", "the worker that published there before"),
)

_TERMS: Mapping[str, Sequence[Entry]] = {
    "overview": (*_LEVELS, *_TREND), "chart": (*_CHART, *_TREND), "profile": _PROFILE, "gaps": _GAPS,
    "data": _DATA, "sources": _SOURCES, "log": _LOG, "cluster": _CLUSTER,
    "footprint": _FOOTPRINT, "map": _MAP,
}  # fmt: skip


def glossary(mode: str, glyphs: Glyphs, indicators: Sequence[IndicatorView]) -> list[Entry]:
    """Collects what stands on a screen.

    Args:
        mode: name of the screen, as ``overview``.
        glyphs: symbols in force.
        indicators: of the snapshot.

    Returns:
        Its terms, then those of the first line.
    """
    signs = f"{glyphs.buy} {glyphs.neutral} {glyphs.sell}"
    trends = [(signs, "trend Buy, Neutral, Sell; in the first line how many symbols have it")]
    columns: list[Entry] = []
    marks: list[Entry] = []
    if mode == "overview":
        columns = [*_COLUMNS, *map(_indicator, indicator_measures(indicators))]
        marks = [
            ("!", "before a name: an alert of it is not acknowledged"),
            (
                f"{glyphs.pin} {glyphs.note}",
                "before a name: you pinned it; it has a note of yours. ! goes first",
            ),
        ]
    unknown = [(glyphs.unknown, "no value yet")]
    return [*columns, *_TERMS.get(mode, ()), *trends, *marks, *unknown, *_HEADER]


def _indicator(measure: IndicatorMeasure) -> Entry:
    text = f"{measure.title} of closes of that timeframe"
    text += f", in % of {measure.title.rpartition(' against ')[2]}" if measure.percent else ""
    return f"{measure.heading} 1h", f"{text}; [ ] change it"

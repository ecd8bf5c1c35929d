"""Questions about a market that only the exchange itself can answer, asked by ``doctor --record``.

What the documents leave open, or state differently. Each answer has what was seen, and how much of it; the
messages themselves are recorded as evidence.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
import websockets
from websockets.asyncio.client import connect

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.decoding import UNREADABLE, ExactInt
from tui_feeder.engine.core.proxy import Proxies, reason_of
from tui_feeder.engine.exchanges.base import Probe, RestError, SymbolInfo, Trading
from tui_feeder.engine.exchanges.binance.market_type import Market
from tui_feeder.engine.exchanges.binance.rest_client import RestClient
from tui_feeder.engine.exchanges.binance.routes import kline_stream

Record = Callable[[str, bytes], None]

#: Symbols asked for minutes without a trade, and how many minutes of each.
_QUIET_SYMBOLS, _QUIET_MINUTES = 5, 480
_MOST_MESSAGES = 2_000  # of one connection
_MAX_FRAME = 1 << 20


class _Trades(msgspec.Struct):
    """Of a frame, which trades its minute holds so far."""

    t: ExactInt
    s: str
    f: ExactInt
    L: ExactInt
    n: ExactInt
    x: bool


class _Data(msgspec.Struct):
    e: str = ""
    k: _Trades | None = None


class _Message(msgspec.Struct):
    data: _Data | None = None


_decode = msgspec.json.Decoder(_Message, strict=False).decode


class Prober:
    """Asks one market.

    Args:
        market: which.
        rest: its requests.
        stream_url: of its streams.
        proxies: on the way there.
        record: given the address and every message as it came.
        seconds: how long each connection listens.
    """

    def __init__(
        self,
        market: Market,
        rest: RestClient,
        stream_url: str,
        proxies: Proxies | None,
        record: Record,
        seconds: float,
    ) -> None:
        self._market = market
        self._rest = rest
        self._stream_url = stream_url.rstrip("/")
        self._proxies = proxies or Proxies()
        self._record = record
        self._seconds = seconds

    async def answers(self, foreign: Sequence[str]) -> list[Probe]:
        """Asks everything at the same time.

        Args:
            foreign: a symbol of each other market, as the exchange itself names it.

        Returns:
            What was seen.
        """
        own = self._market.bare(self._market.probe_symbol)
        asked = [self._neighbours(own)]
        asked += [self._carried(self._market.stream_path, name) for name in foreign if name != own]
        asked += [self._carried(path, own) for path in self._market.other_paths]
        asked += [self._announcement(stream) for stream in self._market.notices]
        if self._market.facts.omits_minutes:
            asked.append(self._quiet_minutes())
        return list(await asyncio.gather(*asked))

    async def _messages(self, path: str, streams: Sequence[str]) -> AsyncIterator[bytes]:
        """What comes on a connection of its own, recorded, for the time there is.

        Raises:
            OSError: it cannot be connected to, or ends.
            websockets.WebSocketException: likewise.
        """
        url = f"{self._stream_url}{path}"
        proxy = self._proxies.of(url)
        try:
            async with asyncio.timeout(self._seconds):
                async with connect(
                    url, max_size=_MAX_FRAME, proxy=None if proxy is None else proxy.address.reveal()
                ) as socket:
                    order = {"method": "SUBSCRIBE", "params": list(streams), "id": 1}
                    await socket.send(msgspec.json.encode(order), text=True)
                    for _ in range(_MOST_MESSAGES):
                        text = await socket.recv(decode=False)
                        self._record(url, text)
                        yield text
        except TimeoutError:
            return

    async def _events(self, path: str, streams: Sequence[str]) -> tuple[Counter[str], list[_Trades], str]:
        """Events by their kind, the candles among them, and why it ended early."""
        kinds: Counter[str] = Counter()
        candles: list[_Trades] = []
        try:
            async for text in self._messages(path, streams):
                try:
                    data = _decode(text).data
                except UNREADABLE:
                    kinds["unreadable"] += 1
                    continue
                kinds["answer" if data is None else data.e] += 1
                if data is not None and data.k is not None:
                    candles.append(data.k)
        except (OSError, websockets.WebSocketException) as error:
            return kinds, candles, reason_of(error, self._proxies.of(self._stream_url)).removeprefix(": ")
        return kinds, candles, ""

    async def _carried(self, path: str, bare: str) -> Probe:
        question = f"is {bare} carried by {self._stream_url}{path}?"
        kinds, candles, ended = await self._events(path, [kline_stream(bare)])
        if candles:
            return Probe(question, f"yes: {len(candles)} frames in {self._seconds:.0f} s")
        return Probe(question, f"no frame in {self._seconds:.0f} s ({_shown(kinds, ended)})")

    async def _announcement(self, stream: str) -> Probe:
        question = "how is the end of a connection announced?"
        kinds, _, ended = await self._events(self._market.stream_path, [stream])
        if kinds[stream.lstrip("!")]:
            return Probe(question, f"by an event of {stream}: its wording is in streams.jsonl")
        return Probe(question, f"none was announced in {self._seconds:.0f} s ({_shown(kinds, ended)})")

    async def _neighbours(self, bare: str) -> Probe:
        """Whether the first trade of a minute follows on the last one of the minute before."""
        question = f"does f(next) = L(previous) + 1 hold from minute to minute of {self._market.name}?"
        _, candles, ended = await self._events(self._market.stream_path, [kline_stream(bare)])
        closed: dict[int, _Trades] = {}
        joined = broken = 0
        firsts = {frame.t: frame.f for frame in candles if frame.n}
        for frame in candles:
            if frame.x and frame.n:
                closed[frame.t] = frame
        for start, frame in closed.items():
            following = firsts.get(start + MINUTE_MS)
            if following is not None:
                joined += following == frame.L + 1
                broken += following != frame.L + 1
        whole = sum(frame.n == frame.L - frame.f + 1 for frame in closed.values())
        text = (
            f"{joined} of {joined + broken} seams joined, n = L - f + 1 in {whole} of {len(closed)} minutes"
        )
        more = "" if joined + broken else "; listen for longer: --patience 150"
        why = f"; {ended}" if ended else ""
        return Probe(question, f"{text}, {len(candles)} frames of {bare}{more}{why}")

    async def _quiet_minutes(self) -> Probe:
        """Whether REST has a row of a minute without a trade."""
        question = "has REST a row of a minute without a trade?"
        try:
            listed = (await self._rest.listings()).symbols
            chosen = _spread([info for info in listed.values() if info.trading is Trading.NOW])
            end = self._rest.clock.now() // MINUTE_MS * MINUTE_MS
            begin = end - _QUIET_MINUTES * MINUTE_MS
            quiet = absent = 0
            for info in chosen:
                rows = await self._rest.klines(info.symbol, start=begin, end=end, limit=_QUIET_MINUTES)
                quiet += int((rows["trades"] == 0).sum())
                absent += _QUIET_MINUTES - len(rows)
        except RestError as error:
            return Probe(question, f"{error.kind}: {error}")
        names = ", ".join(info.symbol for info in chosen)
        many = f"{_QUIET_MINUTES} minutes of each of {names}"
        return Probe(question, f"{quiet} rows without a trade, {absent} absent minutes in {many}")


def _spread(listed: Sequence[SymbolInfo]) -> list[SymbolInfo]:
    """Some symbols from all over the list: the busiest stand at its beginning."""
    step = max(1, len(listed) // _QUIET_SYMBOLS)
    return list(listed[step - 1 :: step][:_QUIET_SYMBOLS])


def _shown(kinds: Counter[str], ended: str) -> str:
    seen = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "nothing came"
    return f"{seen}; {ended}" if ended else seen

"""The checks of ``feeder-tui doctor`` on the exchange and the way to it: state, text, remedy."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tui_feeder.commands.doctor_checks import Finding
from tui_feeder.commands.symbols import listed_symbols
from tui_feeder.config import Config
from tui_feeder.engine.composition import configured_routes
from tui_feeder.engine.core.archive_file import File, FileKind
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, SECOND_MS
from tui_feeder.engine.core.journal import shortened
from tui_feeder.engine.core.proxy import ProxyError, routes_text
from tui_feeder.engine.exchanges.base import (
    ArchiveError,
    Exchange,
    Refusal,
    RestError,
    StreamHandlers,
    SymbolInfo,
)
from tui_feeder.engine.exchanges.configured import configured_addresses, configured_exchange
from tui_feeder.engine.storage.store import Store, StoreError
from tui_feeder.spelling import closest
from tui_feeder.symbol_name import is_pattern, market_of

#: The clock may differ by so much without a word, s; it is measured twice, so far apart.
_SKEW_SECONDS, _BETWEEN_SECONDS = 1.0, 2.5
#: Farther from real time than this, the exchange is a simulated one.
_ANOTHER_TIME_MS = 30 * DAY_MS
_STREAMS = 10
_ARCHIVE_SECONDS = 60.0
_CANDLES = 5  # asked for, to see whether there are any
#: Share of the weight of a minute from which others must be spending it.
_MUCH_WEIGHT = 0.8


@dataclass(slots=True)
class Market:
    """The exchange and its list of symbols, for the checks after it."""

    exchange: Exchange
    listed: dict[str, SymbolInfo] = field(default_factory=dict)
    chosen: list[str] = field(default_factory=list)
    name: str = ""
    """What its symbols begin with; "" where there is one market alone."""

    def titled(self, what: str) -> str:
        """Names a check of this market.

        Args:
            what: the check.

        Returns:
            With the market, where there are several.
        """
        return f"{what} {self.name}".rstrip()

    def parts(self) -> list[Market]:
        """Divides it by the markets that the chosen symbols belong to; itself where that is one."""
        names = list(dict.fromkeys(map(market_of, self.chosen)))
        if len(names) < 2:
            return [self]
        return [
            Market(
                self.exchange,
                {symbol: info for symbol, info in self.listed.items() if market_of(symbol) == name},
                [symbol for symbol in self.chosen if market_of(symbol) == name],
                name,
            )
            for name in names
        ]


_REMEDIES = {
    Refusal.BANNED: "send nothing from this address until then; see whether another program asks it too",
    Refusal.RATE_LIMITED: "another program at this address spends the weight: stop it, or wait a minute",
    Refusal.FORBIDDEN: "the exchange's firewall refuses this address: wait some minutes, or use another",
    Refusal.REFUSED_HERE: "the exchange does not serve this country: run elsewhere; archives may work",
    Refusal.TIMEOUT: "check the network and exchange.rest_url; a firewall may swallow the packets",
    Refusal.UNREACHABLE: "check the network and exchange.rest_url",
    Refusal.EXCHANGE_ERROR: "the exchange is in trouble: wait, and see its status page",
    Refusal.BAD_ANSWER: "something on the way changes the answers: check exchange.rest_url and any proxy",
    Refusal.BAD_REQUEST: "check exchange.rest_url",
}


def proxies(config: Config) -> Finding:
    """Checks how REST, the streams and the archive are reached, and which setting decides it.

    Args:
        config: the configuration.

    Returns:
        The result.
    """
    try:
        found = configured_routes(config)
    except ProxyError as error:
        return Finding("proxy", "fail", str(error), 'exchange.proxy = "none" goes without one')
    return Finding("proxy", "ok", routes_text(found) if any(found.values()) else "none is used")


async def dns(config: Config) -> Finding:
    """Checks whether the hosts have addresses; behind a proxy only the proxy's, which looks up the others.

    Args:
        config: the configuration.

    Returns:
        The result.
    """
    urls, ways = configured_addresses(config), configured_routes(config)
    hosts = dict.fromkeys(
        urlsplit(url).hostname or "" if (way := ways[name]) is None else way.address.host
        for name, url in urls.items()
    )
    unknown = []
    for host in hosts:
        try:
            await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            unknown.append(f"{host}: {error.strerror}")
    if unknown:
        remedy = "check the network and its name server (resolvectl status, /etc/resolv.conf)"
        return Finding("names", "fail", "; ".join(unknown), remedy)
    return Finding("names", "ok", ", ".join(hosts))


def exchange_of(config: Config, workers: ThreadPoolExecutor) -> Exchange:
    """The configured exchange; it knows of a ban that an earlier run met, and keeps none met now.

    Args:
        config: the whole configuration.
        workers: the thread that parses archives.

    Returns:
        Not connected yet.

    Raises:
        ProxyError: the proxy on the way cannot be used.
    """
    try:
        with contextlib.closing(Store(config.application.storage_path, read_only=True)) as store:
            return configured_exchange(config, workers, store)
    except StoreError:
        return configured_exchange(config, workers)


async def rest(config: Config, exchange: Exchange) -> tuple[list[Finding], Market]:
    """REST, the clock, and the symbols that are wanted; in this order.

    Args:
        config: the whole configuration.
        exchange: asked for all of it.

    Returns:
        What was found, and what the checks after it need.
    """
    market = Market(exchange)
    found: list[Finding] = []
    try:
        await exchange.sync_clock()
        listings = await exchange.listings(config.application.symbols)
        market.listed = listings.symbols
        found.append(_symbols(config, market))
        if listings.unusable:
            entries = shortened([f"{name}: {why}" for name, why in listings.unusable.items()])
            text = f"{len(listings.unusable)} entries of the exchange's list cannot be used: {entries}"
            found.append(Finding("listing", "warn", text, "the others are followed; wait for the exchange"))
        end, empty = exchange.clock.now() // MINUTE_MS * MINUTE_MS, []
        for part in market.parts():
            asked = part.chosen[0] if part.chosen else exchange.probe_symbol
            page = await exchange.candles(asked, MINUTE_MS // SECOND_MS, end - _CANDLES * MINUTE_MS, end)
            empty += [] if len(page.rows) else [asked]
        if not empty:
            found.insert(0, _weight(exchange))
        else:
            text = f"candles of {', '.join(empty)} are an empty list"
            found.insert(
                0, Finding("REST", "fail", text, "the exchange gives no candles: wait, and try again")
            )
        found.insert(1, await _clock(config, exchange))
    except RestError as error:
        found.insert(0, _refused(error))
    return found, market


def _weight(exchange: Exchange) -> Finding:
    """That requests are answered, and how many more may be made."""
    status = exchange.status()
    used = f"weight {status.weight_used} of {status.weight_limit} used in this minute"
    if status.weight_used > _MUCH_WEIGHT * status.weight_limit:
        return Finding("REST", "warn", used, _REMEDIES[Refusal.RATE_LIMITED])
    return Finding("REST", "ok", f"{exchange.address}, {used}")


def _refused(error: RestError) -> Finding:
    """Why a request got no usable answer, and what to do."""
    if error.kind is Refusal.UNKNOWN_SYMBOL:
        return Finding("REST", "warn", "the listing names a symbol of which candles are refused", "wait")
    until = ""
    if error.kind is Refusal.BANNED and error.retry_ms is not None:
        until = f"; until {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(error.retry_ms / 1000))}"
    remedy = _REMEDIES.get(error.kind, "wait, and try again")
    return Finding("REST", "fail", f"{error.kind}: {error}{until}", remedy)


async def _clock(config: Config, exchange: Exchange) -> Finding:
    """This machine's clock against the exchange's, which must not step."""
    offset = exchange.clock.offset_ms / 1000
    if config.exchange.clock_rate != 1.0 or abs(offset) * 1000 > _ANOTHER_TIME_MS:
        return Finding("clock", "ok", "the exchange is a simulated one, of another time")
    await asyncio.sleep(_BETWEEN_SECONDS)
    step = (await exchange.sync_clock()).ms / 1000
    if abs(step) > _SKEW_SECONDS:
        text = (
            f"the exchange's clock stepped by {step:+.1f} s against this machine's in {_BETWEEN_SECONDS:g} s"
        )
        return Finding(
            "clock", "warn", text, "see whether this machine's clock is set by hand or by two programs"
        )
    if abs(offset) > _SKEW_SECONDS:
        side = "behind" if offset > 0 else "ahead of"
        text = f"this machine's clock is {abs(offset):.1f} s {side} the exchange's, which the feeder follows"
        return Finding("clock", "warn", text, "keep it right: timedatectl set-ntp true, or chrony")
    return Finding("clock", "ok", f"{offset * 1000:+.0f} ms from the exchange's")


def _symbols(config: Config, market: Market) -> Finding:
    wanted = config.application.symbols
    market.chosen, absent = listed_symbols(wanted, market.listed)
    guesses = [_with_suggestion(name, market.listed) for name in absent[:5]]
    remedy = "check application.symbols"
    if not market.chosen:
        return Finding(
            "symbols", "fail", f"none is listed: {', '.join(guesses) or ', '.join(wanted)}", remedy
        )
    if absent:
        return Finding(
            "symbols", "warn", f"{len(market.chosen)} are listed; not: {', '.join(guesses)}", remedy
        )
    return Finding("symbols", "ok", f"{len(market.chosen)} of {len(market.listed)} listed ones")


def _with_suggestion(name: str, listed: Iterable[str]) -> str:
    near = closest(name, listed)
    return f"{name} (did you mean {near}?)" if near else name


async def archive(config: Config, market: Market) -> Finding | None:
    """One day's file, checked and parsed; None where the exchange has no archive.

    Args:
        config: has the address of the archives.
        market: asked for a file of the day before yesterday.

    Returns:
        How it went.
    """
    exchange, known, title = market.exchange, market.listed, market.titled("archive")
    probe = exchange.probe_symbol
    symbol = probe if not known or probe in known else next(iter(market.chosen or known))
    if exchange.facts(symbol).archive_published is None:
        return None
    day = exchange.clock.now() // DAY_MS * DAY_MS - 2 * DAY_MS
    base = configured_addresses(config)[f"archive {market_of(symbol)}".rstrip()]
    key = _setting(symbol, "archive_url")
    try:
        async with asyncio.timeout(_ARCHIVE_SECONDS):  # wait_for of Python 3.11 can lose a cancellation
            file = File(day, day + DAY_MS, FileKind.DAY)
            found = await exchange.read_archive(file, symbol, lambda _: None)
    except ArchiveError as error:
        if error.missing:
            text = f"{base}: {error}; it may be late, REST is asked instead"
            return Finding(
                market.titled("archive"),
                "warn",
                text,
                f"try again tomorrow; check {key} if it stays so",
            )
        return Finding(title, "fail", f"{base}: {error}", f"check the network and {key}")
    except TimeoutError:
        text = f"{base}: a file of a day took more than {_ARCHIVE_SECONDS:g} s"
        return Finding(title, "fail", text, "the way there is slow or blocked: check the network")
    name = found.path.rpartition("/")[2]
    if not found.checked:
        return Finding(title, "warn", found.note, "nothing to do: what it holds is compared with REST")
    return Finding(title, "ok", f"{name}: {len(found.rows):,} minutes, its SHA256 agrees")


async def streams(
    config: Config,
    market: Market,
    patience: float,
    record: Callable[[str, bytes], None] | None = None,
) -> Finding:
    """One frame of the stream of candles. That a subscription is acknowledged proves nothing.

    Args:
        config: names the symbols where the exchange's list could not be read.
        market: whose stream.
        patience: seconds that it may stay without a frame.
        record: given every message, and where it came from.

    Returns:
        How it went.
    """
    title = market.titled("streams")
    probe = market.exchange.probe_symbol
    stated = [name for name in config.application.symbols if not is_pattern(name)]
    wanted = (market.chosen or stated)[:_STREAMS]
    if probe in market.listed or not wanted:
        wanted = list(dict.fromkeys([probe, *wanted]))[:_STREAMS]
    key = _setting(wanted[0], "stream_url")
    delivering = asyncio.Event()
    handlers = StreamHandlers(lambda *_: delivering.set(), lambda _kind, _text: None, record)
    live = market.exchange.streams(handlers)
    live.assign(wanted)
    running = asyncio.create_task(live.run())
    began = time.monotonic()
    connected = False
    try:
        while not delivering.is_set() and time.monotonic() - began < patience:
            connected = connected or any(socket.connected_at is not None for socket in live.sockets)
            if not connected and any(socket.reconnects > 1 for socket in live.sockets):  # it was tried twice
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await delivering.wait()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    url = ", ".join(socket.url for socket in live.sockets) or market.exchange.address
    took = time.monotonic() - began
    if delivering.is_set():
        return Finding(title, "ok", f"candles: {url}, first frame after {took:.1f} s")
    if connected:
        text = f"candles: {url} takes the subscription and sends no frame in {took:.0f} s ({_brief(wanted)})"
        remedy = (
            f"an address that acknowledges and stays silent is retired or broken: check {key}; "
            "until then minutes are closed by REST"
        )
        return Finding(title, "fail", text, remedy)
    reasons = ", ".join(socket.reason for socket in live.sockets if socket.reason)
    text = f"candles: {url} cannot be connected: {reasons or 'no answer'}"
    return Finding(
        market.titled("streams"),
        "fail",
        text,
        f"check the network and {key}; until then REST is used",
    )


def _setting(symbol: str, name: str) -> str:
    """The key of a setting of the symbol's market, such as ``exchange.spot.stream_url``."""
    market = market_of(symbol)
    return f"exchange.{market}.{name}" if market else f"exchange.{name}"


def _brief(wanted: Sequence[str]) -> str:
    more = f" and {len(wanted) - 3} more" if len(wanted) > 3 else ""
    return ", ".join(wanted[:3]) + more

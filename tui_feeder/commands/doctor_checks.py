"""The checks of ``feeder-tui doctor``: each gives a state, a text, and a remedy where something is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import time
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import aiohttp

from tui_feeder.commands.symbols import listed_symbols
from tui_feeder.config import Config, LoadedConfig
from tui_feeder.engine.acquisition.tracked_symbol import is_pattern
from tui_feeder.engine.core.archive_file import File, FileKind
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, SECOND_MS
from tui_feeder.engine.core.journal import shortened
from tui_feeder.engine.core.proxy import ProxyError, routes, routes_text
from tui_feeder.engine.derived.increment_fit import misfits_at
from tui_feeder.engine.derived.inputs import inputs_of, revisions_of
from tui_feeder.engine.exchanges.base import (
    ArchiveError,
    Exchange,
    Refusal,
    RestError,
    StreamHandlers,
    SymbolInfo,
)
from tui_feeder.engine.exchanges.configured import configured_exchange
from tui_feeder.engine.sinks.configured import check_sinks, disabled_backlogs
from tui_feeder.engine.sinks.thread import SinkError
from tui_feeder.engine.storage.store import Store, StoreError
from tui_feeder.runner import exchange_label
from tui_feeder.service.http import ServiceError, open_listener
from tui_feeder.service.startup import PORT_KEY, http_settings
from tui_feeder.spelling import closest

State = Literal["ok", "warn", "fail"]
_GB = 1 << 30
_SCARCE_BYTES, _WANTED_BYTES = 200 << 20, 2 * _GB
#: The clock may differ by so much without a word, s; it is measured twice, so far apart.
_SKEW_SECONDS, _BETWEEN_SECONDS = 1.0, 2.5
#: Farther from real time than this, the exchange is a simulated one.
_ANOTHER_TIME_MS = 30 * DAY_MS
_STREAMS = 10
_NAMED = 5  # of symbols with the same trouble
_ARCHIVE_SECONDS = 60.0
_HEALTH_SECONDS = 3.0
_CANDLES = 5  # asked for, to see whether there are any
#: Share of the weight of a minute from which others must be spending it.
_MUCH_WEIGHT = 0.8


@dataclass(frozen=True, slots=True)
class Finding:
    """How one thing is."""

    check: str
    state: State
    text: str
    remedy: str = ""  # where it is not well


@dataclass(slots=True)
class Market:
    """The exchange and its list of symbols, for the checks after it."""

    exchange: Exchange
    listed: dict[str, SymbolInfo] = field(default_factory=dict)
    chosen: list[str] = field(default_factory=list)


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


def storage(config: Config) -> Finding:
    """The directory of the store: usable, of this exchange, with room."""
    path = config.application.storage_path
    remedy = "name another with --storage or application.storage_path"
    try:
        there = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    except OSError as error:  # below a folder that cannot be entered, or of a name that is too long
        return Finding("disk", "fail", f"{path}: {error.strerror}", remedy)
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding("disk", "fail", f"{there}: {error.strerror}", remedy)
    room, odd = f"{free / _GB:.1f} GB free", []
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("disk", "fail", f"{there} cannot be written", remedy)
    about = f"{path} is made at the first run"
    if (path / "data.mdb").exists():
        try:
            with contextlib.closing(Store(path, read_only=True)) as store:
                holds = store.exchange
                odd = _damaged_records(store)
        except StoreError as error:
            return Finding("disk", "fail", str(error), remedy)
        if holds and holds != exchange_label(config):
            text = f"{path} holds candles of {holds}, not of {config.exchange.rest_url}"
            return Finding("disk", "fail", text, remedy)
        holder = _holder(path / "engine.lock")
        about = f"{path}, in use by {holder}" if holder else f"{path}"
    if free < _SCARCE_BYTES:
        return Finding("disk", "fail", f"{about}; only {free >> 20} MB free", "make room, or " + remedy)
    if free < _WANTED_BYTES:
        return Finding("disk", "warn", f"{about}; {room}", "600 symbols fill about 8 GB a year: make room")
    if odd:
        text = f"{about}; {len(odd)} damaged records are not used: {shortened(odd)}"
        return Finding("disk", "warn", text, "a run creates them again; check the disk")
    return Finding("disk", "ok", f"{about}; {room}")


def _damaged_records(store: Store) -> list[str]:
    """The damaged records of a store, days of candles left out."""
    for symbol in store.symbols():
        store.present(symbol)
        inputs_of(store, symbol)
        revisions_of(store, symbol)
    return [f"{what}: {why}" for what, why in store.unusable_records.items()]


def profile_rows(config: Config) -> Finding | None:
    """Stated price increments that do not fit symbols by the prices in the store; None if there are none."""
    found = misfits_at(config)
    if not found:
        return None
    more = f"; and {len(found) - _NAMED} more: feeder-tui config check" if len(found) > _NAMED else ""
    remedy = 'state what fits in volume_profile.asset_overrides, or set price_increment_mode = "Auto"'
    return Finding("profile", "warn", "; ".join(found[:_NAMED]) + more, remedy)


def _holder(lock: Path) -> str:
    """The process that holds the lock of a store; "" for none. The lock itself is left alone."""
    try:
        inode = lock.stat().st_ino
        locks = Path("/proc/locks").read_text().splitlines()
        held = any(line.split()[5].endswith(f":{inode}") for line in locks)
        return lock.read_text().strip() if held else ""
    except (OSError, IndexError):
        return ""


async def http_port(loaded: LoadedConfig) -> Finding:
    """The port of health, metrics and the API: free, used by a feeder that runs, or taken."""
    settings = http_settings(loaded)
    if settings.off:
        return Finding("http", "ok", f"nothing is served: {settings.off}")
    host, port = settings.host, settings.port
    try:
        open_listener(host, port).close()
    except ServiceError as error:
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        if await _feeder_answers(url):
            return Finding("http", "ok", f"{url} is served by a feeder that runs")
        # With the default port a run goes on without the service; with one that was set it does not start.
        state: State = "fail" if settings.stated else "warn"
        remedy = (
            f"set {PORT_KEY} to another, or to 0 for none; service.http_host is an address of this machine"
        )
        return Finding("http", state, str(error).partition(": set ")[0], remedy)
    return Finding("http", "ok", f"port {port} of {host} is free")


async def _feeder_answers(url: str) -> bool:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_HEALTH_SECONDS)) as session,
            session.get(f"{url}/health") as answer,
        ):
            body = await answer.json()
            return isinstance(body, dict) and "exchange_time" in body
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return False


def proxies(config: Config) -> Finding:
    """How REST, the streams and the archive are reached, and which setting decides it."""
    try:
        found = routes(config)
    except ProxyError as error:
        return Finding("proxy", "fail", str(error), 'exchange.proxy = "none" goes without one')
    return Finding("proxy", "ok", routes_text(found) if any(found.values()) else "none is used")


async def dns(config: Config) -> Finding:
    """Whether the hosts have addresses; behind a proxy, whether that one has: it looks up the others."""
    exchange = config.exchange
    urls = {"REST": exchange.rest_url, "streams": exchange.stream_url, "archive": exchange.archive_url}
    ways = routes(config)
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
        listings = await exchange.listings()
        market.listed = listings.symbols
        found.append(_symbols(config, market))
        if listings.unusable:
            entries = shortened([f"{name}: {why}" for name, why in listings.unusable.items()])
            text = f"{len(listings.unusable)} entries of the exchange's list cannot be used: {entries}"
            found.append(Finding("listing", "warn", text, "the others are followed; wait for the exchange"))
        asked = market.chosen[0] if market.chosen else exchange.probe_symbol
        end = exchange.clock.now() // MINUTE_MS * MINUTE_MS
        page = await exchange.candles(asked, MINUTE_MS // SECOND_MS, end - _CANDLES * MINUTE_MS, end)
        if len(page.rows):
            found.insert(0, _weight(exchange))
        else:
            text = f"candles of {asked} are an empty list"
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
    exchange, known = market.exchange, market.listed
    probe = exchange.probe_symbol
    symbol = probe if not known or probe in known else next(iter(market.chosen or known))
    if exchange.facts(symbol).archive_published is None:
        return None
    day = exchange.clock.now() // DAY_MS * DAY_MS - 2 * DAY_MS
    base = config.exchange.archive_url
    try:
        async with asyncio.timeout(_ARCHIVE_SECONDS):  # wait_for of Python 3.11 can lose a cancellation
            file = File(day, day + DAY_MS, FileKind.DAY)
            found = await exchange.read_archive(file, symbol, lambda _: None)
    except ArchiveError as error:
        if error.missing:
            text = f"{base}: {error}; it may be late, REST is asked instead"
            return Finding(
                "archive", "warn", text, "try again tomorrow; check exchange.archive_url if it stays so"
            )
        return Finding("archive", "fail", f"{base}: {error}", "check the network and exchange.archive_url")
    except TimeoutError:
        text = f"{base}: a file of a day took more than {_ARCHIVE_SECONDS:g} s"
        return Finding("archive", "fail", text, "the way there is slow or blocked: check the network")
    name = found.path.rpartition("/")[2]
    if not found.checked:
        return Finding("archive", "warn", found.note, "nothing to do: what it holds is compared with REST")
    return Finding("archive", "ok", f"{name}: {len(found.rows):,} minutes, its SHA256 agrees")


async def streams(config: Config, market: Market, patience: float) -> Finding:
    """One frame of the stream of candles. That a subscription is acknowledged proves nothing.

    Args:
        config: names the symbols where the exchange's list could not be read.
        market: whose stream.
        patience: seconds that it may stay without a frame.

    Returns:
        How it went.
    """
    probe = market.exchange.probe_symbol
    stated = [name for name in config.application.symbols if not is_pattern(name)]
    wanted = (market.chosen or stated)[:_STREAMS]
    if probe in market.listed or not wanted:
        wanted = list(dict.fromkeys([probe, *wanted]))[:_STREAMS]
    delivering = asyncio.Event()
    handlers = StreamHandlers(lambda *_: delivering.set(), lambda _kind, _text: None)
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
        return Finding("streams", "ok", f"candles: {url}, first frame after {took:.1f} s")
    if connected:
        text = f"candles: {url} takes the subscription and sends no frame in {took:.0f} s ({_brief(wanted)})"
        remedy = (
            "an address that acknowledges and stays silent is retired or broken: check exchange.stream_url; "
            "until then minutes are closed by REST"
        )
        return Finding("streams", "fail", text, remedy)
    reasons = ", ".join(socket.reason for socket in live.sockets if socket.reason)
    text = f"candles: {url} cannot be connected: {reasons or 'no answer'}"
    return Finding(
        "streams", "fail", text, "check the network and exchange.stream_url; until then REST is used"
    )


def _brief(wanted: Sequence[str]) -> str:
    more = f" and {len(wanted) - 3} more" if len(wanted) > 3 else ""
    return ", ".join(wanted[:3]) + more


_SINKS = {
    "kafka": (
        "Kafka",
        "check kafka.bootstrap_servers and kafka.security; until then messages are queued in the outbox",
    ),
    "postgres": ("PostgreSQL", "check the keys of [database]; the mirror catches up when it is back"),
}


async def sinks(config: Config, reported: Collection[str] = ()) -> list[Finding]:
    """Whether each sink that is on can go where it should; ``reported``: sections of which that is known."""
    found = []
    for name, result in (await check_sinks(config)).items():
        if ("database" if name == "postgres" else name) in reported:
            continue
        title, remedy = _SINKS.get(name, (name, f"check the keys of [{name}]"))
        if isinstance(result, SinkError):
            found.append(Finding(title, "fail", str(result), remedy))
        else:
            found.append(Finding(title, "ok", "off" if result is None else "; ".join(result)))
    with (
        contextlib.suppress(StoreError),
        contextlib.closing(Store(config.application.storage_path, read_only=True)) as store,
    ):
        for text in disabled_backlogs(config, store.backlogs()):
            found.append(Finding("outbox", "warn", text, "enable the sink again, or drop what waits for it"))
    return found

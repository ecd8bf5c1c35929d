"""What ``feeder-tui doctor`` looks at: each check says how it is, and what to do where it is not well."""

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
from tui_feeder.configuration.values import is_loopback
from tui_feeder.engine.acquisition.download_plan import File, FileKind
from tui_feeder.engine.acquisition.tracked_symbol import is_pattern
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.event_loop import worker_thread
from tui_feeder.engine.core.journal import shortened
from tui_feeder.engine.core.proxy import ProxyError, configured_proxies, routes, routes_text
from tui_feeder.engine.derived.increment_fit import misfits_at
from tui_feeder.engine.derived.inputs import inputs_of, revisions_of
from tui_feeder.engine.exchanges.binance.answers import SymbolInfo
from tui_feeder.engine.exchanges.binance.archive import ArchiveClient, ArchiveError
from tui_feeder.engine.exchanges.binance.ban import known_ban
from tui_feeder.engine.exchanges.binance.rest import RestClient, RestError, UnknownSymbolError
from tui_feeder.engine.exchanges.binance.stream import Handlers, KlineSocket
from tui_feeder.engine.sinks.configured import disabled_backlogs, look
from tui_feeder.engine.sinks.thread import SinkError
from tui_feeder.engine.storage.store import Store, StoreError
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
_LIQUID = "BTCUSDT"


@dataclass(frozen=True, slots=True)
class Finding:
    """How one thing is."""

    check: str
    state: State
    text: str
    remedy: str = ""  # where it is not well


@dataclass(slots=True)
class Exchange:
    """What REST told, for the checks after it."""

    clock: ExchangeClock
    listed: dict[str, SymbolInfo] = field(default_factory=dict)
    chosen: list[str] = field(default_factory=list)


_REMEDIES = {
    "banned": "send nothing from this address until then; see whether another program here asks the exchange",
    "rate limited": "another program at this address spends the weight: stop it, or wait a minute",
    "forbidden": "the exchange's firewall refuses this address: wait some minutes, or use another address",
    "refused here": "the exchange does not serve this country: run the feeder elsewhere; archives may work",
    "timeout": "check the network and exchange.rest_url; a firewall may swallow the packets",
    "unreachable": "check the network and exchange.rest_url",
    "exchange error": "the exchange is in trouble: wait, and see its status page",
    "bad answer": "something on the way changes the answers: check exchange.rest_url and any proxy",
    "bad request": "check exchange.rest_url",
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
                odd = _odd_records(store)
        except StoreError as error:
            return Finding("disk", "fail", str(error), remedy)
        if not _fits(holds, config):
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
        return Finding("disk", "warn", text, "a run makes them anew; check the disk")
    return Finding("disk", "ok", f"{about}; {room}")


def _odd_records(store: Store) -> list[str]:
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


def _fits(holds: str, config: Config) -> bool:
    simulated = is_loopback(config.exchange.rest_url)
    return not holds or holds == ("a simulated exchange" if simulated else config.exchange.rest_url)


def _holder(lock: Path) -> str:
    """Who holds the lock of a store, "" if nobody does. The lock itself is left alone."""
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
    """How REST, the streams and the archive are reached, and who says so."""
    try:
        found = routes(config)
    except ProxyError as error:
        return Finding("proxy", "fail", str(error), 'exchange.proxy = "none" goes without one')
    return Finding("proxy", "ok", routes_text(found) if any(found.values()) else "none is used")


async def names(config: Config) -> Finding:
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


async def rest(config: Config) -> tuple[list[Finding], Exchange]:
    """REST, the clock, and the symbols that are wanted; in this order."""
    exchange = Exchange(ExchangeClock(config.exchange.clock_rate))
    found: list[Finding] = []
    client = RestClient(
        config.exchange.rest_url,
        exchange.clock,
        timeout=config.exchange.request_timeout_seconds,
        banned_until=_banned(config, exchange.clock),
        proxies=configured_proxies(config),
    )
    try:
        await client.sync_clock()
        listings = await client.listings()
        exchange.listed = listings.symbols
        found.append(_symbols(config, exchange))
        if listings.unusable:
            entries = shortened([f"{name}: {why}" for name, why in listings.unusable.items()])
            text = f"{len(listings.unusable)} entries of the exchange's list cannot be used: {entries}"
            found.append(Finding("listing", "warn", text, "the others are followed; wait for the exchange"))
        asked = exchange.chosen[0] if exchange.chosen else _LIQUID
        rows = await client.klines(asked, limit=5)
        if len(rows):
            used = f"weight {client.ledger.used} of {client.ledger.limit} used in this minute"
            if client.ledger.used > 0.8 * client.ledger.limit:
                found.insert(0, Finding("REST", "warn", used, _REMEDIES["rate limited"]))
            else:
                found.insert(0, Finding("REST", "ok", f"{client.base_url}, {used}"))
        else:
            text = f"klines of {asked} are an empty list"
            found.insert(
                0, Finding("REST", "fail", text, "the exchange gives no candles: wait, and try again")
            )
        found.insert(1, await _clock(config, client))
    except UnknownSymbolError:
        found.insert(0, Finding("REST", "warn", "the listing names a symbol that klines do not know", "wait"))
    except RestError as error:
        until = ""
        if error.kind == "banned" and error.retry_ms is not None:
            until = f"; until {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(error.retry_ms / 1000))}"
        remedy = _REMEDIES.get(error.kind, "wait, and try again")
        found.insert(0, Finding("REST", "fail", f"{error.kind}: {error}{until}", remedy))
    finally:
        await client.close()
    return found, exchange


def _banned(config: Config, clock: ExchangeClock) -> int:
    """Until when an earlier run was banned, as the store knows."""
    try:
        with contextlib.closing(Store(config.application.storage_path, read_only=True)) as store:
            return known_ban(store, clock)
    except StoreError:
        return 0


async def _clock(config: Config, client: RestClient) -> Finding:
    """This machine's clock against the exchange's, which must not step."""
    offset = client.clock.offset_ms / 1000
    if config.exchange.clock_rate != 1.0 or abs(offset) * 1000 > _ANOTHER_TIME_MS:
        return Finding("clock", "ok", "the exchange is a simulated one, of another time")
    await asyncio.sleep(_BETWEEN_SECONDS)
    step = (await client.sync_clock()).ms / 1000
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


def _symbols(config: Config, exchange: Exchange) -> Finding:
    wanted = config.application.symbols
    exchange.chosen, absent = listed_symbols(wanted, exchange.listed)
    guesses = [_guessed(name, exchange.listed) for name in absent[:5]]
    remedy = "check application.symbols"
    if not exchange.chosen:
        return Finding(
            "symbols", "fail", f"none is listed: {', '.join(guesses) or ', '.join(wanted)}", remedy
        )
    if absent:
        return Finding(
            "symbols", "warn", f"{len(exchange.chosen)} are listed; not: {', '.join(guesses)}", remedy
        )
    return Finding("symbols", "ok", f"{len(exchange.chosen)} of {len(exchange.listed)} listed ones")


def _guessed(name: str, listed: Iterable[str]) -> str:
    near = closest(name, listed)
    return f"{name} (did you mean {near}?)" if near else name


async def archive(config: Config, exchange: Exchange) -> Finding:
    """One day's file, hashed and parsed."""
    day = exchange.clock.now() // DAY_MS * DAY_MS - 2 * DAY_MS
    known = exchange.listed
    symbol = _LIQUID if not known or _LIQUID in known else next(iter(exchange.chosen or known))
    workers: ThreadPoolExecutor = worker_thread()
    timeout = config.exchange.request_timeout_seconds
    client = ArchiveClient(
        config.exchange.archive_url, workers, timeout=timeout, proxies=configured_proxies(config)
    )
    base = config.exchange.archive_url
    try:
        async with asyncio.timeout(_ARCHIVE_SECONDS):  # wait_for of Python 3.11 can lose a cancellation
            found = await client.fetch(File(day, day + DAY_MS, FileKind.DAY), symbol)
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
    finally:
        await client.close()
        workers.shutdown(wait=False, cancel_futures=True)
    name = found.path.rpartition("/")[2]
    if not found.checked:
        return Finding("archive", "warn", found.note, "nothing to do: what it holds is compared with REST")
    return Finding("archive", "ok", f"{name}: {len(found.rows):,} minutes, its SHA256 agrees")


async def streams(config: Config, exchange: Exchange, patience: float) -> Finding:
    """One data frame of every kind of stream that is used: klines. An acknowledgement proves nothing."""
    stated = [name for name in config.application.symbols if not is_pattern(name)]
    wanted = (exchange.chosen or stated)[:_STREAMS]
    if _LIQUID in exchange.listed or not wanted:
        wanted = list(dict.fromkeys([_LIQUID, *wanted]))[:_STREAMS]
    seen: list[str] = []
    handlers = Handlers(lambda symbol, *_: seen.append(symbol), lambda _kind, _text: None)

    async def at_once() -> None:
        return None

    stream_socket = KlineSocket(
        "kline", config.exchange.stream_url, wanted, exchange.clock, handlers, at_once,
        configured_proxies(config),
    )  # fmt: skip
    running = asyncio.create_task(stream_socket.run())
    began = time.monotonic()
    connected = False
    try:
        while not stream_socket.delivering.is_set() and time.monotonic() - began < patience:
            connected = connected or stream_socket.connected_at is not None
            if not connected and stream_socket.reconnects > 1:  # it was tried twice
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await stream_socket.delivering.wait()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    url = f"{config.exchange.stream_url}/market/stream"
    took = time.monotonic() - began
    if stream_socket.delivering.is_set():
        return Finding("streams", "ok", f"kline: {url}, first frame after {took:.1f} s")
    if connected:
        text = f"kline: {url} takes the subscription and sends no frame in {took:.0f} s ({_brief(wanted)})"
        remedy = (
            "an address that acknowledges and stays silent is retired or broken, as the old ones were in "
            "April 2026: check exchange.stream_url; meanwhile minutes are closed by REST"
        )
        return Finding("streams", "fail", text, remedy)
    text = f"kline: {url} cannot be connected: {stream_socket.reason or 'no answer'}"
    return Finding(
        "streams", "fail", text, "check the network and exchange.stream_url; meanwhile REST is asked"
    )


def _brief(wanted: Sequence[str]) -> str:
    more = f" and {len(wanted) - 3} more" if len(wanted) > 3 else ""
    return ", ".join(wanted[:3]) + more


_SINKS = {
    "kafka": (
        "Kafka",
        "check kafka.bootstrap_servers and kafka.security; messages wait in the outbox meanwhile",
    ),
    "postgres": ("PostgreSQL", "check the keys of [database]; the mirror catches up when it is back"),
}


async def sinks(config: Config, reported: Collection[str] = ()) -> list[Finding]:
    """Whether each sink that is on can go where it should; ``reported``: sections of which that is known."""
    found = []
    for name, result in (await look(config)).items():
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

"""The checks of ``feeder-tui doctor`` on this machine and its sinks: state, text, remedy."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiohttp

from tui_feeder.config import Config, LoadedConfig
from tui_feeder.configuration.rules import exchange_label
from tui_feeder.engine.core.journal import shortened
from tui_feeder.engine.derived.increment_fit import misfits_at
from tui_feeder.engine.derived.inputs import inputs_of, revisions_of
from tui_feeder.engine.sinks import registry
from tui_feeder.engine.sinks.configured import check_sinks, disabled_backlogs
from tui_feeder.engine.sinks.thread import SinkError
from tui_feeder.engine.storage.store import Store, StoreError
from tui_feeder.service.http import ServiceError, open_listener
from tui_feeder.service.startup import PORT_KEY, http_settings

State = Literal["ok", "warn", "fail"]
_GB = 1 << 30
_SCARCE_BYTES, _WANTED_BYTES = 200 << 20, 2 * _GB
_NAMED = 5  # of symbols with the same trouble
_HEALTH_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """How one thing is."""

    check: str
    state: State
    text: str
    remedy: str = ""  # where it is not well


def storage(config: Config) -> Finding:
    """Checks the folder of the store: usable, of this exchange, with room.

    Args:
        config: the configuration.

    Returns:
        The result.
    """
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
    """Checks whether stated price increments fit the prices in the store.

    Args:
        config: the configuration.

    Returns:
        A warning; None if all fit.
    """
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
    """Checks the port of health, metrics and the API: free, used by a running feeder, or taken.

    Args:
        loaded: the configuration with the origin of each value.

    Returns:
        The result.
    """
    settings = http_settings(loaded)
    if settings.off:
        return Finding("http", "ok", f"nothing is served: {settings.off}")
    host, port = settings.host, settings.port
    try:
        open_listener(host, port).close()
    except ServiceError as error:
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        text = str(error).partition(": set ")[0]
        if await _feeder_answers(url):
            if _holder(loaded.config.application.storage_path / "engine.lock"):
                served = f"{url} is served by a feeder that runs; a second one needs another port"
                return Finding("http", "ok", served)
            text = (
                f"{url} is served by a feeder of another store: a run with this configuration does not get it"
            )
        # With the default port a run goes on without the service; with one that was set it does not start.
        state: State = "fail" if settings.stated else "warn"
        remedy = (
            f"set {PORT_KEY} to another, or to 0 for none; service.http_host is an address of this machine"
        )
        return Finding("http", state, text, remedy)
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


async def sinks(config: Config, reported: Collection[str] = ()) -> list[Finding]:
    """Checks whether each enabled sink can deliver.

    Args:
        config: the configuration.
        reported: sections already reported, left out.

    Returns:
        One result a sink.
    """
    found = []
    results = await check_sinks(config)
    for kind in registry.SINKS:
        result = results[kind.name]
        if kind.section in reported:
            continue
        if isinstance(result, SinkError):
            found.append(Finding(kind.title, "fail", str(result), kind.remedy))
        else:
            found.append(Finding(kind.title, "ok", "off" if result is None else "; ".join(result)))
    with (
        contextlib.suppress(StoreError),
        contextlib.closing(Store(config.application.storage_path, read_only=True)) as store,
    ):
        for text in disabled_backlogs(config, store.backlogs()):
            found.append(Finding("outbox", "warn", text, "enable the sink again, or drop what waits for it"))
    return found

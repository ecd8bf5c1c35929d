"""Whether health, metrics and the API can be served where the configuration says."""

from __future__ import annotations

import aiohttp

from tui_feeder.commands.doctor_checks import Finding, State
from tui_feeder.config import LoadedConfig
from tui_feeder.configuration.values import is_loopback

_KEY = "application.health_server_port"
_REMEDY = f"set {_KEY} to another, or to 0 for none; service.http_host is an address of this machine"
_ANSWER_SECONDS = 3.0


async def port(loaded: LoadedConfig) -> Finding:
    """The port of ``application.health_server_port``: free, or had by a feeder that runs, or taken."""
    config = loaded.config
    number, host = config.application.health_server_port, config.service.http_host
    stated = loaded.origins[_KEY] != "default"
    if number == 0:
        return Finding("http", "ok", f"nothing is served: {_KEY} = 0")
    if not stated and is_loopback(config.exchange.rest_url):
        return Finding("http", "ok", f"nothing is served beside a simulated exchange unless {_KEY} is stated")
    from tui_feeder.service.http import ServiceError, open_listener

    try:
        open_listener(host, number).close()
    except ServiceError as error:
        url = f"http://{f'[{host}]' if ':' in host else host}:{number}"
        if await _feeder_answers(url):
            return Finding("http", "ok", f"{url} is served by a feeder that runs")
        # Without a stated port a run does without; with one it does not begin.
        state: State = "fail" if stated else "warn"
        return Finding("http", state, str(error).partition(": set ")[0], _REMEDY)
    return Finding("http", "ok", f"port {number} of {host} is free")


async def _feeder_answers(url: str) -> bool:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS)) as session,
            session.get(f"{url}/health") as answer,
        ):
            body = await answer.json()
            return isinstance(body, dict) and "exchange_time" in body
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return False

"""The control interface: switches faults by HTTP, from this machine only."""

from __future__ import annotations

import ipaddress
from typing import Any

import orjson
from aiohttp import web

from tui_feeder.simulator.clock import Clock
from tui_feeder.simulator.fault_kinds import KINDS
from tui_feeder.simulator.faults import Faults

CONTROL = "/_simulator/faults"
#: Bytes of a request at most.
_LONGEST = 4_096
_TEXTS = ("name", "symbol", "target")
_FIELDS = (*_TEXTS, "duration", "count", "parameters")


class FaultControl:
    """Answers under :data:`CONTROL`.

    ``GET`` shows time, faults that are on, and how often each struck; ``?kinds`` adds what there is.
    ``POST`` with a JSON object of ``name`` and optionally ``symbol``, ``target``, ``duration`` (exchange
    seconds), ``count`` and ``parameters`` switches one on. ``DELETE`` switches off all, or those of
    ``?name=`` and ``?symbol=``.

    Args:
        faults: what is switched.
        clock: exchange time.
    """

    def __init__(self, faults: Faults, clock: Clock) -> None:
        self._faults = faults
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What to hang into the server."""
        return [
            web.get(CONTROL, self._show),
            web.post(CONTROL, self._switch_on),
            web.delete(CONTROL, self._switch_off),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        if (refusal := _refuse_foreign(request)) is not None:
            return refusal
        shown: dict[str, Any] = {
            "now_ms": self._clock.now(),
            "faults": [fault.shape() for fault in self._faults.active()],
            "struck": dict(self._faults.struck),
        }
        if "kinds" in request.query:
            shown["kinds"] = [
                {
                    "name": kind.name,
                    "what": kind.what,
                    "symbol": kind.symbol,
                    "target": kind.target,
                    "parameters": {
                        name: {"default": p.default, "what": p.what, "choices": p.choices}
                        for name, p in kind.parameters.items()
                    },
                }
                for kind in KINDS.values()
            ]
        return _json(shown)

    async def _switch_on(self, request: web.Request) -> web.Response:
        if (refusal := _refuse_foreign(request)) is not None:
            return refusal
        if request.content_type != "application/json":
            return _json({"error": "the body must be application/json"}, 400)
        if (request.content_length or 0) > _LONGEST:
            return _too_long()
        body = b""
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > _LONGEST:
                return _too_long()
        try:
            wanted = _wanted(body)
            parameters = wanted.pop("parameters", None) or {}
            fault = self._faults.switch_on(**wanted, **parameters)
        except ValueError as error:
            return _json({"error": str(error)}, 400)
        return _json(fault.shape())

    async def _switch_off(self, request: web.Request) -> web.Response:
        if (refusal := _refuse_foreign(request)) is not None:
            return refusal
        try:
            ended = self._faults.switch_off(request.query.get("name"), request.query.get("symbol"))
        except ValueError as error:
            return _json({"error": str(error)}, 400)
        return _json({"ended": ended})


def _wanted(body: bytes) -> dict[str, Any]:
    """The arguments of a switch-on.

    Raises:
        ValueError: if the body is not such an object.
    """
    try:
        wanted = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(wanted, dict) or not isinstance(wanted.get("name"), str):
        raise ValueError('the body must be an object with a "name", as {"name": "silence"}')
    unknown = [key for key in wanted if key not in _FIELDS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not known here; an object may have {', '.join(_FIELDS)}")
    for key in _TEXTS:
        if not isinstance(wanted.get(key, ""), str | None):
            raise ValueError(f"{key} must be a text")
    duration = wanted.get("duration")
    if isinstance(duration, bool) or not isinstance(duration, int | float | None):
        raise ValueError("duration must be a number of seconds")
    parameters = wanted.get("parameters")
    if parameters is not None and not (
        isinstance(parameters, dict)
        and all(isinstance(value, str | int | float | bool) for value in parameters.values())
        and not parameters.keys() & {*_FIELDS}
    ):
        raise ValueError("parameters must be an object of numbers, texts and truths")
    return wanted


def _refuse_foreign(request: web.Request) -> web.Response | None:
    """The refusal of a request from another machine or from a web page, or None."""
    address = (request.remote or "").partition("%")[0]
    try:
        near = ipaddress.ip_address(address).is_loopback
    except ValueError:
        near = False
    if near and "Origin" not in request.headers:
        return None
    return _json({"error": "faults are switched from this machine only"}, 403)


def _too_long() -> web.Response:
    return _json({"error": f"a request has at most {_LONGEST} bytes"}, 413)


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")

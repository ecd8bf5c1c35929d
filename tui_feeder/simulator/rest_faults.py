"""Answers of REST that are refusals, failures, or cut."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from tui_feeder.simulator.clock import Clock
from tui_feeder.simulator.fault_wire import wait_over
from tui_feeder.simulator.faults import Faults

_FIREWALL = """<html>
<head><title>403 Forbidden</title></head>
<body><center><h1>403 Forbidden</h1></center>
The request could not be satisfied. Request blocked.
</body></html>
"""
_COUNTRY = (
    "Service unavailable from a restricted location according to 'b. Eligibility' in the terms of use. "
    "Please contact customer service if you believe you received this message in error."
)
#: Of 5xx and 408: code and message, or None where a gateway answers in HTML.
_FAILURES: dict[str, tuple[int, str] | None] = {
    "408": (
        -1007,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    ),
    "500": (-1000, "An unknown error occurred while processing the request."),
    "502": None,
    "503": (-1008, "Service Unavailable."),
    "504": None,
}


class RestFaults:
    """What the faults do to a request of an endpoint. Ask only while there are faults.

    Args:
        faults: which are on.
        clock: exchange time.
    """

    def __init__(self, faults: Faults, clock: Clock) -> None:
        self._faults = faults
        self._clock = clock

    def weight_used_elsewhere(self, endpoint: str) -> int | None:
        """Gives the weight another process at the same address has used in this minute.

        Args:
            endpoint: endpoint of the request, such as "klines".

        Returns:
            Request weight, or None without such a fault.
        """
        fault = self._faults.strike("weight-jump", None, endpoint)
        return None if fault is None else int(fault.number("used"))

    def wall(self, endpoint: str, symbol: str | None) -> web.Response | None:
        """Makes the refusal of what stands in front of the exchange and books no weight.

        Args:
            endpoint: endpoint of the request, such as "klines".
            symbol: symbol of the request, if it has one.

        Returns:
            The response, or None without such a fault.
        """
        if self._faults.strike("rest-403", symbol, endpoint):
            return web.Response(status=403, text=_FIREWALL, content_type="text/html")
        if self._faults.strike("rest-451", symbol, endpoint):
            return _json({"code": 0, "msg": _COUNTRY}, 451, {})
        return None

    async def refusal(
        self, request: web.Request, endpoint: str, symbol: str | None, headers: dict[str, str]
    ) -> web.Response | None:
        """Makes the response that replaces the right one.

        Args:
            request: the request.
            endpoint: its endpoint, such as "klines".
            symbol: its symbol, if it has one.
            headers: headers that every response carries.

        Returns:
            The response, or None to answer normally.
        """
        faults = self._faults
        if fault := faults.strike("rest-418", symbol, endpoint):
            until = fault.ends or 0
            wait = max(1, -(-(until - self._clock.now()) // 1000))
            more = {"Retry-After": str(wait)} if fault.flag("header") else {}
            message = (
                f"Way too many requests; IP({request.remote}) banned until {until}. "
                "Please use the websocket for live updates to avoid bans."
            )
            return _json({"code": -1003, "msg": message}, 418, headers | more)
        if fault := faults.strike("rest-429", symbol, endpoint):
            seconds = round(fault.number("retry_after"))
            more = {"Retry-After": str(seconds)} if seconds > 0 else {}
            message = "Too many requests. Please use the websocket for live updates to avoid polling the API."
            return _json({"code": -1003, "msg": message}, 429, headers | more)
        if fault := faults.strike("rest-timeout", symbol, endpoint):
            longest = self._clock.real_seconds(fault.number("seconds") * 1000)
            await wait_over(request, faults, fault, longest)
        if fault := faults.strike("rest-5xx", symbol, endpoint):
            status = fault.text("status")
            failure = _FAILURES[status]
            if failure is None:
                page = f"<html><head><title>{status}</title></head><body>Bad gateway</body></html>\n"
                return web.Response(status=int(status), text=page, content_type="text/html")
            code, message = failure
            return _json({"code": code, "msg": message}, int(status), headers)
        return None

    def body(self, body: bytes, endpoint: str, symbol: str | None) -> tuple[bytes, bool]:
        """Applies faults to the body of a response.

        Args:
            body: the right body.
            endpoint: endpoint of the request, such as "klines".
            symbol: symbol of the request, if it has one.

        Returns:
            The body to send, and whether its transfer breaks off in the middle.
        """
        if endpoint == "klines" and self._faults.strike("rest-empty", symbol):
            return b"[]", False
        if endpoint == "klines" and self._faults.strike("odd-rows", symbol):
            body = _odd_rows(body)
        fault = self._faults.strike("rest-truncated", symbol, endpoint)
        if fault is None:
            return body, False
        return (body, True) if fault.text("how") == "transfer" else (body[: len(body) // 2], False)

    def unfinished_for(self, symbol: str) -> int:
        """Gives how long a minute is shown without its last trades.

        Args:
            symbol: the symbol.

        Returns:
            ms after the end of the minute; 0 without such a fault.
        """
        fault = self._faults.strike("unfinished-row", symbol)
        return 0 if fault is None else round(fault.number("seconds") * 1000)

    def listing(self, entries: list[dict[str, Any]]) -> list[Any]:
        """Applies faults to the symbols of exchangeInfo.

        Args:
            entries: the symbols as they are.

        Returns:
            The symbols to show: delisted ones missing, those about to go as SETTLING, malformed ones added.
        """
        leaving = {fault.symbol for fault in self._faults.all("delist")}
        shown: list[Any] = [
            entry | {"status": "SETTLING"} if entry["symbol"] in leaving else entry
            for entry in entries
            if not self.is_gone(entry["symbol"])
        ]
        for fault in self._faults.all("odd-listing"):
            self._faults.count(fault)
            only = fault.text("only")
            for place, entry in enumerate(entries):
                if fault.symbol in (None, entry["symbol"]):
                    sort = _SORTS[place % len(_SORTS)] if only == "all" else only
                    if fault.symbol is None:
                        shown.insert(2 * place, _odd_entry(entry | {"symbol": f"ODD{place}USDT"}, sort))
                    else:
                        shown = [_odd_entry(other, sort) if other == entry else other for other in shown]
        if short := self._faults.strike("short-listing", None):
            shown = shown[: int(short.number("left"))]
        return shown

    def is_gone(self, symbol: str) -> bool:
        """Checks whether a symbol is delisted and no longer known.

        Args:
            symbol: the symbol.

        Returns:
            True once the delay of the delisting has passed.
        """
        fault = self._faults.find("delist", symbol)
        return fault is not None and self._clock.now() >= fault.begins + fault.number("gone") * 1000


#: How an entry of exchangeInfo can make no sense.
_SORTS = ("filters", "contract", "tick", "status", "name", "type")


def _odd_entry(entry: dict[str, Any], sort: str) -> Any:  # noqa: ANN401 - it may be anything
    if sort == "filters":
        return {name: value for name, value in entry.items() if name != "filters"}
    if sort == "contract":
        return entry | {"contractType": None}
    if sort == "tick":
        filters = [item | {"tickSize": "abc"} if "tickSize" in item else item for item in entry["filters"]]
        return entry | {"filters": filters}
    if sort == "status":
        return entry | {"status": 7}
    if sort == "name":
        return entry | {"symbol": entry["symbol"] + "\x1b[2J\n\x00"}
    return entry["symbol"]


def _odd_rows(body: bytes) -> bytes:
    """The rows of an answer in no order, one of them twice, one cut short, and some that are none."""
    rows = orjson.loads(body)
    odd: list[Any] = [None, {}, [rows[0][0]] if rows else [], [*rows[-1][:4], {}] if rows else "row"]
    return orjson.dumps([*rows[1::2], *odd, *rows[::2], *rows[:1]])


def _json(body: dict[str, Any], status: int, headers: dict[str, str]) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), status=status, headers=headers, content_type="application/json"
    )
